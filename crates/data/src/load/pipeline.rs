//! Processing of a sample on its way into a batch: transforms, the network's size, normalisation.

use crate::error::Error;
use crate::list::split::Split;
use crate::load::dataset::Dataset;
use crate::load::sound::check_sample;
use crate::load::{Sample, Targets};
use crate::transform::Transform;
use crate::transform::crop::window;
use crate::transform::mosaic::{shift_piece, take_piece};
use crate::transform::patch::paste;
use crate::transform::random::Random;
use crate::transform::resize::Rectangle;
use crate::transform::scratch::Scratch;
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Processing of a sample on its way into a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct Pipeline {
    /// Height and width of the network's input, in pixels. Larger results of the transforms are cropped to their
    /// centre, smaller ones are centred and padded: the image with black, a mask with [`IGNORE`](crate::IGNORE), a map
    /// of numbers with the `fill` of its [`Values`](crate::Values).
    pub size: [u32; 2],
    /// Transforms, applied in order.
    pub transforms: Vec<Transform>,
    /// Normalisation of the channels; `None` only brings values to 0 to 1.
    pub normalize: Option<Normalize>,
}

/// Mean and standard deviation of each channel over a data set, for values from 0 to 1. The mean is subtracted from
/// each value, and the result divided by the deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Normalize {
    /// Means: red, green, blue, or of the only channel.
    pub mean: Vec<f64>,
    /// Standard deviations, likewise.
    pub std: Vec<f64>,
}

/// Normalisation of images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected {\"mean\": […], \"std\": […]}, or \"image\"")]
#[schemars(extend("errorMessage" = "expected {\"mean\": […], \"std\": […]}, or \"image\""))]
pub enum Normalization {
    /// The same numbers for all images.
    Constants(Normalize),
    /// Numbers computed from the data that are normalised.
    Of(Statistics),
}

/// Data that mean and standard deviation are computed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Statistics {
    /// Each channel of each image, as a whole and at its own size, as nnU-Net does for microscopy and magnetic
    /// resonance.
    Image,
}

impl Normalize {
    /// Refuses a number of values other than `channels`, values that are not finite, and deviations of 0 or below.
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

/// Buffers of one thread, reused from sample to sample.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    /// The sample.
    pub(crate) sample: Sample,
    /// The sample pasted over it.
    partner: Sample,
    /// Work buffers of transforms.
    scratch: Scratch,
}

impl Pipeline {
    /// Creates a pipeline that leaves samples as they are, at `size`.
    pub fn plain(size: [u32; 2]) -> Self {
        Self { size, transforms: Vec::new(), normalize: None }
    }

    /// Returns the pipeline of a split: only training samples are augmented.
    pub fn of(mut self, split: Split) -> Self {
        if split == Split::Validation {
            self.transforms.clear();
        }
        self
    }

    /// Refuses what cannot work for the samples of `dataset`; keys are relative to the data section.
    pub(crate) fn check(&self, dataset: &dyn Dataset) -> Result<(), Invalid> {
        let targets = dataset.targets();
        targets.check()?;
        let depth = dataset.layout().depth;
        for (position, transform) in self.transforms.iter().enumerate() {
            let needs_ids = transform.key_of_classes().filter(|_| !matches!(targets, Targets::Classes));
            Invalid::unless(needs_ids.is_none(), needs_ids.unwrap_or_default(), || {
                "must be left out: the targets are numbers and have no classes".into()
            })
            .and_then(|()| transform.suits(dataset.channels(), depth))
            .map_err(|Invalid { key, problem }| Invalid { key: format!("transforms[{position}].{key}"), problem })?;
        }
        let indexed = dataset.class_index().is_some() || !self.draws_by_index();
        Invalid::unless(indexed, "transforms[0].foreground", || {
            "needs an index of the classes: open the data with Config::open_cached, or pass them to indexed".into()
        })?;
        self.normalize.as_ref().map_or(Ok(()), |normalize| normalize.check(dataset.channels()))
    }

    /// Returns whether pieces are drawn by an index of the classes. Later transforms see the sample itself.
    pub(crate) fn draws_by_index(&self) -> bool {
        matches!(self.transforms.first(), Some(Transform::RandomCrop(crop)) if crop.foreground > 0.0)
    }

    /// Loads the sample at `index` of `dataset` into `buffers.sample`, with the augmentation of (seed, epoch, index).
    /// For a sample that an epoch holds several times, `epoch` tells the draws apart.
    pub(crate) fn load(
        &self,
        dataset: &dyn Dataset,
        index: u64,
        [seed, epoch]: [u64; 2],
        buffers: &mut Buffers,
    ) -> Result<(), Error> {
        let Buffers { sample, partner, scratch } = buffers;
        scratch.values = dataset.targets().values();
        let layout = dataset.layout();
        (scratch.range, scratch.black, scratch.unit) = (layout.range(), layout.black(), layout.unit());
        let mut middle = |whole: [u32; 2]| Rectangle::middle(whole, self.size);
        if self.transforms.is_empty() && dataset.part(index, &mut middle, sample)? {
            check_sample(dataset, index, sample)?;
        } else {
            self.vary(dataset, [seed, epoch, index], &self.transforms, sample, Some(partner), scratch)?;
        }
        fit(sample, scratch, self.size);
        Ok(())
    }

    /// Loads the sample at `index` and applies `transforms`, the first ones of the list. Without a `partner` buffer
    /// nothing is pasted over it.
    fn vary(
        &self,
        dataset: &dyn Dataset,
        [seed, epoch, index]: [u64; 3],
        transforms: &[Transform],
        sample: &mut Sample,
        mut partner: Option<&mut Sample>,
        scratch: &mut Scratch,
    ) -> Result<(), Error> {
        let cropped = match transforms.first() {
            Some(Transform::RandomCrop(crop)) if crop.at_least == 0.0 => {
                let mut random = Random::of_transform(seed, 0, epoch, index);
                crop.read(dataset, index, self.size, &mut random, sample)?
            }
            _ => false,
        };
        if cropped {
            // As the transform does with pieces of smaller samples.
            fit(sample, scratch, self.size);
        } else {
            dataset.load(index, sample)?;
        }
        check_sample(dataset, index, sample)?;
        for (position, transform) in transforms.iter().enumerate().skip(usize::from(cropped)) {
            let mut random = Random::of_transform(seed, position as u64, epoch, index);
            if let (0, Transform::RandomCrop(crop)) = (position, transform) {
                let classes = dataset.class_index().map(|classes| (classes, index));
                crop.apply(sample, scratch, self.size, &mut random, classes)?;
                continue;
            }
            let Some(partner) = partner.as_deref_mut() else {
                // Nothing is pasted over a partner: these leave it alone.
                transform.apply(sample, scratch, self.size, &mut random)?;
                continue;
            };
            let (size, len) = (sample.size, dataset.len());
            let load = |other: u64, partner: &mut Sample, scratch: &mut Scratch| {
                self.vary(dataset, [seed, epoch, other], &transforms[..position], partner, None, scratch)?;
                fit(partner, scratch, size);
                Ok::<(), Error>(())
            };
            match transform {
                Transform::CutMix(mix) => {
                    if let Some((other, place)) = mix.draw(size, index, len, &mut random) {
                        load(other, partner, scratch)?;
                        paste(sample, partner, place);
                    }
                }
                Transform::Mosaic(mosaic) => {
                    if let Some(quarters) = mosaic.draw(size, index, len, &mut random) {
                        shift_piece(sample, quarters.own);
                        for (other, piece) in quarters.others {
                            load(other, partner, scratch)?;
                            take_piece(sample, partner, piece);
                        }
                    }
                }
                Transform::CopyPaste(copy) => {
                    if let Some(other) = copy.draw(index, len, &mut random) {
                        load(other, partner, scratch)?;
                        copy.paste(sample, partner, &mut random)?;
                    }
                }
                alone => alone.apply(sample, scratch, self.size, &mut random)?,
            }
        }
        Ok(())
    }
}

/// Crops or pads `sample` at its centre to `size`.
fn fit(sample: &mut Sample, scratch: &mut Scratch, size: [u32; 2]) {
    let start = [0, 1].map(|axis| sample.size[axis].saturating_sub(size[axis]) / 2);
    window(sample, scratch, size, start);
}

#[cfg(test)]
mod mixing;
#[cfg(test)]
mod tests;
