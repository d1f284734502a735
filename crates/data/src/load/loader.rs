//! Loads samples in threads, ahead of time, and batches them on the model's device.
//!
//! A thread puts the images of a batch into one block of bytes, `N×H×W×C`, and its targets into another, and makes
//! tensors of them (`tensors.rs`); the thread that takes the batch moves them to the device (`rooms.rs`). Work buffers
//! are passed on from batch to batch.
//!
//! **Invariant:** the content of a batch depends on nothing but the data set, the seed, the epoch and the batch's
//! position. A sample that may be skipped is missing wherever it cannot be loaded. The thread that takes the batches
//! counts skipped samples, in the batches' order.
//!
//! Each of several ranks loads a contiguous part of each batch (`part.rs`): one after another, the parts hold
//! the samples of the batch of one process. A skipped sample is missing in the part of its own rank, and nothing
//! changes for the others.

mod part;
mod rooms;
mod tensors;

use crate::error::{Error, guarded};
use crate::load::config::LoaderConfig;
use crate::load::dataset::Dataset;
use crate::load::epochs::{Draw, Epochs};
use crate::load::fingerprint::{Fingerprint, fingerprint};
use crate::load::ordered::{Job, Ordered};
use crate::load::pipeline::{Buffers, Pipeline};
use crate::load::skipped::Skipped;
use crate::load::{Target, pixels};
use contract::{Batch, Batches, BoxError, Input, Invalid, Share, TorchError};
use part::Part;
use raster::Pixels;
use rooms::{Room, Rooms};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};
use tensors::Converter;

/// Name of the placeholder sample in a batch whose samples were all skipped: black, with an unknown target.
pub const BLANK: &str = "(all skipped)";

/// The order of the samples within an epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// The order of the data set: for validation and prediction.
    Sequential,
    /// A new permutation every epoch, or what the configuration's `sampler` and `epoch_samples` say: for training.
    Shuffled,
}

/// The batches of a data set: the input of a Trainer, Validator or Predictor.
pub struct Loader {
    source: Arc<Source>,
    config: LoaderConfig,
    /// Epochs of training; `None` is the order of the data set.
    epochs: Option<Epochs>,
    part: Part,
}

/// Everything that a batch is made from.
struct Source {
    dataset: Arc<dyn Dataset>,
    pipeline: Pipeline,
    seed: u64,
    device: Device,
    skipped: Arc<Skipped>,
    /// Work buffers that no thread is using: never more than there were threads at once.
    workspaces: Mutex<Vec<Workspace>>,
    rooms: Rooms,
    /// Unused memory for whole batches, allocated by the thread that takes the batches.
    empty: Mutex<Vec<[Room; 2]>>,
    moving: Arc<Moving>,
}

/// Time spent moving batches to the device, as seen by the thread that takes them. (A GPU fetches them asynchronously.)
#[derive(Debug, Default)]
struct Moving {
    nanoseconds: AtomicU64,
}

impl Moving {
    /// Returns the total so far.
    pub fn so_far(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed))
    }

    fn add(&self, time: Duration) {
        self.nanoseconds.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// Work buffers of a thread.
struct Workspace {
    buffers: Buffers,
    /// `N×H×W×C`
    images: Pixels,
    /// `N×H×W` class ids or `N×C×H×W` values.
    targets: Target,
    converter: Converter,
}

/// A batch on the host.
struct Block {
    names: Vec<String>,
    /// Place of a rank's samples among all.
    share: Option<Share>,
    /// Images and targets, as written by [`Converter::on_host`].
    rooms: [Room; 2],
    /// Samples that could not be loaded: index, name and error.
    broken: Vec<(u64, String, Error)>,
}

impl Loader {
    /// Creates the batches of `dataset`, processed by `pipeline`, on `device`. `seed` alone decides on order and
    /// transforms, and no two seeds share theirs; with [`Order::Sequential`] and without transforms it has no effect.
    ///
    /// A batch holds inputs `[N, C, H, W]` f32, and targets as [`Targets`](crate::Targets) says: class ids `[N, H, W]`
    /// i64, or numbers `[N, H, W]` or `[N, C, H, W]` f32. `config.cache` is not read here:
    /// [`Config::open_cached`](crate::Config::open_cached) applies it, and [`in_memory`](crate::in_memory) keeps the
    /// samples of any data set.
    ///
    /// # Errors
    ///
    /// Names the key of `config` or `pipeline` that cannot work with these samples.
    pub fn new(
        dataset: Arc<dyn Dataset>,
        pipeline: Pipeline,
        config: &LoaderConfig,
        order: Order,
        seed: u64,
        device: Device,
    ) -> Result<Self, Invalid> {
        // The folder of an index may be set for the training data alone.
        config.check_with(true)?;
        pipeline.check(dataset.as_ref())?;
        let epochs = match order {
            Order::Sequential => None,
            Order::Shuffled => Some(Epochs::new(config, dataset.as_ref(), seed)?),
        };
        let skipped = Arc::new(Skipped::new(config.max_skipped));
        let rooms = rooms_of(dataset.as_ref(), &pipeline, config, Part::WHOLE, device);
        let source = Source {
            dataset,
            pipeline,
            seed,
            device,
            skipped,
            workspaces: Mutex::default(),
            rooms,
            empty: Mutex::default(),
            moving: Arc::default(),
        };
        Ok(Self { source: Arc::new(source), config: config.clone(), epochs, part: Part::WHOLE })
    }

    /// Makes this the loader of rank `rank` of `count`, which divide each batch among them: `batch_size` is the number
    /// of samples of all ranks together. Number and order of batches are those of one process, and each rank loads a
    /// contiguous [share](Batch::share) of each, the earlier ranks one sample more where it must be. The share of a
    /// batch of fewer samples than ranks is empty on the last ranks: tensors `[0, …]` and no names.
    ///
    /// A skipped sample is missing in its rank's share and keeps its place, so the other ranks, which do not know of
    /// it, load what they always do. If rank 0 has skipped its whole share, it holds a black placeholder, so that no
    /// batch of all ranks is empty.
    #[must_use]
    pub fn of_rank(mut self, rank: usize, count: usize) -> Self {
        self.part = Part::new(rank, count);
        // Whoever still has batches of it keeps their rooms, which are large enough.
        if let Some(source) = Arc::get_mut(&mut self.source) {
            let Source { dataset, pipeline, device, .. } = &*source;
            source.rooms = rooms_of(dataset.as_ref(), pipeline, &self.config, self.part, *device);
            source.empty = Mutex::default();
        }
        self
    }

    /// Returns the number of ranks that are idle in every step, because a batch has fewer samples than there are ranks.
    pub fn idle_ranks(&self) -> u64 {
        self.part.idle(self.samples().min(self.config.batch_size))
    }

    /// Returns the number of samples in an epoch, those of all ranks.
    pub fn samples(&self) -> u64 {
        self.epochs.as_ref().map_or_else(|| self.source.dataset.len(), Epochs::length)
    }

    /// Returns the data set's identity; see [`fingerprint`]. Looks up the size of every file, decodes none.
    pub fn fingerprint(&self) -> Result<Fingerprint, Error> {
        fingerprint(self.source.dataset.as_ref())
    }

    /// Returns the samples that this process skipped, updated as they become known.
    pub fn skipped(&self) -> Arc<Skipped> {
        Arc::clone(&self.source.skipped)
    }

    /// Loads only the sample at place `at` of batch number `batch`, of all ranks' samples one after another, in the
    /// order of the data set and in the calling thread: for a second look. Returns `None` if it does not exist. Of
    /// several ranks only the first is sure to have the room, if samples may be skipped.
    pub fn sample(&self, batch: u64, at: u64) -> Result<Option<Batch>, Error> {
        let whole = places(batch, self.config.batch_size, self.source.dataset.len());
        if whole.is_empty() {
            return Ok(None);
        }
        if !self.source.skipped.allowed() {
            let place = whole.start.saturating_add(at);
            return if place < whole.end { self.one_of(place..place + 1, None, 0).map(Result::ok) } else { Ok(None) };
        }
        // If samples may be missing, only whole shares tell which one is at this place.
        let mut at = at;
        for part in self.part.all() {
            match self.one_of(part.of(&whole), part.share(&whole), at)? {
                Ok(sample) => return Ok(Some(sample)),
                Err(loaded) => at -= loaded,
            }
        }
        Ok(None)
    }

    /// Loads these samples and returns the one at place `at` among them, or the number of those that could be loaded.
    fn one_of(&self, indices: Range<u64>, share: Option<Share>, at: u64) -> Result<Result<Batch, u64>, Error> {
        let block = self.source.block(indices.map(|index| Draw { index, turn: 0 }), share)?;
        let converter = self.source.converter().map_err(|error| torch(&block.names, error))?;
        let Batch { inputs, targets, names, .. } = self.source.batch(block, &converter, 0)?;
        let Some(name) = names.get(at as usize).cloned() else { return Ok(Err(names.len() as u64)) };
        let alone = |tensor: &Tensor| tensor.f_narrow(0, at as i64, 1).map_err(|error| torch(&names, error));
        Ok(Ok(Batch::new(alone(&inputs)?, alone(&targets)?, vec![name])))
    }

    fn blocks(&self, epoch: u64, skip: u64) -> Ordered<Block> {
        let (source, samples, batch_size) = (Arc::clone(&self.source), self.samples(), self.config.batch_size);
        let part = self.part;
        let order = self.epochs.as_ref().map(|epochs| epochs.epoch(epoch));
        let job: Job<Block> = Box::new(move |batch| {
            let whole = places(batch, batch_size, samples);
            let in_order = |place| order.as_ref().map_or(Draw { index: place, turn: epoch }, |order| order.draw(place));
            source.block(part.of(&whole).map(in_order), part.share(&whole))
        });
        Ordered::new(skip..self.len(), self.config.workers, self.config.prefetch, job)
    }
}

impl Input for Loader {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        let source = &self.source;
        let ahead = if self.config.workers == 0 { 1 } else { self.config.prefetch };
        let ahead = ahead.min(self.len().saturating_sub(skip)) as usize;
        let ready = source.converter().and_then(|converter| source.make_room(ahead).map(|()| converter));
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

    fn transfer(&self) -> Duration {
        self.source.moving.so_far()
    }

    fn len(&self) -> u64 {
        self.samples().div_ceil(self.config.batch_size)
    }
}

impl Source {
    fn block(&self, draws: impl Iterator<Item = Draw>, share: Option<Share>) -> Result<Block, Error> {
        let workspace = self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut workspace = match workspace {
            Some(workspace) => workspace,
            None => Workspace {
                buffers: Buffers::default(),
                images: Pixels::new(self.dataset.layout().depth),
                targets: Target::default(),
                converter: self.converter().map_err(|error| torch(&[], error))?,
            },
        };
        let block = self.fill(&mut workspace, draws, share)?;
        self.workspaces.lock().unwrap_or_else(PoisonError::into_inner).push(workspace);
        Ok(block)
    }

    fn fill(
        &self,
        workspace: &mut Workspace,
        draws: impl Iterator<Item = Draw>,
        share: Option<Share>,
    ) -> Result<Block, Error> {
        let Workspace { buffers, images, targets, converter } = workspace;
        let form = self.dataset.targets();
        images.clear();
        form.fill_unknown(targets, 0);
        // Reserved with an error: lack of memory must not end the program.
        let area = pixels(self.pipeline.size) * draws.size_hint().0.max(1);
        let numbers = area * self.dataset.channels() as usize;
        let bytes = numbers * self.dataset.layout().depth.bytes();
        let workspace = images.try_reserve(numbers).and_then(|()| match targets {
            Target::Classes(ids) => ids.try_reserve(area),
            Target::Values(values) => values.try_reserve(area * form.planes()),
        });
        workspace.map_err(|_| Error::OutOfMemory { bytes: (bytes + area * form.bytes()) as u64 })?;
        let (mut names, mut broken) = (Vec::with_capacity(draws.size_hint().0), Vec::new());
        for Draw { index, turn } in draws {
            let name = self.dataset.name(index);
            let load = || self.pipeline.load(self.dataset.as_ref(), index, [self.seed, turn], buffers);
            match guarded(|| format!("sample '{name}'"), load) {
                Ok(()) => {
                    images.append(&buffers.sample.image);
                    targets.append(&buffers.sample.target);
                    names.push(name);
                }
                Err(error) if self.skipped.allowed() => broken.push((index, name, error)),
                Err(error) => return Err(error),
            }
        }
        if names.is_empty() && share.is_none_or(|share| share.first == 0) {
            // Schedules and progress depend on the number of batches, so the batch is kept. Of several ranks' shares
            // rank 0's is the only one that begins at 0, and is empty only if it was skipped.
            let area = pixels(self.pipeline.size);
            images.fill(area * self.dataset.channels() as usize, self.dataset.layout().black());
            form.fill_unknown(targets, area);
            names.push(BLANK.into());
        }
        let empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let rooms = empty.map_or_else(|| self.rooms.room(), Ok);
        let rooms = rooms.and_then(|rooms| converter.on_host(images, targets, &rooms).map(|()| rooms));
        let rooms = rooms.map_err(|error| torch(&names, error))?;
        Ok(Block { names, share, rooms, broken })
    }

    fn converter(&self) -> Result<Converter, TorchError> {
        Converter::new(self.pipeline.normalize.as_ref(), self.dataset.as_ref(), self.device, self.rooms.sends)
    }

    /// Allocates memory for up to `ahead` batches.
    fn make_room(&self, ahead: usize) -> Result<(), TorchError> {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        while empty.len() < ahead {
            empty.push(self.rooms.room()?);
        }
        Ok(())
    }

    /// Moves a block to the device. Its memory is used up, so another batch gets other memory.
    fn batch(&self, block: Block, converter: &Converter, ahead: usize) -> Result<Batch, Error> {
        let Block { names, share, rooms, broken } = block;
        for (index, name, error) in broken {
            self.skipped.add(index, name, error)?;
        }
        let since = Instant::now();
        let batch = self.rooms.take(rooms, names.len() as i64).and_then(|tensors| converter.on_device(tensors));
        self.moving.add(since.elapsed());
        match batch.and_then(|batch| self.make_room(ahead.min(1)).map(|()| batch)) {
            Ok([inputs, targets]) => {
                let mut batch = Batch::new(inputs, targets, names);
                batch.share = share;
                Ok(batch)
            }
            Err(error) => Err(torch(&names, error)),
        }
    }
}

/// Returns the places of batch number `batch` among `samples`.
fn places(batch: u64, batch_size: u64, samples: u64) -> Range<u64> {
    let first = batch.saturating_mul(batch_size).min(samples);
    first..samples.min(first.saturating_add(batch_size))
}

/// Returns memory for the largest batches of a part, of at least a sample.
fn rooms_of(dataset: &dyn Dataset, pipeline: &Pipeline, config: &LoaderConfig, part: Part, device: Device) -> Rooms {
    let [height, width] = pipeline.size.map(i64::from);
    let samples = config.epoch_samples.unwrap_or_default().max(dataset.len());
    let largest = part.of(&places(0, config.batch_size, samples));
    let samples = (largest.end - largest.start).max(1) as i64;
    let shape = [samples, height, width, dataset.channels().into()];
    Rooms::new(device, shape, &dataset.layout(), dataset.targets())
}

/// Returns an error of libtorch about the batch of the samples `names`.
fn torch(names: &[String], error: impl Into<TorchError>) -> Error {
    Error::Torch { first: names.first().cloned().unwrap_or_default(), source: error.into() }
}

#[cfg(test)]
mod tests;
