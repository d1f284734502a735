//! Class maps as pictures.

use anyhow::{Context, Result};
use data::{Color, IGNORE};
use image::{DynamicImage, GrayImage, ImageFormat, Rgb, RgbImage};
use std::io::Cursor;
use tch::{Device, Kind, Tensor};

/// The share of the class's colour in an overlay, of 256.
const OPACITY: u16 = 110;

/// Every so manyth diagonal of ignored pixels is drawn over, in this colour.
const HATCH: u32 = 6;
const HATCHED: [u8; 3] = [255, 255, 255];

/// `[H, W]` i64 class ids as a picture whose grey values are the ids.
pub fn class_map(classes: &Tensor) -> Result<GrayImage> {
    let (height, width) = classes.size2()?;
    let ids = Vec::<u8>::try_from(classes.f_to_device(Device::Cpu)?.f_to_kind(Kind::Uint8)?.f_flatten(0, -1)?)?;
    GrayImage::from_raw(width.try_into()?, height.try_into()?, ids).context("a class map of the wrong size")
}

/// The photograph with the `colors` of the classes over it and a line of full colour where two classes meet. Pixels of no
/// class, which are ignored, are hatched.
pub fn overlay(mut photograph: RgbImage, classes: &GrayImage, colors: &[Color]) -> RgbImage {
    let id = |x: u32, y: u32| classes.get_pixel_checked(x, y).map(|pixel| pixel.0[0]);
    for (x, y, pixel) in photograph.enumerate_pixels_mut() {
        let Some(here) = id(x, y) else { continue };
        let differs = |other: Option<u8>| other.is_some_and(|other| other != here);
        let border = differs(id(x + 1, y)) || differs(id(x, y + 1));
        let (opacity, color) = match here {
            IGNORE if (x + y) % HATCH > 0 => continue,
            IGNORE => (256, HATCHED),
            class => {
                let color = colors.get(usize::from(class)).copied().unwrap_or(Color::of_class(class));
                (if border { 256 } else { OPACITY }, color.0)
            }
        };
        let mix = |old: u8, new: u8| ((u16::from(old) * (256 - opacity) + u16::from(new) * opacity) / 256) as u8;
        *pixel = Rgb(std::array::from_fn(|channel| mix(pixel.0[channel], color[channel])));
    }
    photograph
}

/// The bytes of a PNG file.
pub fn png(picture: impl Into<DynamicImage>) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, ImageFormat::Png).context("encoding a PNG")?;
    Ok(bytes.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_map_survives_as_png_and_an_overlay_shows_where_classes_meet() {
        let classes = class_map(&Tensor::from_slice(&[0i64, 0, 1, 1]).reshape([1, 4])).unwrap();
        let again = image::load_from_memory(&png(classes.clone()).unwrap()).unwrap();
        assert_eq!(again.as_luma8().unwrap().as_raw(), &[0, 0, 1, 1]);

        let drawn = overlay(RgbImage::new(4, 1), &classes, &[Color([200, 100, 0]), Color([0, 0, 9])]);
        assert_eq!(drawn.get_pixel(1, 0).0, [200, 100, 0], "the line between the classes");
        assert_eq!(drawn.get_pixel(0, 0).0, [200, 100, 0].map(|c| (c * OPACITY / 256) as u8));
        assert_eq!(drawn.get_pixel(3, 0).0, [0, 0, 3]);
    }
}
