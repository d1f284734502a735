//! A run as plain data, read from its folder.

use crate::{Comparison, Error, Evaluation, History, Stage, text};
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Everything known about one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Name on the page.
    pub name: String,
    /// Folder of the run.
    pub folder: PathBuf,
    /// Progress of the run.
    pub status: Status,
    /// Resolved configuration.
    pub config: Value,
    /// Training log.
    pub history: History,
    /// Hardware and software it ran on: names and values, in the order of the page.
    pub environment: Vec<(String, String)>,
    /// Classes, in the order of their ids.
    pub classes: Vec<Class>,
    /// Evaluation of a checkpoint; without one the page has no confusion matrix, calibration and predictions.
    pub evaluation: Option<Evaluation>,
    /// Comparison of the page's run with this one; `None` for the page's own, and where nobody compared them.
    pub comparison: Option<Comparison>,
}

/// Progress of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All epochs are done.
    Finished,
    /// A process is training it.
    Running,
    /// Epochs are missing, and no process is training it.
    Stopped,
}

/// Class of pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// Name, as in the scalars `iou/NAME`.
    pub name: String,
    /// RGB colour, as in predicted masks.
    pub color: [u8; 3],
}

/// Best epoch of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// Name of the deciding score.
    pub metric: String,
    /// True if a greater score is better.
    pub greatest: bool,
    /// Best score on the validation data.
    pub score: f64,
    /// Epoch of that score, counted from 1.
    pub epoch: u64,
    /// Number of training steps done by then.
    pub step: u64,
}

/// Colours for classes without one: the palette of Okabe and Ito, distinguishable with colour blindness.
const COLORS: [[u8; 3]; 7] =
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];

impl Run {
    /// Reads `config.json` and `metrics.jsonl` of a run folder. The classes are those with a scalar `iou/NAME`, sorted
    /// by name; the status follows from the epochs; environment and evaluation stay empty. A caller that knows more
    /// overwrites these.
    ///
    /// The page uses these keys of `config.json`, if present: `train.epochs`, `checkpoint.best`, `checkpoint.mode`, and
    /// those in the sentence at its head.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let config = match regular::open(&path).and_then(io::read_to_string) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoRun { folder: folder.into() });
            }
            bytes => bytes.map_err(Error::io("read", &path))?,
        };
        let config: Value =
            serde_json::from_str(&config).map_err(|error| Error::Config { path, problem: error.to_string() })?;
        let history = History::read(&folder.join("metrics.jsonl"))?;
        let classes = history.names("iou/").into_iter().zip(COLORS.into_iter().cycle());
        let name = folder.file_name().map_or_else(|| folder.display().to_string(), |name| name.display().to_string());
        let mut run = Self {
            name,
            folder: folder.into(),
            status: Status::Stopped,
            classes: classes.map(|(name, color)| Class { name, color }).collect(),
            config,
            history,
            environment: Vec::new(),
            evaluation: None,
            comparison: None,
        };
        if run.is_finished().unwrap_or(false) {
            run.status = Status::Finished;
        }
        Ok(run)
    }

    /// Returns true if all epochs are done, or the early stopping has ended the run; None if the configuration does not
    /// say how many epochs there are.
    pub fn is_finished(&self) -> Option<bool> {
        Some(self.history.epochs() >= self.planned()? || self.history.stopped_early().is_some())
    }

    /// Returns the configured number of epochs.
    pub fn planned(&self) -> Option<u64> {
        self.config.pointer("/train/epochs")?.as_u64()
    }

    /// Returns the score that decides which epoch is best, and true if greater is better.
    pub(crate) fn deciding(&self) -> (&str, bool) {
        let of = |key| self.config.pointer(key).and_then(Value::as_str);
        (of("/checkpoint/best").unwrap_or("mean_iou"), of("/checkpoint/mode").unwrap_or("max") == "max")
    }

    /// Returns the best epoch on the validation data; the first on a tie.
    pub fn best(&self) -> Option<Best> {
        let (metric, greatest) = self.deciding();
        let lines = self.history.of(Stage::Validation).filter_map(|line| Some((line, line.get(metric)?)));
        let sign = if greatest { 1.0 } else { -1.0 };
        // `max_by` returns the last of equal elements.
        let (line, score) = lines.rev().max_by(|(_, a), (_, b)| (sign * a).total_cmp(&(sign * b)))?;
        Some(Best { metric: metric.into(), greatest, score, epoch: line.epoch, step: line.step })
    }

    /// Describes model, optimizer and data in one sentence, as far as the configuration names them.
    pub(crate) fn sentence(&self) -> String {
        let of = |key: &str| self.config.pointer(key).filter(|value| !value.is_null()).map(text::value);
        let with = |key: &str, before: &str, after: &str| of(key).map(|value| format!("{before}{value}{after}"));
        let model: Vec<String> = [
            of("/model/kind"),
            with("/model/encoder", "encoder ", ""),
            with("/model/width", "width ", ""),
            with("/model/depth", "depth ", ""),
            of("/model/precision"),
        ]
        .into_iter()
        .flatten()
        .collect();
        let optimizer: Vec<String> = [
            of("/optimizer/rule/kind"),
            with("/optimizer/learning_rate", "learning rate ", ""),
            with("/schedule/decay/kind", "", " schedule"),
            with("/data/loader/batch_size", "batches of ", ""),
        ]
        .into_iter()
        .flatten()
        .collect();
        let size = match self.config.pointer("/data/size").and_then(Value::as_array).map(Vec::as_slice) {
            Some([height, width]) => Some(format!("at {height} × {width} pixels")),
            _ => None,
        };
        let data: Vec<String> = [of("/data/kind"), size].into_iter().flatten().collect();
        let parts = [("", model.join(", ")), ("trained with ", optimizer.join(", ")), ("on ", data.join(" "))];
        let parts: Vec<String> = parts
            .into_iter()
            .filter(|(_, words)| !words.is_empty())
            .map(|(before, words)| before.to_string() + &words)
            .collect();
        parts.join("; ")
    }

    /// Returns the seconds of training, and true if the run timed its epochs itself. If not, the time is that from its
    /// first line to its last, so without the first epoch but with all pauses.
    pub(crate) fn duration(&self) -> Option<(f64, bool)> {
        let timed = self.history.scores(Stage::Train, "seconds/epoch");
        if !timed.is_empty() && timed.len() == self.history.of(Stage::Train).count() {
            return Some((timed.iter().map(|(_, seconds)| seconds).sum(), true));
        }
        let times = self.history.lines.iter().map(|line| line.time);
        let (first, last) = (times.clone().reduce(f64::min)?, times.reduce(f64::max)?);
        Some((last - first, false))
    }
}

#[cfg(test)]
mod tests;
