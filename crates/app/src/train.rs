//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save, stop.

use crate::cli;
use crate::closer::{Best, Closer};
use crate::complete::complete;
use crate::config::{self, Config};
use crate::environment;
use crate::files::{self, shown};
use crate::identity;
use crate::longer;
use crate::parts::{Network, Parts};
use crate::pictures::{COMPARED, Pictures};
use crate::replay;
use crate::report;
use crate::run::Run;
use crate::snapshot;
use crate::start::{Start, start};
use crate::usage::usage;
use anyhow::{Error, Result};
use checkpoint::Mode;
use contract::{Metric, Plain};
use executors::{Trainer, Validator};
use metric::Segmentation;
use session::{Outcome, RESUMABLE, Reached, Session, Settings, Show, Signals};
use std::process::ExitCode;
use std::time::Duration;
use terminal::Class;

/// `app train`, which listens to `signals` since the program began.
pub fn run(args: &cli::Train, signals: &Signals) -> Result<ExitCode> {
    if let Some(rejected) = &args.replay {
        return replay::run(rejected, &args.set);
    }
    let mut start = start(args)?;
    let (from, epochs) = (start.progress(), start.config.train.epochs);
    if from.epoch >= epochs {
        start.say_finished(&args.allow)?;
        return complete(&start, None);
    }
    check_best(&start.config)?;
    if let Some(step) = args.until_step.filter(|step| from.step >= *step) {
        log::info!(
            "{} is at step {} already: --until-step {step} leaves nothing to do",
            start.run.folder.display(),
            from.step
        );
        return Ok(ExitCode::from(RESUMABLE));
    }
    let (ended, validation_input, doubts) = {
        // All else of it is gone before the network is read again.
        let mut parts = Parts::build(&start.config, start.opened.checkpoint())?;
        let ended = train(&mut start, &mut parts, signals, args)?;
        (ended, parts.validation_input, parts.doubts)
    };
    let Some(table) = ended.table else { return Ok(ended.status) };
    // The run is done, and what else belongs to it is made, whether or not anybody can read this.
    report::show(&table);
    doubts.iter().for_each(|doubt| log::warn!("{doubt}"));
    complete(&start, Some((ended.best.as_ref(), &validation_input)))
}

/// Result of a training.
pub struct Ended {
    /// The exit status, which says whether the run can be resumed.
    pub status: ExitCode,
    /// The final scores, where it came to its end.
    pub table: Option<String>,
    /// The look at the best network of this call, if one was requested.
    pub best: Option<Best>,
}

/// Trains to the end, or until it is asked to stop: then the status says that it can be resumed.
pub fn train(start: &mut Start, parts: &mut Parts, signals: &Signals, args: &cli::Train) -> Result<Ended> {
    let settings = settings(start, parts, args)?;
    let Parts { network, input, validation_input, loss_fn, optimizer, gradients, metric, .. } = parts;
    let Parts { validation_metric, skipped, .. } = parts;
    let (model, epochs) = (&Plain(network.model.as_ref()), start.config.train.epochs);
    let trainer = Trainer::new(model, input.as_ref(), loss_fn, optimizer, metric, epochs);
    let mut trainer = trainer.protect(snapshot::MODEL, &network.store);
    let samples = settings.show.samples;
    let (mut session, mut training) = Session::begin(&mut start.opened, settings, signals, &mut trainer)?;
    let Start { run, config, .. } = &*start;
    let mut pictures = Pictures::new(config, network, validation_input, gradients);
    keep(&mut session, run, config, network, &pictures)?;
    log::info!("Training on {} samples, validating on {}, into {}", samples[0], samples[1], run.folder.display());

    loop {
        pictures.ask(&session, &training);
        let Some(reached) = session.next(&mut training)? else { break };
        match reached {
            Reached::Epoch { progress, scores, .. } => {
                log::debug!("Training acc over epoch: {:.4}", report::score(&scores, "accuracy"));
                let mut look = session.with(&mut training, |session| Ok(pictures.look(session)?))?;
                let mut metric = Closer { scores: validation_metric, look: look.as_mut() };
                let mut validator = Validator::new(model, validation_input, loss_fn, &mut metric).after(progress.epoch);
                if session.validate(&mut training, |watch| validator.test(watch))?.is_some() {
                    session.with(&mut training, |session| {
                        let confusion = validation_metric.confusion()?;
                        Ok(pictures.validated(session, progress, confusion, look)?)
                    })?;
                }
                skipped.iter().for_each(|skipped| report::skipped(&skipped.fresh()));
                session.epoch(&mut training, &scores)?;
            }
            _ if session.is_asked_to_validate() => {
                let mut validator = Validator::new(model, validation_input, loss_fn, validation_metric);
                session.validate(&mut training, |watch| validator.test(watch))?;
            }
            _ => {}
        }
        if session.settle(&mut training)?.is_break() {
            break;
        }
    }

    let outcome = session.finish(&mut training)?;
    if outcome == Outcome::Stopped {
        // Whoever resumes the run reads it.
        run.keep_if_missing(config)?;
        return Ok(Ended { status: ExitCode::from(RESUMABLE), table: None, best: None });
    }
    skipped.iter().for_each(|skipped| report::all_skipped(&skipped.all()));
    let table = report::table(session.validation(), &network.classes);
    Ok(Ended { status: ExitCode::SUCCESS, table: Some(table), best: pictures.best })
}

/// Returns the settings of the session, after a look at what the checkpoint to resume from was trained with.
fn settings(start: &mut Start, parts: &Parts, args: &cli::Train) -> Result<Settings> {
    let about = identity::about(&start.config, &parts.fingerprints, &parts.network)?;
    if let Some((path, snapshot)) = start.opened.checkpoint() {
        start.changes.extend(identity::compare_about(path, snapshot, &about, &args.allow)?);
        start.changes.iter().for_each(|(why, change)| log::info!("{why}: {change}"));
        let before = identity::config(snapshot, &path.display().to_string())?;
        longer::tell(&before, &start.config, snapshot.progress, parts.input.len());
    }
    let (config, folder) = (&start.config, shown(&start.run.folder));
    let classes = config.data.classes().into_iter().zip(config.data.colors());
    let show = Show {
        dashboard: args.tui,
        samples: parts.fingerprints.each_ref().map(|data| data.samples),
        batch_size: config.data.loader().batch_size,
        classes: classes.map(|(name, color)| Class { name, color: color.0 }).collect(),
        group: "iou".into(),
        compared: COMPARED.map(String::from).into(),
    };
    Ok(Settings {
        checkpoint: config.checkpoint.clone(),
        non_finite: config.train.non_finite.clone(),
        summary: config.summary.clone(),
        show,
        about,
        until_step: args.until_step,
        command: format!("app train --run {folder}"),
        replay: Some("app train --replay".into()),
    })
}

/// Writes into the folder what the run is trained with.
fn keep(session: &mut Session, run: &Run, config: &Config, network: &Network, pictures: &Pictures) -> Result<()> {
    session.lock().check()?;
    // The lock is held, so nobody else writes here.
    files::clean(&run.folder, Duration::ZERO);
    let environment = environment::environment(network);
    run.keep(config)?;
    environment::keep(&environment, &run.folder)?;
    pictures.opening(session, &environment)?;
    environment::warn_of_openmp(network.device);
    Ok(())
}

/// Refuses a `checkpoint.best` that is no validation score.
fn check_best(config: &Config) -> Result<()> {
    let (best, mode) = (&config.checkpoint.best, config.checkpoint.mode);
    let scores = Segmentation::new(config.data.classes(), tch::Device::Cpu)?.compute().map_err(Error::from_boxed)?;
    // Where every pixel counts, their number is the same each time.
    let names: Vec<&str> = scores.iter().map(|(name, _)| name.as_str()).filter(|name| *name != "pixels").collect();
    if names.contains(&best.as_str()) {
        if best == "loss" && mode == Mode::Max {
            log::warn!(
                "checkpoint.best is loss and checkpoint.mode is max: the worst network is kept. Say min if that is not meant"
            );
        }
        return Ok(());
    }
    let meant =
        config::nearest(best, names.iter().copied()).map_or(String::new(), |name| format!("; did you mean {name}?"));
    Err(usage(format!("checkpoint.best: there is no validation score \"{best}\", only {}{meant}", names.join(", "))))
}

#[cfg(test)]
mod tests;
