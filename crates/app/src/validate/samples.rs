//! Scores of the validation samples as training sees them.

use crate::common::closer::Closer;
use crate::common::images::{Image, Images};
use crate::common::inputs::input_of_validation;
use crate::common::network::{Network, Trained};
use crate::common::output;
use anyhow::{Context, Result};
use contract::{Plain, Scores};
use executors::Validator;
use metric::Boundaries;
use std::ops::ControlFlow;
use terminal::{Step, Watch};

/// Result of a validation.
pub struct Measured {
    pub scores: Scores,
    /// Images in the order of the data.
    pub images: Vec<Image>,
    pub samples: u64,
    /// Description of the pixels that are scored.
    pub scored_on: String,
}

/// Scores samples as training sees them, with `boundaries` if these are wanted.
pub fn measure(trained: &Trained, boundaries: Option<Boundaries>) -> Result<Measured> {
    let Network { model, device, .. } = &trained.network;
    let input = input_of_validation(&trained.config, *device)?;
    let loss_fn = trained.config.loss.build(*device)?;
    let (mut scores, mut images) = (trained.network.metric()?, Images::new(boundaries));
    let mut metric = Closer { scores: &mut scores, look: None, images: Some(&mut images) };

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
    Ok(Measured {
        scores,
        images: images.read()?,
        samples: input.samples(),
        scored_on: trained.config.data.scored_on(),
    })
}
