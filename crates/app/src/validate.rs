//! `app validate`: measures a trained network on the validation data that it was trained with.

mod full;
mod masked;
mod samples;

use crate::cli;
use crate::common::networks::networks;
use crate::common::output;
use crate::common::postprocessing::Postprocessing;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use serde_json::{Value, json};

pub use masked::Masked;

/// `app validate`
pub fn run(args: &cli::Validate) -> Result<()> {
    args.how.check()?;
    if !args.full && !(args.how.is_plain() && args.networks.ensemble.is_empty() && args.postprocess.is_none()) {
        return Err(usage(
            "--tile, --mirror, --scales, --ensemble and --postprocess say how whole images are predicted: add --full",
        ));
    }
    let networks = networks(&args.networks, &args.set)?;
    let postprocessing = Postprocessing::wanted(args.postprocess.as_ref(), &networks, &args.how)?;
    let trained = networks.first().context("no network is named")?;
    let (classes, legend) = (trained.network.classes.clone(), json!(saved::classes(&trained.config.data)));
    let (checkpoint, epoch) = (trained.checkpoint.display().to_string(), trained.progress.epoch);
    let measured = if args.full {
        full::measure(networks, &args.how, postprocessing.as_ref())?
    } else {
        samples::measure(trained)?
    };
    let samples::Measured { scores, samples, scored_on } = measured;
    if !args.json {
        return output::print(&format!("{}\n\nscored on {scored_on}", output::table(&scores, &classes)));
    }
    let mut object = output::object(&scores);
    object.insert("classes".into(), legend);
    object.insert("samples".into(), json!(samples));
    object.insert("scored_on".into(), json!(scored_on));
    object.insert("checkpoint".into(), json!(checkpoint));
    object.insert("epoch".into(), json!(epoch));
    output::print(&Value::Object(object).to_string())
}
