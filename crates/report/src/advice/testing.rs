//! Synthetic runs for tests, among them a healthy one.

use crate::{Class, History, Line, Run, Stage, Status};
use serde_json::json;
use std::collections::BTreeMap;

pub type Scalars = BTreeMap<String, Option<f64>>;

/// Returns scalars by name; those that are not finite become `None`.
pub fn scalars(pairs: &[(&str, f64)]) -> Scalars {
    pairs.iter().map(|(name, value)| (name.to_string(), value.is_finite().then_some(*value))).collect()
}

/// Returns a history of `epochs` epochs of 10 steps and 60 seconds each; `None` omits the validation line.
pub fn history(epochs: u64, train: impl Fn(u64) -> Scalars, validation: impl Fn(u64) -> Option<Scalars>) -> History {
    let line = |stage, epoch: u64, scalars| Line { stage, epoch, step: 10 * epoch, time: 60.0 * epoch as f64, scalars };
    let lines = (1..=epochs).flat_map(|epoch| {
        let train = line(Stage::Train, epoch, train(epoch));
        [Some(train), validation(epoch).map(|scalars| line(Stage::Validation, epoch, scalars))]
    });
    History { lines: lines.flatten().collect() }
}

/// Returns a little noise, the same in every run of the tests.
pub fn noise(epoch: u64, salt: u64) -> f64 {
    (((epoch * 7919 + salt * 104_729) % 1000) as f64 / 1000.0 - 0.5) * 0.04
}

/// Returns a finished run with this history.
pub fn run(history: History) -> Run {
    Run {
        name: "healthy".into(),
        folder: "runs/healthy".into(),
        status: Status::Finished,
        config: json!({"train": {"epochs": history.epochs()}}),
        history,
        environment: Vec::new(),
        classes: ["pet", "background"].map(|name| Class { name: name.into(), color: [0, 114, 178] }).into(),
        evaluation: None,
        comparison: None,
    }
}

/// Returns a loss that converges, with noise; 5 % of the steps' time is waiting for data.
pub fn healthy_train(epoch: u64) -> Scalars {
    let loss = 0.3 + 0.6 * (-(epoch as f64) / 6.0).exp() + noise(epoch, 1);
    scalars(&[
        ("loss", loss),
        ("learning_rate", 0.001),
        ("seconds/data", 0.5),
        ("seconds/transfer", 0.5),
        ("seconds/compute", 9.0),
        ("seconds/validation", 2.0),
        ("seconds/epoch", 12.5),
    ])
}

/// Like [`healthy_train`], on the validation data, with scores.
pub fn healthy_validation(epoch: u64) -> Option<Scalars> {
    let gone = (-(epoch as f64) / 6.0).exp();
    let (loss, iou) = (0.4 + 0.7 * gone + noise(epoch, 2), 0.8 - 0.6 * gone + noise(epoch, 3));
    Some(scalars(&[("loss", loss), ("mean_iou", iou), ("iou/pet", iou - 0.1), ("iou/background", iou + 0.1)]))
}

/// Returns a run without problems.
pub fn healthy() -> Run {
    run(history(40, healthy_train, healthy_validation))
}
