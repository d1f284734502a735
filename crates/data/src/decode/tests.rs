//! Every kind of file against Pillow (`reference/images.py`), and broken files.

mod kinds;
mod orientation;

use super::*;
use crate::transform::random::{Purpose, Random};
use crate::{Color, Label, dimensions};
use image::{GrayImage, Luma, Rgb};
use serde::Deserialize;
use serde_json::{from_value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tempfile::{TempDir, tempdir};

#[derive(Deserialize)]
struct Reference {
    images: BTreeMap<String, Image>,
    masks: BTreeMap<String, Vec<u16>>,
}

#[derive(Deserialize)]
struct Image {
    size: [u32; 2],
    rgb: Vec<u8>,
    grey: Vec<u8>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../reference/images.json")).unwrap()
}

fn of_reference(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/images").join(name)
}

/// Decodes hexadecimal digits.
fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).unwrap();
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn place() -> (TempDir, PathBuf) {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image.jpg");
    (folder, path)
}

fn labels(value: serde_json::Value, classes: usize) -> LabelTable {
    let classes: Vec<Class> = (0..classes).map(|id| format!("class {id}").as_str().into()).collect();
    from_value::<Labels>(value).unwrap().table(&classes).unwrap()
}

fn mask(path: &Path, labels: &LabelTable) -> Result<Vec<u8>, Error> {
    let mut ids = vec![77; 3];
    Decoder::default().mask(path, labels, Orientation::Apply, &mut ids).map(|_| ids)
}

#[test]
fn every_kind_of_image_is_what_pillow_and_opencv_see() {
    let mut decoder = Decoder::default();
    for (name, expected) in reference().images {
        let path = of_reference(&name);
        // The rounding of the cosine transform and of chroma is up to the decoder; elsewhere nothing is rounded.
        let tolerance = if name.contains(".jp") || name == "several.mpo" || name == "lossy.webp" { 2 } else { 0 };
        let expected_size = expected.size;
        for (channels, expected) in [(3, expected.rgb), (1, expected.grey)] {
            let mut found = vec![77; 1000];
            let size = decoder.image(&path, channels, Orientation::Apply, &mut found).unwrap();
            assert_eq!((size, found.len()), (expected_size, expected.len()), "{name}");
            let worst = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= tolerance, "{name}, {channels} channels: off by {worst}: {found:?} {expected:?}");
        }
        assert_eq!(dimensions(&path, &3.into(), Orientation::Apply).unwrap(), expected_size, "{name}");
    }
}

#[test]
fn every_kind_of_mask_holds_the_values_that_were_stored() {
    for (name, values) in reference().masks {
        // Each value becomes its rank among the values that occur.
        let mut distinct = values.clone();
        distinct.sort_unstable();
        distinct.dedup();
        let map: BTreeMap<String, usize> =
            distinct.iter().enumerate().map(|(place, value)| (value.to_string(), place)).collect();
        let table = labels(json!({ "map": map }), distinct.len());
        let expected: Vec<u8> = values.iter().map(|value| distinct.binary_search(value).unwrap() as u8).collect();
        assert_eq!(mask(&of_reference(&name), &table).unwrap(), expected, "{name}");
        // Without the last of the values, its first pixel is the error.
        let missing = *distinct.last().unwrap();
        let map: BTreeMap<String, usize> =
            distinct.iter().filter(|value| **value != missing).map(|value| (value.to_string(), 0)).collect();
        let error = mask(&of_reference(&name), &labels(json!({"map": map, "ignore": [65535]}), 1)).unwrap_err();
        let first = values.iter().position(|value| *value == missing).unwrap();
        let Error::Label { found, row, column, .. } = &error else { panic!("{name}: {error}") };
        let same = *found == Label::Value(missing) || found.to_string() == Color([missing as u8; 3]).to_string();
        assert!(same && (*row, *column) == (first / 8, first % 8), "{name}: {error}");
    }
}

#[test]
fn a_palette_has_colours_where_colours_are_labels() {
    for bits in [1, 2, 4, 8] {
        let name = format!("mask_palette_{bits}.png");
        let values = &reference().masks[&name];
        let color = |index: u16| Color([(3 * index) as u8, index as u8, 255 - index as u8]).to_string();
        let colors: BTreeMap<String, u16> = values.iter().map(|value| (color(*value), value % 5)).collect();
        let found = mask(&of_reference(&name), &labels(json!({ "colors": colors }), 5)).unwrap();
        assert!(found.iter().zip(values).all(|(id, value)| u16::from(*id) == value % 5), "{name}");
        let error = mask(&of_reference(&name), &labels(json!({"colors": {"#010203": 0}}), 1)).unwrap_err();
        assert!(error.to_string().contains(&format!("holds {} at row 0", color(values[0]))), "{error}");
    }
    // Two bits of grey are four shades from black to white.
    let colors = json!({"colors": {"#000000": 0, "#555555": 1, "#aaaaaa": 2, "#ffffff": 3}});
    let found = mask(&of_reference("mask_grey_2.png"), &labels(colors, 4)).unwrap();
    assert!(found.iter().zip(&reference().masks["mask_grey_2.png"]).all(|(id, value)| u16::from(*id) == *value));
}

#[test]
fn a_mask_of_colours_needs_to_know_them() {
    let folder = tempdir().unwrap();
    let colors = [[128, 0, 0], [0, 0, 0], [255, 255, 255], [128, 0, 0], [0, 128, 0], [0, 0, 0]];
    let picture = RgbImage::from_raw(3, 2, colors.concat()).unwrap();
    let known = json!({"colors": {"#800000": 1, "#000000": "class 0", "#008000": 1}, "ignore": ["#ffffff"]});
    let lossless = [ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP];
    for (place, format) in lossless.into_iter().enumerate() {
        let path = folder.path().join(format!("mask_{place}"));
        for with_alpha in [false, true] {
            let picture = image::DynamicImage::ImageRgb8(picture.clone());
            let picture = if with_alpha { picture.into_rgba8().into() } else { picture };
            picture.save_with_format(&path, format).unwrap();
            assert_eq!(mask(&path, &labels(known.clone(), 2)).unwrap(), [1, 0, 255, 1, 1, 0], "{format:?}");
            let error = mask(&path, &labels(json!({"colors": {"#800000": 1, "#000000": 0}}), 2)).unwrap_err();
            let says = ["holds #ffffff at row 0, column 2", "expected #000000 (class 0), #800000 (class 1)"];
            assert!(says.iter().all(|says| error.to_string().contains(says)), "{error}");
            let lenient = json!({"colors": {"#800000": 1, "#000000": 0}, "unlisted": "ignore"});
            assert_eq!(mask(&path, &labels(lenient, 2)).unwrap(), [1, 0, 255, 1, 255, 0]);
            let error = mask(&path, &labels(json!({}), 2)).unwrap_err().to_string();
            assert!(error.contains("holds #800000") && error.contains("data.labels.colors"), "{error}");
        }
    }
}

#[test]
fn masks_that_cannot_be_trusted_are_refused() {
    let table = labels(json!({}), 255);
    for (name, says) in [
        ("grey.jpg", "JPEG changes values"),
        ("several.mpo", "JPEG changes values"),
        ("lossy.webp", "lossy WebP"),
        ("wide.png", "16 bits a channel"),
        ("wide.tiff", "16 bits a channel"),
    ] {
        let error = mask(&of_reference(name), &table).unwrap_err();
        assert!(matches!(error, Error::MaskFormat { .. }), "{error}");
        assert!(error.to_string().contains(says) && error.to_string().contains(name), "{error}");
    }
    let error = mask(&of_reference("mask_grey_16.png"), &labels(json!({"colors": {"#000000": 0}}), 1)).unwrap_err();
    assert!(error.to_string().contains("data.labels.map"), "{error}");
}

#[test]
fn a_mask_of_0_and_255_is_told_what_to_say() {
    let (_folder, path) = place();
    GrayImage::from_fn(2, 1, |x, _| Luma([x as u8 * 255])).save_with_format(&path, ImageFormat::Png).unwrap();
    assert_eq!(mask(&path, &labels(json!({"map": {"0": 0, "255": 1}}), 2)).unwrap(), [0, 1]);
    assert_eq!(mask(&path, &labels(json!({}), 2)).unwrap(), [0, 255]);
    let error = mask(&path, &labels(json!({"ignore": [9]}), 2)).unwrap_err().to_string();
    let says = ["holds 255 at row 0, column 1", "0 (class 0), 1 (class 1)", "ignored: 9", r#"{"0": 0, "255": 1}"#];
    assert!(says.iter().all(|says| error.contains(says)), "{error}");
    GrayImage::from_fn(2, 1, |x, _| Luma([x as u8 * 254])).save_with_format(&path, ImageFormat::Png).unwrap();
    let error = mask(&path, &labels(json!({}), 2)).unwrap_err().to_string();
    assert!(error.contains("holds 254") && error.contains("255 is ignored, since data.labels says"), "{error}");
    assert_eq!(mask(&path, &labels(json!({"unlisted": "ignore"}), 2)).unwrap(), [0, 255]);
}

#[test]
fn what_is_no_image_is_an_error_with_its_path() {
    let (folder, path) = place();
    let message = |path: &Path| read_rgb(path, Orientation::Apply).unwrap_err().to_string();
    assert!(message(&path).contains("image.jpg"), "{}", message(&path));
    assert!(read_rgb(folder.path(), Orientation::Apply).is_err());
    for content in [&b""[..], b"GIF89a", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"hello, this is a text file"] {
        fs::write(&path, content).unwrap();
        assert!(dimensions(&path, &3.into(), Orientation::Apply).is_err());
        assert!(message(&path).contains("image.jpg"), "{}", message(&path));
        assert!(mask(&path, &labels(json!({}), 1)).unwrap_err().to_string().contains("image.jpg"));
    }
}

/// A picture larger than one block of any format.
fn picture() -> RgbImage {
    RgbImage::from_fn(40, 30, |x, y| Rgb([x as u8 * 6, y as u8 * 8, (x * y) as u8]))
}

#[test]
fn a_file_that_was_cut_off_is_an_error() {
    let (_folder, path) = place();
    for format in [ImageFormat::Jpeg, ImageFormat::Png] {
        picture().save_with_format(&path, format).unwrap();
        let whole = fs::read(&path).unwrap();
        read_rgb(&path, Orientation::Apply).unwrap();
        for len in [whole.len() / 4, whole.len() / 2, whole.len() * 9 / 10] {
            fs::write(&path, &whole[..len]).unwrap();
            assert!(read_rgb(&path, Orientation::Apply).is_err(), "{len} of {} bytes of a {format:?}", whole.len());
        }
    }
}

#[test]
fn what_comes_after_a_photograph_does_not_count() {
    let (_folder, path) = place();
    picture().save_with_format(&path, ImageFormat::Jpeg).unwrap();
    let (alone, whole) = (read_rgb(&path, Orientation::Apply).unwrap(), fs::read(&path).unwrap());
    for after in [&b"trailing garbage"[..], &[0; 1000], &[0xff; 100], &whole, &whole[..100]] {
        fs::write(&path, [&whole[..], after].concat()).unwrap();
        assert_eq!(read_rgb(&path, Orientation::Apply).unwrap(), alone);
    }
}

#[test]
fn a_thumbnail_does_not_pass_for_the_end_of_a_photograph() {
    let (_folder, path) = place();
    picture().save_with_format(&path, ImageFormat::Jpeg).unwrap();
    let whole = fs::read(&path).unwrap();
    // An application segment (APP1) that holds an end marker, before everything else.
    let jpeg = [&whole[..2], &[0xff, 0xe1, 0, 4, 0xff, 0xd9], &whole[2..], b"trailing"].concat();
    assert!(jpeg::is_complete(&jpeg));
    assert!(!jpeg::is_complete(&jpeg[..jpeg.len() - 10]));
    fs::write(&path, &jpeg[..jpeg.len() - 10]).unwrap();
    for channels in [1, 3] {
        let error = Decoder::default().image(&path, channels, Orientation::Apply, &mut Vec::new()).unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "{error}");
    }
}

#[test]
fn a_header_that_claims_too_much_allocates_nothing() {
    let [high, low] = 60_000u16.to_be_bytes();
    let (_folder, path) = place();
    // A JPEG's frame header (SOF0) of 60000x60000 pixels in three colours, and the start of its scan (SOS).
    let frame = [0xff, 0xd8, 0xff, 0xc0, 0, 17, 8, high, low, high, low, 3, 1, 17, 0, 2, 17, 0, 3, 17, 0];
    let jpeg = [&frame[..], &[0xff, 0xda, 0, 12, 3, 1, 0, 2, 17, 3, 17, 0, 63, 0, 0xff, 0xd9]];
    // A GIF's screen and first frame of 60000x60000 pixels.
    let gif =
        [&b"GIF89a"[..], &[low, high, low, high, 0, 0, 0, 0x2c, 0, 0, 0, 0, low, high, low, high, 0, 2, 1, 0, 0, 0x3b]];
    for content in [jpeg.concat(), gif.concat(), png_header(60_000)] {
        fs::write(&path, content).unwrap();
        let error = read_rgb(&path, Orientation::Apply).unwrap_err();
        let says = ["60000x60000 pixels", "1 to 32768", "scale it down"];
        assert!(matches!(&error, Error::Refused { .. }), "{error}");
        assert!(says.iter().all(|says| error.to_string().contains(says)), "{error}");
        assert!(dimensions(&path, &3.into(), Orientation::Apply).is_err());
        assert!(mask(&path, &labels(json!({}), 1)).is_err());
    }
}

/// Returns the first chunk of a grey PNG of `side`×`side` pixels, and the start of its data.
fn png_header(side: u32) -> Vec<u8> {
    let ihdr = [&b"IHDR"[..], &side.to_be_bytes(), &side.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    let crc = !ihdr.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 })
    });
    [&b"\x89PNG\r\n\x1a\n"[..], &[0, 0, 0, 13], &ihdr, &crc.to_be_bytes(), &[0, 0, 0, 0], b"IDAT"].concat()
}

#[test]
fn six_hundred_broken_files_are_errors_or_images_and_never_a_panic() {
    let (_folder, path) = place();
    let table = labels(json!({"unlisted": "ignore"}), 2);
    let formats =
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP];
    let (mut images, mut errors) = (0, 0);
    for (number, format) in formats.into_iter().enumerate() {
        picture().save_with_format(&path, format).unwrap();
        let whole = fs::read(&path).unwrap();
        for case in 0..100 {
            let mut random = Random::new(number as u64, Purpose::Augment, 0, case);
            let mut broken = whole.clone();
            let mut below = |len: usize| random.below(len as u64) as usize;
            if case % 2 == 0 {
                broken.truncate(below(whole.len()));
            } else {
                for _ in 0..=below(8) {
                    broken[below(whole.len())] ^= 1 << below(8);
                }
            }
            fs::write(&path, &broken).unwrap();
            // The buffer's previous content must not show where a file lacks data.
            let decoded = [0, 255].map(|before| {
                let mut pixels = vec![before; 4000];
                Decoder::default().image(&path, 3, Orientation::Apply, &mut pixels).map(|size| (size, pixels)).ok()
            });
            assert_eq!(decoded[0], decoded[1], "{format:?}, case {case}");
            match &decoded[0] {
                Some(([height, width], pixels)) => {
                    images += 1;
                    assert_eq!(pixels.len(), (height * width * 3) as usize);
                }
                None => errors += 1,
            }
            let _ = (mask(&path, &table), dimensions(&path, &3.into(), Orientation::Apply));
        }
    }
    assert!(images > 50 && errors > 200, "{images} images, {errors} errors");
}
