//! `app validate`: measures a trained network on the validation data that it was trained with.

mod full;
mod samples;

use crate::cli;
use crate::common::output;
use crate::common::trained::used;
use crate::common::usage::usage;
use anyhow::Result;
use serde_json::{Value, json};

/// `app validate`
pub fn run(args: &cli::Validate) -> Result<()> {
    args.how.check()?;
    if !args.full && (args.how.tile.is_some() || args.how.mirror != cli::Mirror::None) {
        return Err(usage("--tile and --mirror say how whole images are predicted: add --full"));
    }
    let trained = used(&args.used, &args.set)?;
    let (classes, legend) = (trained.network.classes.clone(), json!(saved::classes(&trained.config.data)));
    let (checkpoint, epoch) = (trained.checkpoint.display().to_string(), trained.progress.epoch);
    let measured = if args.full { full::measure(trained, &args.how)? } else { samples::measure(trained)? };
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
