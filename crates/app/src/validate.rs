//! `app validate`: measures a trained network on the validation data that it was trained with.

mod full;
mod masked;
mod samples;
mod table;

use crate::cli::{self, Which};
use crate::common::folds::Folds;
use crate::common::images::{Image, sum};
use crate::common::network::Trained;
use crate::common::networks::networks;
use crate::common::output;
use crate::common::postprocessing::Postprocessing;
use crate::common::trained::load;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use data::Split;
use metric::{Boundaries, BoundaryScores, Interval, Tally, boundary_scores, intervals, scores_of};
use samples::Measured;
use serde_json::{Map, Value, json};
use std::path::Path;

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
    if let Some(folds) = args.networks.used.trained.run.as_deref().map(Folds::of).transpose()?.flatten() {
        return out_of_fold(args, &folds, boundaries);
    }
    let networks = networks(&args.networks, &args.set)?;
    let postprocessing = Postprocessing::wanted(args.postprocess.as_ref(), &networks, &args.how)?;
    let trained = networks.first().context("no network is named")?;
    let applied = match &args.postprocess {
        Some(cli::Postprocess::File(file)) => Some(&**file),
        // Lies in the run of the first network.
        Some(cli::Postprocess::Auto) | None => None,
    };
    check_table(args, trained, &networks, applied)?;
    let (classes, legend) = (trained.network.classes.clone(), json!(saved::classes(&trained.config.data)));
    let (checkpoint, epoch) = (trained.checkpoint.display().to_string(), trained.progress.epoch);
    let measured = if args.full {
        full::measure(networks, &args.how, postprocessing.as_ref(), boundaries)?
    } else {
        samples::measure(trained, boundaries)?
    };
    let about = json!({ "classes": legend, "checkpoint": checkpoint, "epoch": epoch });
    show(args, measured, &classes, boundaries, about)
}

/// Validates each of `folds` on its own part of the samples, and scores all of them together.
fn out_of_fold(args: &cli::Validate, folds: &Folds, boundaries: Option<Boundaries>) -> Result<()> {
    if matches!(args.networks.used.trained.checkpoint, Which::At(_)) || args.postprocess.is_some() {
        return Err(usage("--checkpoint PATH and --postprocess are of one network: name the run of a fold with --run"));
    }
    let (mut all, mut about, mut known) = (Vec::new(), Value::Null, Vec::new());
    for run in &folds.runs {
        let checkpoint = args.networks.used.trained.checkpoint.clone();
        let trained = load(&cli::Trained { run: Some(run.folder.clone()), checkpoint }, &args.set)?;
        let classes = trained.network.classes.clone();
        if all.is_empty() {
            check_table(args, &trained, std::slice::from_ref(&trained), None)?;
            about = json!({ "classes": saved::classes(&trained.config.data), "folds": folds.runs.len() });
            known = classes;
        } else if classes != known {
            let (run, known, classes) = (run.folder.display(), known.join(", "), classes.join(", "));
            return Err(usage(format!("{run} has the classes {classes}, and the folds before it have {known}")));
        }
        all.push(match args.full {
            true => full::measure(vec![trained], &args.how, None, boundaries)?,
            false => samples::measure(&trained, boundaries)?,
        });
    }
    let samples = all.iter().map(|measured| measured.samples).sum();
    let scored_on = all.first().map(|measured| measured.scored_on.clone()).unwrap_or_default();
    let images: Vec<Image> = all.into_iter().flat_map(|measured| measured.images).collect();
    let scores = scores_of(&sum(&images, known.len()), &known);
    show(args, Measured { scores, images, samples, scored_on }, &known, boundaries, about)
}

/// Checks that the table of `--csv` may be written, if there is to be one. It replaces no file of the validation data,
/// of the `networks`, and of the post-processing that is `applied`.
fn check_table(args: &cli::Validate, first: &Trained, networks: &[Trained], applied: Option<&Path>) -> Result<()> {
    let Some(path) = &args.scoring.csv else { return Ok(()) };
    let dataset = first.config.data.open(Split::Validation)?;
    table::check(path, &table::Used { dataset: dataset.as_ref(), networks, applied }, args.scoring.overwrite)
}

/// Writes and prints the result of a validation; `about` says what was measured.
fn show(
    args: &cli::Validate,
    measured: Measured,
    classes: &[String],
    boundaries: Option<Boundaries>,
    about: Value,
) -> Result<()> {
    let Measured { mut scores, images, samples, scored_on } = measured;
    if boundaries.is_some() {
        let of_images: Vec<&[Option<BoundaryScores>]> = images.iter().map(|image| &*image.boundaries).collect();
        scores.extend(boundary_scores(&of_images, classes));
    }
    if let Some(path) = &args.scoring.csv {
        table::write(path, &images, classes, args.scoring.overwrite)?;
        log::info!("Wrote the scores of {} images: {}", images.len(), path.display());
    }
    let tallies: Vec<Vec<Tally>> = images.into_iter().map(|image| image.tallies).collect();
    let intervals = intervals(&tallies, classes);
    if !args.json {
        let table = output::table_with(&scores, classes, &intervals);
        let resampled = match intervals.is_empty() {
            true => String::new(),
            false => format!("\n95 % intervals: bootstrap over {} images", tallies.len()),
        };
        return output::print(&format!("{table}\n\nscored on {scored_on}{resampled}"));
    }
    let mut object = output::object(&scores);
    object.insert("intervals".into(), Value::Object(of_intervals(&intervals)));
    object.insert("samples".into(), json!(samples));
    object.insert("scored_on".into(), json!(scored_on));
    if let Value::Object(about) = about {
        object.extend(about);
    }
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
