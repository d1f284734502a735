//! Tests a NaN planted in the data, under each policy. From outside the program, none can be planted.

mod failing;

use super::*;
use crate::cli::{Cli, Command};
use crate::common::config::Config;
use checkpoint::Store;
use clap::Parser;
use contract::{Batches, Input, Stateful};
use std::fs;
use std::path::Path;
use tch::{Kind, Tensor};
use tempfile::TempDir;

const TINY: &str = r#"{
    "data": {"kind": "shapes", "size": [16, 16], "train_samples": 24, "validation_samples": 12,
             "loader": {"batch_size": 5}},
    "model": {"kind": "unet", "width": 4, "depth": 2},
    "train": {"epochs": 2, "threads": 1, "device": "cpu"},
    "checkpoint": {"every_steps": 1, "keep_last": 100}
}"#;

/// An input with one NaN in the second sample of one batch, or one that cannot load that batch.
struct Poisoned {
    input: Box<dyn Input>,
    epoch: u64,
    batch: u64,
    readable: bool,
}

impl Input for Poisoned {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        Box::new((skip..).zip(self.input.epoch(epoch, skip)).map(move |(index, batch)| {
            let batch = batch?;
            if (epoch, index) == (self.epoch, self.batch) {
                if !self.readable {
                    return Err("cat_7.jpg is torn".into());
                }
                let _ = batch.inputs.get(1).get(0).get(3).narrow(0, 3, 1).fill_(f64::NAN);
            }
            Ok(batch)
        }))
    }

    fn len(&self) -> u64 {
        self.input.len()
    }
}

struct Trained {
    folder: TempDir,
    result: Result<ExitCode>,
}

/// Trains with a NaN in batch 3 (from 0) of the second epoch, i.e. in step 9 of 10.
fn poisoned(options: &str) -> Trained {
    trained(true, options)
}

fn trained(readable: bool, options: &str) -> Trained {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tiny.json");
    fs::write(&file, TINY).unwrap();
    let (file, run) = (file.display(), folder.path().join("run"));
    let line = format!("app train --config {file} --run {} {options}", run.display());
    let Command::Train(args) = Cli::parse_from(line.split_whitespace()).command else { panic!() };
    let mut start = group::start(None, &args).unwrap();
    let mut parts = Parts::build(&start.config, None, None).unwrap();
    parts.input = Box::new(Poisoned { input: parts.input, epoch: 1, batch: 3, readable });
    let trained = train(&mut start, parts, &Signals::listen().unwrap(), &args, None);
    Trained { folder, result: trained.map(|ended| ended.status) }
}

impl Trained {
    fn store(&self, folder: &str) -> Store {
        Store::new(self.folder.path().join("run").join(folder), &checkpoint::Config::default())
    }

    /// Asserts that every value in every checkpoint is finite; returns the steps.
    fn steps(&self) -> Vec<u64> {
        let paths = self.store("checkpoints").list().unwrap();
        let step = |path: &Path| {
            let snapshot = checkpoint::load(path).unwrap();
            for (part, state) in &snapshot.states {
                for (name, tensor) in state {
                    assert!(tensor.isfinite().all().int64_value(&[]) == 1, "{} {part} {name}", path.display());
                }
            }
            snapshot.progress.step
        };
        paths.iter().map(|path| step(path)).collect()
    }

    /// Returns the weights of a checkpoint.
    fn weights(&self, step: u64) -> Vec<Tensor> {
        let path = self.folder.path().join(format!("run/checkpoints/step-{step:010}"));
        checkpoint::load(&path).unwrap().states.remove("model").unwrap().into_values().collect()
    }

    /// Asserts that the kept batch is the poisoned one.
    fn check_rejected(&self) {
        let (found, _) = self.store("rejected").newest().unwrap();
        let (path, kept) = found.unwrap();
        assert_eq!(kept.progress.step, 9);
        let bad = kept.states["batch"]["inputs"].isfinite().logical_not().sum(Kind::Int64).int64_value(&[]);
        assert_eq!((bad, kept.states["batch"]["targets"].size()), (1, vec![5, 16, 16]));
        // The batch met the weights of the step before.
        let met: Vec<&Tensor> = kept.states["model"].values().collect();
        assert!(met.into_iter().zip(self.weights(8)).all(|(met, before)| *met == before));
        replay::run(&path, &["model.precision=bf16".into()]).unwrap();
        replay::run(&path, &[]).unwrap();
    }

    fn lines(&self) -> String {
        fs::read_to_string(self.folder.path().join("run/metrics.jsonl")).unwrap()
    }
}

/// Returns the samples of the poisoned batch.
fn names() -> Vec<String> {
    let config = Config::parse(TINY, "tiny").unwrap();
    let parts = Parts::build(&config, None, None).unwrap();
    let batch = parts.input.epoch(1, 3).next().unwrap().unwrap();
    batch.names
}

#[test]
fn what_was_learnt_before_a_sample_that_cannot_be_read_is_saved() {
    let trained = trained(false, "--set checkpoint.every_steps=null --set checkpoint.every_epochs=100");
    let said = format!("{:#}", trained.result.as_ref().unwrap_err());
    assert_eq!(said, "training, epoch 2, batch 4: no batch: cat_7.jpg is torn: cat_7.jpg is torn");
    assert_eq!(trained.steps(), [8]);
}

#[test]
fn by_default_the_run_stops_and_says_which_samples() {
    let trained = poisoned("");
    let said = format!("{:#}", trained.result.as_ref().unwrap_err());
    assert!(said.starts_with("step 9: the loss or its gradient is not finite (loss NaN after "), "{said}");
    assert!(said.contains(&format!("samples: {})", names().join(", "))), "{said}");
    assert!(said.contains("app train --replay ") && said.contains("rejected/step-0000000009"), "{said}");
    assert_eq!(trained.steps(), [1, 2, 3, 4, 5, 6, 7, 8]);
    trained.check_rejected();
}

#[test]
fn a_skipped_batch_changes_nothing_and_the_run_goes_on() {
    let trained = poisoned("--set train.non_finite.policy=skip");
    assert_eq!(trained.result.as_ref().unwrap(), &ExitCode::SUCCESS);
    assert_eq!(trained.steps(), (1..=10).collect::<Vec<_>>());
    assert_eq!(trained.weights(9), trained.weights(8), "running statistics too");
    assert_ne!(trained.weights(10), trained.weights(9));
    assert!(!trained.lines().contains("\"loss\":null"), "the epoch's loss is that of the others: {}", trained.lines());
    trained.check_rejected();
}

#[test]
fn a_run_that_may_not_skip_so_often_stops() {
    let trained = poisoned("--set train.non_finite.policy=skip --set train.non_finite.limit=0");
    let said = format!("{:#}", trained.result.as_ref().unwrap_err());
    assert!(said.contains("has recovered 0 times, as often as train.non_finite.limit lets it"), "{said}");
    assert_eq!(trained.steps(), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_rollback_goes_back_to_the_last_checkpoint_and_on_with_the_next_batch() {
    let trained = poisoned("--set train.non_finite.policy=rollback --set checkpoint.every_steps=3");
    assert_eq!(trained.result.as_ref().unwrap(), &ExitCode::SUCCESS);
    assert_eq!(trained.steps(), [0, 3, 5, 6, 9, 10]);
    assert_eq!(trained.weights(9), trained.weights(6), "the weights before the trouble");
    assert_ne!(trained.weights(10), trained.weights(6));
    assert!(!trained.lines().contains("\"loss\":null"));
}

#[test]
fn a_rollback_before_the_first_checkpoint_goes_back_to_the_start() {
    let trained = poisoned(
        "--set train.non_finite.policy=rollback --set checkpoint.every_steps=9 --set checkpoint.every_epochs=100",
    );
    assert_eq!(trained.result.as_ref().unwrap(), &ExitCode::SUCCESS);
    assert_eq!(trained.steps(), [0, 9, 10]);
    assert_eq!(trained.weights(9), trained.weights(0));
}

#[test]
fn accumulated_and_averaged_weights_stay_finite_too() {
    for policy in ["skip", "rollback"] {
        let options =
            format!("--set train.non_finite.policy={policy} --set optimizer.accumulate=2 --set optimizer.ema=0.9");
        let trained = poisoned(&options);
        assert_eq!(trained.result.as_ref().unwrap(), &ExitCode::SUCCESS);
        assert!(trained.steps().contains(&10));
    }
}

#[test]
fn the_state_of_the_recovery_is_part_of_a_checkpoint() {
    let trained = poisoned("--set train.non_finite.policy=skip");
    let path = trained.folder.path().join("run/checkpoints/step-0000000010");
    let times = &checkpoint::load(&path).unwrap().states["recovery"]["times"];
    assert_eq!(times.int64_value(&[]), 1);
}
