//! Post-processing of class maps: keep the largest component, remove small components, fill holes.
//!
//! ```
//! use postprocess::{Neighbours, Rules, Runs, clean};
//!
//! let map = [
//!     [0, 0, 0, 0, 0, 0],
//!     [0, 1, 1, 1, 0, 2],
//!     [0, 1, 0, 1, 0, 0], // a hole in class 1
//!     [0, 1, 1, 1, 0, 1], // and a speck of it
//! ];
//! let mut runs = Runs::new(6);
//! map.iter().for_each(|row| runs.push(row));
//! let of_one = Rules { keep_largest: true, fill_holes: true, ..Rules::default() };
//! clean(&mut runs, &[Rules::default(), of_one, Rules::default()], Neighbours::Four);
//! assert_eq!(runs.pixels(2..4), [0, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0]);
//! ```
//!
//! A map is held as [`Runs`] of equal pixels, 5 bytes each, and 4 more while it is labelled. So memory and time grow
//! with the length of the borders between classes and not with the area: a photograph's map of 32,768² pixels has a few
//! million runs. Components are found with union-find in one pass over the rows.
//!
//! # Rules
//!
//! - **Neighbours** are 4 by default, as in SciPy's `ndimage.label`; 8 joins corners too. The same choice holds for the
//!   background in which holes are found (SciPy's `binary_fill_holes` with the same `structure`).
//! - **Pixels of a removed component** take the class that most of its border lies on, counted in pixel sides; of
//!   several, that of the lowest id. A component that covers its whole image has no border and stays.
//! - **A hole** of a class is a connected set of pixels of other classes that does not reach the edge of the image. All
//!   its pixels take the class, also where they are islands of several classes.
//! - **Order**: the largest component, then the minimum area, then the holes; each class by class in the order of ids.
//!   Each step works on the result of the one before.
//!
//! # What it does not do
//!
//! It knows no tensors, no files and no probabilities: thresholds on probabilities are applied where those are. It
//! chooses no rules: `app tune-postprocessing` does, on validation data. There is no conditional random field.

mod clean;
mod regions;
mod runs;

pub use clean::{Rules, clean, fill_holes, keep_largest, remove_small};
pub use regions::{Neighbours, Regions};
pub use runs::{Run, Runs};
