//! Image files to pixels. What a file is, is read from its first bytes: data sets hold GIFs and PNGs called `.jpg`.
//!
//! The orientation that a camera notes in a photograph is not applied: masks are drawn over the stored pixels.

use crate::error::Error;
use image::{DynamicImage, GrayImage, ImageFormat, ImageReader, Limits, RgbImage};
use std::fs::File;
use std::io::{BufReader, Cursor, Read};
use std::path::Path;

/// The largest width and height that are decoded, in pixels. A header can claim anything; no photograph is larger.
const LARGEST_SIDE: u32 = 32_768;

/// The most memory that decoding one image may take, in bytes.
const MOST_MEMORY: u64 = 512 << 20;

/// Height and width of the image at `path`, from its header: no pixel is decoded.
pub fn dimensions(path: &Path) -> Result<[u32; 2], Error> {
    let (width, height) = open(path)?.into_dimensions().map_err(|source| undecodable(path, source))?;
    Ok([height, width])
}

/// The image at `path`, its transparency dropped, its grey scale or palette turned into colours; of several frames the
/// first.
pub fn read_rgb(path: &Path) -> Result<RgbImage, Error> {
    decode(path).map(DynamicImage::into_rgb8)
}

/// The values of a mask file: 8-bit grey scale and nothing else, since any conversion would make up labels.
pub(crate) fn read_labels(path: &Path) -> Result<GrayImage, Error> {
    match decode(path)? {
        DynamicImage::ImageLuma8(mask) => Ok(mask),
        other => Err(Error::MaskFormat { path: path.into(), found: other.color() }),
    }
}

fn decode(path: &Path) -> Result<DynamicImage, Error> {
    let reader = open(path)?;
    let failed = |source| undecodable(path, source);
    if reader.format() != Some(ImageFormat::Jpeg) {
        return reader.decode().map_err(failed);
    }
    // The JPEG decoder paints what a file lacks grey and says nothing. A broken download must not be trained on.
    let mut bytes = Vec::new();
    reader.into_inner().read_to_end(&mut bytes).map_err(|source| Error::Io { path: path.into(), source })?;
    if !is_complete(&bytes) {
        return Err(Error::Truncated { path: path.into() });
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), ImageFormat::Jpeg);
    reader.limits(limits());
    reader.decode().map_err(failed)
}

/// Whether a JPEG's compressed data comes to an end marker (which cannot occur by chance in it). What cannot be read is
/// left to the decoder to complain about.
fn is_complete(jpeg: &[u8]) -> bool {
    // The segments before the data may hold a thumbnail with an end marker of its own: go past them.
    let mut rest = jpeg.get(2..).unwrap_or_default();
    while let [0xff, marker, high, low, ..] = *rest {
        rest = rest.get(2 + usize::from(u16::from_be_bytes([high, low]))..).unwrap_or_default();
        if marker == 0xda {
            break;
        }
    }
    rest.windows(2).rev().any(|pair| pair == [0xff, 0xd9])
}

fn open(path: &Path) -> Result<ImageReader<BufReader<File>>, Error> {
    let unreadable = |source| Error::Io { path: path.into(), source };
    let file = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut reader = ImageReader::new(file).with_guessed_format().map_err(unreadable)?;
    reader.limits(limits());
    Ok(reader)
}

fn limits() -> Limits {
    let mut limits = Limits::no_limits();
    limits.max_image_width = Some(LARGEST_SIDE);
    limits.max_image_height = Some(LARGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    limits
}

fn undecodable(path: &Path, source: image::ImageError) -> Error {
    Error::Image { path: path.into(), source }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ColorType, GrayAlphaImage, ImageError, Luma, Rgb, Rgba, RgbaImage};
    use std::{fs, path::PathBuf};
    use tempfile::{TempDir, tempdir};

    fn place() -> (TempDir, PathBuf) {
        let folder = tempdir().unwrap();
        let path = folder.path().join("image.jpg");
        (folder, path)
    }

    #[test]
    fn a_file_is_what_its_content_says() {
        let image = RgbaImage::from_fn(5, 3, |x, y| Rgba([x as u8 * 50, y as u8 * 100, 30, 0]));
        for format in [ImageFormat::Png, ImageFormat::Gif] {
            let (_folder, path) = place();
            let opaque = DynamicImage::ImageRgba8(image.clone()).into_rgb8();
            match format {
                ImageFormat::Png => image.save_with_format(&path, format).unwrap(),
                _ => DynamicImage::ImageRgb8(opaque).into_rgba8().save_with_format(&path, format).unwrap(),
            }
            assert_eq!(dimensions(&path).unwrap(), [3, 5]);
            let read = read_rgb(&path).unwrap();
            assert_eq!(read.dimensions(), (5, 3));
            assert_eq!(read.get_pixel(2, 1), &Rgb([100, 100, 30]), "{format:?}");
        }
    }

    #[test]
    fn masks_keep_their_values_and_other_formats_are_refused() {
        let (_folder, path) = place();
        let mask = GrayImage::from_fn(4, 2, |x, _| Luma([x as u8]));
        mask.save_with_format(&path, ImageFormat::Png).unwrap();
        assert_eq!(read_labels(&path).unwrap(), mask);
        RgbImage::new(4, 2).save_with_format(&path, ImageFormat::Png).unwrap();
        assert!(matches!(read_labels(&path), Err(Error::MaskFormat { found: ColorType::Rgb8, .. })));
        GrayAlphaImage::new(4, 2).save_with_format(&path, ImageFormat::Png).unwrap();
        assert!(matches!(read_labels(&path), Err(Error::MaskFormat { found: ColorType::La8, .. })));
    }

    #[test]
    fn what_is_no_image_is_an_error_with_its_path() {
        let (folder, path) = place();
        let message = |path: &Path| read_rgb(path).unwrap_err().to_string();
        assert!(message(&path).contains("image.jpg"), "{}", message(&path));
        assert!(read_rgb(folder.path()).is_err());
        for content in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"hello, this is a text file"] {
            fs::write(&path, content).unwrap();
            assert!(dimensions(&path).is_err());
            assert!(message(&path).contains("image.jpg"), "{}", message(&path));
        }
    }

    #[test]
    fn a_file_that_was_cut_off_is_an_error() {
        let (_folder, path) = place();
        let image = RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, (x * y) as u8]));
        for format in [ImageFormat::Jpeg, ImageFormat::Png] {
            image.save_with_format(&path, format).unwrap();
            let whole = fs::read(&path).unwrap();
            read_rgb(&path).unwrap();
            for len in [whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10] {
                fs::write(&path, &whole[..len]).unwrap();
                assert!(read_rgb(&path).is_err(), "{len} of {} bytes of a {format:?}", whole.len());
            }
        }
    }

    #[test]
    fn a_thumbnail_does_not_pass_for_the_end_of_a_photograph() {
        let (_folder, path) = place();
        RgbImage::new(40, 30).save_with_format(&path, ImageFormat::Jpeg).unwrap();
        let whole = fs::read(&path).unwrap();
        // An application segment (APP1) that holds an end marker, before everything else.
        let jpeg = [&whole[..2], &[0xff, 0xe1, 0, 4, 0xff, 0xd9], &whole[2..], b"trailing"].concat();
        assert!(is_complete(&jpeg));
        assert!(!is_complete(&jpeg[..jpeg.len() - 10]));
        fs::write(&path, &jpeg[..jpeg.len() - 10]).unwrap();
        assert!(matches!(read_rgb(&path), Err(Error::Truncated { .. })));
    }

    #[test]
    fn a_header_that_claims_too_much_allocates_nothing() {
        let [high, low] = 60_000u16.to_be_bytes();
        let (_folder, path) = place();
        // A JPEG's frame header (SOF0) of 60000x60000 pixels in three colours, and the start of its scan (SOS).
        let frame = [0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, high, low, high, low, 3, 1, 17, 0, 2, 17, 0, 3, 17, 0];
        let jpeg = [&frame[..], &[0xff, 0xda, 0, 12, 3, 1, 0, 2, 17, 3, 17, 0, 63, 0, 0xff, 0xd9]];
        // A GIF's screen and first frame of 60000x60000 pixels.
        let gif = [
            &b"GIF89a"[..],
            &[low, high, low, high, 0, 0, 0, 0x2c, 0, 0, 0, 0, low, high, low, high, 0, 2, 1, 0, 0, 0x3b],
        ];
        for content in [jpeg.concat(), gif.concat(), png_header(60_000)] {
            fs::write(&path, content).unwrap();
            let error = read_rgb(&path).unwrap_err();
            assert!(matches!(&error, Error::Image { source: ImageError::Limits(_), .. }), "{error}");
            assert!(dimensions(&path).is_err());
        }
    }

    /// The first chunk of a grey PNG of `side`×`side` pixels, and the start of its data.
    fn png_header(side: u32) -> Vec<u8> {
        let ihdr = [&b"IHDR"[..], &side.to_be_bytes(), &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
        let crc = !ihdr.iter().fold(!0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
        });
        [&b"\x89PNG\r\n\x1a\n"[..], &[0, 0, 0, 13], &ihdr, &crc.to_be_bytes(), &[0, 0, 0, 0], b"IDAT"].concat()
    }
}
