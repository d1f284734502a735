//! Counts and boundary scores of single images, collected in a validation.

use anyhow::Result;
use contract::{Batch, BoxError};
use metric::{Boundaries, BoundaryScores, Counted, Tally, read_tallies};
use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread::{self, available_parallelism};
use tch::{Device, Kind, TchError, Tensor};

/// Scores of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Image {
    pub name: String,
    /// Pixels of each class.
    pub tallies: Vec<Tally>,
    /// Boundary scores of each class; empty unless they are wanted.
    pub boundaries: Vec<Option<BoundaryScores>>,
}

/// Sums the counts of all images, class by class.
pub fn sum(images: &[Image], classes: usize) -> Vec<Tally> {
    let mut sums = vec![Tally::default(); classes];
    for image in images {
        sums.iter_mut().zip(&image.tallies).for_each(|(sum, tally)| sum.add(tally, 1));
    }
    sums
}

/// Collects the [`Image`]s of a validation.
#[derive(Debug, Default)]
pub struct Images {
    boundaries: Option<Boundaries>,
    names: Vec<String>,
    /// Counts of each batch, on the device.
    tallies: Vec<Tensor>,
    found: Vec<Vec<Option<BoundaryScores>>>,
}

impl Images {
    /// Creates an empty collection, with scores of `boundaries` if these are wanted.
    pub fn new(boundaries: Option<Boundaries>) -> Self {
        Self { boundaries, ..Self::default() }
    }

    /// Takes in a batch. Waits for the device only if boundaries are wanted.
    pub fn update(&mut self, batch: &Batch, counted: &Counted) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        self.names.extend_from_slice(&batch.names);
        let tallies = counted.tallies().map_err(contract::TorchError::from)?;
        let classes = usize::try_from(tallies.size()[1])?;
        self.tallies.push(tallies);
        if let Some(boundaries) = self.boundaries {
            let maps = [&batch.targets, &counted.predicted];
            let [targets, predicted] = maps.map(|maps| bytes(maps).map_err(contract::TorchError::from));
            let size = [1, 2].map(|side| batch.targets.size()[side] as usize);
            self.found.extend(compare(boundaries, size, &targets?, &predicted?, classes));
        }
        Ok(())
    }

    /// Returns the images in the order of the batches. Waits for the device.
    pub fn read(self) -> Result<Vec<Image>> {
        let tallies: Result<Vec<_>, _> = self.tallies.iter().map(read_tallies).collect();
        let mut boundaries = self.found.into_iter();
        let image = |(name, tallies)| Image { name, tallies, boundaries: boundaries.next().unwrap_or_default() };
        let mut images: Vec<Image> = self.names.into_iter().zip(tallies?.concat()).map(image).collect();
        // Stands for the samples of a batch that were all skipped.
        images.retain(|image| image.name != data::BLANK);
        Ok(images)
    }
}

/// Returns the boundary scores of a batch of class maps of this `size`, several images at a time.
fn compare(
    boundaries: Boundaries,
    size: [usize; 2],
    targets: &[u8],
    predicted: &[u8],
    classes: usize,
) -> Vec<Vec<Option<BoundaryScores>>> {
    let pixels = (size[0] * size[1]).max(1);
    let pairs: Vec<(&[u8], &[u8])> = targets.chunks_exact(pixels).zip(predicted.chunks_exact(pixels)).collect();
    let threads = available_parallelism().map_or(1, NonZero::get);
    let share = pairs.len().div_ceil(threads).max(1);
    thread::scope(|scope| {
        let of_pair = |(target, predicted): &(&[u8], &[u8])| boundaries.compare(size, target, predicted, classes);
        let shares = pairs.chunks(share);
        let started: Vec<_> =
            shares.map(|pairs| scope.spawn(move || pairs.iter().map(of_pair).collect::<Vec<_>>())).collect();
        started.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|panic| resume_unwind(panic))).collect()
    })
}

/// Reads class ids from the device.
fn bytes(ids: &Tensor) -> Result<Vec<u8>, TchError> {
    Vec::try_from(ids.f_to_kind(Kind::Uint8)?.f_to_device(Device::Cpu)?.f_contiguous()?.f_flatten(0, -1)?)
}
