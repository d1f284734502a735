//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save, stop.

mod capture;
mod complete;
mod folds;
mod group;
mod launch;
mod parts;
mod pictures;
mod replay;
mod settings;
mod start;

use self::{complete::complete, parts::Parts, pictures::Pictures};
use crate::cli;
use crate::common::closer::{Best, Closer};
use crate::common::{output, snapshot};
use anyhow::Result;
use capture::{capture, captured};
use contract::{Model, Ranks};
use data::Loader;
use distributed::Group;
use executors::{Trainer, Validator};
use model::Trained;
use session::{Outcome, RESUMABLE, Reached, Session, Signals};
use settings::{check_best, keep, settings};
use start::Start;
use std::process::ExitCode;
use std::sync::Arc;

pub use folds::run as folds;
pub use launch::{outlives_no_launcher, run as launch};

/// `app train`, which listens to `signals` since the program began.
pub fn run(args: &cli::Train, signals: &Signals) -> Result<ExitCode> {
    if let Some(rejected) = &args.replay {
        return replay::run(rejected, &args.set);
    }
    let group = match group::join(args) {
        Ok(group) => group,
        Err(error) => return group::ended_by_others(None, error),
    };
    together(args, signals, group.as_ref()).or_else(|error| group::ended_by_others(group.as_ref(), error))
}

/// Trains as one of the ranks of a `group`, or alone.
fn together(args: &cli::Train, signals: &Signals, group: Option<&Arc<Group>>) -> Result<ExitCode> {
    let mut start = group::start(group, args)?;
    let writes = group.is_none_or(|group| group.rank() == 0);
    let (from, epochs) = (start.progress(), start.config.train.epochs);
    if from.epoch >= epochs || start.ended_early()? {
        if !writes {
            return Ok(ExitCode::SUCCESS);
        }
        start.say_finished(&args.allow)?;
        start.opened.forget_requeue()?;
        return complete(&start, None);
    }
    check_best(&start.config)?;
    if start.has_reached() {
        return Ok(ExitCode::from(RESUMABLE));
    }
    // All else of it is gone before the network is read again.
    let ended = Parts::build(&start.config, start.opened.checkpoint(), group)
        .and_then(|parts| train(&mut start, parts, signals, args, group))?;
    let Some(table) = ended.table.filter(|_| writes) else { return Ok(ended.status) };
    // The run is done, and what else belongs to it is made, whether or not anybody can read this.
    output::show(&table);
    ended.doubts.iter().for_each(|doubt| log::warn!("{doubt}"));
    complete(&start, Some((ended.best.as_ref(), &ended.validation_input)))
}

/// Result of a training.
pub struct Ended {
    /// The exit status, which says whether the run can be resumed.
    pub status: ExitCode,
    /// The final scores, where it came to its end.
    pub table: Option<String>,
    /// The look at the best network of this call, if one was requested.
    pub best: Option<Best>,
    /// Validation data.
    pub validation_input: Loader,
    /// Warnings that scores mean little.
    pub doubts: Vec<String>,
}

/// Trains to the end, or until it is asked to stop: then the status says that it can be resumed. The ranks of a `group`
/// do so together.
pub fn train(
    start: &mut Start,
    parts: Parts,
    signals: &Signals,
    args: &cli::Train,
    group: Option<&Arc<Group>>,
) -> Result<Ended> {
    group::check_data(group, &parts.fingerprints)?;
    let settings = settings(start, &parts, args)?;
    let Parts { network, input, validation_input, loss_fn, optimizer, gradients, metric, .. } = parts;
    let (mut validation_metric, skipped, doubts) = (parts.validation_metric, parts.skipped, parts.doubts);
    let epochs = start.config.train.epochs;
    let plain = Trained(network.model.as_ref());
    // Each is its own for a process that trains alone.
    let distributed = group::model(group, &plain, &network.store)?;
    let model = distributed.as_ref().map_or(&plain as &dyn Model, |model| model);
    let loss_fn = group::loss(group, loss_fn);
    let mut capture = capture(&start.config, network.device, group)?;
    let captures = capture.is_some();
    let mut optimizer = group::optimizer(group, optimizer, &network.store, &start.config.distributed, captures);
    let mut metric = group::metric(group, metric);
    let loss_fn = loss_fn.as_ref();
    let trainer = Trainer::new(model, input.as_ref(), loss_fn, optimizer.as_mut(), metric.as_mut(), epochs);
    let mut trainer = captured(trainer.protect(snapshot::MODEL, &network.store), &mut capture, group);
    let ([of_epoch, to_validate], to_train) = (settings.show.samples, parts.fingerprints[0].samples);
    let (mut session, mut training) = match group {
        Some(group) => Session::begin_across(group.as_ref(), &mut start.opened, settings, signals, &mut trainer)?,
        None => Session::begin(&mut start.opened, settings, signals, &mut trainer)?,
    };
    let Start { run, config, .. } = &*start;
    let mut pictures = Pictures::new(config, &network, &validation_input, &gradients);
    keep(&mut session, run, config, &network, &pictures)?;
    let each = if of_epoch == to_train { String::new() } else { format!(" ({of_epoch} an epoch)") };
    log::info!("Training on {to_train} samples{each}, validating on {to_validate}, into {}", run.folder.display());

    let trained = (|| -> Result<Outcome> {
        loop {
            pictures.ask(&session, &training);
            let Some(reached) = session.next(&mut training)? else { break };
            match reached {
                Reached::Epoch { progress, scores, .. } => {
                    log::debug!("Training acc over epoch: {:.4}", output::score(&scores, "accuracy"));
                    let mut look = session
                        .with(&mut training, |session| Ok(group::look(group, pictures.wanted(session)?, &network)?))?;
                    let closer = Closer { scores: &mut validation_metric, look: look.as_mut(), images: None };
                    let mut metric = group::metric(group, closer);
                    let mut validator = Validator::new(model, &validation_input, loss_fn, metric.as_mut());
                    validator = validator.after(progress.epoch);
                    let measured = session.validate(&mut training, |watch| validator.test(watch))?;
                    drop(metric);
                    if measured.is_some() {
                        session.with(&mut training, |session| {
                            let confusion = group::confusion(group, &validation_metric, &network)?;
                            let look = group::looked(group, look)?;
                            Ok(pictures.validated(session, progress, confusion, look)?)
                        })?;
                    }
                    skipped.iter().for_each(|skipped| output::skipped(&skipped.fresh()));
                    if let Some(group) = group {
                        session.with(&mut training, |_| {
                            skipped.iter().try_for_each(|skipped| skipped.gather(group.as_ref()))
                        })?;
                    }
                    session.epoch(&mut training, &scores)?;
                }
                _ if session.is_asked_to_validate() => {
                    let closer = Closer { scores: &mut validation_metric, look: None, images: None };
                    let mut metric = group::metric(group, closer);
                    let mut validator = Validator::new(model, &validation_input, loss_fn, metric.as_mut());
                    session.validate(&mut training, |watch| validator.test(watch))?;
                }
                _ => {}
            }
            if session.settle(&mut training)?.is_break() {
                break;
            }
        }
        Ok(session.finish(&mut training)?)
    })();
    if trained.is_err() && group::will_pass(group) {
        session.requeue();
    }
    let outcome = trained?;
    let (mut status, mut table) = (ExitCode::from(RESUMABLE), None);
    if outcome == Outcome::Finished {
        if session.writes() {
            skipped.iter().for_each(|skipped| output::all_skipped(&skipped.all()));
        }
        (status, table) = (ExitCode::SUCCESS, Some(output::table(session.validation(), &network.classes)));
    } else if session.writes() {
        // Whoever resumes the run reads it.
        run.keep_if_missing(config)?;
    }
    let best = pictures.best.filter(|_| table.is_some());
    Ok(Ended { status, table, best, validation_input, doubts })
}

#[cfg(test)]
mod tests;
