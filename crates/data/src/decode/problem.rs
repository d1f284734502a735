//! Decoding errors that do not name the file yet.

use super::{LARGEST_SIDE, MOST_MEMORY};
use crate::error::Error;
use image::error::{DecodingError, LimitError, LimitErrorKind};
use image::{ImageError, ImageFormat};
use std::io;
use std::path::Path;

/// Reason why a file cannot be decoded.
#[derive(Debug)]
pub(super) enum Problem {
    /// It ends before its image does.
    CutOff,
    /// Rest of a sentence that begins with the file's name: what the file is, and what to do.
    Refused(String),
    /// The decoder's error.
    Image(ImageError),
}

impl Problem {
    /// Returns the error for the file at `path`.
    pub(super) fn of(self, path: &Path) -> Error {
        match self {
            Self::CutOff => Error::Truncated { path: path.into() },
            Self::Refused(problem) => Error::Refused { path: path.into(), problem },
            Self::Image(source) => Error::Image { path: path.into(), source },
        }
    }
}

impl From<io::Error> for Problem {
    fn from(source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::UnexpectedEof => Self::CutOff,
            _ => Self::Image(ImageError::IoError(source)),
        }
    }
}

impl From<ImageError> for Problem {
    fn from(source: ImageError) -> Self {
        match source {
            ImageError::IoError(source) => source.into(),
            source if ends_early(&source) => Self::CutOff,
            source => Self::Image(source),
        }
    }
}

impl From<png::DecodingError> for Problem {
    fn from(source: png::DecodingError) -> Self {
        match source {
            png::DecodingError::IoError(source) => source.into(),
            png::DecodingError::LimitsExceeded => {
                Self::Image(ImageError::Limits(LimitError::from_kind(LimitErrorKind::InsufficientMemory)))
            }
            source => Self::Image(failed(ImageFormat::Png, source)),
        }
    }
}

/// Returns whether a decoder's error was caused by the end of the file.
fn ends_early(error: &ImageError) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof) {
            return true;
        }
        cause = error.source();
    }
    false
}

pub(super) fn failed(format: ImageFormat, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> ImageError {
    ImageError::Decoding(DecodingError::new(format.into(), source))
}

/// Returns the size in bytes of an image with `bytes_a_pixel`, or an error if it exceeds `most`. Checks the header's
/// claim before anything is decoded: half a megabyte may unpack to gigabytes.
pub(super) fn fits(size: [u32; 2], bytes_a_pixel: u64, most: u64) -> Result<usize, Problem> {
    sides(size)?;
    let bytes = size.into_iter().map(u64::from).fold(bytes_a_pixel, u64::saturating_mul);
    if bytes > most { Err(tell_size(size, bytes, most)) } else { Ok(bytes as usize) }
}

/// Refuses sides that no photograph has.
pub(super) fn sides([height, width]: [u32; 2]) -> Result<(), Problem> {
    if [height, width].iter().all(|side| (1..=LARGEST_SIDE).contains(side)) {
        return Ok(());
    }
    Err(Problem::Refused(format!(
        "is {height}x{width} pixels (height x width), and a side may have 1 to {LARGEST_SIDE}: cut it into \
         pieces or scale it down"
    )))
}

pub(super) fn tell_size([height, width]: [u32; 2], bytes: u64, most: u64) -> Problem {
    let hint = if most > MOST_MEMORY {
        ""
    } else {
        "; predict --tile reads PNG and TIFF row by row, unless they are interlaced or of an unusual kind"
    };
    Problem::Refused(format!(
        "is {height}x{width} pixels (height x width), which take {:.2} GB in memory, more than the {:.2} GB that \
         are read at once: cut it into pieces or scale it down{hint}",
        bytes as f64 / 1e9,
        most as f64 / 1e9
    ))
}
