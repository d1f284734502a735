//! A training that goes on where it was stopped: `cargo run -p oxiseg --example resume -- FOLDER`.

use oxiseg::checkpoint::{self, Snapshot, Store};
use oxiseg::contract::{self, Batch, Batches, Event, Input, Progress};
use oxiseg::executors::Trainer;
use oxiseg::tch::{Device, Kind, Tensor, nn};
use oxiseg::{loss, metric, optim, tch};

/// Data: which pixels are brighter than the middle?
struct Noise;

impl Input for Noise {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.len()).map(move |index| {
            let seed = (epoch * self.len() + index) as f64;
            let inputs = (Tensor::arange(4 * 16 * 16, (Kind::Float, Device::Cpu)) * (12.9898 + seed)).sin().abs();
            let inputs = inputs.f_reshape([4, 1, 16, 16])?;
            let targets = inputs.f_gt(0.5)?.f_squeeze_dim(1)?.f_to_kind(Kind::Int64)?;
            Ok(Batch::new(inputs, targets, (0..4).map(|i| format!("{index}.{i}")).collect()))
        }))
    }

    fn len(&self) -> u64 {
        20
    }
}

/// Trains for so many epochs, from the newest checkpoint in `folder` if there is one.
pub fn train(folder: &str, epochs: u64) -> Result<(), contract::BoxError> {
    tch::manual_seed(1); // the weights to begin with
    let mut variables = nn::VarStore::new(Device::Cpu);
    let root = variables.root();
    let model = nn::seq_t()
        .add(nn::conv2d(&root / "a", 1, 8, 3, nn::ConvConfig { padding: 1, ..Default::default() }))
        .add(nn::batch_norm2d(&root / "norm", 8, nn::BatchNormConfig::default()))
        .add_fn(|x| x.relu())
        .add(nn::conv2d(&root / "b", 8, 2, 1, nn::ConvConfig::default()));
    let loss_fn = loss::CrossEntropy::default();
    let config = optim::Config { learning_rate: 0.01, clip_norm: Some(1.0), ..optim::Config::default() };
    let length = optim::Length { updates_per_epoch: Noise.len(), epochs };
    let mut optimizer = config.build(contract::parameters(&variables), optim::Schedule::default(), length)?;
    let mut metric = metric::Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu)?;

    let store = Store::new(folder, &checkpoint::Config::default());
    let (newest, damaged) = store.newest()?;
    damaged.iter().for_each(|checkpoint| eprintln!("{checkpoint}"));
    let mut from = Progress::default();
    if let Some((path, snapshot)) = newest {
        snapshot.restore("model", &mut variables)?;
        snapshot.restore("optimizer", &mut optimizer)?;
        snapshot.restore("metric", &mut metric)?;
        from = snapshot.progress;
        println!("resumed from {}", path.display());
    }

    let mut trainer =
        Trainer::new(&model, &Noise, &loss_fn, &mut optimizer, &mut metric, epochs).protect("model", &variables);
    let mut training = trainer.train(from);
    while let Some(event) = training.next() {
        let due = match event? {
            Event::Step { progress, .. } => progress.step % 8 == 0,
            Event::Epoch { progress, scores, .. } => {
                println!("epoch {}: {} {:.3}", progress.epoch, scores[0].0, scores[0].1);
                true
            }
        };
        if due {
            let snapshot = Snapshot::new(training.progress())
                .with("model", &variables)
                .with("optimizer", training.trainer.optimizer)
                .with("metric", training.trainer.metric);
            println!("saved {}", store.save(&snapshot)?.display());
        }
    }
    Ok(())
}

/// Reads the arguments and trains.
pub fn main() -> Result<(), contract::BoxError> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("usage: resume FOLDER [EPOCHS]")?;
    train(&folder, arguments.next().map_or(Ok(5), |epochs| epochs.parse())?)
}
