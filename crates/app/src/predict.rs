//! `app predict`: class maps for images, in the images' own size.

mod find;
mod outputs;
mod tiles;
mod whole;
mod writer;

use crate::cli::{self, Mirror};
use crate::export::normalized;
use crate::files::publish;
use crate::parts::Network;
use crate::report;
use crate::trained::used;
use crate::usage::usage;
use anyhow::{Result, bail};
use data::{Noted, Orientation};
use executors::{Mirrored, Tiling};
use find::find;
use outputs::{Plan, Rows};
use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use tch::{Device, Kind, Tensor};
use terminal::{Step, Watch};
use tiles::InTiles;
use whole::Whole;

/// The file beside the class maps that says what their values mean.
const LEGEND: &str = "classes.json";

/// `app predict`
pub fn run(args: &cli::Predict) -> Result<()> {
    let files = find(&args.paths)?;
    let tiling = args.tile.map(|tile| Tiling { tile, overlap: args.overlap });
    if let Some(tiling) = &tiling {
        tiling.check().map_err(|invalid| usage(format!("--{invalid}")))?;
    }
    let trained = used(&args.used, &[])?;
    let Network { model, device, classes, .. } = trained.network;
    let data = &trained.config.data;
    let model = match args.mirror {
        Mirror::None => model,
        mirror => Box::new(Mirrored { model, vertical: mirror == Mirror::Both }),
    };
    let plan = Plan { also: args.also.clone(), colors: data.colors(), orientation: data.orientation() };
    let with_probabilities = plan.has_probabilities();
    let json = args.json.then_some(&*classes);
    report::noted(&noted(&files));
    let mut watch = Watch::new("Prediction", 0, files.len() as u64);
    let broken = writer::write_beside(&plan, &args.output, json, |writer| match tiling {
        Some(tiling) => {
            let model = normalized(model, data, device)?;
            let in_tiles = InTiles {
                model: &model,
                device,
                channels: data.channels(),
                orientation: data.orientation(),
                tiling,
                with_probabilities,
            };
            in_tiles.predict(&files, writer, || watch.step(&Step { samples: 1, ..Step::default() }))
        }
        None => {
            let whole = Whole { model: model.as_ref(), device, data, with_probabilities };
            whole.predict(&files, writer, || watch.step(&Step { samples: 1, ..Step::default() }))
        }
    })?;
    let (count, rate) = (files.len() - broken.len(), watch.rate());
    drop(watch);
    fs::create_dir_all(&args.output)?;
    publish(&args.output.join(LEGEND), format!("{:#}\n", report::classes(data)).as_bytes())?;
    log::info!("{count} images at {rate:.1} images/s");
    let ids: Vec<String> = classes.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
    log::info!("Wrote class maps (grey values: {}) to {}", ids.join(", "), args.output.display());
    if !broken.is_empty() {
        let names: Vec<&str> = broken.iter().map(|broken| broken.name.as_str()).collect();
        bail!("{} of {} images could not be read: {}", broken.len(), files.len(), names.join(", "));
    }
    Ok(())
}

/// What is to be said once of the images. That they are brought upright is what a person expects of them.
fn noted(files: &BTreeMap<String, PathBuf>) -> Noted {
    let mut noted = Noted::default();
    for (number, file) in (0..).zip(files.values()) {
        for remark in data::remarks(file, Orientation::Ignore) {
            noted.add(remark, number, file.clone());
        }
    }
    noted
}

/// What is written of `[K, rows, W]` probabilities.
fn rows(probabilities: &Tensor, with_probabilities: bool) -> Result<Rows> {
    let ids = probabilities.f_argmax(0, false)?.f_to_kind(Kind::Uint8)?.f_to_device(Device::Cpu)?;
    let probabilities = match with_probabilities {
        true => Vec::try_from(probabilities.f_to_device(Device::Cpu)?.f_flatten(0, -1)?)?,
        false => Vec::new(),
    };
    Ok(Rows { ids: Vec::try_from(ids.f_flatten(0, -1)?)?, probabilities })
}
