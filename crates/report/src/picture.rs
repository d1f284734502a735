//! Images and masks as text for the page.

use crate::{Error, Picture};
use base64::{Engine, engine::general_purpose::STANDARD};

/// Returns an image as a PNG in a base64 `data:` URL, for an `<img>`. The name is for the error.
pub(crate) fn address(name: &str, picture: &Picture) -> Result<String, Error> {
    let wrong = |problem: String| Error::Picture { name: name.into(), problem };
    let side = |pixels: usize| u32::try_from(pixels).map_err(|error| wrong(error.to_string()));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(picture.width)?, side(picture.height)?);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| wrong(error.to_string()))?;
    writer.write_image_data(&picture.rgb).map_err(|error| wrong(error.to_string()))?;
    writer.finish().map_err(|error| wrong(error.to_string()))?;
    Ok(format!("data:image/png;base64,{}", STANDARD.encode(bytes)))
}

/// Encodes a mask as run lengths in base64: a class id, then the number of its pixels as a varint (seven bits per byte,
/// the lowest first, the eighth bit set if more follow). Masks consist almost entirely of long runs, and no browser
/// changes these numbers, as some do with the pixels of a canvas.
pub(crate) fn runs(mask: &[u8]) -> String {
    let mut bytes = Vec::new();
    for run in mask.chunk_by(|a, b| a == b) {
        bytes.push(run[0]);
        let mut length = run.len();
        while length >= 0x80 {
            bytes.push((length & 0x7f) as u8 | 0x80);
            length >>= 7;
        }
        bytes.push(length as u8);
    }
    STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_picture_is_a_png_with_the_same_bytes() {
        let picture = Picture { width: 3, height: 2, rgb: (0..18).collect() };
        let address = address("cat", &picture).unwrap();
        let png = STANDARD.decode(address.strip_prefix("data:image/png;base64,").unwrap()).unwrap();
        let read = image::load_from_memory(&png).unwrap().into_rgb8();
        assert_eq!((read.width(), read.height(), read.into_raw()), (3, 2, picture.rgb));
    }

    #[test]
    fn a_long_run_takes_a_few_bytes() {
        // 16,384 = 2^14: two bytes of seven zero bits, then a one.
        assert_eq!(runs(&[7; 16_384]), STANDARD.encode([7, 0x80, 0x80, 1]));
        assert_eq!(runs(&[]), "");
    }

    /// Decodes as `page/gallery.js` does.
    fn decode(text: &str) -> Vec<u8> {
        let mut mask = Vec::new();
        let mut bytes = STANDARD.decode(text).unwrap().into_iter();
        while let Some(id) = bytes.next() {
            let (mut length, mut shift) = (0, 0);
            loop {
                let byte = bytes.next().unwrap();
                length |= usize::from(byte & 0x7f) << shift;
                shift += 7;
                if byte < 0x80 {
                    break;
                }
            }
            mask.extend(std::iter::repeat_n(id, length));
        }
        mask
    }

    proptest! {
        #[test]
        fn runs_give_the_mask_again(parts in prop::collection::vec((any::<u8>(), 1..400usize), 0..20)) {
            let mask: Vec<u8> = parts.into_iter().flat_map(|(id, length)| std::iter::repeat_n(id, length)).collect();
            prop_assert_eq!(decode(&runs(&mask)), mask);
        }
    }
}
