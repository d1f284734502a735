//! Files of every supported kind: complete, truncated at many places, and with trailing data.

use super::*;
use crate::decode::Decoder;
use crate::decode::turn::Orientation;
use image::{DynamicImage, Rgb, RgbImage};
use std::fs;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

const FORMATS: [ImageFormat; 6] =
    [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::WebP, ImageFormat::Bmp, ImageFormat::Tiff];

fn picture() -> DynamicImage {
    RgbImage::from_fn(60, 40, |x, y| Rgb([(x * y) as u8, (x * 7 + y * 3) as u8, (x ^ y) as u8])).into()
}

fn place(format: ImageFormat) -> (TempDir, PathBuf, Vec<u8>) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image");
    picture().save_with_format(&path, format).unwrap();
    let bytes = fs::read(&path).unwrap();
    (folder, path, bytes)
}

fn decodes(path: &Path) -> bool {
    Decoder::default().image(path, 3, Orientation::Apply, &mut Vec::new()).is_ok()
}

#[test]
fn the_end_of_a_whole_file_is_enough() {
    for format in FORMATS {
        let (_folder, path, bytes) = place(format);
        assert!(is_whole(&path).unwrap(), "{format:?}");
        // Trailing data that some programs leave behind.
        fs::write(&path, [bytes, vec![0; 3000]].concat()).unwrap();
        assert!(is_whole(&path).unwrap() && decodes(&path), "{format:?}, padded");
        look(&path, &3.into()).unwrap();
    }
}

#[test]
fn what_is_cut_off_is_found_wherever_decoding_it_fails_and_nowhere_else() {
    for format in FORMATS {
        let (_folder, path, bytes) = place(format);
        let mut refused = 0;
        for part in 1..20 {
            fs::write(&path, &bytes[..bytes.len() * part / 20]).unwrap();
            assert_eq!(look(&path, &3.into()).is_ok(), decodes(&path), "{format:?}, {part} of 20");
            refused += usize::from(!decodes(&path));
        }
        assert!(refused > 15, "{format:?}: {refused}");
    }
}

#[test]
fn a_film_behind_a_photograph_hides_nothing() {
    let (_folder, path, bytes) = place(ImageFormat::Jpeg);
    let film = vec![7; 3 * TAIL as usize];
    fs::write(&path, [bytes.as_slice(), &film].concat()).unwrap();
    assert!(!is_whole(&path).unwrap(), "the end says nothing");
    look(&path, &3.into()).unwrap();
    fs::write(&path, [&bytes[..bytes.len() / 2], &film].concat()).unwrap();
    assert!(look(&path, &3.into()).unwrap_err().to_string().contains("is cut off"));
}

#[test]
fn every_image_of_the_reference_passes() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/images");
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        assert_eq!(look(&path, &3.into()).is_ok(), decodes(&path), "{}", path.display());
    }
}
