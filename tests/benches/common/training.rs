//! A UNet in training, as oxiseg trains it.

use super::Outcome;
use contract::{Batch, Stateful};
use executors::Trainer;
use metric::Segmentation;
use optim::Optim;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};

/// Number of classes of the masks.
pub const CLASSES: i64 = 3;

/// Number of steps down of the UNet.
pub const DEPTH: i64 = 4;

/// Network and batch of a benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Task {
    pub name: &'static str,
    /// Number of channels of the UNet at full size.
    pub width: i64,
    /// Height and width of the images in pixels.
    pub side: i64,
    /// Number of images in a batch.
    pub images: i64,
}

impl Task {
    /// Returns the GFLOP of a step in the convolutions, two operations for each multiplication by their definition:
    /// forward, for the weights, and for the inputs except those of the first one.
    pub fn gflop(&self) -> f64 {
        let at = |level: i64| self.width << level;
        let pixels = |level: i64| (self.side >> level) * (self.side >> level) * self.images;
        let double = |level, inputs| 9 * pixels(level) * at(level) * (inputs + at(level));
        let down: i64 = (1..=DEPTH).map(|level| double(level, at(level - 1))).sum();
        // A transposed convolution 2×2 multiplies each pixel of the level below four times.
        let up = |level| double(level, 2 * at(level)) + 4 * pixels(level + 1) * at(level + 1) * at(level);
        let up: i64 = (0..DEPTH).map(up).sum();
        let first = 9 * pixels(0) * at(0) * 3;
        let forward = double(0, 3) + down + up + pixels(0) * at(0) * CLASSES;
        (3 * forward - first) as f64 * 2.0 / 1e9
    }
}

/// The network, and everything that a Trainer needs but the input.
pub struct Training {
    pub store: VarStore,
    pub model: Box<dyn ModuleT>,
    pub loss_fn: loss::Sum,
    pub optimizer: Optim,
    pub metric: Segmentation,
}

impl Training {
    /// Makes a network with the same weights for every contestant.
    pub fn new(width: i64, precision: model::Precision, fused: model::Fused) -> Outcome<Self> {
        let common = model::Common { precision, fused, ..Default::default() };
        let config = model::UNetConfig { width, depth: DEPTH, common, ..Default::default() };
        Self::on(Device::Cpu, &model::Config::Unet(config))
    }

    /// Like [`new`](Self::new), for any network on any device.
    pub fn on(device: Device, config: &model::Config) -> Outcome<Self> {
        let store = VarStore::new(device);
        tch::manual_seed(1);
        let model = config.build(&store, 3, CLASSES)?;
        let precision = config.common().precision;
        let length = optim::Length { updates_per_epoch: 1_000_000, epochs: 1 };
        let parameters = contract::parameters(&store);
        let optimizer = optim::Config::default().build(parameters, optim::Schedule::default(), length)?;
        let optimizer = if precision.needs_loss_scale() { optimizer.scaling_the_loss()? } else { optimizer };
        let metric = Segmentation::new(vec!["a".into(), "b".into(), "c".into()], device)?;
        Ok(Self { store, model, loss_fn: loss::Config::default().build(device)?, optimizer, metric })
    }

    /// Makes a step of the Trainer and returns its loss.
    pub fn step(&mut self, batch: &Batch) -> Outcome<f64> {
        let Self { model, loss_fn, optimizer, metric, .. } = self;
        let model = contract::Plain(model.as_ref());
        let (loss, _) = Trainer::new(&model, &NoInput, loss_fn, optimizer, metric, 1).train_step(batch)?;
        Ok(loss.f_double_value(&[])?)
    }

    /// Writes the weights and the batch that the peers start from.
    pub fn write(&self, batch: &Batch, folder: &Path) -> Outcome<()> {
        std::fs::create_dir(folder)?;
        let weights: Vec<_> =
            self.store.state().into_iter().map(|(name, tensor)| (name, tensor.contiguous())).collect();
        Tensor::write_npz(&weights, folder.join("weights.npz"))?;
        batch.inputs.contiguous().write_npy(folder.join("images.npy"))?;
        Ok(batch.targets.write_npy(folder.join("targets.npy"))?)
    }
}

/// Makes a batch of noise.
pub fn noise(task: Task) -> Batch {
    tch::manual_seed(2);
    let Task { side, images, .. } = task;
    Batch::new(
        Tensor::rand([images, 3, side, side], (Kind::Float, Device::Cpu)),
        Tensor::randint(CLASSES, [images, side, side], (Kind::Int64, Device::Cpu)),
        (0..images).map(|number| number.to_string()).collect(),
    )
}

/// Input without batches: they are given by hand.
struct NoInput;

impl contract::Input for NoInput {
    fn len(&self) -> u64 {
        0
    }

    fn epoch(&self, _epoch: u64, _skip: u64) -> contract::Batches<'_> {
        Box::new(std::iter::empty())
    }
}

/// Returns the rate of libtorch's matrix product, bf16 or f32, in GFLOP/s: the best of a few.
pub fn matmul_peak(kind: Kind) -> Outcome<f64> {
    const SIDE: i64 = 2048;
    let matrix = Tensor::randn([SIDE, SIDE], (Kind::Float, Device::Cpu)).to_kind(kind);
    let mut best = 0.0f64;
    for _ in 0..8 {
        let start = Instant::now();
        let _product = matrix.f_matmul(&matrix)?;
        best = best.max(2.0 * (SIDE * SIDE * SIDE) as f64 / start.elapsed().as_secs_f64() / 1e9);
    }
    Ok(best)
}
