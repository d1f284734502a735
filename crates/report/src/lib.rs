//! One HTML page about a training run: what came of it, what is wrong with it, and what to change.
//!
//! ```text
//! Run::read(folder)     config.json and metrics.jsonl; status, environment, evaluation are the caller's to fill in
//! Report { run, compare }.write(path)
//! ```
//!
//! The page is one file. It loads nothing, and its Content-Security-Policy forbids that it could. Words and tables are
//! written here and are there without JavaScript; curves and predictions are drawn by the scripts in `page/` from numbers
//! that the page carries as JSON. All that comes from data passes through [`maud`], which escapes it.
//!
//! This crate knows neither tensors nor the program's configuration types: it takes plain numbers and RGB bytes, and looks
//! up the few keys of `config.json` that it puts into words ([`Run::read`] tells which).

pub mod advice;
mod budget;
mod charts;
mod decimate;
mod error;
mod evaluation;
mod flat;
mod history;
mod html;
mod picture;
mod run;
mod scores;
mod text;
mod write;

pub use error::Error;
pub use evaluation::{Bin, Evaluation, IGNORED, Picture, Sample};
pub use flat::flat;
pub use history::{History, Line, Stage};
pub use run::{Best, Class, Run, Status};
pub use scores::{ClassScores, calibration_error, class_scores};

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Bytes at the beginning of a page that contain its mark.
const HEAD: u64 = 1024;

/// Returns whether the file at `path` is a page that this crate wrote. It must not be a pipe.
pub fn is_page(path: &Path) -> bool {
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(HEAD).read_to_end(&mut head));
    read.is_ok() && String::from_utf8_lossy(&head).contains(html::GENERATOR)
}

/// A run, and others to see it beside.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The run that the page is about.
    pub run: Run,
    /// Runs whose curves, scores and configurations stand beside it.
    pub compare: Vec<Run>,
}

impl Report {
    /// The page as text. Errors name what in an [`Evaluation`] does not fit together.
    pub fn html(&self) -> Result<String, Error> {
        for run in self.runs() {
            if let Some(evaluation) = &run.evaluation {
                evaluation.check(run.classes.len())?;
            }
        }
        html::page(self)
    }

    /// Writes the page to `path`, whole or not at all: a page that was there before stays until the new one is complete.
    pub fn write(&self, path: &Path) -> Result<(), Error> {
        write::whole(path, self.html()?.as_bytes())
    }

    /// The run and those beside it. A run's place in this order is its number on the page.
    fn runs(&self) -> impl Iterator<Item = &Run> {
        std::iter::once(&self.run).chain(&self.compare)
    }
}
