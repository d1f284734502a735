//! Decoded pixels as a file holds them, and their conversion to an image.

use super::grey;
use image::ImageFormat;

/// Pixel layout of a buffer: 1 grey, 2 grey and alpha, 3 RGB or 4 RGBA, with 16 bits a channel if `wide`, else 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    /// Height and width.
    pub(super) size: [u32; 2],
    /// Channels, 1 to 4.
    pub(super) channels: u8,
    /// True if a channel has 16 bits, in native byte order, and not 8.
    pub(super) wide: bool,
    /// Format of the file.
    pub(super) format: ImageFormat,
}

impl Found {
    /// Converts the pixels in `raw` to an image of 3 channels or 1. The content of `raw` is unspecified afterwards.
    pub(super) fn convert(self, raw: &mut Vec<u8>, channels: u32, pixels: &mut Vec<u8>) {
        if self.wide {
            for place in 0..raw.len() / 2 {
                let wide = u16::from_ne_bytes([raw[2 * place], raw[2 * place + 1]]);
                raw[place] = (wide >> 8) as u8;
            }
            raw.truncate(raw.len() / 2);
        }
        pixels.clear();
        match (self.channels, channels) {
            (1, 1) | (3, 3) => std::mem::swap(raw, pixels),
            (1, _) => pixels.extend(raw.iter().flat_map(|&grey| [grey; 3])),
            (2, 1) => pixels.extend(raw.as_chunks().0.iter().map(|[grey, _]| grey)),
            (2, _) => pixels.extend(raw.as_chunks().0.iter().flat_map(|&[grey, _]| [grey; 3])),
            (3, _) => grey::convert::<3>(raw, pixels),
            (_, 1) => grey::convert::<4>(raw, pixels),
            _ => pixels.extend(raw.as_chunks().0.iter().flat_map(|&[red, green, blue, _]| [red, green, blue])),
        }
    }
}
