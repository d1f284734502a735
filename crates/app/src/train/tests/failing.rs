//! Parts that fail in the middle of a run: what is saved then leads to the same end, to the bit, as if nothing had
//! failed.

use super::*;
use crate::common::network::Network;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tch::nn::ModuleT;

/// With running statistics and averaged weights, but without dropout: tests share libtorch's generator.
const OPTIONS: &str = "--set optimizer.ema=0.9 --set checkpoint.every_steps=null \
                       --set summary.per_step=true --set train.epochs=3";

/// A model that fails, once it has done its work, in each pass after the first `passes`: those in training, or others.
#[derive(Debug)]
struct Fails {
    model: Box<dyn model::Network>,
    training: bool,
    passes: u64,
    so_far: AtomicU64,
}

impl ModuleT for Fails {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let outputs = self.model.forward_t(x_nchw, train);
        if train == self.training {
            assert!(self.so_far.fetch_add(1, Ordering::Relaxed) < self.passes, "it is out of breath");
        }
        outputs
    }
}

impl model::Network for Fails {}

/// A model that remembers which checkpoints its run had when it was first used for validation.
#[derive(Debug)]
struct Looks {
    model: Box<dyn model::Network>,
    folder: PathBuf,
    found: Arc<OnceLock<Vec<u64>>>,
}

impl ModuleT for Looks {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        if !train {
            self.found.get_or_init(|| steps(&self.folder));
        }
        self.model.forward_t(x_nchw, train)
    }
}

impl model::Network for Looks {}

/// Trains in `folder`/run, with a model that fails if any does: whether in training, and after how many passes.
fn life(folder: &TempDir, fails: Option<(bool, u64)>, options: &str) -> Result<ExitCode> {
    life_of(folder, options, |model| match fails {
        Some((training, passes)) => Box::new(Fails { model, training, passes, so_far: AtomicU64::new(0) }),
        None => model,
    })
}

/// Trains in `folder`/run what `wrap` makes of the model.
fn life_of(
    folder: &TempDir,
    options: &str,
    wrap: impl FnOnce(Box<dyn model::Network>) -> Box<dyn model::Network>,
) -> Result<ExitCode> {
    let file = folder.path().join("tiny.json");
    fs::write(&file, TINY).unwrap();
    let run = folder.path().join("run");
    let every = if options.contains("every_epochs") { "" } else { "--set checkpoint.every_epochs=2" };
    let line = format!("app train --config {} --run {} {OPTIONS} {every} {options}", file.display(), run.display());
    let Command::Train(args) = Cli::parse_from(line.split_whitespace()).command else { panic!() };
    let mut start = group::start(None, &args).unwrap();
    let mut parts = Parts::build(&start.config, start.opened.checkpoint(), None).unwrap();
    let none = Box::new(model::Single(Box::new(tch::nn::func_t(|x, _| x.shallow_clone()))));
    parts.network.model = wrap(std::mem::replace(&mut parts.network.model, none));
    train(&mut start, parts, &Signals::listen().unwrap(), &args, None).map(|ended| ended.status)
}

/// The files of the last checkpoint, and the lines without what differs from run to run.
fn end(folder: &TempDir) -> (BTreeMap<String, Vec<u8>>, Vec<serde_json::Value>) {
    let run = folder.path().join("run");
    let (found, damaged) = Store::new(run.join("checkpoints"), &checkpoint::Config::default()).newest().unwrap();
    assert!(damaged.is_empty());
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(found.unwrap().0).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "safetensors") {
            files.insert(path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap());
        }
    }
    let line = |line: &str| {
        let mut value: serde_json::Value = serde_json::from_str(line).unwrap();
        let how = |key: &str| ["time", "images_per_second", "memory_mb", "gradient_norm"].contains(&key);
        value.as_object_mut().unwrap().retain(|key, _| !key.starts_with("seconds/") && !how(key));
        value
    };
    (files, fs::read_to_string(run.join("metrics.jsonl")).unwrap().lines().map(line).collect())
}

fn steps(folder: &Path) -> Vec<u64> {
    let store = Store::new(folder.join("run/checkpoints"), &checkpoint::Config::default());
    store.list().unwrap().iter().filter_map(|path| checkpoint::step_of(path)).collect()
}

#[test]
fn a_model_that_fails_in_training_or_validation_costs_no_step_and_changes_nothing() {
    // Other tests draw random numbers meanwhile, from the generator that initial weights come from.
    let initial = tempfile::tempdir().unwrap();
    let initial = initial.path().join("initial.safetensors");
    let network = Network::build(&Config::parse(TINY, "tiny").unwrap()).unwrap();
    let weights: Vec<_> = Stateful::state(&network.store).into_iter().map(|(name, t)| (name, t.contiguous())).collect();
    Tensor::write_safetensors(&weights, &initial).unwrap();
    for options in ["", "--set optimizer.accumulate=2"] {
        let options = &format!("{options} --set model.weights.path={}", initial.display());
        let straight = tempfile::tempdir().unwrap();
        assert_eq!(life(&straight, None, options).unwrap(), ExitCode::SUCCESS);
        let straight = end(&straight);
        // An epoch has 5 steps and 3 batches of validation.
        for (fails, step, said) in [
            ((true, 7), 7, "training, epoch 2, batch 3 ("),
            ((true, 5), 5, "training, epoch 2, batch 1 ("),
            ((false, 1), 5, "validation after epoch 1, batch 2 ("),
            ((false, 8), 15, "validation after epoch 3, batch 3 ("),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let error = format!("{:#}", life(&folder, Some(fails), options).unwrap_err());
            assert!(error.starts_with(said) && error.contains("the model failed"), "{error}");
            assert_eq!(steps(folder.path()).last(), Some(&step), "{error}");
            // Once more it fails at once, and nothing is saved or removed.
            let before = steps(folder.path());
            life(&folder, Some((fails.0, 0)), options).unwrap_err();
            assert_eq!(steps(folder.path()), before);
            assert_eq!(life(&folder, None, options).unwrap(), ExitCode::SUCCESS);
            let resumed = end(&folder);
            assert_eq!(resumed.1, straight.1, "{fails:?}");
            for (name, bytes) in straight.0.iter().filter(|(name, _)| *name != "generator.safetensors") {
                assert!(resumed.0[name] == *bytes, "{name} after {fails:?} {options}");
            }
        }
    }
}

#[test]
fn the_first_epoch_is_saved_before_the_first_validation_which_may_take_more_memory_than_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let found = Arc::new(OnceLock::new());
    let path = folder.path().to_owned();
    let looks = |model| -> Box<dyn model::Network> { Box::new(Looks { model, folder: path, found: found.clone() }) };
    life_of(&folder, "--set checkpoint.every_epochs=1", looks).unwrap();
    assert_eq!(found.get(), Some(&vec![5]));
}

#[test]
fn before_the_first_step_there_is_nothing_to_save() {
    let folder = tempfile::tempdir().unwrap();
    life(&folder, Some((true, 0)), "").unwrap_err();
    assert!(steps(folder.path()).is_empty());
    let other = "--set optimizer.learning_rate=0.01 --until-step 1";
    assert_eq!(life(&folder, None, other).unwrap(), ExitCode::from(RESUMABLE));
}

#[test]
fn good_checkpoints_stay_however_often_a_run_fails() {
    let folder = tempfile::tempdir().unwrap();
    let options = "--set checkpoint.every_epochs=1 --set checkpoint.keep_last=1 --set checkpoint.keep_best=false";
    for passes in [6, 1, 1, 1] {
        life(&folder, Some((true, passes)), options).unwrap_err();
    }
    assert_eq!(steps(folder.path()), [5, 6, 7, 8, 9]);
    assert_eq!(life(&folder, None, options).unwrap(), ExitCode::SUCCESS);
    assert_eq!(steps(folder.path()), [15], "retention is that of the configuration again");
}
