//! Rows of an image in which tiles are blended.

use crate::tiling::Tile;
use tch::{Device, Kind, TchError, Tensor};

/// Standard deviation of the Gaussian weight of a tile's pixels, as a fraction of the tile's side: nnU-Net's (Isensee
/// et al., 2021).
const SIGMA: f64 = 0.125;

/// Minimum weight, as a fraction of the maximum: the Gaussian nearly vanishes in a tile's corner, but some tile must
/// decide the pixels there.
const LEAST: f64 = 1e-4;

/// Returns the weights of the pixels of a tile, `[tile, tile]`.
pub(crate) fn weights(tile: i64, device: Device) -> Result<Tensor, TchError> {
    let places = Tensor::f_arange(tile, (Kind::Float, device))?.f_sub_scalar((tile - 1) as f64 / 2.0)?;
    let bell = places.f_div_scalar(tile as f64 * SIGMA)?.f_square()?.f_mul_scalar(-0.5)?.f_exp()?;
    bell.f_unsqueeze(1)?.f_mul(&bell.f_unsqueeze(0)?)?.f_clamp_min(LEAST)
}

/// Rows to which tiles are being added.
pub(crate) struct Band {
    /// `[K, tile, width]`: weighted probabilities.
    sum: Tensor,
    /// `[1, tile, width]`: weights.
    weight: Tensor,
    /// `[tile, tile]`: weights of a tile's pixels.
    of_tile: Tensor,
}

impl Band {
    /// Creates the band of an image of this width, for tiles whose pixels have these [`weights`].
    pub(crate) fn new(classes: i64, width: i64, of_tile: &Tensor) -> Result<Self, TchError> {
        let (tile, options) = (of_tile.size()[0], (Kind::Float, of_tile.device()));
        Ok(Self {
            sum: Tensor::f_zeros([classes, tile, width], options)?,
            weight: Tensor::f_zeros([1, tile, width], options)?,
            of_tile: of_tile.shallow_clone(),
        })
    }

    /// Adds the probabilities of a tile.
    pub(crate) fn add(&self, probabilities: &Tensor, tile: &Tile) -> Result<(), TchError> {
        let [rows, columns] = tile.size;
        let weight = self.of_tile.f_narrow(0, 0, rows)?.f_narrow(1, 0, columns)?;
        let place = |all: &Tensor| all.f_narrow(1, 0, rows)?.f_narrow(2, tile.left, columns);
        let _ = place(&self.sum)?.f_add_(&probabilities.f_mul(&weight)?)?;
        let _ = place(&self.weight)?.f_add_(&weight)?;
        Ok(())
    }

    /// Returns the probabilities of the first `rows` rows, to which no tile will be added any more. Moves the rest to
    /// the top.
    pub(crate) fn take(&mut self, rows: i64) -> Result<Tensor, TchError> {
        let done = self.sum.f_narrow(1, 0, rows)?.f_div(&self.weight.f_narrow(1, 0, rows)?)?;
        for all in [&self.sum, &self.weight] {
            // In place, a stretch at a time that does not overlap where it moves to: a copy would double the memory.
            let height = all.size()[1];
            for top in (rows..height).step_by(rows.max(1).unsigned_abs() as usize) {
                let count = rows.min(height - top);
                all.f_narrow(1, top - rows, count)?.f_copy_(&all.f_narrow(1, top, count)?)?;
            }
            let _ = all.f_narrow(1, height - rows, rows)?.f_zero_()?;
        }
        Ok(done)
    }
}
