//! Networks that `app export` saved: opened, verified and used in three lines.
//!
//! # Synopsis
//!
//! ```no_run
//! # fn main() -> Result<(), saved::Error> {
//! let model = saved::Model::open("saved_models/pets/1")?;
//! let prediction = model.predict("photo.jpg")?;
//! println!("{:?}: {:?} …", model.classes(), &prediction.class_map()[..10]);
//! # Ok(()) }
//! ```
//!
//! The class map has the image's own size and is the one that `app predict --model` writes: images are decoded, brought
//! upright, resized and normalised as in training, and the network's probabilities are scaled back to the image's size.
//! An image may also be in memory, and several may be predicted at once:
//!
//! ```no_run
//! # fn main() -> Result<(), saved::Error> {
//! # let model = saved::Model::open("saved_models/pets/1")?;
//! use saved::Image;
//!
//! let (height, width) = (480, 640);
//! let grey = Image::pixels([height, width, 1], vec![0; 480 * 640])?;
//! for prediction in model.predict_batch(&[grey, Image::file("photo.jpg")])? {
//!     let probabilities_khw = prediction.probabilities()?; // f32, at the image's size
//! #   let _ = probabilities_khw;
//! }
//! # Ok(()) }
//! ```
//!
//! `cargo run -p saved --example serve -- FOLDER` serves a saved network over standard input and output.
//!
//! # Whom to trust
//!
//! A saved network is data, like an image. Files are regular, bounded and known by their checksums. The network is
//! rebuilt with the weights of `model.safetensors`; only where that was not saved, the code of `model.pt` is read
//! ([`Frozen`](export::Frozen)), and nothing of it is executed. A description names no place that is written to.
//! Checksums show damage, not malice: nobody can see from its weights what a network learnt.
//!
//! # What it does not do
//!
//! - It computes in f32, as the exported files do, whatever precision the training had.
//! - It predicts at the scale of training. `app predict` can also keep an image's own scale (`--tile`), average mirror
//!   images (`--mirror`) and read images larger than memory.
//! - It starts no server and shares no [`Model`] between threads: give each thread its own, or a mutex.
//! - It does not open checkpoints: a run's `app export` makes a saved network of one.
//!
//! [`Stored`], [`Description`] and [`upgrade`] are the parts that `app` uses itself.

mod description;
mod enlarge;
mod error;
mod file;
mod format;
mod predict;
mod stored;

pub use data::Image;
pub use description::{Agreement, Class, DESCRIPTION, Description, Origin, Port, VERSION, classes};
pub use enlarge::{Enlarger, most_likely};
pub use error::Error;
pub use file::Checksum;
pub use format::{FORMAT, Resolve, is_removed, keep_young, upgrade};
pub use predict::{Model, Prediction};
pub use stored::{Content, Sections, Stored, load_weights, normalized, write_weights};
