//! Images of any number of bands and any depth, read whole or in part, and the numbers they are made of.
//!
//! [`Pixels`] holds an image as bytes, as 16-bit numbers or as floats, in one buffer: `H×W×C`, row by row, the bands of
//! a pixel side by side. [`Element`] is one such number, for code that works on all three.

mod element;
mod pixels;

pub use element::Element;
pub use pixels::{Depth, Pixels};
