//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save, stop.

mod capture;
mod complete;
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
use contract::Plain;
use executors::{Trainer, Validator};
use session::{Outcome, RESUMABLE, Reached, Session, Signals};
use settings::{check_best, keep, settings};
use start::{Start, start};
use std::process::ExitCode;

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
    if start.has_reached(args.until_step) {
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
    output::show(&table);
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
    let mut capture = capture(&start.config.train, network.device);
    let trainer = Trainer::new(model, input.as_ref(), loss_fn, optimizer, metric, epochs);
    let mut trainer = captured(trainer.protect(snapshot::MODEL, &network.store), &mut capture);
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
                log::debug!("Training acc over epoch: {:.4}", output::score(&scores, "accuracy"));
                let mut look = session.with(&mut training, |session| Ok(pictures.look(session)?))?;
                let mut metric = Closer { scores: validation_metric, look: look.as_mut() };
                let mut validator = Validator::new(model, validation_input, loss_fn, &mut metric).after(progress.epoch);
                if session.validate(&mut training, |watch| validator.test(watch))?.is_some() {
                    session.with(&mut training, |session| {
                        let confusion = validation_metric.confusion()?;
                        Ok(pictures.validated(session, progress, confusion, look)?)
                    })?;
                }
                skipped.iter().for_each(|skipped| output::skipped(&skipped.fresh()));
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
    skipped.iter().for_each(|skipped| output::all_skipped(&skipped.all()));
    let table = output::table(session.validation(), &network.classes);
    Ok(Ended { status: ExitCode::SUCCESS, table: Some(table), best: pictures.best })
}

#[cfg(test)]
mod tests;
