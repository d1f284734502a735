//! Images and masks to the size that the network sees. Both give what Pillow gives (`reference/resize.py`).

use crate::dataset::pixels;
use crate::error::Error;
use fast_image_resize::{
    FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer,
    images::{Image, ImageRef},
};

/// Brings RGB bytes of size `from` to size `to`: bilinear with the filter widened to the scale where it shrinks, so
/// that fine texture becomes its mean and not noise (Pillow's `BILINEAR`, torchvision's `antialias=True`).
pub(crate) fn bilinear(rgb: Vec<u8>, from: [u32; 2], to: [u32; 2]) -> Result<Vec<u8>, Error> {
    if from == to {
        return Ok(rgb);
    }
    let failed = |problem: String| Error::Resize { from, to, problem };
    let source = ImageRef::new(from[1], from[0], &rgb, PixelType::U8x3).map_err(|error| failed(error.to_string()))?;
    let mut resized = Image::new(to[1], to[0], PixelType::U8x3);
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
    Resizer::new().resize(&source, &mut resized, &options).map_err(|error| failed(error.to_string()))?;
    Ok(resized.into_vec())
}

/// Brings class ids of size `from` to size `to`: each pixel takes the class at its centre, since classes have no mean.
pub(crate) fn nearest(mask: Vec<u8>, from: [u32; 2], to: [u32; 2]) -> Vec<u8> {
    if from == to || pixels(from) == 0 {
        return mask;
    }
    let columns = centres(from[1], to[1]);
    let rows = centres(from[0], to[0]);
    let mut resized = Vec::with_capacity(pixels(to));
    for row in rows {
        let row = &mask[row * from[1] as usize..][..from[1] as usize];
        resized.extend(columns.iter().map(|&column| row[column]));
    }
    resized
}

/// For each of `to` pixels in a line, the one of `from` that lies under its centre: floor((i + 1/2) from / to), which
/// is exact in integers.
fn centres(from: u32, to: u32) -> Vec<usize> {
    (0..u64::from(to)).map(|i| ((2 * i + 1) * u64::from(from) / (2 * u64::from(to))) as usize).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Case {
        from: [u32; 2],
        to: [u32; 2],
        rgb: Vec<u8>,
        bilinear: Vec<u8>,
        mask: Vec<u8>,
        nearest: Vec<u8>,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(include_str!("../reference/resize.json")).unwrap()
    }

    #[test]
    fn images_are_resized_as_pillow_does() {
        for case in cases() {
            let ours = bilinear(case.rgb, case.from, case.to).unwrap();
            assert_eq!(ours.len(), case.bilinear.len());
            let worst = ours.iter().zip(&case.bilinear).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(worst <= Some(1), "{:?} to {:?}: off by {worst:?}", case.from, case.to);
        }
    }

    #[test]
    fn masks_are_resized_as_pillow_does() {
        for case in cases() {
            assert_eq!(nearest(case.mask, case.from, case.to), case.nearest, "{:?} to {:?}", case.from, case.to);
        }
    }

    #[test]
    fn what_cannot_be_resized_is_an_error() {
        assert!(matches!(bilinear(vec![0; 5], [2, 2], [4, 4]), Err(Error::Resize { .. })));
    }
}
