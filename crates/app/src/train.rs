//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save, stop.

use crate::cli;
use crate::config::Policy;
use crate::export;
use crate::guard::Guard;
use crate::identity;
use crate::notes::Notes;
use crate::parts::Parts;
use crate::recovery::Recovery;
use crate::replay;
use crate::report;
use crate::saver::Saver;
use crate::signals::{RESUMABLE, Signals};
use crate::snapshot;
use crate::start::{Start, start};
use crate::watch::Watch;
use anyhow::Result;
use contract::{Event, Progress, Scores};
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
    let parts = Parts::build(&start.config, start.checkpoint.is_some())?;
    let (run, at_end) = (start.run.clone(), start.config.export.at_end);
    let status = train(start, parts, &signals, args)?;
    if status == ExitCode::SUCCESS && at_end {
        export::finished(&run)?;
    }
    Ok(status)
}

/// Trains to the end, or until it is asked to stop: then the status says that it can be resumed.
pub fn train(mut start: Start, mut parts: Parts, signals: &Signals, args: &cli::Train) -> Result<ExitCode> {
    let about = identity::about(&start.config, &parts.fingerprints)?;
    let mut recovery = Recovery::new(&start.config.train.non_finite, start.run.rejected(), about.clone());
    let (from, epochs) = (start.progress(), start.config.train.epochs);
    if let Some((path, snapshot)) = start.checkpoint.take() {
        identity::compare_about(&path, &snapshot, &about, &args.allow)?;
        snapshot::restore(&snapshot, &mut parts, &mut recovery)?;
        log::info!("Continuing from {} ({} of {epochs} epochs done)", path.display(), from.epoch);
    }
    let _lock = start.enter(from)?;
    let Start { run, config, .. } = start;
    let mut saver = Saver::new(run.store(&config.checkpoint), &config.checkpoint, about, from);

    let [samples, validation_samples] = parts.fingerprints.each_ref().map(|data| data.samples);
    let Parts {
        network, input, validation_input, loss_fn, optimizer, metric, average, validation_metric, skipped, ..
    } = &mut parts;
    let (model, input, batches) = (network.model.as_ref(), input.as_ref(), input.len());
    let mut trainer = Trainer::new(model, input, loss_fn, optimizer, metric, epochs);
    let mut training = trainer.train(from);
    saver.prepare(snapshot::take(network, &training, average.as_ref(), &recovery)?, epochs, batches)?;
    let summary = match run.exists() {
        // What was written down after the checkpoint will come again.
        true => Summary::resume(&run.folder, &config.summary, from.epoch, from.step)?,
        false => Summary::open(&run.folder, &config.summary)?,
    };
    let mut notes = Notes::new(summary, config.checkpoint.on_error);
    run.keep(&config)?;

    log::info!("Training on {samples} samples, validating on {validation_samples}, into {}", run.folder.display());
    let start_epoch = |at: Progress| {
        log::debug!("Start epoch {}", at.epoch + 1);
        Watch::new(&format!("Epoch {}/{epochs}", at.epoch + 1), at.batch * config.data.loader().batch_size, samples)
    };
    let mut guard = Guard::new(network.device);
    let mut watch = start_epoch(from);
    let mut validation = Scores::new();
    if from.step == 0 && config.train.non_finite.policy == Policy::Rollback {
        // Something to go back to from the first step on.
        saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, from, &validation)?;
    }
    signals.begin();
    while let Some(event) = training.next() {
        let now = training.progress();
        if let Err(executors::Error::Input { .. }) = &event {
            // Nothing was trained on what could not be read, so nothing that was learnt before need be lost.
            saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, now, &validation)?;
            saver.finish()?;
        }
        let event = event?;
        // Where a checkpoint of this moment continues.
        let mut at = now;
        let mut stop = signals.stop() || args.until_step.is_some_and(|step| now.step >= step);
        let mut save = stop || signals.take_save();
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
                watch.step(count, seen.loss);
                if let Some(loss) = seen.loss {
                    log::debug!("Loss at step {}: {loss:.4}", now.step);
                    notes.step(now, loss, training.trainer.optimizer.learning_rate())?;
                }
                recovery.recover(&seen.troubles, input, network, training.trainer.optimizer, average, &mut saver)?;
            }
            Event::Epoch { scores, update, .. } => {
                if let (Some(average), Some(_)) = (average.as_mut(), &update) {
                    average.update()?;
                }
                let troubles = guard.epoch(update)?.troubles;
                recovery.recover(&troubles, input, network, training.trainer.optimizer, average, &mut saver)?;
                let (epoch, rate) = (now.epoch, watch.rate());
                watch.finish();
                log::debug!("Training acc over epoch: {:.4}", report::score(&scores, "accuracy"));

                let validator = Validator::new(model, validation_input, loss_fn, validation_metric);
                match validate(validator, average.as_mut(), validation_samples, signals)? {
                    Some(measured) => validation = measured,
                    // Broken off by a signal. The epoch ends once more when the run is resumed.
                    None => at = Progress { epoch: epoch - 1, batch: batches, ..now },
                }
                stop |= signals.stop();
                skipped.iter().for_each(|skipped| report::skipped(&skipped.fresh()));
                if at == now {
                    notes.epoch(now, training.trainer.optimizer.learning_rate(), [&scores, &validation])?;
                    log::info!(
                        "Epoch {epoch}/{epochs} | Training acc over epoch: {:.4}, loss {:.4} | validation: {} | \
                         {rate:.0} images/s",
                        report::score(&scores, "accuracy"),
                        report::score(&scores, "loss"),
                        report::brief(&validation),
                    );
                    if epoch < epochs {
                        watch = start_epoch(now);
                    }
                }
                save |= stop || saver.due_at_end(now, epochs);
            }
        }
        if save {
            notes.flush()?;
            saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, at, &validation)?;
        }
        saver.poll()?;
        if stop && at.epoch < epochs {
            drop(watch);
            saver.finish()?;
            notes.finish()?;
            log::info!("Stopped at step {}. To go on: app train --run {}", now.step, run.folder.display());
            return Ok(ExitCode::from(RESUMABLE));
        }
    }
    saver.finish()?;
    notes.finish()?;
    skipped.iter().for_each(|skipped| report::all_skipped(&skipped.all()));
    report::print(&report::table(&validation, &network.classes))?;
    Ok(ExitCode::SUCCESS)
}

/// The scores on the validation data, with the averaged weights where there are such; `None` if a signal came.
fn validate(
    mut validator: Validator,
    average: Option<&mut Average>,
    samples: u64,
    signals: &Signals,
) -> Result<Option<Scores>> {
    let since = Instant::now();
    let mut watch = Watch::new("Validation", 0, samples);
    let mut test = || {
        validator.test(|samples| {
            watch.step(samples, None);
            if signals.stop() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
    };
    let scores = match average {
        None => test()?,
        Some(average) => {
            average.swap()?;
            let scores = test();
            average.swap()?;
            scores?
        }
    };
    log::debug!("Validated in {:.1} s", since.elapsed().as_secs_f64());
    Ok(scores)
}

#[cfg(test)]
mod tests;
