//! TensorBoard alone, for a loop that knows nothing of oxiseg: `cargo run -p summary --example tensorboard -- FOLDER`,
//! then `tensorboard --logdir FOLDER/logs`. Scalars, a picture and a histogram an epoch; libtorch is not needed.

use std::path::Path;
use summary::{Config, Error, Histogram, Image, Stage, Summary};

const SIZE: u32 = 32;
const EPOCHS: u64 = 10;
const LEARNING_RATE: f64 = 0.4;

/// Picture of a sun, from 0 to 1. The loop below learns it, one weight a value.
fn target() -> Vec<f32> {
    let pixel = |x: u32, y: u32| {
        let distance = (x as f32 - 20.0).hypot(y as f32 - 12.0);
        if distance < 7.0 { [0.95, 0.75, 0.2] } else { [0.2, 0.3 + distance / 80.0, 0.7] }
    };
    (0..SIZE).flat_map(|y| (0..SIZE).flat_map(move |x| pixel(x, y))).collect()
}

/// Returns the mean of the squared errors.
fn loss(errors: &[f32]) -> f64 {
    errors.iter().map(|error| f64::from(error * error)).sum::<f64>() / errors.len() as f64
}

fn run(folder: &Path) -> Result<(), Error> {
    // Appends to a log that exists. `Summary::resume` cuts off what came after the checkpoint that a run resumes from.
    let mut summary = Summary::open(folder, &Config::default())?;
    summary.text("about", "A picture learnt by **gradient descent**.")?;

    let target = target();
    let mut weights = vec![0.5f32; target.len()];
    for epoch in 1..=EPOCHS {
        let errors: Vec<f32> = weights.iter().zip(&target).map(|(weight, target)| weight - target).collect();
        for (weight, error) in weights.iter_mut().zip(&errors) {
            *weight -= LEARNING_RATE as f32 * error;
        }

        // In TensorBoard a scalar's step is its epoch. Here each epoch has one training step.
        summary.epoch(Stage::Train, epoch, epoch, &[("loss", loss(&errors)), ("learning_rate", LEARNING_RATE)])?;
        let pixels = weights.iter().map(|weight| (weight.clamp(0.0, 1.0) * 255.0).round() as u8).collect();
        summary.images(Stage::Train, epoch, epoch, "learnt", vec![Image::new(SIZE, SIZE, pixels)?])?;
        summary.histograms(epoch, epoch, vec![("errors".into(), Histogram::of(&errors))])?;
    }
    // A thread writes the events: wait for it.
    summary.flush()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: tensorboard FOLDER")?;
    Ok(run(folder.as_ref())?)
}
