//! Mirroring and quarter turns: every pixel keeps its value.

use crate::load::{Sample, Target, pixels, planes, planes_mut};
use crate::transform::scratch::channels;
use raster::{Element, Pixels, on_pixels};

/// Side of the squares that are turned at once, in pixels, so that their memory stays in the nearest cache.
const TILE: usize = 16;

/// Mirrors left to right.
pub(super) fn horizontal(sample: &mut Sample) {
    let width = sample.size[1] as usize;
    let channels = channels(sample);
    on_pixels!(&mut sample.image, image => {
        image.chunks_exact_mut((width * channels).max(1)).for_each(|row| reverse(row, channels));
    });
    match &mut sample.target {
        Target::Classes(ids) => mirror(ids, width),
        Target::Values(values) => mirror(values, width),
    }
}

/// Reverses the order of pixels of so many numbers each.
fn reverse<T: Element>(numbers: &mut [T], channels: usize) {
    match channels {
        1 => numbers.reverse(),
        3 => numbers.as_chunks_mut::<3>().0.reverse(),
        _ => upend(numbers, numbers.len() / channels.max(1), channels),
    }
}

fn mirror<T>(numbers: &mut [T], width: usize) {
    for row in numbers.chunks_exact_mut(width.max(1)) {
        row.reverse();
    }
}

/// Mirrors top to bottom.
pub(super) fn vertical(sample: &mut Sample) {
    let [height, width] = sample.size.map(|side| side as usize);
    let channels = channels(sample);
    on_pixels!(&mut sample.image, image => upend(image, height, width * channels));
    match &mut sample.target {
        Target::Classes(ids) => upend(ids, height, width),
        Target::Values(values) => planes_mut(values, sample.size).for_each(|plane| upend(plane, height, width)),
    }
}

/// Reverses the order of `height` rows of `row` numbers each.
fn upend<T>(numbers: &mut [T], height: usize, row: usize) {
    let (top, bottom) = numbers.split_at_mut(height / 2 * row);
    for (above, below) in top.chunks_exact_mut(row.max(1)).zip(bottom.rchunks_exact_mut(row.max(1))) {
        above.swap_with_slice(below);
    }
}

/// Rotates counter-clockwise by this many quarter turns.
pub(super) fn quarter_turns(sample: &mut Sample, spare: &mut Sample, turns: u64) {
    let channels = channels(sample);
    let clockwise = match turns % 4 {
        0 => return,
        2 => {
            on_pixels!(&mut sample.image, image => reverse(image, channels));
            return match &mut sample.target {
                Target::Classes(ids) => ids.reverse(),
                Target::Values(values) => planes_mut(values, sample.size).for_each(<[f32]>::reverse),
            };
        }
        turns => turns == 3,
    };
    let [height, width] = sample.size;
    spare.size = [width, height];
    on_pixels!(&sample.image, image => quarter_image(image, &mut spare.image, sample.size, channels, clockwise));
    match &sample.target {
        Target::Classes(ids) => {
            let to = spare.target.classes_mut();
            to.resize(pixels(sample.size), 0);
            quarter(ids, to, sample.size, clockwise);
        }
        Target::Values(values) => {
            let to = spare.target.values_mut();
            to.resize(values.len(), 0.0);
            for (from, to) in planes(values, sample.size).zip(planes_mut(to, sample.size)) {
                quarter(from, to, sample.size, clockwise);
            }
        }
    }
    std::mem::swap(sample, spare);
}

/// Writes the pixels `from` to `to`, rotated by a quarter turn.
fn quarter_image<T: Element>(from: &[T], to: &mut Pixels, size: [u32; 2], channels: usize, clockwise: bool) {
    let to = T::buffer(to);
    to.resize(from.len(), T::default());
    match channels {
        1 => quarter(from, to, size, clockwise),
        3 => quarter(from.as_chunks::<3>().0, to.as_chunks_mut().0, size, clockwise),
        _ => each_quarter(size, clockwise, |from_pixel, to_pixel| {
            let from = &from[from_pixel * channels..][..channels];
            to[to_pixel * channels..][..channels].copy_from_slice(from);
        }),
    }
}

/// Writes the pixels `from`, of a sample of size `from_size`, rotated by a quarter turn.
fn quarter<T: Copy>(from: &[T], to: &mut [T], from_size: [u32; 2], clockwise: bool) {
    each_quarter(from_size, clockwise, |from_pixel, to_pixel| to[to_pixel] = from[from_pixel]);
}

/// Calls `copy` with the place of each pixel of a sample of size `from_size` and its place after a quarter turn.
#[inline(always)]
fn each_quarter(from_size: [u32; 2], clockwise: bool, mut copy: impl FnMut(usize, usize)) {
    let [height, width] = from_size.map(|side| side as usize);
    for first_row in (0..width).step_by(TILE) {
        for first_column in (0..height).step_by(TILE) {
            for row in first_row..width.min(first_row + TILE) {
                for column in first_column..height.min(first_column + TILE) {
                    let place = match clockwise {
                        true => (height - 1 - column) * width + row,
                        false => column * width + width - 1 - row,
                    };
                    copy(place, row * height + column);
                }
            }
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Every pixel is (row, column, class), so that the image determines its mask.
    pub(in crate::transform) fn marked() -> Sample {
        let places = (0..2u8).flat_map(|row| (0..3u8).map(move |column| [row, column, row * 3 + column]));
        Sample {
            size: [2, 3],
            image: places.clone().flatten().collect(),
            target: Target::Classes(places.map(|place| place[2]).collect()),
        }
    }

    fn together(sample: &Sample) -> bool {
        sample.image.bytes().chunks(3).zip(sample.target.classes()).all(|(pixel, class)| pixel[2] == *class)
    }

    #[test]
    fn image_and_mask_are_mirrored_together() {
        let mut sample = marked();
        horizontal(&mut sample);
        assert_eq!(sample.target.classes(), [2, 1, 0, 5, 4, 3]);
        assert_eq!(sample.image.bytes()[..9], [0, 2, 2, 0, 1, 1, 0, 0, 0]);
        assert!(together(&sample));
        horizontal(&mut sample);
        assert_eq!(sample, marked());
        vertical(&mut sample);
        assert_eq!(sample.target.classes(), [3, 4, 5, 0, 1, 2]);
        assert!(together(&sample));
        vertical(&mut sample);
        assert_eq!(sample, marked());
    }

    #[test]
    fn quarters_are_those_of_numpy_and_four_are_none() {
        // numpy.rot90(numpy.arange(6).reshape(2, 3), turns)
        let spare = &mut Sample::default();
        for (turns, size, mask) in
            [(1, [3, 2], [2, 5, 1, 4, 0, 3]), (2, [2, 3], [5, 4, 3, 2, 1, 0]), (3, [3, 2], [3, 0, 4, 1, 5, 2])]
        {
            let mut sample = marked();
            quarter_turns(&mut sample, spare, turns);
            assert_eq!((sample.size, sample.target.classes()), (size, &mask[..]));
            assert!(together(&sample));
            quarter_turns(&mut sample, spare, 4 - turns);
            assert_eq!(sample, marked());
        }
        let mut sample = marked();
        (0..4).for_each(|_| quarter_turns(&mut sample, spare, 1));
        assert_eq!(sample, marked());
    }

    #[test]
    fn grey_samples_are_turned_as_their_masks() {
        let classes: Vec<u8> = (0..35 * 18).map(|place| (place % 251) as u8).collect();
        let grey = Sample { size: [35, 18], image: classes.clone().into(), target: Target::Classes(classes) };
        for turns in 1..4 {
            let mut sample = grey.clone();
            quarter_turns(&mut sample, &mut Sample::default(), turns);
            assert_eq!(sample.image.bytes(), sample.target.classes());
            vertical(&mut sample);
            horizontal(&mut sample);
            quarter_turns(&mut sample, &mut Sample::default(), 6 - turns);
            assert_eq!(sample, grey);
        }
    }
}
