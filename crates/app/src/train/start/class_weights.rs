//! `loss.class_weights: inverse` and `median`: measured once for a run, whose checkpoints and `config.json` record the
//! numbers.

use crate::common::config::Config;
use crate::common::origin;
use anyhow::{Context, Result, ensure};
use checkpoint::Snapshot;
use data::{ClassShare, Dataset, Split, Statistics};
use loss::{ClassWeights, Frequency};
use std::path::PathBuf;
use std::sync::Arc;
use terminal::{Step, Watch};

/// Replaces a rule in the configuration by numbers: by those of the checkpoint `from` which the run resumes, or by what
/// the training data say.
pub fn chosen(config: Config, from: Option<&(PathBuf, Snapshot)>) -> Result<Config> {
    let Some(rule) = config.loss.class_weights.as_ref().and_then(ClassWeights::to_measure) else { return Ok(config) };
    let before = match from {
        Some((path, snapshot)) => origin::config(snapshot, &path.display().to_string())?.loss.class_weights,
        None => None,
    };
    let (weights, why) = match before {
        Some(ClassWeights::Listed(weights)) if weights.len() == config.data.classes().len() => (weights, "as before"),
        _ => (measured(&config, rule)?, "measured in the training data"),
    };
    let classes = config.data.classes();
    let shown: Vec<String> =
        classes.iter().zip(&weights).map(|(class, weight)| format!("{class} {weight:.4}")).collect();
    log::info!("Class weights, {why}: {}", contract::listed(shown, NAMED));
    config.with(&[format!("loss.class_weights={}", serde_json::to_string(&weights)?)])
}

/// Maximum number of classes whose weight is logged.
const NAMED: usize = 20;

fn measured(config: &Config, rule: Frequency) -> Result<Vec<f64>> {
    let dataset: Arc<dyn Dataset> = Arc::from(config.data.open(Split::Train)?);
    let mut watch = Watch::new("Counting", 0, dataset.len());
    let (classes, workers) = (config.data.classes(), config.data.loader().workers.max(1));
    let report = data::check(&[(Split::Train, dataset)], &classes, workers, || {
        watch.step(&Step { samples: 1, ..Step::default() });
    })?;
    drop(watch);
    let train = report.splits.first().context("no split was counted")?;
    ensure!(
        train.classes.iter().any(|class| class.pixels > 0),
        "loss.class_weights: no mask of the training data can be read, or none shows a class, so there is nothing to \
         measure weights from: list them, or see `app data check`"
    );
    Ok(weights(train, rule))
}

/// Returns the weights of the classes; 1 for a class that no mask shows.
fn weights(train: &Statistics, rule: Frequency) -> Vec<f64> {
    let shown = train.classes.iter().filter(|class| class.pixels > 0).count() as f64;
    let of_class = |class: &ClassShare| match rule {
        Frequency::Median => class.weight,
        Frequency::Inverse => (class.pixels > 0).then(|| 1.0 / (shown * class.share)),
    };
    train.classes.iter().map(|class| of_class(class).unwrap_or(1.0)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Progress;
    use serde_json::json;

    fn config(weights: &str) -> Config {
        let changes = ["data.train_samples=6", "data.validation_samples=1", "data.size=[16,16]"].map(String::from);
        Config::default().with(&changes).unwrap().with(&[format!("loss.class_weights={weights}")]).unwrap()
    }

    fn listed(config: &Config) -> Vec<f64> {
        match config.loss.class_weights.clone() {
            Some(ClassWeights::Listed(weights)) => weights,
            other => panic!("{other:?}"),
        }
    }

    fn statistics() -> Statistics {
        let class = |pixels: u64, weight| ClassShare {
            name: String::new(),
            pixels,
            share: pixels as f64 / 8.0,
            samples: 1,
            weight,
        };
        Statistics {
            ranges: Vec::new(),
            split: Split::Train,
            samples: 1,
            decoded: 1,
            classes: vec![class(2, Some(3.0)), class(6, Some(0.5)), class(0, None)],
            ignored: 0.0,
            sizes: None,
            mean: Vec::new(),
            std: Vec::new(),
        }
    }

    #[test]
    fn a_class_that_no_mask_shows_weighs_1() {
        assert_eq!(weights(&statistics(), Frequency::Median), [3.0, 0.5, 1.0]);
        // Shares of 1/4 and 3/4, of two classes: 2/8 * 2 + 6/8 * 2/3 = 1.
        assert_eq!(weights(&statistics(), Frequency::Inverse), [2.0, 1.0 / 1.5, 1.0]);
    }

    #[test]
    fn a_run_keeps_the_weights_that_were_measured_for_it() {
        let [inverse, median] = ["inverse", "median"].map(|rule| chosen(config(rule), None).unwrap());
        assert_ne!(listed(&inverse), listed(&median));
        assert_eq!(listed(&inverse).len(), 4);
        let saved = Config::parse_saved(&inverse.saved().unwrap().to_string(), "config.json").unwrap();
        assert_eq!(listed(&saved), listed(&inverse), "to the last digit");

        let about = json!({ "config": config("[1, 2, 3, 4]").saved().unwrap() });
        let (progress, states, scores) = (Progress::default(), Default::default(), Default::default());
        let from = (PathBuf::from("step-5"), Snapshot { about, progress, states, scores });
        assert_eq!(listed(&chosen(config("median"), Some(&from)).unwrap()), [1.0, 2.0, 3.0, 4.0]);
        let named = chosen(config("[4, 3, 2, 1]"), Some(&from)).unwrap();
        assert_eq!(listed(&named), [4.0, 3.0, 2.0, 1.0], "they were named");
    }
}
