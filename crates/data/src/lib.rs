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
mod config;
mod decode;
mod error;
mod label;
mod list;
mod load;
mod transform;

pub use cache::{Cache, Tell, Told};
pub use check::finding::{Finding, Kind, Severity};
pub use check::statistics::{ClassShare, Sizes, Statistics};
pub use check::verify::{Verified, verify, verify_all_but};
pub use check::{Report, check};
pub use config::Config;
pub use config::checked::check_config;
pub use decode::header::dimensions;
pub use decode::kind::may_be_image;
pub use decode::remarks::{Noted, Remark, remarks};
pub use decode::strips::Strips;
pub use decode::turn::Orientation;
#[doc(hidden)]
pub use decode::{decode_image, decode_mask};
pub use decode::{read_pixels, read_rgb};
pub use error::Error;
pub use label::classes::{Class, Color, PALETTE, check_classes};
pub use label::pixel::Label;
pub use label::{ClassRef, Labels, Unlisted};
pub use list::folders::Folders;
pub use list::listed::List;
#[doc(hidden)]
pub use list::listed::parse_list;
pub use list::pets::{OxfordPets, Target};
pub use list::split::{Split, SplitConfig};
pub use list::walk::walk;
pub use load::config::LoaderConfig;
pub use load::dataset::{Dataset, Source};
pub use load::files::Preparation;
pub use load::fingerprint::{Fingerprint, fingerprint};
pub use load::image::Image;
pub use load::images::Images;
pub use load::loader::{Loader, Order};
pub use load::pipeline::{Normalize, Pipeline};
pub use load::shapes::Shapes;
pub use load::skipped::{Passed, Skipped};
pub use load::{IGNORE, Sample};
pub use transform::Transform;
pub use transform::affine::Affine;
pub use transform::color::ColorJitter;
pub use transform::crop::{RandomCrop, RandomResizedCrop};
pub use transform::filter::{GaussianBlur, GaussianNoise};
pub use transform::patch::{CoarseDropout, CutMix};
pub use transform::resize::{Rectangle, Resize};
