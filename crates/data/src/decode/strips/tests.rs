use super::super::read_pixels;
use super::*;
use image::{DynamicImage, ImageBuffer, Rgb, RgbImage};
use std::fs;
use std::io::Cursor;
use tempfile::tempdir;

fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7 + y) as u8, (x * y) as u8, (y * 3) as u8]))
}

/// Reads all rows, `count` at a time.
fn all(path: &Path, channels: u32, count: u32) -> Result<([u32; 2], Vec<u8>), Error> {
    let mut strips = Strips::open(path, channels, Orientation::Apply)?;
    let mut pixels = Pixels::default();
    let size = strips.size();
    for _ in 0..size[0].div_ceil(count) {
        strips.read(count, &mut pixels)?;
    }
    Ok((size, std::mem::take(pixels.bytes_mut())))
}

/// Encodes a TIFF without compression in tiles of 16×16, by the specification (Adobe, 1992, section 15).
fn tiled(picture: &RgbImage) -> Vec<u8> {
    let (width, height) = picture.dimensions();
    let (across, down) = (width.div_ceil(16), height.div_ceil(16));
    let (mut file, mut offsets) = (b"II*\0\0\0\0\0".to_vec(), Vec::new());
    for tile in 0..across * down {
        offsets.push(file.len() as u32);
        for place in 0..256 {
            let (x, y) = (tile % across * 16 + place % 16, tile / across * 16 + place / 16);
            file.extend(picture.get_pixel_checked(x, y).map_or([9; 3], |pixel| pixel.0));
        }
    }
    let counts = vec![768u32; offsets.len()];
    let mut list = |values: &[u32]| {
        let at = file.len() as u32;
        file.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        at
    };
    let (offsets_at, counts_at, bits_at) = (list(&offsets), list(&counts), list(&[8 | 8 << 16, 8]));
    let tiles = offsets.len() as u32;
    // Tag, type (3 is u16, 4 is u32), count, value or its offset.
    let entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, bits_at),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (322, 4, 1, 16),
        (323, 4, 1, 16),
        (324, 4, tiles, offsets_at),
        (325, 4, tiles, counts_at),
    ];
    let at = file.len() as u32;
    file[4..8].copy_from_slice(&at.to_le_bytes());
    file.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        file.extend([tag as u16, kind as u16].iter().flat_map(|value| value.to_le_bytes()));
        file.extend([count, value].iter().flat_map(|value: &u32| value.to_le_bytes()));
    }
    file.extend([0; 4]);
    file
}

fn encoded(picture: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

#[test]
fn rows_are_those_of_the_whole_image_of_every_kind() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/images");
    let mut seen = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        for channels in [1, 3] {
            let Ok(expected) = read_pixels(&path, channels, Orientation::Apply) else { continue };
            for count in [1, 3, 1000] {
                assert!(all(&path, channels, count).unwrap() == expected, "{}, {channels}", path.display());
            }
            let ([height, width], pixels) = expected;
            let (mut strips, mut rest) =
                (Strips::open(&path, channels, Orientation::Apply).unwrap(), Pixels::default());
            let skipped = height * 2 / 3;
            strips.skip(skipped).unwrap();
            strips.read(height, &mut rest).unwrap();
            assert!(rest.bytes() == &pixels[(skipped * width * channels) as usize..], "{}", path.display());
            seen += 1;
        }
    }
    assert!(seen >= 60, "{seen}");
}

#[test]
fn png_and_tiff_are_not_held_whole() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image");
    let picture = picture(75, 90);
    let wide = ImageBuffer::from_fn(75, 90, |x, y| Rgb(picture.get_pixel(x, y).0.map(|value| u16::from(value) * 257)));
    let files = [
        encoded(picture.clone(), ImageFormat::Png),
        encoded(DynamicImage::ImageRgb16(wide.clone()), ImageFormat::Png),
        encoded(picture.clone(), ImageFormat::Tiff),
        encoded(DynamicImage::ImageRgb16(wide), ImageFormat::Tiff),
        tiled(&picture),
    ];
    for (number, file) in files.iter().enumerate() {
        fs::write(&path, file).unwrap();
        assert!(!matches!(Strips::open(&path, 3, Orientation::Apply).unwrap().rows, Rows::Decoded), "{number}");
        for count in [1, 16, 50] {
            assert!(all(&path, 3, count).unwrap() == ([90, 75], picture.as_raw().clone()), "{number}, {count}");
        }
        let mut strips = Strips::open(&path, 1, Orientation::Apply).unwrap();
        let mut some = Pixels::default();
        strips.read(10, &mut some).unwrap();
        assert_eq!(some.bytes(), &read_pixels(&path, 1, Orientation::Apply).unwrap().1[..750], "{number}");
        assert!(strips.ready.len() < 75 * 90, "{number}");
    }
    fs::write(&path, encoded(picture, ImageFormat::Jpeg)).unwrap();
    assert!(all(&path, 3, 7).unwrap() == read_pixels(&path, 3, Orientation::Apply).unwrap());
}

#[test]
fn broken_files_are_errors_and_never_a_panic() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("image");
    let picture = picture(40, 50);
    let kinds =
        [encoded(picture.clone(), ImageFormat::Png), encoded(picture.clone(), ImageFormat::Tiff), tiled(&picture)];
    for whole in kinds {
        for cut in (0..whole.len() - 1).step_by(whole.len() / 60) {
            fs::write(&path, &whole[..cut]).unwrap();
            assert!(all(&path, 3, 8).is_err(), "{cut} of {}", whole.len());
        }
        // The metadata of a TIFF stands at its end, that of a PNG at its beginning.
        for place in (0..60).chain(whole.len() - 130..whole.len()) {
            for flip in [0x01, 0x80, 0xff] {
                let mut flipped = whole.clone();
                flipped[place] ^= flip;
                fs::write(&path, &flipped).unwrap();
                let _ = all(&path, 3, 8);
            }
        }
    }
    let error = all(&folder.path().join("none"), 3, 1).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}
