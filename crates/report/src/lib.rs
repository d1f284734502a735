//! One HTML page about a training run: its results, its problems, and advice on what to change.
//!
//! ```
//! use report::{Report, Run};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! # std::fs::write(folder.join("config.json"), r#"{"train": {"epochs": 2}}"#)?;
//! # let line = |epoch, loss| {
//! #     format!(r#"{{"stage": "train", "epoch": {epoch}, "step": {epoch}, "time": {epoch}, "loss": {loss}}}"#)
//! # };
//! # std::fs::write(folder.join("metrics.jsonl"), format!("{}\n{}\n", line(1, 0.5), line(2, 0.25)))?;
//! let run = Run::read(folder)?; // config.json and metrics.jsonl
//! Report { run, compare: Vec::new() }.write(&folder.join("report.html"))?;
//! assert!(report::is_page(&folder.join("report.html")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The page is one file. It loads nothing, and its Content-Security-Policy forbids it to. Text and tables are written
//! here and visible without JavaScript; the scripts in `page/` draw curves and predictions from numbers that the page
//! carries as JSON. All text from data passes through [`maud`], which escapes it.
//!
//! # What it does not do
//!
//! It depends neither on tensors nor on the program's configuration types: it takes plain numbers and RGB bytes, and
//! looks up the few keys of `config.json` that it puts into words (listed at [`Run::read`]). Status, environment and
//! evaluation of a [`Run`] are filled in by the caller. The page does not follow a run that goes on; write it again.

pub mod advice;
mod budget;
mod charts;
mod comparison;
mod decimate;
mod error;
mod evaluation;
mod flat;
mod html;
mod picture;
mod report;
mod run;
mod scores;
mod text;
mod write;

pub use comparison::{Comparison, Paired};
pub use error::Error;
pub use evaluation::{Bin, Evaluation, IGNORED, Interval, Intervals, Picture, Sample};
pub use flat::{flat, flat_items};
pub use report::{FOLD, Report};
pub use run::{Best, Class, Run, Status};
pub use scores::{ClassScores, calibration_error, class_scores, mean_and_deviation};
pub use summary::history::{History, Line, Stage};

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Number of bytes at the beginning of a page that contain its mark.
const HEAD: u64 = 1024;

/// Returns true if the file at `path` is a page that this crate wrote. It must not be a pipe.
pub fn is_page(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && String::from_utf8_lossy(&head).contains(html::GENERATOR)
}

impl Report {
    /// Returns the page as text. Errors name the parts of an [`Evaluation`] that do not fit together.
    pub fn html(&self) -> Result<String, Error> {
        for run in self.runs() {
            if let Some(evaluation) = &run.evaluation {
                evaluation.check(run.classes.len())?;
            }
        }
        html::page(self)
    }

    /// Writes the page to `path` atomically: an existing page stays until the new one is complete.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write::whole(path, self.html()?.as_bytes())
    }
}
