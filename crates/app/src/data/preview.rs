//! `app data preview`: contact sheets of the samples that the network will see.

use crate::cli;
use crate::common::files::{Partial, Replace};
use crate::common::inputs;
use crate::common::paint;
use crate::common::seal::{Beside, seal};
use crate::common::targets::{Inputs, Targets};
use anyhow::{Context, Result};
use contract::{Batch, Input};
use data::{Config, Loader, Split};
use image::{RgbImage, imageops};
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

/// Pixels between the pictures of a sheet.
const GAP: u32 = 4;

/// `app data preview`
pub fn run(args: &cli::Preview) -> Result<()> {
    let config = crate::common::config::Config::configured(&args.data)?;
    let replace = Replace::with(args.overwrite);
    let name_of = |epoch: u64| args.output.join(format!("train-epoch-{}.png", epoch + 1));
    let validation = args.output.join("validation.png");
    let paths: Vec<PathBuf> = (0..args.epochs).map(name_of).chain([validation.clone()]).collect();
    check(&config.data, &paths, replace)?;
    fs::create_dir_all(&args.output).with_context(|| format!("making {}", args.output.display()))?;
    let draw = |input: &Loader, epoch: u64, path: &Path| -> Result<()> {
        let sheet = sheet(&config.data, input, epoch, args.samples)?;
        let partial = Partial::of(path, &paint::png(sheet)?)?;
        seal(&mut partial.file()?, &Beside::new()).with_context(|| partial.doing())?;
        partial.check(replace)?;
        partial.place()
    };
    let train = inputs::input(&config, Split::Train, Device::Cpu)?;
    for epoch in 0..args.epochs {
        draw(&train, epoch, &name_of(epoch))?;
    }
    draw(&inputs::input(&config, Split::Validation, Device::Cpu)?, 0, &validation)?;
    log::info!("Drew {} epochs of training and the validation data into {}", args.epochs, args.output.display());
    Ok(())
}

/// Checks that the sheets may be written: none replaces an image or a mask of the data, or somebody else's file.
fn check(config: &Config, paths: &[PathBuf], replace: Replace) -> Result<()> {
    let mut inputs = Inputs::default();
    if paths.iter().any(|path| path.symlink_metadata().is_ok()) {
        for split in [Split::Train, Split::Validation] {
            let dataset = config.open(split)?;
            for index in 0..dataset.len() {
                dataset.paths(index)?.iter().for_each(|path| inputs.add(path));
            }
        }
    }
    let mut targets = Targets::new(inputs, replace);
    paths.iter().try_for_each(|path| targets.add(path, path))?;
    targets.check()
}

/// Draws the first `samples` of an epoch as the network gets them, each above a copy with its mask over it.
fn sheet(config: &Config, input: &Loader, epoch: u64, samples: u64) -> Result<RgbImage> {
    let mut pictures = Vec::new();
    for batch in input.epoch(epoch, 0) {
        pictures.extend(drawn(config, &batch.map_err(anyhow::Error::from_boxed)?)?);
        if pictures.len() as u64 >= samples {
            break;
        }
    }
    pictures.truncate(samples as usize);
    let columns = (pictures.len() as f64).sqrt().ceil() as u32;
    let [height, width] = config.size();
    let (across, down) = (width + GAP, 2 * height + 2 * GAP);
    let rows = (pictures.len() as u32).div_ceil(columns.max(1));
    let mut sheet = RgbImage::new(columns * across, rows * down);
    for (place, [image, overlay]) in (0..).zip(&pictures) {
        let (x, y) = (i64::from(place % columns * across), i64::from(place / columns * down));
        imageops::replace(&mut sheet, image, x, y);
        imageops::replace(&mut sheet, overlay, x, y + i64::from(height));
    }
    Ok(sheet)
}

/// Draws each sample of a batch, plain and with its mask over it.
fn drawn(config: &Config, batch: &Batch) -> Result<Vec<[RgbImage; 2]>> {
    let (colors, masks) = (config.colors(), batch.targets.f_unbind(0)?);
    let with_mask = |(image, mask): (RgbImage, &Tensor)| {
        let overlay = paint::overlay(image.clone(), &paint::class_map(mask)?, &colors);
        Ok([image, overlay])
    };
    paint::photographs(config, &batch.inputs)?.into_iter().zip(&masks).map(with_mask).collect()
}
