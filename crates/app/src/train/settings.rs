//! Settings of the session of `app train`, and what the run folder keeps of them.

mod longer;

use crate::cli;
use crate::common::config::{self, Config};
use crate::common::environment;
use crate::common::files;
use crate::common::identity;
use crate::common::network::Network;
use crate::common::origin;
use crate::common::ranked;
use crate::common::run::Run;
use crate::common::usage::usage;
use crate::train::parts::Parts;
use crate::train::pictures::{COMPARED, Pictures};
use crate::train::start::Start;
use anyhow::{Error, Result};
use checkpoint::Mode;
use contract::Metric;
use metric::Segmentation;
use session::{Session, Settings, Show};
use std::time::Duration;
use terminal::Class;

/// Returns the settings of the session, after a look at what the checkpoint to resume from was trained with.
pub fn settings(start: &mut Start, parts: &Parts, args: &cli::Train) -> Result<Settings> {
    let about = identity::about(&start.config, &parts.fingerprints, &parts.network)?;
    if let Some((path, snapshot)) = start.opened.checkpoint() {
        start.changes.extend(identity::compare_about(path, snapshot, &about, &args.allow)?);
        start.changes.iter().for_each(|(why, change)| log::info!("{why}: {change}"));
        let before = origin::config(snapshot, &path.display().to_string())?;
        longer::tell(&before, &start.config, snapshot.progress, parts.input.len());
    }
    let config = &start.config;
    let classes = config.data.classes().into_iter().zip(config.data.colors());
    let [train, validation] = &parts.fingerprints;
    let show = Show {
        dashboard: args.tui,
        samples: [config.data.loader().epoch_samples.unwrap_or(train.samples), validation.samples],
        batch_size: config.data.loader().batch_size,
        classes: classes.map(|(name, color)| Class { name, color: color.0 }).collect(),
        group: "iou".into(),
        compared: COMPARED.map(String::from).into(),
    };
    Ok(Settings {
        save: config.checkpoint.save.clone(),
        checkpoint: config.checkpoint.keep.clone(),
        non_finite: config.train.non_finite.clone(),
        early_stopping: config.train.early_stopping.clone(),
        summary: config.summary.clone(),
        show,
        about,
        until_step: start.until_step,
        command: Some(ranked::command()),
        replay: Some("app train --replay".into()),
    })
}

/// Writes into the folder what the run is trained with.
pub fn keep(session: &mut Session, run: &Run, config: &Config, network: &Network, pictures: &Pictures) -> Result<()> {
    let Some(lock) = session.lock() else { return Ok(()) };
    lock.check()?;
    // The lock is held, so nobody else writes here.
    files::clean(&run.folder, Duration::ZERO);
    let environment = environment::environment(network, config.train.graph);
    run.keep(config)?;
    environment::keep(&environment, &run.folder)?;
    pictures.opening(session, &environment)?;
    environment::warn_of_openmp(network.device);
    Ok(())
}

/// Refuses a `checkpoint.best`, or a score that schedule or early stopping follows, that is no validation score.
pub fn check_best(config: &Config) -> Result<()> {
    let checkpoint::Config { best, mode, .. } = &config.checkpoint.keep;
    let scores = Segmentation::new(config.data.classes(), tch::Device::Cpu)?.compute().map_err(Error::from_boxed)?;
    // Where every pixel counts, their number is the same each time.
    let names: Vec<&str> = scores.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "pixels").collect();
    let followed = config.schedule.score().map(|score| ("schedule.decay.score", score));
    let early = config.train.early_stopping.as_ref().map(|rule| ("train.early_stopping.score", rule.score.as_str()));
    for (key, score) in [("checkpoint.best", best.as_str())].into_iter().chain(followed).chain(early) {
        if !names.contains(&score) {
            let meant = config::nearest(score, names.iter().copied());
            let meant = meant.map_or(String::new(), |name| format!("; did you mean {name}?"));
            let known = names.join(", ");
            return Err(usage(format!("{key}: there is no validation score \"{score}\", only {known}{meant}")));
        }
    }
    if best == "loss" && *mode == Mode::Max {
        log::warn!(
            "checkpoint.best is loss and checkpoint.mode is max: the worst network is kept. Use min \
             unless that is intended"
        );
    }
    Ok(())
}
