//! Draws class maps as pictures.

use anyhow::{Context, Result};
use data::{Color, Depth, IGNORE, Layout, Split};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage};
use std::io::Cursor;
use tch::{Device, Kind, Tensor};

/// Opacity of the class's colour in an overlay, of 256.
const OPACITY: u16 = 110;

/// Every HATCH-th diagonal of ignored pixels is drawn over, in the colour HATCHED.
const HATCH: usize = 6;
const HATCHED: [u8; 3] = [255, 255, 255];

/// Converts `[H, W]` i64 class ids to a picture whose grey values are the ids.
pub fn class_map(classes: &Tensor) -> Result<GrayImage> {
    let (height, width) = classes.size2()?;
    let ids = Vec::<u8>::try_from(classes.f_to_device(Device::Cpu)?.f_to_kind(Kind::Uint8)?.f_flatten(0, -1)?)?;
    GrayImage::from_raw(width.try_into()?, height.try_into()?, ids).context("a class map of the wrong size")
}

/// Converts inputs of a network (`[N, C, H, W]` f32, normalised) back to pictures.
pub fn photographs(config: &data::Config, inputs_nchw: &Tensor) -> Result<Vec<RgbImage>> {
    let [height, width] = config.size();
    let mut inputs_nchw = inputs_nchw.f_to_device(Device::Cpu)?.f_contiguous()?;
    if let Some(normalize) = &config.pipeline(Split::Validation).normalize {
        let of_channels = |values: &[f64]| Ok::<_, anyhow::Error>(Tensor::f_from_slice(values)?.f_view([1, -1, 1, 1])?);
        inputs_nchw = inputs_nchw.f_mul(&of_channels(&normalize.std)?)?.f_add(&of_channels(&normalize.mean)?)?;
    }
    let layout = config.layout();
    let ([low, high], [black, white]) = (layout.unit(), layout.range());
    if [low, high] != [black, white] {
        inputs_nchw = inputs_nchw.f_mul_scalar(f64::from(high - low))?.f_add_scalar(f64::from(low - black))?;
        inputs_nchw = inputs_nchw.f_div_scalar(f64::from(white - black))?;
    }
    // The first three channels are shown as red, green and blue, or the first as grey.
    let shown = if layout.channels() < 3 { 1 } else { 3 };
    if layout.depth != Depth::U8 {
        let units = Layout { depth: Depth::F32, ..Layout::from(shown as u32) };
        let stretched = |image: &Tensor| {
            let numbers_hwc = image.f_narrow(0, 0, shown)?.f_permute([1, 2, 0])?.f_contiguous()?.f_flatten(0, -1)?;
            let bytes = units.picture(&Vec::<f32>::try_from(numbers_hwc)?.into());
            RgbImage::from_raw(width, height, bytes).context("an image of the wrong size")
        };
        return inputs_nchw.f_unbind(0)?.iter().map(stretched).collect();
    }
    let bytes_nchw = inputs_nchw.f_narrow(1, 0, shown)?.f_mul_scalar(255.0)?.f_round()?.f_clamp(0.0, 255.0)?;
    let rgb_nhwc = bytes_nchw.f_to_kind(Kind::Uint8)?.f_expand([-1, 3, -1, -1], false)?.f_permute([0, 2, 3, 1])?;
    let picture = |image: &Tensor| {
        let bytes = Vec::<u8>::try_from(image.f_contiguous()?.f_flatten(0, -1)?)?;
        RgbImage::from_raw(width, height, bytes).context("an image of the wrong size")
    };
    rgb_nhwc.f_unbind(0)?.iter().map(picture).collect()
}

/// Drawing style of classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Class colours over the photograph, and a line of full colour where two classes meet. Ignored pixels are hatched.
    Overlay,
    /// The photograph with the lines alone.
    Contour,
    /// Class colours alone; ignored pixels are black.
    Color,
}

/// Draws a row of class ids over a row of `RGB` bytes; `above` is the row of class ids before it, and `y` its number.
pub fn draw(style: Style, rgb: &mut [u8], ids: &[u8], above: Option<&[u8]>, y: usize, colors: &[Color]) {
    for (x, (pixel, &id)) in rgb.as_chunks_mut::<3>().0.iter_mut().zip(ids).enumerate() {
        let differs = |other: Option<&u8>| other.is_some_and(|other| *other != id);
        let border =
            differs(x.checked_sub(1).and_then(|left| ids.get(left))) || differs(above.and_then(|row| row.get(x)));
        let color = colors.get(usize::from(id)).copied().unwrap_or(Color::of_class(id)).0;
        let (opacity, color) = match (style, id) {
            (Style::Color, IGNORE) => (256, [0; 3]),
            (Style::Color, _) => (256, color),
            (Style::Overlay, IGNORE) if (x + y).is_multiple_of(HATCH) => (256, HATCHED),
            (_, IGNORE) => continue,
            _ if border => (256, color),
            (Style::Overlay, _) => (OPACITY, color),
            (Style::Contour, _) => continue,
        };
        let mix = |old: u8, new: u8| ((u16::from(old) * (256 - opacity) + u16::from(new) * opacity) / 256) as u8;
        *pixel = std::array::from_fn(|channel| mix(pixel[channel], color[channel]));
    }
}

/// Draws the class `colors` over the photograph.
pub fn overlay(mut photograph: RgbImage, classes: &GrayImage, colors: &[Color]) -> RgbImage {
    let width = classes.width() as usize;
    let mut above = None;
    let rows = photograph.chunks_exact_mut(3 * width.max(1)).zip(classes.chunks_exact(width.max(1)));
    for (y, (rgb, ids)) in rows.enumerate() {
        draw(Style::Overlay, rgb, ids, above, y, colors);
        above = Some(ids);
    }
    photograph
}

/// Encodes a picture as a PNG file.
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

        let colors = [Color([200, 100, 0]), Color([0, 0, 9])];
        let drawn = overlay(RgbImage::new(4, 1), &classes, &colors);
        let faint = |color: [u16; 3]| color.map(|c| (c * OPACITY / 256) as u8);
        assert_eq!(drawn.get_pixel(1, 0).0, faint([200, 100, 0]));
        assert_eq!(drawn.get_pixel(2, 0).0, [0, 0, 9], "the line between the classes");
        assert_eq!(drawn.get_pixel(3, 0).0, faint([0, 0, 9]));

        let row = |style, above: Option<&[u8]>| {
            let mut rgb = [7; 9];
            draw(style, &mut rgb, &[0, 1, IGNORE], above, 4, &colors);
            rgb
        };
        assert_eq!(row(Style::Contour, None), [7, 7, 7, 0, 0, 9, 7, 7, 7]);
        assert_eq!(row(Style::Contour, Some(&[1, 1, 1])), [200, 100, 0, 0, 0, 9, 7, 7, 7]);
        assert_eq!(row(Style::Color, None), [200, 100, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(row(Style::Overlay, None)[6..], HATCHED, "2 + 4 is on a hatch");
    }
}
