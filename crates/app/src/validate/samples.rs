//! Scores of the validation samples as training sees them.

use crate::common::inputs::input_of_validation;
use crate::common::network::{Network, Trained};
use crate::common::output;
use anyhow::{Context, Result};
use contract::{Plain, Scores};
use executors::Validator;
use std::ops::ControlFlow;
use terminal::{Step, Watch};

/// Result of a validation.
pub struct Measured {
    pub scores: Scores,
    pub samples: u64,
    /// Description of the pixels that are scored.
    pub scored_on: String,
}

/// Scores samples as training sees them.
pub fn measure(trained: &Trained) -> Result<Measured> {
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
    log::info!("{} samples{}", input.samples(), output::at_rate(watch.rate(), 0));
    drop(watch);
    output::all_skipped(&input.skipped().all());
    Ok(Measured { scores, samples: input.samples(), scored_on: trained.config.data.scored_on() })
}
