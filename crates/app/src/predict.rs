//! `app predict`: class maps for images, in the images' own size.

use crate::cli;
use crate::files::publish;
use crate::paint;
use crate::parts::Network;
use crate::trained::load;
use crate::usage::usage;
use crate::watch::Watch;
use anyhow::{Context, Result};
use data::{Images, Loader, LoaderConfig, Order, Split};
use executors::{Prediction, Predictor};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Tensor;

/// `app predict`
pub fn run(args: &cli::Predict) -> Result<()> {
    let files = find(&args.paths)?;
    let trained = load(&args.trained, &[])?;
    let Network { model, device, classes, .. } = &trained.network;

    let named = files.iter().map(|(name, file)| (name.clone(), file.clone())).collect();
    let images = Arc::new(Images::new(named, trained.config.data.size()));
    let data = &trained.config.data;
    // Every image was asked for by name.
    let loader = LoaderConfig { max_skipped: 0, ..data.loader().clone() };
    let input = Loader::new(images, data.pipeline(Split::Validation), &loader, Order::Sequential, 0, *device)?;
    let mut watch = Watch::new("Prediction", 0, input.samples());
    for prediction in Predictor::new(model.as_ref(), &input).predict() {
        let prediction = prediction?;
        let file = files.get(&prediction.name).context("a prediction for an unknown image")?;
        write(&prediction, file, args).with_context(|| format!("predicting {}", file.display()))?;
        watch.step(1, None);
    }
    let (count, rate) = (files.len(), watch.rate());
    drop(watch);
    log::info!("{count} images at {rate:.0} images/s");
    let ids: Vec<String> = classes.iter().enumerate().map(|(id, name)| format!("{id} {name}")).collect();
    log::info!("Wrote class maps (grey values: {}) to {}", ids.join(", "), args.output.display());
    Ok(())
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

fn write(prediction: &Prediction, file: &Path, args: &cli::Predict) -> Result<()> {
    let photograph = data::read_rgb(file)?;
    let probabilities = resized(&prediction.probabilities, photograph.height().into(), photograph.width().into())?;
    let classes = paint::class_map(&probabilities.f_argmax(0, false)?)?;
    let output = |suffix: &str| args.output.join(format!("{}{suffix}.png", prediction.name));
    let folder = output("");
    fs::create_dir_all(folder.parent().unwrap_or(&args.output))?;
    publish(&output(""), &paint::png(classes.clone())?)?;
    if args.overlay {
        publish(&output("_overlay"), &paint::png(paint::overlay(photograph, &classes))?)?;
    }
    Ok(())
}

/// `[K, H, W]` probabilities at another height and width.
fn resized(probabilities: &Tensor, height: i64, width: i64) -> Result<Tensor> {
    let one = probabilities.f_unsqueeze(0)?.f_upsample_bilinear2d([height, width], false, None, None)?;
    Ok(one.f_squeeze_dim(0)?)
}
