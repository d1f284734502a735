//! `app validate`: measures a trained network on the validation data that it was trained with.

mod full;
mod masked;
mod samples;
mod table;

use crate::cli;
use crate::common::networks::networks;
use crate::common::output;
use crate::common::postprocessing::Postprocessing;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use data::Split;
use metric::{Boundaries, BoundaryScores, Interval, Tally, boundary_scores, intervals};
use serde_json::{Map, Value, json};

pub use masked::Masked;

/// `app validate`
pub fn run(args: &cli::Validate) -> Result<()> {
    args.how.check()?;
    let plain = args.how.is_plain() && args.networks.ensemble.is_empty() && args.postprocess.is_none();
    if !args.full && !plain {
        return Err(usage(
            "--tile, --mirror, --scales, --ensemble and --postprocess say how whole images are predicted: add --full",
        ));
    }
    let boundaries = boundaries(&args.scoring)?;
    let networks = networks(&args.networks, &args.set)?;
    let postprocessing = Postprocessing::wanted(args.postprocess.as_ref(), &networks, &args.how)?;
    let trained = networks.first().context("no network is named")?;
    if let Some(path) = &args.scoring.csv {
        let dataset = trained.config.data.open(Split::Validation)?;
        let applied = match &args.postprocess {
            Some(cli::Postprocess::File(file)) => Some(&**file),
            // Lies in the run of the first network.
            Some(cli::Postprocess::Auto) | None => None,
        };
        let used = table::Used { dataset: dataset.as_ref(), networks: &networks, applied };
        table::check(path, &used, args.scoring.overwrite)?;
    }
    let (classes, legend) = (trained.network.classes.clone(), json!(saved::classes(&trained.config.data)));
    let (checkpoint, epoch) = (trained.checkpoint.display().to_string(), trained.progress.epoch);
    let measured = if args.full {
        full::measure(networks, &args.how, postprocessing.as_ref(), boundaries)?
    } else {
        samples::measure(trained, boundaries)?
    };
    let samples::Measured { mut scores, images, samples, scored_on } = measured;
    if boundaries.is_some() {
        let of_images: Vec<&[Option<BoundaryScores>]> = images.iter().map(|image| &*image.boundaries).collect();
        scores.extend(boundary_scores(&of_images, &classes));
    }
    if let Some(path) = &args.scoring.csv {
        table::write(path, &images, &classes, args.scoring.overwrite)?;
        log::info!("Wrote the scores of {} images: {}", images.len(), path.display());
    }
    let tallies: Vec<Vec<Tally>> = images.into_iter().map(|image| image.tallies).collect();
    let intervals = intervals(&tallies, &classes);
    if !args.json {
        let table = output::table_with(&scores, &classes, &intervals);
        let resampled = match intervals.is_empty() {
            true => String::new(),
            false => format!("\n95 % intervals: bootstrap over {} images", tallies.len()),
        };
        return output::print(&format!("{table}\n\nscored on {scored_on}{resampled}"));
    }
    let mut object = output::object(&scores);
    object.insert("intervals".into(), Value::Object(of_intervals(&intervals)));
    object.insert("classes".into(), legend);
    object.insert("samples".into(), json!(samples));
    object.insert("scored_on".into(), json!(scored_on));
    object.insert("checkpoint".into(), json!(checkpoint));
    object.insert("epoch".into(), json!(epoch));
    if let Some(Boundaries { ratio, tolerance }) = boundaries {
        object.insert("boundaries".into(), json!({ "ratio": ratio, "tolerance": tolerance }));
    }
    output::print(&Value::Object(object).to_string())
}

/// Returns the parameters of the boundary scores, if any are wanted.
fn boundaries(wanted: &cli::Scoring) -> Result<Option<Boundaries>> {
    if wanted.boundary.is_none() && wanted.csv.is_none() {
        return match wanted.tolerance {
            Some(_) => Err(usage("--tolerance is that of surface Dice: add --boundary or --csv")),
            None => Ok(None),
        };
    }
    let default = Boundaries::default();
    let ratio = wanted.boundary.unwrap_or(default.ratio);
    Ok(Some(Boundaries { ratio, tolerance: wanted.tolerance.unwrap_or(default.tolerance) }))
}

/// Returns intervals as `[low, high]`: the totals by name, the others by class.
fn of_intervals(intervals: &[(String, Interval)]) -> Map<String, Value> {
    let mut object = Map::new();
    for (name, Interval { low, high }) in intervals {
        let ends = json!([low, high]);
        match name.split_once('/') {
            None => drop(object.insert(name.clone(), ends)),
            Some((group, class)) => object.entry(group).or_insert_with(|| json!({}))[class] = ends,
        }
    }
    object
}
