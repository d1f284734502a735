//! Four samples in one.

use crate::load::{Sample, Target, planes, planes_mut};
use crate::transform::bounds::{interval, share};
use crate::transform::random::Random;
use crate::transform::resize::Rectangle;
use crate::transform::scratch::channels;
use contract::Invalid;
use raster::{Element, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Divides the sample at a random point into four quarters and fills three of them with other samples, image and mask.
/// (A. Bochkovskiy and others, "YOLOv4: Optimal Speed and Accuracy of Object Detection", 2020.)
///
/// Each quarter shows a random piece of its sample, at the sample's own resolution. The other samples are drawn
/// uniformly from the rest of the data set. They have been through the transforms before this one in the list, but
/// nothing is pasted over them. If their size differs, they are cropped or padded at their centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mosaic {
    /// Minimum and maximum place of the point where the quarters meet, as a share of each side, from 0 to 1.
    pub centre: [f32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Part of a sample, and its place in another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    /// Number of rows above it and of columns to the left of it in its own sample.
    pub(crate) from: [u32; 2],
    pub(crate) to: Rectangle,
}

/// Quarters of a mosaic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Quarters {
    /// The piece of the sample itself.
    pub(crate) own: Piece,
    /// The pieces of others, with their indices in the data set.
    pub(crate) others: [(u64, Piece); 3],
}

impl Default for Mosaic {
    fn default() -> Self {
        Self { centre: [0.25, 0.75], probability: 0.5 }
    }
}

impl Mosaic {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("centre", self.centre, 0.0..=1.0)?;
        share("probability", self.probability)
    }

    /// Draws the quarters of the sample at `index` of `len`, of this size; `None` if it stays as it is, if there is no
    /// other, or if a side is too short.
    pub(crate) fn draw(&self, size: [u32; 2], index: u64, len: u64, random: &mut Random) -> Option<Quarters> {
        if !random.chance(self.probability) || len < 2 || size.iter().any(|side| *side < 2) {
            return None;
        }
        let [row, column] = size.map(|side| {
            let place = f64::from(random.between(self.centre[0], self.centre[1])) * f64::from(side);
            (place.round() as u32).clamp(1, side - 1)
        });
        let [below, right] = [size[0] - row, size[1] - column];
        let mut places = [
            Rectangle { top: 0, left: 0, height: row, width: column },
            Rectangle { top: 0, left: column, height: row, width: right },
            Rectangle { top: row, left: 0, height: below, width: column },
            Rectangle { top: row, left: column, height: below, width: right },
        ];
        places.swap(0, random.below(4) as usize);
        let mut piece = |to: Rectangle| {
            let from = Rectangle::within(size, [to.height, to.width], random);
            Piece { from: [from.top, from.left], to }
        };
        let [own, others @ ..] = places.map(&mut piece);
        let other = |piece| {
            let other = random.below(len - 1);
            (other + u64::from(other >= index), piece)
        };
        Some(Quarters { own, others: others.map(other) })
    }
}

/// Copies a piece of `other`, which has the same size and form, to its place in `sample`.
pub(crate) fn take_piece(sample: &mut Sample, other: &Sample, piece: Piece) {
    let (bands, size) = (channels(sample), sample.size);
    let width = size[1] as usize;
    on_pixels!(&mut sample.image, image => {
        if let Some(other) = Element::of(&other.image) {
            copy_piece(other, image, bands, width, piece);
        }
    });
    match (&mut sample.target, &other.target) {
        (Target::Classes(ids), Target::Classes(others)) => copy_piece(others, ids, 1, width, piece),
        (Target::Values(values), Target::Values(others)) => {
            for (plane, other) in planes_mut(values, size).zip(planes(others, size)) {
                copy_piece(other, plane, 1, width, piece);
            }
        }
        _ => {}
    }
}

/// Moves a piece of a sample to its place in the same sample.
pub(crate) fn shift_piece(sample: &mut Sample, piece: Piece) {
    let (bands, size) = (channels(sample), sample.size);
    let width = size[1] as usize;
    on_pixels!(&mut sample.image, image => move_piece(image, bands, width, piece));
    match &mut sample.target {
        Target::Classes(ids) => move_piece(ids, 1, width, piece),
        Target::Values(values) => planes_mut(values, size).for_each(|plane| move_piece(plane, 1, width, piece)),
    }
}

/// Copies a piece of `from` to its place in `to`: `each` numbers a pixel, of images that are `width` pixels wide.
fn copy_piece<N: Copy>(from: &[N], to: &mut [N], each: usize, width: usize, piece: Piece) {
    for row in 0..piece.to.height {
        let ([from_start, to_start], len) = row_of(piece, row, each, width);
        to[to_start..to_start + len].copy_from_slice(&from[from_start..from_start + len]);
    }
}

/// Moves a piece of an image to its place in the same image.
fn move_piece<N: Copy>(numbers: &mut [N], each: usize, width: usize, piece: Piece) {
    let rows = 0..piece.to.height;
    let mut copy = |row: u32| {
        let ([from, to], len) = row_of(piece, row, each, width);
        numbers.copy_within(from..from + len, to);
    };
    // No row is overwritten before it has been copied.
    if piece.to.top > piece.from[0] { rows.rev().for_each(&mut copy) } else { rows.for_each(&mut copy) }
}

/// Returns the first number of a row of a piece in its source and its destination, and the row's length.
fn row_of(piece: Piece, row: u32, each: usize, width: usize) -> ([usize; 2], usize) {
    let start = |top: u32, left: u32| ((top + row) as usize * width + left as usize) * each;
    let starts = [start(piece.from[0], piece.from[1]), start(piece.to.top, piece.to.left)];
    (starts, piece.to.width as usize * each)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quarters_tile_the_sample_and_come_from_within_the_others() {
        let (mut own, mut others) = ([0; 4], [0; 5]);
        for index in 0..2000 {
            let size = [17, 2 + (index % 40) as u32];
            let mut random = Random::of_transform(3, 1, 0, index);
            let quarters = Mosaic { centre: [0.0, 1.0], probability: 1.0 }.draw(size, 2, 5, &mut random).unwrap();
            let mut covered = vec![0; 17 * size[1] as usize];
            for piece in std::iter::once(quarters.own).chain(quarters.others.map(|(_, piece)| piece)) {
                let Rectangle { top, left, height, width } = piece.to;
                assert!(height > 0 && width > 0);
                assert!(piece.from[0] + height <= size[0] && piece.from[1] + width <= size[1]);
                (top..top + height).for_each(|row| {
                    (left..left + width).for_each(|column| covered[(row * size[1] + column) as usize] += 1);
                });
            }
            assert!(covered.iter().all(|times| *times == 1));
            own[usize::from(quarters.own.to.top > 0) * 2 + usize::from(quarters.own.to.left > 0)] += 1;
            quarters.others.iter().for_each(|(other, _)| others[*other as usize] += 1);
        }
        assert!(own.iter().all(|count| (420..580).contains(count)), "{own:?}");
        assert_eq!(others[2], 0);
        assert!([0, 1, 3, 4].iter().all(|other| (1380..1620).contains(&others[*other])), "{others:?}");
    }

    #[test]
    fn there_is_no_mosaic_of_one_sample_or_of_a_line() {
        let draw = |size, len| {
            Mosaic { probability: 1.0, ..Mosaic::default() }.draw(size, 0, len, &mut Random::of_transform(3, 1, 0, 0))
        };
        assert!(draw([8, 8], 2).is_some());
        assert_eq!((draw([8, 8], 1), draw([1, 8], 2), draw([8, 0], 2)), (None, None, None));
    }

    #[test]
    fn a_piece_is_moved_within_an_image_as_it_is_copied_to_another() {
        for bands in [1, 3, 13] {
            for index in 0..200 {
                let mut random = Random::of_transform(4, 1, 0, index);
                let size = [9, 11];
                let side = [1 + random.below(9) as u32, 1 + random.below(11) as u32];
                let to = Rectangle::within(size, side, &mut random);
                let from = Rectangle::within(size, side, &mut random);
                let piece = Piece { from: [from.top, from.left], to };
                let image: Vec<u16> = (0..99 * bands).map(|place| place as u16 * 7).collect();
                let (mut copied, mut moved) = (image.clone(), image.clone());
                copy_piece(&image, &mut copied, bands, 11, piece);
                move_piece(&mut moved, bands, 11, piece);
                assert_eq!(copied, moved, "{piece:?}");
                let at = |image: &[u16], [row, column]: [u32; 2]| image[(row * 11 + column) as usize * bands];
                for (row, column) in (0..side[0]).flat_map(|row| (0..side[1]).map(move |column| (row, column))) {
                    let found = at(&copied, [to.top + row, to.left + column]);
                    assert_eq!(found, at(&image, [from.top + row, from.left + column]));
                }
            }
        }
    }
}
