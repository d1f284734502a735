//! Data sets, joint transforms, sampling and the loader: everything from files to batches.
//!
//! A [`Config`] opens a [`Dataset`] for a [`Split`]; [`verify`] checks every target of it before training starts; a
//! [`Loader`] turns it into [`contract::Input`]; a [`fingerprint()`] identifies the data.
//!
//! **Invariant:** nothing here depends on history. Order and augmentation are a function of (seed, epoch, index) alone,
//! so there is no loader state to save, any number of worker threads gives the same batches, and an interrupted epoch
//! resumes by seeking. Several ranks load contiguous shares of the same batches: [`Loader::of_rank`].
//!
//! Sizes are `[height, width]` in pixels everywhere. Images are `H×W×C` numbers, row by row: bytes, 16-bit numbers or
//! floats, as their [`Layout`] says. Targets are `H×W` class ids, one byte each, or `C×H×W` numbers of 32 bits: see
//! [`Targets`].
//!
//! ```
//! use data::{Config, Dataset, Split};
//!
//! let shapes = Config::default().open(Split::Train)?;
//! let mut sample = data::Sample::default();
//! shapes.load(0, &mut sample)?;
//! assert_eq!((sample.image.len(), sample.target.classes().len()), (64 * 64 * 3, 64 * 64));
//! # Ok::<(), data::Error>(())
//! ```
//!
//! # Data of your own
//!
//! Implement [`Dataset`] (four short methods, and [`Dataset::source`] for data in files) and use the rest as it is:
//! threads, batches, shuffling, transforms, skipping of broken samples, exact resuming, and the cache [`in_memory`].
//! Targets may be masks of class ids, or maps of numbers: depths, images, probabilities of classes.
//!
//! | targets | [`Dataset::targets`] | tensor of a batch |
//! |---|---|---|
//! | class ids | `Targets::Classes`, the default | `[N, H, W]` i64 |
//! | one number a pixel | `Targets::Values` with `channels: None` | `[N, H, W]` f32 |
//! | several, such as an image | `Targets::Values` with `channels: Some(C)` | `[N, C, H, W]` f32 |
//!
//! ```
//! use contract::Input;
//! use data::{Dataset, Error, Loader, LoaderConfig, Order, Pipeline, Sample, Targets, Transform, Values};
//! use std::sync::Arc;
//!
//! /// Ramps: the brighter a pixel, the nearer; nothing is known of the last row.
//! struct Ramps;
//!
//! impl Dataset for Ramps {
//!     fn len(&self) -> u64 {
//!         10
//!     }
//!     fn size(&self) -> Option<[u32; 2]> {
//!         Some([4, 6])
//!     }
//!     fn channels(&self) -> u32 {
//!         1
//!     }
//!     fn targets(&self) -> Targets {
//!         Targets::Values(Values::default())
//!     }
//!     fn name(&self, index: u64) -> String {
//!         format!("ramp-{index}")
//!     }
//!     fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
//!         sample.size = [4, 6];
//!         sample.image = (0..24).map(|place| (place * 5 + index) as u8).collect();
//!         let depths = sample.target.values_mut();
//!         depths.clear();
//!         depths.extend(sample.image.bytes().iter().map(|value| 1.0 - f32::from(*value) / 255.0));
//!         depths[18..].fill(f32::NAN);
//!         Ok(())
//!     }
//! }
//!
//! let transforms = vec![Transform::HorizontalFlip { probability: 0.5 }];
//! let pipeline = Pipeline { transforms, ..Pipeline::plain([4, 6]) };
//! let config = LoaderConfig { batch_size: 4, ..LoaderConfig::default() };
//! let loader = Loader::new(Arc::new(Ramps), pipeline, &config, Order::Shuffled, 7, tch::Device::Cpu)?;
//! for batch in loader.epoch(0, 0) {
//!     let batch = batch?;
//!     // A depth stays with its pixel.
//!     let off = (batch.inputs.squeeze_dim(1) + &batch.targets - 1.0).abs();
//!     assert!(off.narrow(1, 0, 3).max().double_value(&[]) < 1e-6);
//!     assert!(bool::try_from(off.narrow(1, 3, 1).isnan().all())?);
//! }
//! // Epoch 5 from its third batch on, as after an interruption.
//! assert_eq!(loader.epoch(5, 2).count(), 1);
//! # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(())
//! ```
//!
//! `examples/own_values.rs` reads maps from files of its own.
//!
//! # What it does not do
//!
//! - It downloads nothing, and writes nothing but its caches.
//! - A [`Config`] opens masks of class ids only; maps of numbers come from a [`Dataset`] of your own.
//! - The cache on disk is for the data sets of a [`Config`].
//! - Transforms move numbers and change none: depths, angles and vectors stay as they are when an image is enlarged,
//!   turned or mirrored.

mod cache;
mod check;
mod config;
mod decode;
mod error;
mod index;
mod label;
mod list;
mod load;
mod transform;

pub use cache::memory::in_memory;
pub use cache::{Cache, Tell, Told};
pub use check::finding::{Finding, Kind, Severity};
pub use check::statistics::{ClassShare, Sizes, Statistics};
pub use check::verify::{Verified, verify, verify_all_but};
pub use check::{Report, check};
pub use config::Config;
pub use config::checked::check_config;
pub use decode::header::dimensions;
pub use decode::kind::{may_be_image, may_be_numbers};
pub use decode::part::{self, Axis};
pub use decode::remarks::{Noted, Remark, remarks};
pub use decode::strips::Strips;
pub use decode::turn::Orientation;
#[doc(hidden)]
pub use decode::{decode_image, decode_mask};
pub use decode::{read_pixels, read_rgb};
pub use error::Error;
pub use index::indexed;
pub use label::classes::{Class, Color, PALETTE, check_classes};
pub use label::pixel::Label;
pub use label::{ClassRef, Labels, Unlisted};
pub use list::annotated::config::Annotations;
pub use list::annotated::tool::Tool;
pub use list::annotated::{Contents, Pictured};
pub use list::folders::Folders;
pub use list::listed::List;
#[doc(hidden)]
pub use list::listed::parse_list;
pub use list::pets::{OxfordPets, PetsTarget};
pub use list::split::{Split, SplitConfig};
pub use list::walk::walk;
pub use load::class_index::{ClassIndex, Present};
pub use load::config::LoaderConfig;
pub use load::dataset::{Dataset, Source};
pub use load::drawn::drawing::Drawing;
pub use load::files::Preparation;
pub use load::fingerprint::{Fingerprint, fingerprint};
pub use load::image::Image;
pub use load::images::Images;
pub use load::layout::{Channels, Layout, Range};
pub use load::loader::{BLANK, Loader, Order};
pub use load::pipeline::{Normalization, Normalize, Pipeline, Statistics as NormalizedBy};
pub use load::preview::Shown;
pub use load::sampler::Sampler;
pub use load::shapes::Shapes;
pub use load::skipped::{Passed, Skipped};
pub use load::{IGNORE, Interpolation, Sample, Target, Targets, Values};
pub use raster::{Depth, Element, Pixels, on_pixels};
pub use transform::Transform;
pub use transform::affine::Affine;
pub use transform::channel::{ChannelDropout, ChannelShuffle};
pub use transform::clahe::Clahe;
pub use transform::color::ColorJitter;
pub use transform::copy_paste::CopyPaste;
pub use transform::crop::{RandomCrop, RandomResizedCrop};
pub use transform::elastic::Elastic;
pub use transform::filter::{GaussianBlur, GaussianNoise};
pub use transform::grid_distortion::GridDistortion;
pub use transform::intensity::{Brightness, Contrast, Gamma, InputNoise, Invert};
pub use transform::jpeg::Jpeg;
pub use transform::low_resolution::{BandBlur, LowResolution};
pub use transform::mosaic::Mosaic;
pub use transform::named::nnunet;
pub use transform::patch::{CoarseDropout, CutMix};
pub use transform::rand_augment::RandAugment;
pub use transform::rand_augment::operation::Operation;
pub use transform::resize::{Rectangle, Resize};
pub use transform::sharpen::Sharpen;
pub use transform::spatial::Spatial;
