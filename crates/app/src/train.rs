//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save, stop.

use crate::cli;
use crate::closer::{Best, Closer};
use crate::config::Policy;
use crate::environment;
use crate::export;
use crate::guard::Guard;
use crate::identity;
use crate::journal::Journal;
use crate::neighbours::Neighbours;
use crate::notes::Notes;
use crate::page;
use crate::parts::Parts;
use crate::recovery::Recovery;
use crate::replay;
use crate::report;
use crate::saver::Saver;
use crate::screen::{Screen, Validation};
use crate::signals::{RESUMABLE, Signals};
use crate::snapshot;
use crate::start::{Start, start};
use crate::times::{Phase, Timed, Times};
use anyhow::Result;
use contract::{Event, Input, Progress, Scores};
use executors::{Trainer, Validator};
use optim::Average;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Instant;
use summary::Summary;

/// `app train`
pub fn run(args: &cli::Train) -> Result<ExitCode> {
    if let Some(rejected) = &args.replay {
        return replay::run(rejected, &args.set);
    }
    let signals = Signals::listen()?;
    let start = start(args)?;
    let (from, epochs) = (start.progress(), start.config.train.epochs);
    if from.epoch >= epochs {
        let (folder, more) = (start.run.folder.display(), from.epoch + 10);
        log::info!("{folder} is finished: {} epochs. To train longer: --set train.epochs={more}", from.epoch);
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(step) = args.until_step.filter(|step| from.step >= *step) {
        log::info!(
            "{} is at step {} already: --until-step {step} leaves nothing to do",
            start.run.folder.display(),
            from.step
        );
        return Ok(ExitCode::from(RESUMABLE));
    }
    let (run, config) = (start.run.clone(), start.config.clone());
    let (status, best, validation_input) = {
        // All else of it is gone before the network is read again.
        let mut parts = Parts::build(&config, start.checkpoint.as_ref())?;
        let (status, best) = train(start, &mut parts, &signals, args)?;
        (status, best, parts.validation_input)
    };
    if status == ExitCode::SUCCESS && config.summary.report {
        page::finished(&run, &config, &validation_input, best.as_ref())?;
    }
    if status == ExitCode::SUCCESS && config.export.at_end {
        export::finished(&run)?;
    }
    Ok(status)
}

/// Trains to the end, or until it is asked to stop: then the status says that it can be resumed. With the look at the network that
/// scored best of those that this call has seen, where anybody asked for one.
pub fn train(
    mut start: Start,
    parts: &mut Parts,
    signals: &Signals,
    args: &cli::Train,
) -> Result<(ExitCode, Option<Best>)> {
    let about = identity::about(&start.config, &parts.fingerprints, &parts.network)?;
    let mut recovery = Recovery::new(&start.config.train.non_finite, start.run.rejected(), about.clone());
    let (from, epochs) = (start.progress(), start.config.train.epochs);
    if let Some((path, snapshot)) = start.checkpoint.take() {
        identity::compare_about(&path, &snapshot, &about, &args.allow)?;
        snapshot::restore(&snapshot, parts, &mut recovery)?;
        log::info!("Continuing from {} ({} of {epochs} epochs done)", path.display(), from.epoch);
    }
    let _lock = start.enter(from)?;
    let Start { run, config, .. } = start;
    let mut saver = Saver::new(run.store(&config.checkpoint), &config.checkpoint, about, from);

    let samples = parts.fingerprints.each_ref().map(|data| data.samples);
    let Parts {
        network,
        input,
        moving,
        validation_input,
        loss_fn,
        optimizer,
        gradients,
        metric,
        average,
        validation_metric,
        skipped,
        ..
    } = parts;
    let input = Timed::new(input.as_ref(), moving.clone());
    let (model, batches) = (network.model.as_ref(), input.len());
    let mut trainer = Trainer::new(model, &input, loss_fn, optimizer, metric, epochs);
    let mut training = trainer.train(from);
    saver.prepare(snapshot::take(network, &training, average.as_ref(), &recovery)?, epochs, batches)?;
    let summary = match run.exists() {
        // What was written down after the checkpoint will come again.
        true => Summary::resume(&run.folder, &config.summary, from.epoch, from.step)?,
        false => Summary::open(&run.folder, &config.summary)?,
    };
    let (mut notes, environment) = (Notes::new(summary, &config), environment::environment(network));
    run.keep(&config)?;
    environment::keep(&environment, &run.folder)?;
    notes.opening(&config, &environment)?;

    environment::warn_of_openmp(network.device);
    log::info!("Training on {} samples, validating on {}, into {}", samples[0], samples[1], run.folder.display());
    let mut guard = Guard::new(network.device);
    let (mut validation, mut best) = (Scores::new(), None);
    if from.step == 0 && config.train.non_finite.policy == Policy::Rollback {
        // Something to go back to from the first step on.
        saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, from, &validation)?;
    }
    let screen = Screen::open(args.tui, &run, &config, from, samples)?;
    let mut journal = Journal { notes, screen, times: Times::start(), neighbours: Neighbours::watch() };
    signals.begin();
    loop {
        let next = training.progress();
        if next.batch + 1 >= batches && journal.notes.histograms_due(next.epoch + 1) {
            // The next update is the last of its epoch: that of the last batch, or, of batches that are left over, that at the end.
            gradients.ask();
        }
        let Some(event) = training.next() else { break };
        let now = training.progress();
        if let Err(executors::Error::Input { .. }) = &event {
            // Nothing was trained on what could not be read, so nothing that was learnt before need be lost.
            saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, now, &validation)?;
            saver.finish()?;
        }
        let event = event?;
        let learning_rate = training.trainer.optimizer.learning_rate();
        // Where a checkpoint of this moment continues.
        let mut at = now;
        let asked = journal.screen.asked();
        let mut stop = signals.stop() || asked.stop || args.until_step.is_some_and(|step| now.step >= step);
        let mut save = stop || signals.take_save() || asked.save;
        match event {
            Event::Step { loss, update, names, .. } => {
                if let (Some(average), Some(_)) = (average.as_mut(), &update) {
                    average.update()?;
                }
                // The end of an epoch has a checkpoint of its own.
                save |= now.batch < batches && saver.due(now);
                let count = names.len();
                // No checkpoint before the guard has seen the steps that go into it.
                let seen = guard.step(now, names, loss, update, save)?;
                journal.times.lap_of_step(&input);
                journal.step(now, count, &seen, learning_rate)?;
                recovery.recover(&seen.troubles, &input, network, training.trainer.optimizer, average, &mut saver)?;
                if asked.validate && !stop {
                    let mut metric = Closer { scores: validation_metric, look: None };
                    let validator = Validator::new(model, validation_input, loss_fn, &mut metric);
                    let watch = journal.screen.validation();
                    if let Some(scores) = averaged(average.as_mut(), || validate(validator, watch, signals))? {
                        journal.screen.validated(now, &scores);
                    }
                    journal.times.lap(Phase::Validation);
                }
            }
            Event::Epoch { scores, update, .. } => {
                if let (Some(average), Some(_)) = (average.as_mut(), &update) {
                    average.update()?;
                }
                let troubles = guard.epoch(update)?.troubles;
                recovery.recover(&troubles, &input, network, training.trainer.optimizer, average, &mut saver)?;
                journal.times.lap_of_step(&input);
                log::debug!("Training acc over epoch: {:.4}", report::score(&scores, "accuracy"));

                let pace = journal.screen.pace();
                let mut look = journal.notes.look(network)?;
                let mut metric = Closer { scores: validation_metric, look: look.as_mut() };
                let validator = Validator::new(model, validation_input, loss_fn, &mut metric);
                let watch = journal.screen.validation();
                let measured = averaged(average.as_mut(), || validate(validator, watch, signals))?;
                journal.times.lap(Phase::Validation);
                if let (Some(measured), Some(look)) = (&measured, look) {
                    journal.notes.validated(now, validation_input, &config, &look)?;
                    let score = report::score(measured, &config.checkpoint.best);
                    let seen = (validation_metric.confusion()?, look);
                    best = Best::of(best, config.checkpoint.mode, score, now, seen);
                }
                journal.times.lap(Phase::Logging);
                match measured {
                    Some(measured) => validation = measured,
                    // Broken off by a signal. The epoch ends once more when the run is resumed.
                    None => at = Progress { epoch: now.epoch - 1, batch: batches, ..now },
                }
                stop |= signals.stop() || journal.screen.stops_after_epoch();
                skipped.iter().for_each(|skipped| report::skipped(&skipped.fresh()));
                if at == now {
                    journal.notes.histograms(now, network, &gradients.take())?;
                    let norm = guard.take_gradient_norm();
                    journal.epoch(now, pace, learning_rate, norm, [&scores, &validation])?;
                    if now.epoch < epochs {
                        journal.screen.start_epoch(now);
                    }
                }
                save |= stop || saver.due_at_end(now, epochs);
            }
        }
        if save {
            journal.notes.flush()?;
            saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, at, &validation)?;
        }
        saver.poll()?;
        journal.times.lap(Phase::Checkpoint);
        if stop && at.epoch < epochs {
            saver.finish()?;
            journal.notes.finish()?;
            drop(journal);
            log::info!("Stopped at step {}. To go on: app train --run {}", now.step, run.folder.display());
            return Ok((ExitCode::from(RESUMABLE), best));
        }
    }
    saver.finish()?;
    journal.notes.outcome(training.progress(), &validation)?;
    journal.notes.finish()?;
    drop(journal);
    skipped.iter().for_each(|skipped| report::all_skipped(&skipped.all()));
    report::print(&report::table(&validation, &network.classes))?;
    Ok((ExitCode::SUCCESS, best))
}

/// Does `run` with the averaged weights, where there are such.
fn averaged<T>(average: Option<&mut Average>, run: impl FnOnce() -> Result<T>) -> Result<T> {
    let Some(average) = average else { return run() };
    average.swap()?;
    let done = run();
    average.swap()?;
    done
}

/// The scores on the validation data; `None` if a signal came.
fn validate(mut validator: Validator, mut watch: Validation, signals: &Signals) -> Result<Option<Scores>> {
    let since = Instant::now();
    let scores = validator.test(|samples| {
        watch.step(samples);
        if signals.stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    log::debug!("Validated in {:.1} s", since.elapsed().as_secs_f64());
    Ok(scores)
}

#[cfg(test)]
mod tests;
