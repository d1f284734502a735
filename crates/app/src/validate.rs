//! `app validate`: a trained network measured on the validation data that it was trained with.

use crate::cli;
use crate::parts::{Network, input_of_validation};
use crate::report;
use crate::trained::used;
use anyhow::{Context, Result};
use executors::Validator;
use serde_json::{Value, json};
use std::ops::ControlFlow;
use terminal::{Step, Watch};

/// `app validate`
pub fn run(args: &cli::Validate) -> Result<()> {
    let trained = used(&args.used, &args.set)?;
    let Network { model, device, classes, .. } = &trained.network;
    let input = input_of_validation(&trained.config, *device)?;
    let loss_fn = trained.config.loss.build(*device)?;
    let mut metric = trained.network.metric()?;

    let mut watch = Watch::new("Validation", 0, input.samples());
    let mut validator = Validator::new(model.as_ref(), &input, &loss_fn, &mut metric);
    let scores = validator.test(|samples| {
        watch.step(&Step { samples, ..Step::default() });
        ControlFlow::Continue(())
    })?;
    let scores = scores.context("the validation was broken off")?;
    log::info!("{} samples{}", input.samples(), report::at_rate(watch.rate(), 0));
    drop(watch);
    report::all_skipped(&input.skipped().all());

    if !args.json {
        return report::print(&report::table(&scores, classes));
    }
    let mut object = report::object(&scores);
    object.insert("classes".into(), report::classes(&trained.config.data));
    object.insert("samples".into(), json!(input.samples()));
    object.insert("checkpoint".into(), json!(trained.checkpoint.display().to_string()));
    object.insert("epoch".into(), json!(trained.progress.epoch));
    report::print(&Value::Object(object).to_string())
}
