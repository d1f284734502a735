//! Tests of the loops on tiny models and data made in memory, which they share here.

mod errors;
mod measuring;
mod protect;
mod training;

use contract::{Batch, Batches, BoxError, Input, StateDict, Stateful};
use metric::Segmentation;
use std::sync::Mutex;
use tch::nn::{self, Module, ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use testing::noise;

/// Change of a batch, given its epoch and its index in the epoch.
type Spoil = fn((u64, u64), Batch) -> Result<Batch, BoxError>;

/// Batches of these sizes: images `[1, 4, 4]` of two classes, with about one pixel in three ignored. Sample b of batch
/// i in epoch e is called `e.i.b`.
struct Images {
    sizes: Vec<i64>,
    spoil: Spoil,
    /// Arguments of all calls of `epoch`.
    asked: Mutex<Vec<(u64, u64)>>,
}

impl Images {
    fn new(sizes: &[i64]) -> Self {
        Self { sizes: sizes.to_vec(), spoil: |_, batch| Ok(batch), asked: Mutex::default() }
    }

    fn batch(&self, epoch: u64, index: u64) -> Batch {
        let (n, seed) = (self.sizes[index as usize], 1000 * epoch + 10 * index);
        let inputs = noise(&[n, 1, 4, 4], seed);
        let ignored = noise(&[n, 4, 4], seed + 1).gt(0.3 + 0.2 * index as f64);
        let targets = inputs.squeeze_dim(1).gt(0.2).to_kind(Kind::Int64).masked_fill(&ignored, contract::IGNORE_INDEX);
        Batch::new(inputs, targets, (0..n).map(|sample| format!("{epoch}.{index}.{sample}")).collect())
    }
}

fn with_inputs(batch: Batch, inputs: Tensor) -> Batch {
    Batch::new(inputs, batch.targets, batch.names)
}

impl Input for Images {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        self.asked.lock().unwrap().push((epoch, skip));
        Box::new((skip..self.len()).map(move |index| (self.spoil)((epoch, index), self.batch(epoch, index))))
    }

    fn len(&self) -> u64 {
        self.sizes.len() as u64
    }
}

/// Returns a convolution, BatchNorm with running statistics, ReLU and a convolution, with the same weights at every
/// call.
fn network() -> (VarStore, nn::SequentialT) {
    let store = VarStore::new(Device::Cpu);
    let same = nn::ConvConfig { padding: 1, ..Default::default() };
    let model = nn::seq_t()
        .add(nn::conv2d(store.root() / "a", 1, 3, 3, same))
        .add(nn::batch_norm2d(store.root() / "norm", 3, Default::default()))
        .add_fn(|x| x.relu())
        .add(nn::conv2d(store.root() / "b", 3, 2, 1, Default::default()));
    let _no_grad = tch::no_grad_guard();
    for (seed, mut value) in (0..).zip(Stateful::state(&store).into_values()) {
        value.copy_(&noise(&value.size(), seed).abs());
    }
    (store, model)
}

fn optimizer(store: &VarStore, accumulate: u64) -> optim::Optim {
    let config = optim::Config { learning_rate: 0.05, accumulate, ..optim::Config::default() };
    let schedule = optim::Schedule { warmup: 3, ..Default::default() };
    let length = optim::Length { updates_per_epoch: 100, epochs: 1 };
    config.build(contract::parameters(store), schedule, length).unwrap()
}

fn segmentation() -> Segmentation {
    Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu).unwrap()
}

/// Returns a copy of a part's state.
fn copied(part: &dyn Stateful) -> StateDict {
    part.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect()
}

fn assert_same(left: &StateDict, right: &StateDict) {
    assert!(left.keys().eq(right.keys()), "{:?} and {:?}", left.keys(), right.keys());
    for ((name, left), right) in left.iter().zip(right.values()) {
        assert!(left.equal(right), "{name}: {left} and {right}");
    }
}

/// Returns the mean cross entropy and the accuracy over the valid pixels of all `batches` together.
fn by_hand(model: &dyn ModuleT, batches: &[Batch]) -> (f64, f64) {
    let _no_grad = tch::no_grad_guard();
    let (mut loss, mut right, mut pixels) = (0.0, 0.0, 0.0);
    for batch in batches {
        let outputs = model.forward_t(&batch.inputs, false).to_kind(Kind::Double);
        let [n, _, height, width]: [i64; 4] = outputs.size().try_into().unwrap();
        for (sample, (y, x)) in (0..n).flat_map(|s| (0..height * width).map(move |at| (s, (at / width, at % width)))) {
            let target = batch.targets.int64_value(&[sample, y, x]);
            if target == contract::IGNORE_INDEX {
                continue;
            }
            let logits = [0, 1].map(|class| outputs.double_value(&[sample, class, y, x]));
            loss += (logits[0].exp() + logits[1].exp()).ln() - logits[target as usize];
            right += f64::from((logits[1] > logits[0]) == (target == 1));
            pixels += 1.0;
        }
    }
    (loss / pixels, right / pixels)
}

/// A model made of a function.
#[derive(Debug)]
struct Function(fn(&Tensor) -> Tensor);

impl Module for Function {
    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        self.0(x_nchw)
    }
}
