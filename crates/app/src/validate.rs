//! `app validate`: measures a trained network on the validation data that it was trained with.

mod full;

use crate::cli;
use crate::parts::{Network, input_of_validation};
use crate::report;
use crate::trained::{Trained, used};
use crate::usage::usage;
use anyhow::{Context, Result};
use contract::{Plain, Scores};
use executors::Validator;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use terminal::{Step, Watch};

/// Result of a validation.
struct Measured {
    scores: Scores,
    samples: u64,
    /// Description of the pixels that are scored.
    scored_on: String,
}

/// `app validate`
pub fn run(args: &cli::Validate) -> Result<()> {
    args.how.check()?;
    if !args.full && (args.how.tile.is_some() || args.how.mirror != cli::Mirror::None) {
        return Err(usage("--tile and --mirror say how whole images are predicted: add --full"));
    }
    let trained = used(&args.used, &args.set)?;
    let (classes, legend) = (trained.network.classes.clone(), report::classes(&trained.config.data));
    let (checkpoint, epoch) = (trained.checkpoint.display().to_string(), trained.progress.epoch);
    let measured = if args.full { full::measure(trained, &args.how)? } else { measure(trained)? };
    let Measured { scores, samples, scored_on } = measured;
    if !args.json {
        return report::print(&format!("{}\n\nscored on {scored_on}", report::table(&scores, &classes)));
    }
    let mut object = report::object(&scores);
    object.insert("classes".into(), legend);
    object.insert("samples".into(), json!(samples));
    object.insert("scored_on".into(), json!(scored_on));
    object.insert("checkpoint".into(), json!(checkpoint));
    object.insert("epoch".into(), json!(epoch));
    report::print(&Value::Object(object).to_string())
}

/// Scores samples as training sees them.
fn measure(trained: Trained) -> Result<Measured> {
    let Network { model, device, .. } = &trained.network;
    let input = input_of_validation(&trained.config, *device)?;
    let loss_fn = trained.config.loss.build(*device)?;
    let mut metric = trained.network.metric()?;

    let mut watch = Watch::new("Validation", 0, input.samples());
    let model = Plain(model.as_ref());
    let mut validator = Validator::new(&model, &input, &loss_fn, &mut metric);
    let scores = validator.test(|samples| {
        watch.step(&Step { samples, ..Step::default() });
        ControlFlow::Continue(())
    })?;
    let scores = scores.context("the validation was interrupted")?;
    log::info!("{} samples{}", input.samples(), report::at_rate(watch.rate(), 0));
    drop(watch);
    report::all_skipped(&input.skipped().all());
    Ok(Measured { scores, samples: input.samples(), scored_on: trained.config.data.scored_on() })
}
