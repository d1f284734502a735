//! Pieces that are centred on a pixel of a class, and the mix of classes in a piece.

use crate::error::Error;
use crate::load::IGNORE;
use crate::load::class_index::{ClassIndex, counts};
use crate::transform::random::Random;
use crate::transform::resize::Rectangle;

/// Source of the pixels of classes.
pub(super) enum Pixels<'s> {
    /// The index of a data set, for the sample at this index.
    Indexed(&'s dyn ClassIndex, u64),
    /// The class ids of a sample of this width.
    Mask(&'s [u8], u32),
}

impl Pixels<'_> {
    /// Draws a pixel, as row and column: of a random one of the classes that the sample shows, id 0 aside, or of
    /// `class`. Classes are as likely as each other, and so are the pixels of one. `None` if the sample shows none.
    pub(super) fn draw(&self, class: Option<u8>, random: &mut Random) -> Result<Option<[u32; 2]>, Error> {
        let eligible = |id: u8| class.map_or(id != 0, |class| class == id);
        match self {
            Self::Indexed(classes, index) => {
                let present: Vec<_> =
                    classes.present(*index).iter().filter(|present| eligible(present.class)).collect();
                let Some(one) = present.get(random.below(present.len() as u64) as usize) else { return Ok(None) };
                classes.pixel(*index, one.class, random.below(one.listed.into()) as u32)
            }
            Self::Mask(ids, width) => {
                let counts = counts(ids);
                let present = (0..=u8::MAX).filter(|id| counts[usize::from(*id)] > 0 && *id != IGNORE && eligible(*id));
                let present: Vec<u8> = present.collect();
                let Some(class) = present.get(random.below(present.len() as u64) as usize) else { return Ok(None) };
                let rank = random.below(counts[usize::from(*class)]) as usize;
                let place = ids.iter().enumerate().filter(|(_, id)| *id == class).nth(rank);
                Ok(place.map(|(place, _)| {
                    [0, 1].map(|axis| {
                        let width = (*width).max(1) as usize;
                        (if axis == 0 { place / width } else { place % width }) as u32
                    })
                }))
            }
        }
    }
}

/// Places a piece of `size` in a sample of size `whole`, as much of it as the sample has: centred on `pixel` as far as
/// the sample's edges allow, or anywhere.
pub(super) fn place(whole: [u32; 2], size: [u32; 2], pixel: Option<[u32; 2]>, random: &mut Random) -> Rectangle {
    let inner = [0, 1].map(|axis: usize| size[axis].min(whole[axis]));
    let Some(pixel) = pixel else { return Rectangle::within(whole, inner, random) };
    let [top, left] =
        [0, 1].map(|axis: usize| pixel[axis].saturating_sub(inner[axis] / 2).min(whole[axis] - inner[axis]));
    Rectangle { top, left, height: inner[0], width: inner[1] }
}

/// Returns whether several classes share these pixels, and none has `most` of them or more; ignored pixels do not
/// count. (`RandomCrop.crop_bbox` of MMSegmentation.)
pub(super) fn is_mixed<'i>(rows: impl Iterator<Item = &'i [u8]>, most: f64) -> bool {
    let mut all = [0u64; 256];
    rows.for_each(|row| all.iter_mut().zip(counts(row)).for_each(|(all, count)| *all += count));
    all[usize::from(IGNORE)] = 0;
    let (largest, sum) = (all.iter().copied().max().unwrap_or(0), all.iter().sum::<u64>());
    all.iter().filter(|count| **count > 0).count() > 1 && largest as f64 / (sum as f64) < most
}

#[cfg(test)]
mod tests;
