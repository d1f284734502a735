//! Images of any number of bands and any depth, read whole or in windows, with their place on earth.
//!
//! [`Raster`] opens TIFF and GeoTIFF, PNG, `.npy`, `.npz` and NIfTI, and reads windows of any size and bands into
//! [`Pixels`]: bytes, 16-bit numbers or floats in one buffer, `H×W×C`, row by row, the bands of a pixel side by side.
//! [`Element`] is one such number, for code that works on all three. [`GeoTiffWriter`] writes an image row by row, with
//! the place ([`Geo`]) of the image that it was made from.
//!
//! ```
//! use raster::{Depth, GeoTiffWriter, Pixels, Raster, TiffSettings};
//!
//! let path = std::env::temp_dir().join(format!("raster-{}.tif", std::process::id()));
//! let settings = TiffSettings::new([2, 3], 1, Depth::U16);
//! let mut writer = GeoTiffWriter::new(std::fs::File::create_new(&path)?, settings)?;
//! writer.rows(&Pixels::from(vec![1_u16, 2, 3, 400, 500, 600]))?;
//! writer.finish()?;
//!
//! let mut raster = Raster::open(&path)?;
//! assert_eq!((raster.info().size, raster.info().bands, raster.info().depth), ([2, 3], 1, Depth::U16));
//! let mut pixels = Pixels::default();
//! raster.window([1, 1], [1, 2], &[0], Depth::F32, &mut pixels)?;
//! assert_eq!(pixels, Pixels::from(vec![500.0_f32, 600.0]));
//! # std::fs::remove_file(&path)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What it does not do
//!
//! It scales nothing: 12-bit numbers are 0 to 4,095. It turns nothing: [`Info::orientation`] says how a TIFF is to be
//! turned. It does not reproject. Kinds of files that it does not read are refused by name, with what converts them.

mod cache;
mod error;
mod foreign;
mod geo;
mod info;
mod nifti;
mod npy;
mod number;
mod opened;
mod options;
mod pixels;
mod plane;
mod png;
mod raster;
mod samples;
mod source;
mod tiff;
mod window;

pub use error::Error;
pub use foreign::is_raster;
pub use geo::{Geo, GeoKeys};
pub use info::{Colors, Info};
pub use number::{Kind, Stored};
pub use options::{Axes, Options, Slice};
pub use pixels::{Depth, Element, Pixels};
pub use raster::Raster;
pub use tiff::write::{GeoTiffWriter, Layout, TiffSettings, WriteError};
