//! Recognizes image files by their first bytes or by their name.

use super::problem::Problem;
use image::ImageFormat;
use std::io::Read;
use std::path::Path;

/// File name extensions of supported image formats.
const READ: [&str; 10] = ["jpg", "jpeg", "jpe", "jfif", "png", "bmp", "gif", "tif", "tiff", "webp"];

/// Ends of the names of files of numbers, which are images where a layout asks for more than bytes of colours or grey.
const NUMBERS: [&str; 6] = [".npy", ".npz", ".nii", ".nii.gz", ".hdr", ".img"];

/// File name extensions of image formats that are not supported.
const UNREAD: [&str; 11] = ["heic", "heif", "hif", "avif", "jp2", "j2k", "jpf", "jpx", "jxl", "dng", "btf"];

/// Number of bytes at the beginning that identify a format.
const START: u64 = 512;

/// Brands of HEIC and AVIF containers, as they stand first.
const HEIF: [&[u8; 4]; 7] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"];
const AVIF: [&[u8; 4]; 2] = [b"avif", b"avis"];

/// Returns whether the file at `path` may be an image, by its name or by its first bytes. This includes HEIC, AVIF and
/// broken files, so that none is skipped in silence: decoding shows whether a file can be read.
pub fn may_be_image(path: &Path) -> bool {
    is_named_as_image(path) || is_image_by_content(path)
}

/// Returns whether the file at `path` holds numbers that may be an image, by its name.
pub fn may_be_numbers(path: &Path) -> bool {
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    NUMBERS.iter().any(|end| name.len() > end.len() && name.ends_with(end))
}

/// Returns the file name without its extension; `.nii.gz` is one.
pub(crate) fn stem(name: &str) -> &str {
    let name = name.strip_suffix(".gz").filter(|name| name.ends_with(".nii")).unwrap_or(name);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// Returns whether the file name has the extension of an image format, supported or not.
pub(crate) fn is_named_as_image(path: &Path) -> bool {
    is_read_by_name(path) || ends_in(path, &UNREAD)
}

/// Returns whether the file name has the extension of a supported image format.
pub(crate) fn is_read_by_name(path: &Path) -> bool {
    ends_in(path, &READ)
}

fn ends_in(path: &Path, extensions: &[&str]) -> bool {
    path.extension().is_some_and(|extension| extensions.iter().any(|known| extension.eq_ignore_ascii_case(known)))
}

/// Returns whether the first bytes are those of an image.
fn is_image_by_content(path: &Path) -> bool {
    let mut start = Vec::new();
    let read = regular::open(path).and_then(|file| file.take(START).read_to_end(&mut start));
    // Many texts begin with the two letters of a bitmap, so the length of the second header must be a valid one.
    let is_text =
        start.starts_with(b"BM") && !matches!(start.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0]));
    read.is_ok() && !is_text && (known(&start).is_some() || foreign(&start).is_some())
}

/// Returns the format of the image that begins with `start`, if it is supported.
pub(crate) fn known(start: &[u8]) -> Option<ImageFormat> {
    match start {
        [b'I', b'I', 43, 0, 8, ..] | [b'M', b'M', 0, 43, 0, 8, ..] => Some(ImageFormat::Tiff),
        _ => image::guess_format(start).ok().filter(|format| {
            use ImageFormat::{Bmp, Gif, Jpeg, Png, Tiff, WebP};
            matches!(format, Bmp | Gif | Jpeg | Png | Tiff | WebP)
        }),
    }
}

/// Returns the name of the image format that begins with `start`, if it is known but not supported.
fn foreign(start: &[u8]) -> Option<&'static str> {
    if let Some((_, [b'f', b't', b'y', b'p', brand @ ..])) = start.split_first_chunk::<4>() {
        let brand = brand.first_chunk::<4>()?;
        return match brand {
            brand if AVIF.contains(&brand) => Some("an AVIF image"),
            brand if HEIF.contains(&brand) => Some("a HEIC image"),
            _ => None,
        };
    }
    match start {
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xff, 0x4f, 0xff, 0x51, ..] => Some("a JPEG 2000 image"),
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] | [0xff, 0x0a, ..] => Some("a JPEG XL image"),
        _ => None,
    }
}

/// Returns the format of `file`, or an error that names what it is and what to do.
pub(super) fn format(file: &[u8]) -> Result<ImageFormat, Problem> {
    let start = &file[..file.len().min(START as usize)];
    if let Some(format) = known(start) {
        return Ok(format);
    }
    let text = start.trim_ascii_start().to_ascii_lowercase();
    let is_page =
        [&b"<!doctype"[..], b"<html", b"<?xml", b"<head", b"\xef\xbb\xbf<"].iter().any(|tag| text.starts_with(tag));
    Err(Problem::Refused(match foreign(start) {
        Some(kind) => format!("is {kind}, which is not read: save it as JPEG or PNG"),
        None if file.is_empty() => "is empty: get the file again".into(),
        None if is_page => "is a web page or XML and no image: get the file again".into(),
        None if start.iter().all(|byte| *byte == 0) => {
            "holds nothing but zeros where an image begins: get the file again".into()
        }
        None if raster::is_raster(start) => {
            "holds numbers and no image of 8 bits: set data.depth to \"u16\" or \"f32\", or list data.channels".into()
        }
        None => "is no image that is read, which are JPEG, PNG, TIFF, BMP, GIF and WebP: save it as one of them".into(),
    }))
}
