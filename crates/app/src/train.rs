//! `app train`: the six things, and in one visible order what becomes of the events: guard, log, validate, write down,
//! save.

use crate::cli;
use crate::guard::Guard;
use crate::parts::Parts;
use crate::report;
use crate::snapshot;
use crate::start::{Start, start};
use crate::watch::Watch;
use anyhow::Result;
use contract::{Event, Progress, Scores};
use executors::{Trainer, Validator};
use std::time::Instant;
use summary::{Stage, Summary};

/// `app train`
pub fn run(args: &cli::Train) -> Result<()> {
    let Start { run, config, checkpoint } = start(args)?;
    let epochs = config.train.epochs;
    let mut from = Progress::default();
    if let Some((path, snapshot)) = &checkpoint {
        from = snapshot.progress;
        if from.epoch >= epochs {
            let (folder, more) = (run.folder.display(), from.epoch + 10);
            log::info!("{folder} is finished: {} epochs. To train longer: --set train.epochs={more}", from.epoch);
            return Ok(());
        }
        log::info!("Continuing from {} ({} of {epochs} epochs done)", path.display(), from.epoch);
    }

    let mut parts = Parts::build(&config)?;
    if let Some((_, snapshot)) = &checkpoint {
        snapshot::restore(snapshot, &mut parts.network, &mut parts.optimizer, &mut parts.metric)?;
    }
    drop(checkpoint);
    let store = run.store(&config.checkpoint);
    let mut summary = match run.exists() {
        // What was written down after the checkpoint will come again.
        true => Summary::resume(&run.folder, &config.summary, from.step)?,
        false => Summary::open(&run.folder, &config.summary)?,
    };
    run.keep(&config)?;

    let Parts { network, input, validation_input, loss_fn, optimizer, metric, validation_metric } = &mut parts;
    let (samples, validation_samples) = (input.samples(), validation_input.samples());
    let about = snapshot::about(&config, &network.classes, [samples, validation_samples])?;
    let seen = from.batch * config.data.loader().batch_size;
    log::info!("Training on {samples} samples, validating on {validation_samples}, into {}", run.folder.display());
    let start_epoch = |epoch: u64, seen: u64| {
        log::debug!("Start epoch {}", epoch + 1);
        Watch::new(&format!("Epoch {}/{epochs}", epoch + 1), seen, samples)
    };

    let mut guard = Guard::new(network.device);
    let mut watch = start_epoch(from.epoch, seen);
    let mut learning_rate = optimizer.learning_rate();
    let mut validation = Scores::new();
    let mut trainer = Trainer::new(network.model.as_ref(), input, loss_fn, optimizer, metric, epochs);
    let mut training = trainer.train(from);
    while let Some(event) = training.next() {
        match event? {
            Event::Step { progress, loss, update, names } => {
                let count = names.len();
                learning_rate = update.as_ref().map_or(learning_rate, |update| update.learning_rate);
                let loss = guard.step(progress, names, loss, update)?;
                watch.step(count, loss);
                if let Some(loss) = loss {
                    log::debug!("Loss at step {}: {loss:.4}", progress.step);
                    let scalars = [("loss", loss), ("learning_rate", learning_rate)];
                    summary.step(progress.epoch, progress.step, &scalars)?;
                }
            }
            Event::Epoch { progress, scores, update } => {
                guard.epoch(update)?;
                let (epoch, rate) = (progress.epoch, watch.rate());
                watch.finish();
                log::debug!("Training acc over epoch: {:.4}", report::score(&scores, "accuracy"));

                let since = Instant::now();
                let mut bar = Watch::new("Validation", 0, validation_samples);
                let model = network.model.as_ref();
                let mut validator = Validator::new(model, validation_input, loss_fn, validation_metric);
                validation = validator.test(|samples| bar.step(samples, None))?;
                drop(bar);
                log::debug!("Validated in {:.1} s", since.elapsed().as_secs_f64());

                for (stage, scores) in [(Stage::Train, &scores), (Stage::Validation, &validation)] {
                    let mut scalars = scores.clone();
                    scalars.push(("learning_rate".into(), learning_rate));
                    summary.epoch(stage, epoch, progress.step, &scalars)?;
                }
                let mut saved = String::new();
                if epoch % config.checkpoint.every_epochs == 0 || epoch == epochs {
                    let path = store.save(&snapshot::take(&training, network, &validation, &about)?)?;
                    saved = format!(" | Saved checkpoint: {}", path.display());
                }
                log::info!(
                    "Epoch {epoch}/{epochs} | Training acc over epoch: {:.4}, loss {:.4} | validation: {} | \
                     {rate:.0} images/s{saved}",
                    report::score(&scores, "accuracy"),
                    report::score(&scores, "loss"),
                    report::brief(&validation),
                );
                if epoch < epochs {
                    watch = start_epoch(epoch, 0);
                }
            }
        }
    }
    report::print(&report::table(&validation, &network.classes))
}
