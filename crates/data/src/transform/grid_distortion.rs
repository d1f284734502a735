//! Distortion of the rows and columns of a grid.

use crate::transform::bounds::share;
use crate::transform::field::Field;
use crate::transform::random::Random;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Divides the sample into a grid and gives its rows and columns random sizes: albumentations' `GridDistortion`,
/// normalised so that the distorted grid fills the sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GridDistortion {
    /// Number of whole cells along each axis, from 1 to 100. The rest of a division is a smaller cell.
    pub steps: u32,
    /// Maximum change of a cell's relative size in either direction, from 0 to 0.99.
    pub limit: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

impl Default for GridDistortion {
    fn default() -> Self {
        Self { steps: 5, limit: 0.3, probability: 0.5 }
    }
}

impl GridDistortion {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        Invalid::unless((1..=100).contains(&self.steps), "steps", || format!("must be 1 to 100, is {}", self.steps))?;
        Invalid::unless((0.0..=0.99).contains(&self.limit), "limit", || {
            format!("must be 0 to 0.99, is {}", self.limit)
        })?;
        share("probability", self.probability)
    }

    /// Draws the source of each pixel, for an image of `size`; `None` if it stays as it is.
    pub(super) fn draw(&self, size: [u32; 2], random: &mut Random) -> Option<Field> {
        random.chance(self.probability).then(|| random_grid(size, self.steps, self.limit, random))
    }
}

/// Draws the source of each pixel of an image of `size`.
pub(super) fn random_grid(size: [u32; 2], steps: u32, limit: f32, random: &mut Random) -> Field {
    let [height, width] = size.map(|side| side as usize);
    let mut draw = |side: usize| {
        let cells = (0..=steps).map(|_| 1.0 + f64::from(random.between(-limit, limit))).collect();
        sources(side, cells)
    };
    let columns = draw(width);
    let rows = draw(height);
    rows.into_iter().flat_map(|row| columns.iter().map(move |column| [*column, row])).collect()
}

/// Returns the sources along one side. `cells` are the relative sizes of the whole cells in the source, and of the one
/// that the rest of the division makes.
pub(super) fn sources(side: usize, mut cells: Vec<f64>) -> Vec<f32> {
    let count = cells.len().saturating_sub(1).clamp(1, side);
    cells.resize(count + 1, 1.0);
    let length = side / count;
    let rest = side.min((count + 1) * length) - count * length;
    cells[count] *= rest as f64 / length as f64;
    let scale = side as f64 / cells.iter().sum::<f64>();
    let mut sources = Vec::with_capacity(side);
    let mut start = 0.0;
    for cell in cells {
        let (end, pixels) = (start + scale * cell, length.min(side - sources.len()));
        // Both ends of a cell are pixels of it. Its last pixel lies where the next one begins.
        let step = (end - start) / pixels.saturating_sub(1).max(1) as f64;
        // The end of the last cell is the image's edge, half a pixel beyond its last pixel's centre.
        sources.extend((0..pixels).map(|pixel| (start + step * pixel as f64).min(side as f64 - 1.0) as f32));
        start = end;
    }
    // What the divisions leave over, where the rest is longer than a cell.
    sources.resize(side, side as f32 - 1.0);
    sources
}
