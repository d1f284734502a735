//! Writes a run with records of every kind: `cargo run -p summary --example everything -- FOLDER`, then
//! `tensorboard --logdir FOLDER/logs`.

use std::{env, f64::consts::PI, process::ExitCode};
use summary::{Config, Counts, Error, Graph, Histogram, Hyper, Image, Node, Stage, Status, Summary};

const CLASSES: [&str; 3] = ["pet", "background", "border"];
const EPOCHS: u64 = 10;

fn main() -> ExitCode {
    let Some(folder) = env::args_os().nth(1) else {
        eprintln!("usage: everything FOLDER");
        return ExitCode::from(2);
    };
    match write(folder.as_ref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn write(folder: &std::path::Path) -> Result<(), Error> {
    let mut summary = Summary::open(folder, &Config { per_step: true, ..Config::default() })?;
    summary
        .text("configuration", "| key | value |\n|---|---|\n| `model.kind` | **unet** |\n| `train.epochs` | 10 |\n")?;
    summary.graph(graph())?;
    let values = [
        ("model.kind".into(), Hyper::Text("unet".into())),
        ("optim.learning_rate".into(), Hyper::Number(1e-3)),
        ("model.fused".into(), Hyper::Flag(true)),
    ];
    summary.hparams(&values, &["mean_iou".into(), "loss".into()])?;
    summary.layout(&CLASSES.map(String::from))?;
    for epoch in 1..=EPOCHS {
        let done = epoch as f64 / EPOCHS as f64;
        for step in (epoch - 1) * 10 + 1..=epoch * 10 {
            summary.step(epoch - 1, step, &[("loss", 1.0 / (step as f64).sqrt()), ("learning_rate", 1e-3)])?;
        }
        for (stage, gap) in [(Stage::Train, 0.0), (Stage::Validation, 0.1)] {
            let mut scalars: Vec<_> =
                CLASSES.iter().zip(1..).map(|(class, n)| (format!("iou/{class}"), done / f64::from(n) - gap)).collect();
            scalars.push(("loss".into(), 1.0 - 0.8 * done + gap));
            scalars.push(("accuracy".into(), 0.5 + 0.4 * done - gap));
            scalars.push(("mean_iou".into(), 0.6 * done - gap));
            scalars.push(("mean_dice".into(), 0.7 * done - gap));
            summary.epoch(stage, epoch, epoch * 10, &scalars)?;
        }
        if summary.samples() > 0 {
            let images = (0..summary.samples()).map(|sample| disc(sample as f64 * 15.0 + 20.0 * done));
            summary.images(Stage::Validation, epoch, epoch * 10, "samples", images.collect::<Result<_, _>>()?)?;
        }
        if summary.histograms_due(epoch) {
            let weights = |scale: f64| -> Vec<f32> { (0..9000).map(|n| (bell(n) * scale) as f32).collect() };
            let histograms = [("weights/down.0", 0.1), ("weights/down.1", 0.1 + 0.2 * done)];
            let histograms = histograms.map(|(name, scale)| (name.to_string(), Histogram::of(&weights(scale))));
            summary.histograms(epoch, epoch * 10, histograms.into())?;
        }
        let curves = CLASSES.iter().zip(1..).map(|(class, n)| (format!("pr/{class}"), curve(done / f64::from(n))));
        summary.pr_curves(Stage::Validation, epoch, epoch * 10, curves.collect())?;
    }
    summary.outcome(EPOCHS, EPOCHS * 10, Status::Success, &[("mean_iou", 0.5), ("loss", 0.3)])?;
    summary.flush()
}

/// Returns an image of 128×96 pixels with a disc of this radius.
fn disc(radius: f64) -> Result<Image, Error> {
    let pixel = |x: u32, y: u32| match (f64::from(x) - 64.0).hypot(f64::from(y) - 48.0) < radius {
        true => [230, 120, 40],
        false => [x as u8, y as u8, 90],
    };
    Image::new(128, 96, (0..96).flat_map(|y| (0..128).flat_map(move |x| pixel(x, y))).collect())
}

/// Returns roughly normally distributed numbers for consecutive `n` (Box-Muller on a low-discrepancy sequence).
fn bell(n: u32) -> f64 {
    let [u, v] = [0.754_877_666, 0.569_840_291].map(|step: f64| (f64::from(n) * step + 0.5).fract());
    (-2.0 * u.max(1e-9).ln()).sqrt() * (2.0 * PI * v).cos()
}

/// Returns the counts at 101 thresholds of a classifier with this `skill`, from 0 to 1.
fn curve(skill: f64) -> Vec<Counts> {
    let at = |threshold: f64| {
        let [hits, alarms] = [1.0 - threshold.powf(1.0 + 5.0 * skill), (1.0 - threshold).powf(1.0 + 5.0 * skill)];
        let [true_positives, false_positives] = [1000.0 * hits, 3000.0 * alarms].map(|count| count as u64);
        let [false_negatives, true_negatives] = [1000 - true_positives, 3000 - false_positives];
        Counts { true_positives, false_positives, true_negatives, false_negatives }
    };
    (0..=100).map(|percent| at(f64::from(percent) / 100.0)).collect()
}

/// Returns a small network with nested boxes.
fn graph() -> Graph {
    let mut nodes = vec![node("input", "Input", &[], &[-1, 3, 128, 128])];
    let mut last = "input".to_string();
    for (level, width) in [(0, 32), (1, 64), (2, 128)] {
        let size = 128 >> level;
        for (part, op) in [("conv", "Conv2d"), ("norm", "BatchNorm2d"), ("relu", "ReLU")] {
            let name = format!("unet/down.{level}/{part}");
            nodes.push(node(&name, op, &[&last], &[-1, width, size, size]));
            last = name;
        }
    }
    nodes.push(node("unet/head", "Conv2d", &[&last, "unet/down.0/relu"], &[-1, 3, 128, 128]));
    Graph { nodes }
}

fn node(name: &str, op: &str, inputs: &[&str], shape: &[i64]) -> Node {
    let attributes = vec![("parameters".to_string(), (shape[1] * 9).to_string())];
    let inputs = inputs.iter().map(|input| input.to_string()).collect();
    Node { name: name.into(), op: op.into(), inputs, shape: shape.into(), attributes }
}
