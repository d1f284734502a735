//! `app predict`: class maps for images, in the images' own size.

mod tiles;

use crate::cli::{self, Mirror};
use crate::export::normalized;
use crate::files::publish;
use crate::paint;
use crate::parts::Network;
use crate::report;
use crate::trained::used;
use crate::usage::usage;
use crate::watch::Watch;
use anyhow::{Context, Result, bail};
use data::{Images, Loader, LoaderConfig, Order, Passed, Rectangle, Split};
use executors::{Mirrored, Prediction, Predictor, Tiling};
use image::GrayImage;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::nn::ModuleT;
use tch::{Device, Tensor};

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
    let mut watch = Watch::new("Prediction", 0, files.len() as u64);
    let broken = match tiling {
        Some(tiling) => {
            let model = normalized(model, data, device)?;
            in_tiles(&model, device, data, &files, &tiling, args, &mut watch)?
        }
        None => resized_whole(model.as_ref(), device, data, &files, args, &mut watch)?,
    };
    let (count, rate) = (files.len() - broken.len(), watch.rate());
    drop(watch);
    fs::create_dir_all(&args.output)?;
    publish(&args.output.join(LEGEND), format!("{:#}\n", report::classes(data)).as_bytes())?;
    log::info!("{count} images at {rate:.0} images/s");
    let ids: Vec<String> = classes.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
    log::info!("Wrote class maps (grey values: {}) to {}", ids.join(", "), args.output.display());
    if !broken.is_empty() {
        let names: Vec<&str> = broken.iter().map(|broken| broken.name.as_str()).collect();
        bail!("{} of {} images could not be read: {}", broken.len(), files.len(), names.join(", "));
    }
    Ok(())
}

/// Predicts images in their own size, tile by tile, with a model that normalises them; gives those that cannot be read.
fn in_tiles(
    model: &dyn ModuleT,
    device: Device,
    data: &data::Config,
    files: &BTreeMap<String, PathBuf>,
    tiling: &Tiling,
    args: &cli::Predict,
    watch: &mut Watch,
) -> Result<Vec<Passed>> {
    let mut broken = Vec::new();
    for (name, file) in files {
        match data::read_pixels(file, data.channels()) {
            Ok((size, pixels)) => {
                let classes = tiles::predict(model, device, tiling, size, data.channels(), &pixels);
                let written = classes.and_then(|classes| write(name, file, classes, data, args));
                written.with_context(|| format!("predicting {}", file.display()))?;
            }
            Err(error) => {
                let passed = Passed { name: name.clone(), reason: error.to_string() };
                report::skipped(std::slice::from_ref(&passed));
                broken.push(passed);
            }
        }
        watch.step(1, None);
    }
    Ok(broken)
}

/// Predicts images as they were trained on, brought to the network's size; gives those that cannot be read.
fn resized_whole(
    model: &dyn ModuleT,
    device: Device,
    data: &data::Config,
    files: &BTreeMap<String, PathBuf>,
    args: &cli::Predict,
    watch: &mut Watch,
) -> Result<Vec<Passed>> {
    let named = files.iter().map(|(name, file)| (name.clone(), file.clone())).collect();
    let images = Arc::new(Images::new(named, data.size(), data.channels(), data.resize()));
    let loader = LoaderConfig { max_skipped: files.len() as u64, ..data.loader().clone() };
    let input = Loader::new(images.clone(), data.pipeline(Split::Validation), &loader, Order::Sequential, 0, device)?;
    for prediction in Predictor::new(model, &input).predict() {
        let Prediction { name, probabilities } = prediction?;
        let broken = input.skipped().fresh();
        report::skipped(&broken);
        watch.step(broken.len(), None);
        // A batch of which nothing is left has an image that is none.
        let Some(file) = files.get(&name) else { continue };
        let size = data::dimensions(file)?;
        let classes = resized(&probabilities, images.rectangle(size), size)?.f_argmax(0, false)?;
        let written = paint::class_map(&classes).and_then(|classes| write(&name, file, classes, data, args));
        written.with_context(|| format!("predicting {}", file.display()))?;
        watch.step(1, None);
    }
    Ok(input.skipped().all())
}

/// The images that `paths` name, by the name that their class map gets: the path relative to what was named, without
/// its extension. Folders are searched; files in them that hold no image are passed over.
fn find(paths: &[PathBuf]) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    for path in paths {
        let mut add = |file: &Path, base: &Path| {
            let name = file.strip_prefix(base).unwrap_or(file).with_extension("").to_string_lossy().into_owned();
            match found.insert(name.clone(), file.to_path_buf()) {
                Some(other) if other != file => Err(usage(format!(
                    "{} and {} would both be written to {name}.png: predict them into different folders",
                    other.display(),
                    file.display()
                ))),
                _ => Ok(()),
            }
        };
        if path.is_dir() {
            search(path, &mut |file| {
                if let Err(error) = data::dimensions(file) {
                    log::debug!("Passed over {}: {error}", file.display());
                    return Ok(());
                }
                add(file, path)
            })?;
        } else {
            data::dimensions(path)?;
            add(path, path.parent().unwrap_or(Path::new("")))?;
        }
    }
    if found.is_empty() {
        let shown: Vec<String> = paths.iter().map(|path| path.display().to_string()).collect();
        return Err(usage(format!("no image in {}", shown.join(", "))));
    }
    Ok(found)
}

fn search(folder: &Path, add: &mut dyn FnMut(&Path) -> Result<()>) -> Result<()> {
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut entries = entries.with_context(|| folder.display().to_string())?;
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        let path = entry.path();
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) { search(&path, add)? } else { add(&path)? }
    }
    Ok(())
}

/// Writes the class map of an image, and what else is asked for.
fn write(name: &str, file: &Path, classes: GrayImage, data: &data::Config, args: &cli::Predict) -> Result<()> {
    let output = |suffix: &str| args.output.join(format!("{name}{suffix}.png"));
    let map = output("");
    fs::create_dir_all(map.parent().unwrap_or(&args.output))?;
    if args.overlay {
        let overlay = paint::overlay(data::read_rgb(file)?, &classes, &data.colors());
        publish(&output("_overlay"), &paint::png(overlay)?)?;
    }
    publish(&map, &paint::png(classes)?)
}

/// The `part` of `[K, H, W]` probabilities that shows a photograph, at the photograph's height and width.
fn resized(probabilities: &Tensor, part: Rectangle, [height, width]: [u32; 2]) -> Result<Tensor> {
    let rows = probabilities.f_narrow(1, part.top.into(), part.height.into())?;
    let part = rows.f_narrow(2, part.left.into(), part.width.into())?.f_unsqueeze(0)?;
    let one = part.f_upsample_bilinear2d([height.into(), width.into()], false, None, None)?;
    Ok(one.f_squeeze_dim(0)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::Resize;
    use tch::{Device, Kind};

    #[test]
    fn what_lies_around_a_fitted_photograph_does_not_leak_into_its_classes() {
        let images = Images::new(Vec::new(), [8, 8], 3, Resize::Fit { to: None });
        // 4 of 8 rows show the photograph: its left half is class 0, its right half 1; around it all is class 2.
        let part = images.rectangle([20, 40]);
        let probabilities = Tensor::zeros([3, 8, 8], (Kind::Float, Device::Cpu));
        let fill = |class: i64, top: u32, left: i64, height: u32, width: i64| {
            let class = probabilities.get(class).narrow(0, top.into(), height.into());
            let _ = class.narrow(1, left, width).fill_(1.0);
        };
        fill(2, 0, 0, part.top, 8);
        fill(2, part.top + part.height, 0, 8 - part.top - part.height, 8);
        fill(0, part.top, 0, part.height, 4);
        fill(1, part.top, 4, part.height, 4);
        let classes = resized(&probabilities, part, [20, 40]).unwrap().argmax(0, false);
        assert_eq!(classes.size(), [20, 40]);
        let expected = Tensor::from_slice(&[0i64, 1]).repeat_interleave_self_int(20, 0, None).expand([20, 40], false);
        assert_eq!(classes, expected);
    }
}
