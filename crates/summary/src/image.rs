//! RGB images.

use crate::Error;

/// RGB image, row by row from the top.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    width: u32,
    height: u32,
    rgb: Vec<u8>,
}

impl Image {
    /// Returns an image of `width * height` pixels from its bytes, `[H, W, 3]`.
    pub fn new(width: u32, height: u32, rgb: Vec<u8>) -> Result<Self, Error> {
        let bytes = u64::from(width) * u64::from(height) * 3;
        match bytes > 0 && bytes == rgb.len() as u64 {
            true => Ok(Self { width, height, rgb }),
            false => Err(Error::Image { width, height, bytes: rgb.len() }),
        }
    }

    /// Pixels per row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes, `[H, W, 3]`.
    pub fn rgb(&self) -> &[u8] {
        &self.rgb
    }

    /// Encodes the image as a PNG file.
    pub(crate) fn png(&self) -> Result<Vec<u8>, png::EncodingError> {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, self.width, self.height);
        encoder.set_color(png::ColorType::Rgb);
        encoder.set_depth(png::BitDepth::Eight);
        let mut writer = encoder.write_header()?;
        writer.write_image_data(&self.rgb)?;
        writer.finish()?;
        Ok(file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    #[test]
    fn bytes_that_are_not_the_size_are_refused() {
        assert!(Image::new(2, 3, vec![0; 18]).is_ok());
        let error = Image::new(2, 3, vec![0; 17]).unwrap_err().to_string();
        assert!(error.contains("2 by 3") && error.ends_with("these are 17"), "{error}");
        assert!(Image::new(0, 3, Vec::new()).is_err());
        // A size whose number of bytes overflows 32 bits.
        assert!(Image::new(1 << 31, 1 << 31, Vec::new()).is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..Default::default() })]
        #[test]
        fn the_png_holds_the_same_bytes((width, height, rgb) in (1u32..9, 1u32..9).prop_flat_map(|(width, height)| {
            (Just(width), Just(height), prop::collection::vec(any::<u8>(), (width * height * 3) as usize))
        })) {
            let png = Image::new(width, height, rgb.clone()).unwrap().png().unwrap();
            let mut reader = png::Decoder::new(Cursor::new(png)).read_info().unwrap();
            let mut read = vec![0; rgb.len()];
            let info = reader.next_frame(&mut read).unwrap();
            prop_assert_eq!((info.width, info.height, info.color_type), (width, height, png::ColorType::Rgb));
            prop_assert_eq!(read, rgb);
        }
    }
}
