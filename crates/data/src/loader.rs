//! Samples to batches on the model's device, loaded ahead by threads.
//!
//! A thread puts the samples of a batch into one block of bytes, `N×H×W×C`, and makes tensors of it (`tensors.rs`); the
//! thread that takes the batch moves them to the device. What the threads work in, they hand on from batch to batch.
//!
//! **Invariant:** what is in a batch depends on nothing but the data set, the seed, the epoch and its place. A sample
//! that may be skipped is missing wherever it cannot be loaded, and counted by the thread that takes the batches, in
//! their order.

mod config;
mod tensors;

pub use config::LoaderConfig;

use crate::dataset::{Dataset, IGNORE, pixels};
use crate::error::{Error, guarded};
use crate::fingerprint::{Fingerprint, fingerprint};
use crate::ordered::{Job, Ordered};
use crate::pipeline::{Buffers, Pipeline};
use crate::random::{Purpose, Random};
use crate::skipped::Skipped;
use contract::{Batch, Batches, BoxError, Input, Invalid, TorchError};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};
use tensors::Converter;

/// The name of the sample that stands where all samples of a batch were skipped: black, and of no class.
const BLANK: &str = "(all skipped)";

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
}

/// What a batch is made from.
struct Source {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    seed: u64,
    device: Device,
    skipped: Arc<Skipped>,
    /// What no thread is working in at the moment: never more than there were threads at once.
    rooms: Mutex<Vec<Room>>,
    /// Room for whole batches that nobody has begun to fill, made by the thread that takes the batches.
    empty: Mutex<Vec<[Tensor; 2]>>,
    batch_size: i64,
    moving: Arc<Moving>,
}

/// How long batches took to the device so far, as the thread that takes them sees it. (A GPU fetches them while that goes on.)
#[derive(Debug, Default)]
pub struct Moving {
    nanoseconds: AtomicU64,
}

impl Moving {
    /// The time so far.
    pub fn so_far(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    fn add(&self, time: Duration) {
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// What a thread works in.
struct Room {
    buffers: Buffers,
    /// `N×H×W×C`
    images: Vec<u8>,
    /// `N×H×W`
    masks: Vec<u8>,
    converter: Converter,
}

/// A batch on the host.
struct Block {
    names: Vec<String>,
    /// Images and masks, as [`Converter::on_host`] gives them.
    tensors: [Tensor; 2],
    /// Samples that could not be loaded: index, name, why.
    broken: Vec<(u64, String, Error)>,
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
        let skipped = Arc::new(Skipped::new(config.max_skipped));
        let batch_size = dataset.len().min(config.batch_size) as i64;
        let source = Source {
            dataset,
            pipeline,
            seed,
            device,
            skipped,
            rooms: Mutex::default(),
            empty: Mutex::default(),
            batch_size,
            moving: Arc::default(),
        };
        Ok(Self { source: Arc::new(source), config: config.clone(), order })
    }

    /// Samples in an epoch.
    pub fn samples(&self) -> u64 {
        self.source.dataset.len()
    }

    /// What the data set is known by again; see [`fingerprint`]. Looks at every file of it, decodes none.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        fingerprint(self.source.dataset.as_ref())
    }

    /// The samples that were left out, as they become known.
    pub fn skipped(&self) -> Arc<Skipped> {
        Arc::clone(&self.source.skipped)
    }

    /// How long batches took to the device.
    pub fn moving(&self) -> Arc<Moving> {
        Arc::clone(&self.source.moving)
    }

    /// The sample at place `at` of batch number `batch` in the order of the data set, alone and made by the calling thread: for a
    /// second look. No batch where there is none.
    pub fn sample(&self, batch: u64, at: u64) -> Result<Option<Batch>, Error> {
        let first = batch.saturating_mul(self.config.batch_size).min(self.samples());
        let batch = first..self.samples().min(first.saturating_add(self.config.batch_size));
        // Where samples may be missing, only the whole batch tells which is at this place.
        let (indices, at) = match self.source.skipped.allowed() {
            true => (batch, at as i64),
            false => {
                (batch.start.saturating_add(at).min(batch.end)..batch.start.saturating_add(at + 1).min(batch.end), 0)
            }
        };
        if indices.is_empty() {
            return Ok(None);
        }
        let block = self.source.block(indices, 0)?;
        let converter = self.source.converter().map_err(|error| torch(&block.names, error))?;
        let Batch { inputs, targets, names, .. } = self.source.batch(block, &converter, 0)?;
        let Some(name) = names.get(at as usize).cloned() else { return Ok(None) };
        let alone = |tensor: &Tensor| tensor.f_narrow(0, at, 1).map_err(|error| torch(&names, error));
        Ok(Some(Batch::new(alone(&inputs)?, alone(&targets)?, vec![name])))
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
        let source = &self.source;
        let ahead = if self.config.workers == 0 { 1 } else { self.config.prefetch };
        let ahead = ahead.min(self.len().saturating_sub(skip)) as usize;
        let ready = source.converter().and_then(|converter| source.make_room(&converter, ahead).map(|()| converter));
        let converter = match ready {
            Ok(converter) => converter,
            Err(error) => return Box::new(std::iter::once(Err(torch(&[], error).into()))),
        };
        let mut blocks = Some(self.blocks(epoch, skip));
        Box::new(std::iter::from_fn(move || {
            let batch = blocks.as_mut()?.next()?.and_then(|block| source.batch(block, &converter, ahead));
            if batch.is_err() {
                blocks = None;
            }
            Some(batch.map_err(BoxError::from))
        }))
    }

    fn len(&self) -> u64 {
        self.samples().div_ceil(self.config.batch_size)
    }
}

impl Source {
    fn block(&self, indices: impl Iterator<Item = u64>, epoch: u64) -> Result<Block, Error> {
        let room = self.rooms.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut room = match room {
            Some(room) => room,
            None => Room {
                buffers: Buffers::default(),
                images: Vec::new(),
                masks: Vec::new(),
                converter: self.converter().map_err(|error| torch(&[], error))?,
            },
        };
        let block = self.fill(&mut room, indices, epoch)?;
        self.rooms.lock().unwrap_or_else(PoisonError::into_inner).push(room);
        Ok(block)
    }

    fn fill(&self, room: &mut Room, indices: impl Iterator<Item = u64>, epoch: u64) -> Result<Block, Error> {
        let Room { buffers, images, masks, converter } = room;
        images.clear();
        masks.clear();
        // Asked for rather than taken: where there is not so much, that is an error, and not the end of the program.
        let area = pixels(self.pipeline.size) * indices.size_hint().0.max(1);
        let bytes = area * self.dataset.channels() as usize;
        let room = images.try_reserve(bytes).and_then(|()| masks.try_reserve(area));
        room.map_err(|_| Error::OutOfMemory { bytes: (bytes + area) as u64 })?;
        let (mut names, mut broken) = (Vec::with_capacity(indices.size_hint().0), Vec::new());
        for index in indices {
            let name = self.dataset.name(index);
            let load = || self.pipeline.load(self.dataset.as_ref(), index, [self.seed, epoch], buffers);
            match guarded(|| format!("sample '{name}'"), load) {
                Ok(()) => {
                    images.extend_from_slice(&buffers.sample.image);
                    masks.extend_from_slice(&buffers.sample.mask);
                    names.push(name);
                }
                Err(error) if self.skipped.allowed() => broken.push((index, name, error)),
                Err(error) => return Err(error),
            }
        }
        if names.is_empty() {
            // The number of batches is what schedules and progress are computed from.
            images.resize(pixels(self.pipeline.size) * self.dataset.channels() as usize, 0);
            masks.resize(pixels(self.pipeline.size), IGNORE);
            names.push(BLANK.into());
        }
        let empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let tensors = empty.map_or_else(|| converter.room(self.shape()), Ok);
        let tensors = tensors.and_then(|room| converter.on_host(images, masks, names.len() as i64, room));
        let tensors = tensors.map_err(|error| torch(&names, error))?;
        Ok(Block { names, tensors, broken })
    }

    fn converter(&self) -> Result<Converter, TorchError> {
        Converter::new(self.pipeline.normalize.as_ref(), self.device)
    }

    /// `[N, H, W, C]` of a whole batch.
    fn shape(&self) -> [i64; 4] {
        let [height, width] = self.pipeline.size.map(i64::from);
        [self.batch_size, height, width, self.dataset.channels().into()]
    }

    /// Sees that there is room for `ahead` batches.
    fn make_room(&self, converter: &Converter, ahead: usize) -> Result<(), TorchError> {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        while empty.len() < ahead {
            empty.push(converter.room(self.shape())?);
        }
        Ok(())
    }

    /// The batch of a block on the device. What it was made in goes away with it, so there is new room for another.
    fn batch(&self, block: Block, converter: &Converter, ahead: usize) -> Result<Batch, Error> {
        let Block { names, tensors, broken } = block;
        for (index, name, error) in broken {
            self.skipped.add(index, name, error)?;
        }
        let since = Instant::now();
        let batch = converter.on_device(tensors);
        self.moving.add(since.elapsed());
        match batch.and_then(|batch| self.make_room(converter, ahead.min(1)).map(|()| batch)) {
            Ok([inputs, targets]) => Ok(Batch::new(inputs, targets, names)),
            Err(error) => Err(torch(&names, error)),
        }
    }
}

/// An error of libtorch about the batch of the samples `names`.
fn torch(names: &[String], error: impl Into<TorchError>) -> Error {
    Error::Torch { first: names.first().cloned().unwrap_or_default(), source: error.into() }
}

#[cfg(test)]
mod tests;
