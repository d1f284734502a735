//! Changes of tone as Pillow's `ImageOps` makes them, for numbers of any depth.

use crate::transform::picture::{Picture, levels};
use raster::Element;

/// Keeps the upper bits of numbers that count 256 steps from black to white.
pub(in crate::transform) fn posterize<T: Element>(picture: &mut Picture<T>, bits: u32) {
    let [black, white] = picture.range;
    let step = (white - black) / 255.0;
    let kept = (1u32 << (8 - bits.min(8))) as f32;
    for band in 0..picture.bands {
        picture.map_band(band, |number| ((number - black) / step / kept).floor() * kept * step + black);
    }
}

/// Inverts the numbers from `threshold` on, which counts from 0 (black) to 1 (white).
pub(in crate::transform) fn solarize<T: Element>(picture: &mut Picture<T>, threshold: f32) {
    let [black, white] = picture.range;
    let threshold = black + threshold * (white - black);
    for band in 0..picture.bands {
        picture.map_band(band, |number| if number >= threshold { white - (number - black) } else { number });
    }
}

/// Stretches each band so that its minimum is black and its maximum white; a uniform band stays as it is.
pub(in crate::transform) fn auto_contrast<T: Element>(picture: &mut Picture<T>) {
    let [black, white] = picture.range;
    for band in 0..picture.bands {
        let statistics = picture.statistics(band);
        let scale = (white - black) / (statistics.most - statistics.least);
        if scale.is_finite() {
            picture.map_band(band, |number| (number - statistics.least) * scale + black);
        }
    }
}

/// Equalises the histogram of each band of bytes. Other numbers stay as they are.
pub(in crate::transform) fn equalize<T: Element>(picture: &mut Picture<T>) {
    if levels::<T>() != Some(256) {
        return;
    }
    for band in 0..picture.bands {
        let mut counts = [0u64; 256];
        picture.band(band).for_each(|number| counts[number as usize] += 1);
        let last = counts.iter().rev().find(|count| **count > 0).copied().unwrap_or_default();
        let step = (counts.iter().sum::<u64>() - last) / 255;
        if step == 0 {
            continue;
        }
        let mut sum = step / 2;
        let table = counts.map(|count| {
            let level = (sum / step).min(255);
            sum += count;
            level as f32
        });
        picture.map_band(band, |number| table[number as usize]);
    }
}
