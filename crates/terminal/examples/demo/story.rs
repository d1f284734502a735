//! A simulated training.

use std::time::Duration;
use terminal::{Class, Columns, Epoch, Setup, Step};

const BATCH: u64 = 16;
const CLASSES: [(&str, [u8; 3]); 8] = [
    ("background", [0, 0, 0]),
    ("road", [128, 64, 128]),
    ("building", [200, 90, 70]),
    ("tree", [80, 170, 60]),
    ("sky", [70, 130, 220]),
    ("car", [240, 200, 60]),
    ("person", [220, 60, 120]),
    ("bicycle", [150, 150, 150]),
];

/// Simulated training and its speed.
pub struct Story {
    pub setup: Setup,
    /// Seconds per step.
    pub pause: f64,
}

impl Story {
    /// Returns a training that takes about `seconds`.
    pub fn of(seconds: f64) -> Self {
        let classes = CLASSES.map(|(name, color)| Class { name: name.into(), color }).to_vec();
        let (epochs, samples, validation_samples) = (40, 320, 96);
        let steps = epochs * (samples / BATCH + validation_samples / BATCH / 3);
        let setup = Setup {
            title: "runs/street".into(),
            about: "unet, 7.8 M parameters, cpu, float32".into(),
            epochs,
            samples,
            validation_samples,
            columns: Columns::new(["loss", "accuracy", "mean_iou"].map(String::from), "mean_iou", true),
            classes,
        };
        Self { setup, pause: seconds / steps as f64 }
    }

    /// Returns the steps of an epoch.
    pub fn steps(&self, epoch: u64) -> impl Iterator<Item = Step> + '_ {
        let count = self.setup.samples / BATCH;
        (0..count).map(move |step| {
            let at = (epoch - 1) as f64 + step as f64 / count as f64;
            let loss = loss(at) * (1.0 + 0.25 * noise((epoch * count + step) as f64));
            let learning_rate = Some(0.5e-3 * (1.0 + (at / self.setup.epochs as f64 * std::f64::consts::PI).cos()));
            let waited = Some(Duration::from_secs_f64(self.pause * 0.03));
            let (samples, score) = (BATCH as usize, Some(0.8 - 0.6 * loss));
            Step { samples, loss: Some(loss), score, learning_rate, waited }
        })
    }

    /// Returns the steps of a validation.
    pub fn validation(&self) -> impl Iterator<Item = Step> {
        let step = Step { samples: BATCH as usize, ..Step::default() };
        (0..self.setup.validation_samples / BATCH).map(move |_| step)
    }

    /// Returns the results of an epoch, and the IoU of each class.
    pub fn epoch(&self, epoch: u64) -> (Epoch, Vec<f64>) {
        let at = epoch as f64;
        let iou = |class: usize| {
            let hard = 0.12 * class as f64;
            (0.97 - 0.5 * hard) * (1.0 - (-at / (3.0 + 6.0 * hard)).exp()) + 0.01 * noise(at * 7.0 + class as f64)
        };
        let ious: Vec<f64> = (0..self.setup.classes.len()).map(iou).map(|iou| iou.clamp(0.0, 1.0)).collect();
        let mean_iou = ious.iter().sum::<f64>() / ious.len() as f64;
        let training = vec![loss(at), 1.0 - 0.3 * loss(at), (mean_iou + 0.02).min(1.0)];
        let over = loss(at) + 0.06 + 0.002 * at + 0.03 * noise(at);
        let validation = vec![over, 1.0 - 0.32 * over, mean_iou];
        let seconds = self.pause * (self.setup.samples / BATCH) as f64;
        let rate = self.setup.samples as f64 / seconds;
        (Epoch { epoch, training, validation, seconds, rate, waiting: 0.03 }, ious)
    }
}

/// Returns the loss after `at` epochs.
fn loss(at: f64) -> f64 {
    0.12 + 1.5 * (-at / 5.0).exp()
}

/// Returns a pseudo-random number from -1 to 1.
pub fn noise(seed: f64) -> f64 {
    let mixed = (seed * 12.9898).sin() * 43_758.547;
    2.0 * (mixed - mixed.floor()) - 1.0
}
