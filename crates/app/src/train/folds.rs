//! `app train --folds`: trains the folds of a data set one after another. Each is a run of its own, trained by this
//! program once more, and resumed where it stopped.

use super::launch::{GRACE, Ranks, Told, without};
use super::start::folder;
use crate::cli::Train;
use crate::common::config::Config;
use crate::common::folds::{Folds, table};
use crate::common::output;
use crate::common::ranked::{LAUNCHER, is_launched};
use crate::common::usage::usage;
use anyhow::{Context, Result};
use serde_json::{Value, json};
use session::RESUMABLE;
use std::env;
use std::process::{self, Command, ExitCode};

/// Options of the command line that are replaced for each fold.
const REPLACED: [&str; 2] = ["--folds", "--run"];

/// Trains `count` folds. The status is 0 if all are trained, 75 if they can be resumed, or else that of the first that
/// failed; those after it are not begun.
pub fn run(args: &Train, count: usize) -> Result<ExitCode> {
    if is_launched() {
        return Err(usage("--folds starts processes, but RANK is set: start it once, with --nproc for several ranks"));
    }
    let group = folder(args);
    if group.exists() {
        let shown = group.folder.display();
        return Err(usage(format!("{shown} is one run, and --folds makes a folder of runs: name another with --run")));
    }
    let folds = Folds::named(&group.folder, count);
    // Without another configuration, folds that are to be begun have that of the first.
    let own = folds.runs.first().map(|first| first.folder.join("config.json"));
    let own = own.filter(|file| args.config.is_none() && file.is_file());
    let split = split(&Config::given(args.config.as_deref().or(own.as_deref()), &args.set, None)?, count)?;
    let told = Told::listen()?;
    let program = env::current_exe().context("finding this program, to train the folds")?;
    for (number, run) in (1..).zip(&folds.runs) {
        if !told.since_last().is_empty() {
            return Ok(ExitCode::from(RESUMABLE));
        }
        log::info!("Fold {number} of {count}: {}", run.folder.display());
        let mut command = Command::new(&program);
        command.args(without(env::args_os().skip(1), &REPLACED)).env(LAUNCHER, process::id().to_string());
        command.arg("--set").arg(format!("data.split={}", split(number))).arg("--run").arg(&run.folder);
        if let Some(file) = &own {
            command.arg("--config").arg(file);
        }
        let status = Ranks::start("Fold", [(number, command)].into_iter(), false)?.wait(GRACE, || told.since_last());
        if status != 0 {
            return Ok(ExitCode::from(status));
        }
    }
    let shown = group.folder.display();
    output::show(&format!("{}\n\nscores over all samples: app validate --run {shown}", table(&folds.scores()?)));
    Ok(ExitCode::SUCCESS)
}

/// Returns a function from the number of a fold to its `data.split`.
fn split(config: &Config, count: usize) -> Result<impl Fn(usize) -> Value + use<>> {
    let data = serde_json::to_value(&config.data)?;
    let kind = data["kind"].as_str().unwrap_or_default();
    let Some(split) = data.get("split") else {
        return Err(usage(format!("--folds divides samples by data.split, which data of the kind {kind} do not have")));
    };
    if split["train"].is_string() {
        return Err(usage(
            "--folds divides all samples by their names, but data.split names those for training and validation: give \
             data.split.validation_fraction instead, with all samples in one folder or list",
        ));
    }
    let group = split["group"].clone();
    Ok(move |number: usize| {
        let mut split = json!({ "fold": format!("{number}/{count}") });
        if !group.is_null() {
            split["group"] = group.clone();
        }
        split
    })
}
