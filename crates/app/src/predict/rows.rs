//! Sends predicted rows from the device to the threads that use them.

use super::predicted::Predicted;
use super::writer::{MapWriter, Work};
use anyhow::Result;
use tch::{Device, Tensor};
use torch_ext::Downloads;

/// Probabilities that are sent at once, unless a row has more: those of many rows of a wide image take much memory.
const AT_ONCE: i64 = 1 << 22;

/// Sends the rows of images to the writing thread.
pub struct RowsWriter<'w> {
    writer: &'w MapWriter,
    downloads: Downloads,
    /// `[K, 1, 1]`: weights of the classes, if they differ.
    weights: Option<Tensor>,
    with_probabilities: bool,
}

impl<'w> RowsWriter<'w> {
    /// Prepares sending rows that are computed on `device`. The class of a pixel is the one whose probability times its
    /// weight is largest.
    pub fn new(
        writer: &'w MapWriter,
        device: Device,
        weights: Option<&[f32]>,
        with_probabilities: bool,
    ) -> Result<Self> {
        let on_device = |weights| Tensor::f_from_slice(weights)?.f_view([-1, 1, 1])?.f_to_device(device);
        let weights = weights.map(on_device).transpose()?;
        Ok(Self { writer, downloads: Downloads::new(device)?, weights, with_probabilities })
    }

    /// Sends the next rows of the image that was begun: `[K, rows, W]` probabilities, which the device need not have
    /// computed.
    pub fn send(&mut self, probabilities: &Tensor) -> Result<()> {
        let (weights, wanted) = (self.weights.as_ref(), self.with_probabilities);
        let (classes, count, width) = probabilities.size3()?;
        let at_once = (AT_ONCE / (classes * width).max(1)).max(1);
        for first in (0..count).step_by(at_once.unsigned_abs() as usize) {
            let some = probabilities.f_narrow(1, first, at_once.min(count - first))?;
            self.writer.send(Work::Rows(Predicted::of(&some, weights, wanted, &mut self.downloads)?))?;
        }
        Ok(())
    }
}
