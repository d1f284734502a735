//! Predictions for images, in order, as whoever needs them pulls them.

use super::image::Image;
use super::rows::RowsWriter;
use super::writer::{MapWriter, Work};
use crate::common::output;
use anyhow::Result;
use data::Passed;
use std::slice;
use tch::Tensor;

/// Messages about images, in order.
pub enum Said {
    /// An image begins.
    Image(Image),
    /// The next rows of the image: `[K, rows, W]` probabilities, which the device need not have computed.
    Rows(Tensor),
    /// All rows of the image came.
    Done,
    /// An image cannot be read: the one that has begun, or one that never begins.
    Broken(Passed),
}

/// Progress of predictions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// So many pixels of an image are on their way.
    Pixels(u64),
    /// An image is done with, or cannot be read.
    Image,
}

/// Predictions for images. Pulling the next one enqueues the work on the device that it needs, and waits for none of
/// it.
pub trait Source {
    /// Returns the next message; `None` at the end.
    ///
    /// # Errors
    ///
    /// Fails if the network does.
    fn next(&mut self) -> Result<Option<Said>>;
}

/// Hands all predictions to the writing thread. Returns the images that cannot be read. Calls `told` as it goes.
pub fn hand_on(
    source: &mut dyn Source,
    writer: &MapWriter,
    mut rows: RowsWriter,
    mut told: impl FnMut(Told),
) -> Result<Vec<Passed>> {
    let mut broken = Vec::new();
    while let Some(said) = source.next()? {
        match said {
            Said::Image(image) => writer.send(Work::Image(image))?,
            Said::Rows(probabilities) => {
                rows.send(&probabilities)?;
                told(Told::Pixels(probabilities.size()[1..].iter().product::<i64>().unsigned_abs()));
            }
            Said::Done => told(Told::Image),
            Said::Broken(passed) => {
                output::skipped(slice::from_ref(&passed));
                writer.send(Work::Broken(passed.clone()))?;
                broken.push(passed);
                told(Told::Image);
            }
        }
    }
    Ok(broken)
}
