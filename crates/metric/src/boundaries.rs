//! Scores of the outlines of predicted regions: boundary IoU, Hausdorff distance, surface Dice.
//!
//! Ignored pixels belong to no class, neither in the target nor in the prediction. Pixels beyond the edge of the image
//! belong to none either, so a region that the edge cuts has a boundary there, as in MONAI and in the reference
//! implementation of boundary IoU.

mod crop;
mod summary;

use crate::distance;
use crate::quantile::quantile;
use crop::{Crop, crops};

pub use summary::boundary_scores;

/// Parameters of the scores.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Boundaries {
    /// Width of the band of boundary IoU, as a fraction of the image's diagonal. Cheng et al. take 0.02.
    pub ratio: f64,
    /// Distance in pixels up to which surface Dice takes boundaries for the same.
    pub tolerance: f64,
}

/// Boundary scores of a class in an image whose target or prediction has it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundaryScores {
    /// Pixels within the band of the target and within that of the prediction.
    pub intersection: u64,
    /// Pixels within the band of the target or within that of the prediction.
    pub union: u64,
    /// Hausdorff distance in pixels, its 95th percentile: from each boundary to the other one, the greater of the two.
    /// The image's diagonal if only one of target and prediction has the class.
    pub hausdorff95: f64,
    /// Share of both boundaries that lies within the tolerance of the other one. 0 if only one of target and prediction
    /// has the class.
    pub surface_dice: f64,
}

impl BoundaryScores {
    /// Returns the boundary IoU (Cheng et al., "Boundary IoU: Improving Object-Centric Image Segmentation Evaluation",
    /// 2021).
    pub fn boundary_iou(&self) -> f64 {
        self.intersection as f64 / self.union as f64
    }
}

impl Default for Boundaries {
    fn default() -> Self {
        Self { ratio: 0.02, tolerance: 2.0 }
    }
}

impl Boundaries {
    /// Compares a prediction with its target, both `height * width` class ids below `classes`, row by row. Other ids in
    /// the target are ignored pixels. `None` for a class in neither.
    ///
    /// A class in only one of them, an object missed or invented, has the worst scores that there are, so no mean
    /// improves by it: a boundary IoU and surface Dice of 0, and the image's diagonal as distance.
    pub fn compare(
        &self,
        [height, width]: [usize; 2],
        target: &[u8],
        predicted: &[u8],
        classes: usize,
    ) -> Vec<Option<BoundaryScores>> {
        let diagonal = (height as f64).hypot(width as f64);
        let found = crops(width, target, predicted, classes);
        found.into_iter().map(|crop| crop.map(|crop| self.of_class(&crop, diagonal))).collect()
    }

    /// Returns the width of the band of boundary IoU in pixels, of an image with this `diagonal`.
    fn band(&self, diagonal: f64) -> usize {
        // Halves go to the even number, as in the reference implementation.
        (self.ratio * diagonal).round_ties_even().max(1.0) as usize
    }

    fn of_class(&self, crop: &Crop, diagonal: f64) -> BoundaryScores {
        let bands = [&crop.target, &crop.predicted].map(|mask| band(crop.width, mask, self.band(diagonal)));
        let pixels = bands[0].iter().zip(&bands[1]);
        let (mut intersection, mut union) = (0, 0);
        for (target, predicted) in pixels {
            intersection += u64::from(*target && *predicted);
            union += u64::from(*target || *predicted);
        }
        let is_in = |mask: &[bool]| mask.contains(&true);
        let (hausdorff95, surface_dice) = match [is_in(&crop.target), is_in(&crop.predicted)] {
            [true, true] if crop.target == crop.predicted => (0.0, 1.0),
            [true, true] => self.of_surfaces(crop),
            _ => (diagonal, 0.0),
        };
        BoundaryScores { intersection, union, hausdorff95, surface_dice }
    }

    /// Returns Hausdorff distance and surface Dice of two regions that both have pixels.
    fn of_surfaces(&self, crop: &Crop) -> (f64, f64) {
        let [target, predicted] = [&crop.target, &crop.predicted].map(|mask| surface(crop.width, mask));
        let mut distances = [distances(crop.width, &target, &predicted), distances(crop.width, &predicted, &target)];
        let near = distances.iter().flatten().filter(|distance| **distance <= self.tolerance).count();
        let all: usize = distances.iter().map(Vec::len).sum();
        let [one, other] = distances.each_mut().map(|distances| quantile(distances, 0.95));
        (one.max(other), near as f64 / all as f64)
    }
}

/// Returns the distance of each pixel of the surface `of` to the surface `to`.
fn distances(width: usize, of: &[bool], to: &[bool]) -> Vec<f64> {
    let mut found = Vec::new();
    distance::squared(width, to, |row, squared| {
        let pixels = of[row * width..].iter().zip(squared);
        found.extend(pixels.filter(|(is_on, _)| **is_on).map(|(_, squared)| squared.sqrt()));
    });
    found
}

/// Returns the pixels of a mask with one of the four neighbours outside of it.
fn surface(width: usize, mask: &[bool]) -> Vec<bool> {
    let inside = |place: Option<usize>| place.and_then(|place| mask.get(place)).is_some_and(|inside| *inside);
    let is_on = |(place, is_in): (usize, &bool)| {
        let column = place % width;
        *is_in
            && !(column > 0
                && mask[place - 1]
                && column + 1 < width
                && mask[place + 1]
                && inside(place.checked_sub(width))
                && inside(Some(place + width)))
    };
    mask.iter().enumerate().map(is_on).collect()
}

/// Returns the pixels of a mask within `reach` pixels of its outside, in rows, columns and diagonals: those that
/// `reach` erosions with a square of 3 × 3 pixels remove.
fn band(width: usize, mask: &[bool], reach: usize) -> Vec<bool> {
    let (height, side) = (mask.len() / width, 2 * reach + 1);
    if height < side || width < side {
        return mask.to_vec();
    }
    // Number of pixels up to each one, in its row, that are in the mask without a gap.
    let mut runs = vec![0usize; mask.len()];
    for (runs, mask) in runs.chunks_exact_mut(width).zip(mask.chunks_exact(width)) {
        let mut run = 0;
        for (found, is_in) in runs.iter_mut().zip(mask) {
            run = if *is_in { run + 1 } else { 0 };
            *found = run;
        }
    }
    let mut band = mask.to_vec();
    // Number of rows without a gap, up to the present one, in which the row of the square around each column is full.
    let mut rows = vec![0usize; width];
    for (bottom, runs) in runs.chunks_exact(width).enumerate() {
        for column in reach..width - reach {
            rows[column] = if runs[column + reach] >= side { rows[column] + 1 } else { 0 };
            if rows[column] >= side {
                band[(bottom - reach) * width + column] = false;
            }
        }
    }
    band
}

#[cfg(test)]
mod tests;
