//! Trains a foreign model on foreign data with the loop: `cargo run -p executors --example own_model`.
//!
//! The model is any tch module, the data any iterator of batches. The task here: find the pixels that are brighter than
//! the middle.

use contract::{Batch, Batches, Event, Input, Progress};
use executors::Trainer;
use optim::{Length, Schedule};
use tch::{Device, Kind, Tensor, nn};

struct Noise;

impl Input for Noise {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..self.len()).map(move |index| {
            let seed = (epoch * self.len() + index) as f64;
            let inputs = (Tensor::arange(4 * 16 * 16, (Kind::Float, Device::Cpu)) * (12.9898 + seed)).sin().abs();
            let inputs = inputs.f_reshape([4, 1, 16, 16])?;
            let targets = inputs.f_gt(0.5)?.f_squeeze_dim(1)?.f_to_kind(Kind::Int64)?;
            let names = (0..4).map(|i| format!("{index}.{i}")).collect();
            Ok(Batch::new(inputs, targets, names))
        }))
    }

    fn len(&self) -> u64 {
        20
    }
}

fn main() -> Result<(), contract::BoxError> {
    let store = nn::VarStore::new(Device::Cpu);
    let model = nn::seq()
        .add(nn::conv2d(store.root() / "a", 1, 8, 1, nn::ConvConfig::default()))
        .add_fn(|x| x.relu())
        .add(nn::conv2d(store.root() / "b", 8, 2, 1, nn::ConvConfig::default()));
    let loss_fn = loss::CrossEntropy::default();
    let config = optim::Config { learning_rate: 0.05, ..optim::Config::default() };
    let length = Length { updates_per_epoch: Noise.len(), epochs: 5 };
    let mut optimizer = config.build(contract::parameters(&store), Schedule::default(), length)?;
    let mut metric = metric::Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu)?;

    let mut trainer = Trainer::new(&model, &Noise, &loss_fn, &mut optimizer, &mut metric, 5).protect(&store);
    for event in trainer.train(Progress::default()) {
        if let Event::Epoch { progress, scores, .. } = event? {
            println!(
                "epoch {}: {} {:.3}, {} {:.3}",
                progress.epoch, scores[0].0, scores[0].1, scores[1].0, scores[1].1
            );
        }
    }
    Ok(())
}
