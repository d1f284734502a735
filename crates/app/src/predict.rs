//! `app predict`: writes class maps of images, at the images' own size.

mod earlier;
mod find;
mod outputs;
mod predicted;
mod reader;
mod tiles;
mod turns;
mod whole;
mod writer;

use crate::cli::{self, How, Mirror};
use crate::common::files::{self, Replace, publish};
use crate::common::network::Network;
use crate::common::output;
use crate::common::targets::{Inputs, Targets};
use crate::common::trained::used;
use crate::common::usage::usage;
use anyhow::{Context, Result};
use data::{Dataset, Images, Noted, Orientation, Passed};
use earlier::LEGEND;
use executors::{Mirrored, Tiling};
use find::{complain, find};
use outputs::Plan;
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::Arc;
use std::thread::available_parallelism;
use tch::Device;
use tch::nn::ModuleT;
use terminal::{Step, Watch};
use tiles::InTiles;
use whole::Whole;

pub use find::{Picture, Pictures};
pub use writer::{MapWriter, Numbered, Work, beside, shared, threads};

/// Maximum number of threads that read images for tiles.
const MOST_READERS: usize = 8;

/// `app predict`
pub fn run(args: &cli::Predict) -> Result<()> {
    args.how.check()?;
    let mut found = find(&args.paths)?;
    found.tell_broken(args.json)?;
    let images = found.pictures.len() + found.broken.len();
    if found.pictures.is_empty() {
        return complain(&found.broken, images);
    }
    let trained = used(&args.used, &[])?;
    let data = &trained.config.data;
    found.see(data.orientation())?;
    let pictures = &found.pictures;
    let replace = Replace::with(args.overwrite);
    let mut also = args.also.clone();
    also.sort_unstable();
    also.dedup();
    let plan = Plan { also, colors: data.colors(), orientation: data.orientation(), replace };
    let legend = format!("{:#}\n", json!(saved::classes(data)));
    let legend_is_due = check(pictures, &plan, &args.output, &legend)?;
    fs::create_dir_all(&args.output).with_context(|| format!("making {}", args.output.display()))?;
    if legend_is_due {
        publish(&args.output.join(LEGEND), legend.as_bytes())?;
    }

    output::noted(&noted(pictures));
    let classes = data.classes();
    let json = args.json.then_some(&*classes);
    let mut watch = Watch::new("Prediction", 0, pictures.len() as u64);
    let told = || watch.step(&Step { samples: 1, ..Step::default() });
    let (broken, ()) = beside(
        |work| writer::write(work, &plan, &args.output, pictures, json),
        |writer| each(trained.network, data, &args.how, plan.has_probabilities(), pictures, writer, told),
    )?;
    let (count, rate) = (pictures.len() - broken.len(), watch.rate());
    drop(watch);
    log::info!("{count} images{}{}", output::at_rate(rate, 1), found.passed_over());
    let ids: Vec<String> = classes.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
    log::info!("Wrote class maps (grey values: {}) to {}", ids.join(", "), args.output.display());
    complain(&[found.broken, broken].concat(), images)
}

/// Predicts `pictures` and hands the results to `writer`. Returns those that cannot be read. Calls `told` after each.
pub fn each(
    network: Network,
    data: &data::Config,
    how: &How,
    with_probabilities: bool,
    pictures: &Pictures,
    writer: &MapWriter,
    told: impl FnMut(),
) -> Result<Vec<Passed>> {
    let Network { model, device, .. } = network;
    let model: Box<dyn ModuleT> = match how.mirror {
        Mirror::None => model,
        mirror => Box::new(Mirrored { model, vertical: mirror == Mirror::Both }),
    };
    let named = pictures.iter().map(|(name, picture)| (name.clone(), picture.file.clone().into())).collect();
    let images = Arc::new(Images::new(named, data.size(), data.channels(), data.orientation(), data.resize()));
    if how.tile.is_none() && images.size() == Some(data.size()) {
        return Whole { model: model.as_ref(), device, data, images, with_probabilities }
            .predict(pictures, writer, told);
    }
    let model = saved::normalized(model, data, device)?;
    let scaled = how.tile.is_none().then_some(&*images);
    let tiling = how.tiling(data.size());
    let at_once = tiling.at_once(device, data.loader().batch_size, data.size());
    let (channels, orientation) = (data.channels(), data.orientation());
    let readers = readers(device);
    let in_tiles =
        InTiles { model: &model, device, channels, orientation, tiling, at_once, scaled, with_probabilities, readers };
    in_tiles.predict(pictures, writer, told)
}

/// Returns the number of threads that read images for tiles. The network needs the cores of a CPU more than they do.
fn readers(device: Device) -> usize {
    let cores = available_parallelism().map_or(1, NonZero::get);
    if device == Device::Cpu { 1 } else { (cores / 4).clamp(1, MOST_READERS) }
}

impl How {
    /// Rejects values that cannot work.
    pub fn check(&self) -> Result<()> {
        self.tiling([1, 1]).check().map_err(|invalid| usage(format!("--{invalid}")))
    }

    /// Returns the tiles that were asked for, or tiles that hold a sample of `size`.
    fn tiling(&self, size: [u32; 2]) -> Tiling {
        let holding = Tiling::holding(size);
        Tiling { tile: self.tile.unwrap_or(holding.tile), overlap: self.overlap }
    }
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
    let is_due = match fs::symlink_metadata(&path) {
        Err(_) => true,
        Ok(about) if about.is_file() && fs::read(&path).is_ok_and(|there| there == legend.as_bytes()) => false,
        Ok(about) if plan.replace == Replace::All && !about.is_dir() => true,
        Ok(_) => {
            return Err(usage(format!(
                "{} says something else than the classes of this network: name another --output, or add --overwrite to \
                 replace it",
                path.display()
            )));
        }
    };
    folders.iter().for_each(|folder| files::clean(folder, files::LEFT_OVER));
    Ok(is_due)
}

/// Collects remarks about the images, each to be shown once. Applying their orientation is expected, so it gets none.
fn noted(pictures: &Pictures) -> Noted {
    let mut noted = Noted::default();
    for (number, picture) in (0..).zip(pictures.values()) {
        for remark in data::remarks(&picture.file, Orientation::Ignore) {
            noted.add(remark, number, picture.file.clone());
        }
    }
    noted
}
