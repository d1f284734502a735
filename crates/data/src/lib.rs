//! Data sets, joint transforms, sampling and the loader: everything from files to batches.
//!
//! A [`Config`] opens a [`Dataset`] for a [`Split`]; [`verify`] checks every mask of it before training starts; a
//! [`Loader`] turns it into [`contract::Input`]; a [`fingerprint()`] identifies the data. A data set gives RGB bytes
//! and class ids of one size, so to use other data, implement [`Dataset`] (four short methods, and [`Dataset::source`]
//! for data in files) and use the rest as it is.
//!
//! **Invariant:** nothing here depends on history. Order and augmentation are a function of (seed, epoch, index) alone,
//! so there is no loader state to save, any number of worker threads gives the same batches, and an interrupted epoch
//! resumes by seeking.
//!
//! Sizes are `[height, width]` in pixels everywhere; images are `H×W×3` or `H×W` bytes, masks `H×W` bytes, row by row.
//!
//! ```
//! use data::{Config, Dataset, Split};
//!
//! let shapes = Config::default().open(Split::Train)?;
//! let mut sample = data::Sample::default();
//! shapes.load(0, &mut sample)?;
//! assert_eq!((sample.image.len(), sample.mask.len()), (64 * 64 * 3, 64 * 64));
//! # Ok::<(), data::Error>(())
//! ```

mod cache;
mod check;
mod classes;
mod config;
mod dataset;
mod decode;
mod ends;
mod error;
mod files;
mod fingerprint;
mod folders;
mod forms;
mod images;
mod labels;
mod lines;
mod list;
mod loader;
mod ordered;
mod paths;
mod pets;
mod pipeline;
mod random;
mod reader;
mod resize;
mod shapes;
mod skipped;
mod split;
mod transform;
mod verify;
mod walk;

pub use cache::{Cache, Tell, Told};
pub use check::{ClassShare, Finding, Kind, Report, Severity, Sizes, Statistics, check, check_config};
pub use classes::{Class, Color, PALETTE, check_classes};
pub use config::{Config, Split};
pub use dataset::{Dataset, IGNORE, Sample, Source};
pub use decode::{Noted, Orientation, Remark, Strips, dimensions, may_be_image, read_pixels, read_rgb, remarks};
#[doc(hidden)]
pub use decode::{decode_image, decode_mask};
pub use error::Error;
pub use files::Preparation;
pub use fingerprint::{Fingerprint, fingerprint};
pub use folders::Folders;
pub use images::Images;
pub use labels::{ClassRef, Label, Labels, Unlisted};
pub use list::List;
#[doc(hidden)]
pub use list::parse_list;
pub use loader::{Loader, LoaderConfig, Moving, Order};
pub use pets::{OxfordPets, Target};
pub use pipeline::{Normalize, Pipeline};
pub use resize::{Rectangle, Resize};
pub use shapes::Shapes;
pub use skipped::{Passed, Skipped};
pub use split::SplitConfig;
pub use transform::{
    Affine, CoarseDropout, ColorJitter, CutMix, GaussianBlur, GaussianNoise, RandomCrop, RandomResizedCrop, Transform,
};
pub use verify::{Verified, verify, verify_all_but};
pub use walk::walk;
