//! Mirroring.

use crate::dataset::Sample;

/// Mirrors left to right.
pub(super) fn horizontal(sample: &mut Sample) {
    let width = sample.size[1] as usize;
    let channels = sample.image.len() / sample.mask.len().max(1);
    for row in sample.image.chunks_exact_mut((width * channels).max(1)) {
        if channels == 3 {
            row.as_chunks_mut::<3>().0.reverse();
        } else {
            row.reverse();
        }
    }
    for row in sample.mask.chunks_exact_mut(width.max(1)) {
        row.reverse();
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every pixel is (row, column, class), so that the image says what its mask must be.
    pub(in crate::transform) fn marked() -> Sample {
        let places = (0..2u8).flat_map(|row| (0..3u8).map(move |column| [row, column, row * 3 + column]));
        Sample { size: [2, 3], image: places.clone().flatten().collect(), mask: places.map(|place| place[2]).collect() }
    }

    #[test]
    fn image_and_mask_are_mirrored_together() {
        let mut sample = marked();
        horizontal(&mut sample);
        assert_eq!(sample.mask, [2, 1, 0, 5, 4, 3]);
        assert_eq!(sample.image[..9], [0, 2, 2, 0, 1, 1, 0, 0, 0]);
        assert!(sample.image.chunks(3).zip(&sample.mask).all(|(pixel, class)| pixel[2] == *class));
        horizontal(&mut sample);
        assert_eq!(sample, marked());
    }
}
