//! `model.int8.onnx`: its ranges, measured on training images, and the mean IoU that it costs.

use super::compare::{Run, images};
use crate::common::config::Config;
use anyhow::{Context, Error, Result, bail};
use contract::{Batch, Input};
use data::{Order, Split};
use export::{Calibration, Format, Script};
use metric::Segmentation;
use tch::{Device, Tensor};

/// Measures the ranges of all values on training images.
pub fn calibrate(script: &Script, config: &Config) -> Result<Calibration> {
    let mut calibration = Calibration::default();
    let input = images(config, Split::Train, Order::Shuffled)?;
    for batch in input.epoch(0, 0).take(config.export.int8_samples as usize) {
        let batch = batch.map_err(Error::from_boxed)?;
        calibration.add(script, &batch.inputs).context("measuring the ranges for model.int8.onnx")?;
    }
    log::info!("Measured the ranges for {} on {} training samples", Format::Int8.file(), calibration.images());
    Ok(calibration)
}

/// Compares the mean IoU of two files on all validation samples, f32 first. Fails if it falls by more than the
/// configuration allows.
pub fn check(mut runs: [&mut Run; 2], config: &Config) -> Result<[f64; 2]> {
    let metric = || Segmentation::new(config.data.classes(), Device::Cpu);
    let mut metrics = [metric()?, metric()?];
    let mut samples = 0;
    for batch in images(config, Split::Validation, Order::Sequential)?.epoch(0, 0) {
        let Batch { inputs, targets, .. } = batch.map_err(Error::from_boxed)?;
        for (run, metric) in runs.iter_mut().zip(&mut metrics) {
            metric.count(&Tensor::from(0f32), &run(&inputs)?, &targets).map_err(Error::from_boxed)?;
        }
        samples += 1;
    }
    let mut mean_iou = [0.0; 2];
    for (score, metric) in mean_iou.iter_mut().zip(&metrics) {
        *score = metric.confusion()?.mean_iou();
    }
    let ([before, after], tolerance, file) = (mean_iou, config.export.int8_tolerance, Format::Int8.file());
    let fall = before - after;
    let found = format!("the mean IoU on {samples} validation samples is {after:.4} with it and {before:.4} in f32");
    log::info!("{file}: {found}");
    if fall.is_nan() || fall > tolerance {
        bail!(
            "{file} costs too much: {found}, so it falls by {fall:.4}, and export.int8_tolerance allows {tolerance}. \
             Nothing was published: leave int8 out of the formats, raise the tolerance, or measure the ranges on more \
             samples (export.int8_samples)"
        );
    }
    Ok(mean_iou)
}
