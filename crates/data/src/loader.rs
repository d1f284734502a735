//! Samples to batches on the model's device, loaded ahead by threads.
//!
//! Threads put the samples of a batch into one block of bytes on the host; the block becomes tensors in the thread that
//! takes the batch, which moves it to the device as bytes, a quarter of what floats would take. The block is `N×H×W×3`
//! and stays so: the tensor `[N, 3, H, W]` is a view of it, channels-last in memory, which convolutions are fastest on.

use crate::config::LoaderConfig;
use crate::dataset::Dataset;
use crate::error::{Error, guarded};
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::ordered::{Job, Ordered};
use crate::pipeline::{Buffers, Normalize, Pipeline};
use crate::random::{Purpose, Random};
use contract::{Batch, Batches, BoxError, Input, Invalid};
use std::sync::Arc;
use tch::{Device, Kind, TchError, Tensor};

/// The order of the samples within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// As the data set has them: for validation and prediction.
    Sequential,
    /// Another permutation every epoch: for training.
    Shuffled,
}

/// The batches of a data set: what a Trainer, Validator or Predictor calls its input.
pub struct Loader {
    source: Arc<Source>,
    config: LoaderConfig,
    order: Order,
    device: Device,
}

/// What a batch is made from.
struct Source {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    seed: u64,
}

/// A batch as bytes.
struct Block {
    names: Vec<String>,
    /// `N×H×W×C`
    images: Vec<u8>,
    /// `N×H×W`
    masks: Vec<u8>,
}

impl Loader {
    /// Batches of `dataset`, put through `pipeline`, on `device`. `seed` alone decides on order and transforms, which are
    /// those of no other seed; with [`Order::Sequential`] and without transforms it does nothing.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        pipeline: Pipeline,
        config: &LoaderConfig,
        order: Order,
        seed: u64,
        device: Device,
    ) -> Result<Self, Invalid> {
        config.check()?;
        if let Some(normalize) = &pipeline.normalize {
            normalize.check(dataset.channels())?;
        }
        Ok(Self { source: Arc::new(Source { dataset, pipeline, seed }), config: config.clone(), order, device })
    }

    /// Samples in an epoch.
    pub fn samples(&self) -> u64 {
        self.source.dataset.len()
    }

    /// What the data set is known by again; see [`fingerprint`]. Looks at every file of it, decodes none.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        fingerprint(self.source.dataset.as_ref())
    }

    fn blocks(&self, epoch: u64, skip: u64) -> Ordered<Block> {
        let (source, samples, batch_size) = (Arc::clone(&self.source), self.samples(), self.config.batch_size);
        let order = match self.order {
            Order::Sequential => None,
            Order::Shuffled => Some(Random::new(source.seed, Purpose::Order, epoch, 0).permutation(samples)),
        };
        let job: Job<Block> = Box::new(move |batch| {
            let places = batch * batch_size..samples.min((batch + 1).saturating_mul(batch_size));
            source.block(places.map(|place| order.as_ref().map_or(place, |order| order[place as usize])), epoch)
        });
        Ordered::new(skip..self.len(), self.config.workers, self.config.prefetch, job)
    }
}

impl Input for Loader {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        let (source, device) = (&self.source, self.device);
        Box::new(self.blocks(epoch, skip).map(move |block| Ok::<Batch, BoxError>(source.batch(block?, device)?)))
    }

    fn len(&self) -> u64 {
        self.samples().div_ceil(self.config.batch_size)
    }
}

impl Source {
    fn block(&self, indices: impl Iterator<Item = u64>, epoch: u64) -> Result<Block, Error> {
        let mut block = Block { names: Vec::new(), images: Vec::new(), masks: Vec::new() };
        let mut buffers = Buffers::default();
        for index in indices {
            let name = self.dataset.name(index);
            let load = || self.pipeline.load(self.dataset.as_ref(), index, [self.seed, epoch], &mut buffers);
            guarded(|| format!("sample '{name}'"), load)?;
            block.images.extend_from_slice(&buffers.sample.image);
            block.masks.extend_from_slice(&buffers.sample.mask);
            block.names.push(name);
        }
        Ok(block)
    }

    /// The tensors of a block on `device`.
    fn batch(&self, block: Block, device: Device) -> Result<Batch, Error> {
        match self.tensors(&block, device) {
            Ok((inputs, targets)) => Ok(Batch { inputs, targets, names: block.names }),
            Err(error) => {
                Err(Error::Torch { first: block.names.into_iter().next().unwrap_or_default(), source: error.into() })
            }
        }
    }

    fn tensors(&self, block: &Block, device: Device) -> Result<(Tensor, Tensor), TchError> {
        let [height, width] = self.pipeline.size.map(i64::from);
        let (samples, channels) = (block.names.len() as i64, self.dataset.channels().into());
        let bytes_nhwc = to_device(&block.images, &[samples, height, width, channels], device)?;
        // The order of the axes in memory outlives the conversion of a permuted view.
        let mut inputs_nchw = bytes_nhwc.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        let mut inputs_nchw = inputs_nchw.f_div_scalar_(255.0)?;
        if let Some(Normalize { mean, std }) = &self.pipeline.normalize {
            let of_channels = |values: &[f64]| {
                let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
                Tensor::f_from_slice(&values)?.f_view([1, channels, 1, 1])?.f_to_device(device)
            };
            inputs_nchw = inputs_nchw.f_sub_(&of_channels(mean)?)?.f_div_(&of_channels(std)?)?;
        }
        let targets_nhw = to_device(&block.masks, &[samples, height, width], device)?.f_to_kind(Kind::Int64)?;
        Ok((inputs_nchw, targets_nhw))
    }
}

fn to_device(bytes: &[u8], shape: &[i64], device: Device) -> Result<Tensor, TchError> {
    let host = Tensor::f_from_data_size(bytes, shape, Kind::Uint8)?;
    // Non-blocking: the host need not wait for the work that the device still has in its queue. Memory that is not
    // pinned is read before the call returns, so `host` may go.
    host.f_to_device_(device, Kind::Uint8, true, false)
}

#[cfg(test)]
mod tests;
