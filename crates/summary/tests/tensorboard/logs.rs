//! Log folders with records of every kind, and TensorBoard to read them.

use std::{
    io::Write,
    ops::RangeInclusive,
    path::{Path, PathBuf},
    process::Command,
};
use summary::{Config, Counts, Graph, Histogram, Hyper, Image, Node, Stage, Summary, Value};
use tempfile::TempDir;

/// Folder of a run.
pub struct Logs(TempDir);

const CONFIG: Config =
    Config { tensorboard: true, per_step: true, images: 2, histograms: 1, flush_seconds: 3600, report: false };

impl Logs {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Returns the folder to pass as TensorBoard's `--logdir`.
    pub fn folder(&self) -> PathBuf {
        self.0.path().join("logs")
    }

    pub fn open(&self) -> Summary {
        Summary::open(self.0.path(), &CONFIG).unwrap()
    }

    pub fn resume(&self, epochs: u64, step: u64) -> Summary {
        Summary::resume(self.0.path(), &CONFIG, epochs, step).unwrap()
    }
}

/// Returns the output of a script in `reference` on `folder`; `None` if TensorBoard is not installed.
pub fn read(script: &str, folder: &Path) -> Option<serde_json::Value> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let packages = package.join("../../.python");
    if !packages.join("installed.txt").exists() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: reading with TensorBoard: run scripts/python first");
        return None;
    }
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &packages).arg(package.join("reference").join(script)).arg(folder);
    let output = python.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// Returns the scalar of a step, a loss of 1 / `step`.
pub fn each_step(step: u64) -> Value {
    Value::Scalars(vec![("loss".into(), 1.0 / step as f64)])
}

/// Returns an image of 3×2 pixels.
pub fn image(shade: u8) -> Image {
    Image::new(3, 2, (0..18).map(|byte| byte * 3 + shade).collect()).unwrap()
}

/// Writes a run with records of every kind over `epochs`, with one step per epoch.
pub fn write_all(summary: &mut Summary, epochs: RangeInclusive<u64>) {
    summary.text("configuration", "batches of **8**").unwrap();
    summary.graph(graph()).unwrap();
    let values = [
        ("optimizer".into(), Hyper::Text("adam".into())),
        ("rate".into(), Hyper::Number(0.5)),
        ("fused".into(), Hyper::Flag(true)),
    ];
    summary.hparams(&values, &["mean_iou".into(), "loss".into()]).unwrap();
    summary.layout(&["cat".into(), "(old) dog+".into()]).unwrap();
    for epoch in epochs {
        summary.step(epoch - 1, epoch, &[("loss", 1.0 / epoch as f64)]).unwrap();
        for stage in [Stage::Train, Stage::Validation] {
            let loss = 0.5f64.powi(epoch as i32);
            summary.epoch(stage, epoch, epoch, &[("loss", loss), ("iou/cat", 0.5), ("iou/(old) dog+", 0.25)]).unwrap();
        }
        let images = vec![image(epoch as u8), image(100 + epoch as u8)];
        summary.images(Stage::Validation, epoch, epoch, "samples", images).unwrap();
        let weights: &[f32] = if epoch == 1 { &[] } else { &[-1.0, 0.25, 4.0, f32::NAN, 0.25] };
        summary.histograms(epoch, epoch, vec![("weights/down.0".into(), Histogram::of(weights))]).unwrap();
        summary.pr_curves(Stage::Validation, epoch, epoch, vec![("pr/cat".into(), curve())]).unwrap();
    }
}

fn curve() -> Vec<Counts> {
    let counts = |[true_positives, false_positives, true_negatives, false_negatives]: [u64; 4]| Counts {
        true_positives,
        false_positives,
        true_negatives,
        false_negatives,
    };
    [[4, 12, 0, 0], [3, 1, 11, 1], [0, 0, 12, 4]].map(counts).into()
}

fn graph() -> Graph {
    let input = Node { name: "input".into(), op: "Input".into(), shape: vec![-1, 3, 128, 128], ..Node::default() };
    let convolution = Node {
        name: "down/conv".into(),
        op: "Conv2d".into(),
        inputs: vec!["input".into()],
        shape: vec![-1, 32, 128, 128],
        attributes: vec![("kernel".into(), "3x3".into())],
    };
    Graph { nodes: vec![input, convolution] }
}
