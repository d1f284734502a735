//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save, stop.

use crate::cli;
use crate::closer::{Best, Closer};
use crate::complete::complete;
use crate::config::{self, Config, Policy};
use crate::environment;
use crate::files::shown;
use crate::guard::Guard;
use crate::identity;
use crate::journal::Journal;
use crate::longer;
use crate::neighbours::Neighbours;
use crate::notes::Notes;
use crate::parts::Parts;
use crate::recovery::Recovery;
use crate::replay;
use crate::report;
use crate::rescue;
use crate::saver::Saver;
use crate::screen::{Screen, Validation};
use crate::signals::{RESUMABLE, Signals};
use crate::snapshot;
use crate::start::{Start, start};
use crate::times::{Phase, Timed, Times};
use crate::usage::usage;
use anyhow::{Error, Result};
use checkpoint::Mode;
use contract::{Event, Input, Metric, Plain, Progress, Scores};
use executors::{Trainer, Validator};
use metric::Segmentation;
use optim::Average;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;
use summary::Summary;

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
        let mut parts = Parts::build(&start.config, start.checkpoint.as_ref())?;
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

/// Trains to the end, or until it is asked to stop: then the status says that it can be resumed. After an error what
/// was learnt before it is saved, where that is sound.
pub fn train(start: &mut Start, parts: &mut Parts, signals: &Signals, args: &cli::Train) -> Result<Ended> {
    let about = identity::about(&start.config, &parts.fingerprints, &parts.network)?;
    let mut recovery = Recovery::new(&start.config.train.non_finite, start.run.rejected(), about.clone());
    let (from, epochs) = (start.progress(), start.config.train.epochs);
    if let Some((path, snapshot)) = start.checkpoint.take() {
        start.changes.extend(identity::compare_about(&path, &snapshot, &about, &args.allow)?);
        start.changes.iter().for_each(|(why, change)| log::info!("{why}: {change}"));
        snapshot::restore(&snapshot, parts, &mut recovery)?;
        log::info!("Continuing from {} ({} of {epochs} epochs done)", path.display(), from.epoch);
        let before = identity::config(&snapshot, &path.display().to_string())?;
        longer::tell(&before, &start.config, from, parts.input.len());
    }
    let lock = start.enter(from)?;
    let Start { run, config, .. } = &*start;
    let still = Arc::clone(&lock);
    let allowed = move || -> Result<(), contract::BoxError> { Ok(still.check()?) };
    let permit = checkpoint::Permit::new(allowed.clone());
    recovery.permitted(&permit);
    let store = run.store(&config.checkpoint).permitted(&permit);
    let mut saver = Saver::new(store, &config.checkpoint, about, from);

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
    let (model, batches) = (&Plain(network.model.as_ref()), input.len());
    let mut trainer = Trainer::new(model, &input, loss_fn, optimizer, metric, epochs).protect(&network.store);
    let mut training = trainer.train(from);
    saver.prepare(snapshot::take(network, &training, average.as_ref(), &recovery)?, epochs, batches)?;
    let has_begun = run.has_begun();
    let mut summary = Summary::permitted(&run.folder, &config.summary, &summary::Permit::new(allowed))?;
    if has_begun {
        // What was written down after the checkpoint will come again.
        summary.restart(from.epoch, from.step)?;
    }
    let (mut notes, environment) = (Notes::new(summary, config), environment::environment(network));
    lock.check()?;
    run.keep(config)?;
    environment::keep(&environment, &run.folder)?;
    notes.opening(config, &environment)?;

    environment::warn_of_openmp(network.device);
    log::info!("Training on {} samples, validating on {}, into {}", samples[0], samples[1], run.folder.display());
    let mut guard = Guard::new(network.device);
    let (mut validation, mut best) = (Scores::new(), None);
    if from.step == 0 && config.train.non_finite.policy == Policy::Rollback {
        // Something to go back to from the first step on.
        saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, from, &validation)?;
    }
    let columns = validation_metric.columns().map_err(Error::from_boxed)?;
    let screen = Screen::open(args.tui, run, config, from, samples, columns)?;
    let mut journal = Journal { notes, screen, times: Times::start(), neighbours: Neighbours::watch() };
    let mut has_validated = false;
    // Where a checkpoint of the present state continues; nowhere while that is being changed.
    let mut sound = Some(from);
    signals.begin();
    let trained = (|| -> Result<ExitCode> {
        loop {
            lock.check()?;
            let next = training.progress();
            if next.batch + 1 >= batches && journal.notes.histograms_due(next.epoch + 1) {
                // The next update is the last of its epoch: that of the last batch, or, of batches that are left over,
                // that at the end.
                gradients.ask();
            }
            let Some(event) = training.next() else { break };
            let now = training.progress();
            if let Err(error) = &event {
                let in_update = matches!(error, executors::Error::Optimizer { .. });
                let unchanged = !in_update || training.trainer.optimizer.is_unchanged();
                sound = sound.filter(|_| unchanged);
            }
            let event = event?;
            sound = None;
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
                    sound = seen.troubles.is_empty().then_some(now);
                    journal.times.lap_of_step(&input);
                    journal.step(now, count, &seen, learning_rate)?;
                    recovery.recover(
                        &seen.troubles,
                        &input,
                        network,
                        training.trainer.optimizer,
                        average,
                        &mut saver,
                    )?;
                    sound = Some(now);
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
                    // Whatever fails from here on, the end of the epoch comes once more when the run is resumed.
                    let all_batches = Progress { epoch: now.epoch - 1, batch: batches, ..now };
                    sound = Some(all_batches);
                    journal.times.lap_of_step(&input);
                    log::debug!("Training acc over epoch: {:.4}", report::score(&scores, "accuracy"));
                    if !has_validated {
                        // The first validation is where a process is killed for the memory it takes.
                        has_validated = true;
                        journal.notes.flush()?;
                        let states = snapshot::take(network, &training, average.as_ref(), &recovery)?;
                        saver.save(states, all_batches, &Scores::new())?;
                        saver.wait()?;
                        journal.times.lap(Phase::Checkpoint);
                    }

                    let pace = journal.screen.pace();
                    let mut look = journal.notes.look(network)?;
                    let mut metric = Closer { scores: validation_metric, look: look.as_mut() };
                    let validator = Validator::new(model, validation_input, loss_fn, &mut metric).after(now.epoch);
                    let watch = journal.screen.validation();
                    let measured = averaged(average.as_mut(), || validate(validator, watch, signals))?;
                    journal.times.lap(Phase::Validation);
                    if let (Some(measured), Some(look)) = (&measured, look) {
                        journal.notes.validated(now, validation_input, config, &look)?;
                        let score = report::score(measured, &config.checkpoint.best);
                        let seen = (validation_metric.confusion()?, look);
                        best = Best::of(best.take(), config.checkpoint.mode, score, now, seen);
                    }
                    journal.times.lap(Phase::Logging);
                    match measured {
                        Some(measured) => validation = measured,
                        // Broken off by a signal.
                        None => at = all_batches,
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
                sound = None;
                saver.save(snapshot::take(network, &training, average.as_ref(), &recovery)?, at, &validation)?;
            }
            saver.poll()?;
            journal.times.lap(Phase::Checkpoint);
            if stop && at.epoch < epochs {
                saver.finish()?;
                journal.notes.finish()?;
                drop(journal);
                lock.check()?;
                // Whoever goes on with the run reads it.
                run.keep_if_missing(config)?;
                log::info!("Stopped at step {}. To go on: app train --run {}", now.step, shown(&run.folder));
                return Ok(ExitCode::from(RESUMABLE));
            }
            sound = Some(at);
        }
        sound = None;
        saver.finish()?;
        journal.notes.outcome(training.progress(), &validation)?;
        journal.notes.finish()?;
        drop(journal);
        Ok(ExitCode::SUCCESS)
    })();
    match trained {
        Ok(status) => {
            let table = (status == ExitCode::SUCCESS).then(|| report::table(&validation, &network.classes));
            if table.is_some() {
                skipped.iter().for_each(|skipped| report::all_skipped(&skipped.all()));
            }
            Ok(Ended { status, table, best })
        }
        Err(error) => {
            let now = training.progress();
            if let Err(gone) = lock.check() {
                return Err(rescue::gone(&gone, now, saver.settle()));
            }
            // Before the first step nothing was learnt, and whoever mends the configuration starts anew.
            let saved = sound.filter(|at| at.step > 0).map(|at| -> Result<Progress> {
                // No checkpoint before the guard has seen the steps that go into it.
                let troubles = guard.epoch(None)?.troubles;
                recovery.recover(&troubles, &input, network, training.trainer.optimizer, average, &mut saver)?;
                let states = snapshot::take(network, &training, average.as_ref(), &recovery)?;
                saver.save_before_error(states, at, &validation)?;
                Ok(at)
            });
            match saved.transpose() {
                Ok(_) if now.step == 0 => {}
                Ok(saved) => rescue::tell(run, &error, saved, saver.settle()),
                Err(unsaved) => log::error!("What was learnt could not be saved: {}", crate::in_words(&unsaved)),
            }
            Err(error)
        }
    }
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
