//! `app predict`: writes class maps of images, at the images' own size.

mod cleaned;
mod earlier;
mod find;
mod image;
mod made;
mod mean;
mod networks;
mod outputs;
mod part;
mod predicted;
mod progress;
mod reader;
mod rows;
mod shrunk;
mod source;
mod tiles;
mod turns;
mod whole;
mod writer;

use crate::cli;
use crate::common::beside::{LEGEND, is_due};
use crate::common::files::{self, Replace, publish};
use crate::common::network::Trained;
use crate::common::networks::networks;
use crate::common::output;
use crate::common::postprocessing::Postprocessing;
use crate::common::targets::{Inputs, Targets};
use crate::common::usage::usage;
use anyhow::{Context, Result};
use data::{Layout, Noted, Orientation, Remark};
use find::{complain, find};
use made::Made;
use outputs::Plan;
use part::Parts;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use writer::Destination;

pub use cleaned::Cleaned;
pub use find::{Picture, Pictures};
pub use image::Begun;
pub use networks::{Wanted, each};
pub use predicted::Rows;
pub use progress::Progress;
pub use writer::{Numbered, Work, beside, shared, threads};

/// `app predict`
pub fn run(args: &cli::Predict) -> Result<()> {
    args.how.check()?;
    let networks = networks(&args.networks, &[])?;
    let data = &networks.first().context("no network is named")?.config.data.clone();
    let found = find(&args.paths, data)?;
    found.tell_broken(args.json)?;
    let images = found.pictures.len() + found.broken.len();
    if found.pictures.is_empty() {
        return complain(&found.broken, images);
    }
    let postprocessing = Postprocessing::wanted(args.postprocess.as_ref(), &networks, &args.how)?;
    let pictures = &found.pictures;
    let replace = Replace::with(args.overwrite);
    let mut also = args.also.clone();
    also.sort_unstable();
    also.dedup();
    let (orientation, layout) = (data.orientation(), data.layout().shown());
    let plan = Plan { also, names: data.classes(), colors: data.colors(), orientation, layout, replace };
    let legend = format!("{:#}\n", json!(saved::classes(data)));
    let legend_is_due = check(pictures, &plan, &args.output, &legend)?;
    fs::create_dir_all(&args.output).with_context(|| format!("making {}", args.output.display()))?;
    if legend_is_due {
        publish(&args.output.join(LEGEND), legend.as_bytes())?;
    }

    output::noted(&noted(pictures, &data.layout()));
    shrunk::warn(&networks, &args.how, pictures);
    let classes = data.classes();
    let json = args.json.then_some(&*classes);
    let cleaning = postprocessing.as_ref().and_then(Postprocessing::cleaning);
    let weights = postprocessing.as_ref().and_then(Postprocessing::weights);
    let (weights, probabilities) = (weights.as_deref(), plan.has_probabilities());
    let parts = parts(&networks, args, pictures, weights, probabilities)?;
    let cleaning = cleaning.as_ref();
    let to = Destination { plan: &plan, folder: &args.output, pictures, json, cleaning, parts: &parts };
    let wanted = Wanted { pictures, how: &args.how, weights, probabilities, begun: parts.begun() };
    let mut progress = Progress::new("Prediction", pictures, parts.begun());
    let told = |told| progress.add(told);
    let (broken, ()) = beside(|work| writer::write(work, &to), |writer| each(networks, &wanted, writer, told))?;
    let (count, rate) = (pictures.len() - broken.len(), progress.rate());
    drop(progress);
    if count > 0 {
        let noun = if count == 1 { "image" } else { "images" };
        log::info!("{count} {noun}{}{}", output::at_rate(rate, 1), found.passed_over());
        let ids: Vec<String> = classes.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
        log::info!("Wrote class maps (grey values: {}) to {}", ids.join(", "), args.output.display());
    }
    complain(&[found.broken, broken].concat(), images)
}

/// Finds what an interrupted prediction has kept of large images.
fn parts(
    networks: &[Trained],
    args: &cli::Predict,
    pictures: &Pictures,
    weights: Option<&[f32]>,
    probabilities: bool,
) -> Result<Parts> {
    if !pictures.values().any(|picture| image::is_large(picture.size)) {
        return Ok(Parts::default());
    }
    let Some(tiling) = networks::tiling_of(networks, &args.how) else { return Ok(Parts::default()) };
    Parts::look(Made::by(networks, tiling, &args.how, weights, probabilities)?, pictures, &args.output)
}

/// Checks that every output file may be written, before the first one is. Returns whether the legend is one of them.
fn check(pictures: &Pictures, plan: &Plan, output: &Path, legend: &str) -> Result<bool> {
    let mut inputs = Inputs::default();
    pictures.values().for_each(|picture| inputs.add(&picture.file));
    let mut targets = Targets::new(inputs, plan.replace);
    let mut folders = BTreeSet::new();
    for picture in pictures.values() {
        for path in plan.paths(&output.join(&picture.base)) {
            targets.add(&path, &picture.file)?;
            folders.insert(files::folder(&path).to_path_buf());
        }
    }
    targets.check()?;
    let path = output.join(LEGEND);
    let is_due = is_due(&path, legend, plan.replace).ok_or_else(|| {
        usage(format!(
            "{} says something else than the classes of this network: name another --output, or add --overwrite to \
             replace it",
            path.display()
        ))
    })?;
    folders.iter().for_each(|folder| files::clean(folder, files::LEFT_OVER));
    Ok(is_due)
}

/// Collects remarks about the images, each to be shown once. Applying their orientation is expected, so it gets none.
fn noted(pictures: &Pictures, layout: &Layout) -> Noted {
    let mut noted = Noted::default();
    for (number, picture) in (0..).zip(pictures.values()) {
        let mut remarks = data::remarks(&picture.file, Orientation::Ignore);
        // A layout of more than bytes of colours says itself which bits and bands are used.
        remarks.retain(|remark| layout.is_plain() || !matches!(remark, Remark::Wide | Remark::Bands));
        for remark in remarks {
            noted.add(remark, number, picture.file.clone());
        }
    }
    noted
}
