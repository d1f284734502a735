//! What becomes of a sample on its way into a batch: transforms, the network's size, normalisation.

use crate::config::Split;
use crate::dataset::{Dataset, IGNORE, Sample, pixels};
use crate::error::Error;
use crate::random::Random;
use crate::transform::Transform;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What becomes of a sample on its way into a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Height and width of what the network is fed with, in pixels. What comes out of the transforms larger is cut at the
    /// centre, what comes out smaller is padded there with black and [`IGNORE`].
    pub size: [u32; 2],
    /// Applied one after the other.
    pub transforms: Vec<Transform>,
    /// What the values of the channels are brought to; `None` divides them by 255.
    pub normalize: Option<Normalize>,
}

/// Mean and standard deviation of each channel over a data set, of values from 0 to 1: from each value the mean is taken
/// away, and the rest divided by the deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// The means: red, green, blue, or of the only channel.
    pub mean: Vec<f64>,
    /// The standard deviations.
    pub std: Vec<f64>,
}

impl Normalize {
    /// Complains about numbers that are not one for each of `channels`, or that nothing can be divided by.
    pub(crate) fn check(&self, channels: u32) -> Result<(), Invalid> {
        for (key, values) in [("mean", &self.mean), ("std", &self.std)] {
            Invalid::unless(values.len() == channels as usize, key, || {
                format!("must hold one number for each of the {channels} channels, holds {}", values.len())
            })?;
            let sound = |value: &&f64| value.is_finite() && (key == "mean" || **value > 0.0);
            let bad = values.iter().find(|value| !sound(value));
            Invalid::unless(bad.is_none(), key, || {
                format!("must be finite, and std above 0, holds {}", bad.copied().unwrap_or_default())
            })?;
        }
        Ok(())
    }
}

/// Buffers of one thread, used for one sample after the other.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The sample.
    pub(crate) sample: Sample,
    /// What a transform needs beside it.
    pub(crate) spare: Sample,
}

impl Pipeline {
    /// Samples as they are, at `size`.
    pub fn plain(size: [u32; 2]) -> Self {
        Self { size, transforms: Vec::new(), normalize: None }
    }

    /// What is left of it for a split: only training samples are varied.
    pub fn of(mut self, split: Split) -> Self {
        if split == Split::Validation {
            self.transforms.clear();
        }
        self
    }

    /// Loads the sample at `index` of `dataset` into `buffers.sample` and varies it as (seed, epoch, index) say.
    pub(crate) fn load(
        &self,
        dataset: &dyn Dataset,
        index: u64,
        [seed, epoch]: [u64; 2],
        buffers: &mut Buffers,
    ) -> Result<(), Error> {
        load_checked(dataset, index, &mut buffers.sample)?;
        for (position, transform) in self.transforms.iter().enumerate() {
            let mut random = Random::of_transform(seed, position as u64, epoch, index);
            transform.apply(&mut buffers.sample, &mut buffers.spare, &mut random);
        }
        let channels = dataset.channels() as usize;
        fit(&mut buffers.sample, &mut buffers.spare, self.size, channels);
        Ok(())
    }
}

/// Loads a sample and sees that it is as large as it says.
fn load_checked(dataset: &dyn Dataset, index: u64, sample: &mut Sample) -> Result<(), Error> {
    dataset.load(index, sample)?;
    let area = pixels(dataset.size().unwrap_or(sample.size));
    let parts = [("image", sample.image.len(), area * dataset.channels() as usize), ("mask", sample.mask.len(), area)];
    for (what, found, expected) in parts {
        if found != expected {
            return Err(Error::Shape { name: dataset.name(index), what, expected, found });
        }
    }
    Ok(())
}

/// Cuts or pads `sample` at its centre to `size`.
fn fit(sample: &mut Sample, spare: &mut Sample, size: [u32; 2], channels: usize) {
    if sample.size == size {
        return;
    }
    let from = sample.size;
    spare.size = size;
    spare.image.clear();
    spare.image.resize(pixels(size) * channels, 0);
    spare.mask.clear();
    spare.mask.resize(pixels(size), IGNORE);
    // Of each axis: where what is copied begins there and here, and how long it is.
    let span = |axis: usize| {
        let (old, new) = (from[axis] as usize, size[axis] as usize);
        (old.saturating_sub(new) / 2, new.saturating_sub(old) / 2, old.min(new))
    };
    let ((old_row, new_row, rows), (old_column, new_column, columns)) = (span(0), span(1));
    for row in 0..rows {
        let old = (old_row + row) * from[1] as usize + old_column;
        let new = (new_row + row) * size[1] as usize + new_column;
        spare.mask[new..new + columns].copy_from_slice(&sample.mask[old..old + columns]);
        let (old, new, bytes) = (old * channels, new * channels, columns * channels);
        spare.image[new..new + bytes].copy_from_slice(&sample.image[old..old + bytes]);
    }
    std::mem::swap(sample, spare);
}
