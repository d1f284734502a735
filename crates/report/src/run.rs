//! A run as plain data, and how it is read from its folder.

use crate::{Error, Evaluation, History, Stage, history::read, text};
use serde_json::Value;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What is known of one run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// What the page calls it.
    pub name: String,
    /// Where it lies.
    pub folder: PathBuf,
    /// Whether it is at its end.
    pub status: Status,
    /// The resolved configuration.
    pub config: Value,
    /// What it wrote down while it trained.
    pub history: History,
    /// What it ran on: names and values, in the order in which the page shows them.
    pub environment: Vec<(String, String)>,
    /// The classes, in the order of their ids.
    pub classes: Vec<Class>,
    /// A checkpoint looked at closely; without one the page has no confusion matrix, calibration and predictions.
    pub evaluation: Option<Evaluation>,
}

/// Whether a run is at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// All epochs are done.
    Finished,
    /// A process trains it now.
    Running,
    /// Epochs are missing, and nothing trains it.
    Stopped,
}

/// A class.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Class {
    /// As in the names of scalars, `iou/NAME`.
    pub name: String,
    /// RGB, as in predicted masks.
    pub color: [u8; 3],
}

/// The best epoch of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Best {
    /// The score that decides.
    pub metric: String,
    /// Whether the greatest value is the best.
    pub greatest: bool,
    /// Its best value on the validation data.
    pub score: f64,
    /// When that was, counted from 1.
    pub epoch: u64,
    /// Training steps done by then.
    pub step: u64,
}

/// Colours for classes that came without: Okabe and Ito's, which people with a colour-blindness tell apart.
const COLORS: [[u8; 3]; 7] =
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [240, 228, 66], [0, 114, 178], [213, 94, 0], [204, 121, 167]];

impl Run {
    /// Reads `config.json` and `metrics.jsonl` of a run folder. The classes are those with a scalar `iou/NAME`, in the
    /// order of their names; the status follows from the epochs; there is neither environment nor evaluation. A caller
    /// that knows more of these overwrites them.
    ///
    /// Of `config.json` the page puts into words, where they are there: `train.epochs`, `checkpoint.best`,
    /// `checkpoint.mode`, and what the sentence at its head names.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join("config.json");
        let config = match read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::NoRun { folder: folder.into() });
            }
            bytes => bytes.map_err(Error::io("read", &path))?,
        };
        let config: Value =
            serde_json::from_slice(&config).map_err(|error| Error::Config { path, problem: error.to_string() })?;
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
        };
        if run.planned().is_some_and(|planned| run.history.epochs() >= planned) {
            run.status = Status::Finished;
        }
        Ok(run)
    }

    /// The epochs that it is to have in all, by its configuration.
    pub fn planned(&self) -> Option<u64> {
        self.config.pointer("/train/epochs")?.as_u64()
    }

    /// The score that decides what is best, and whether its greatest value is.
    pub(crate) fn deciding(&self) -> (&str, bool) {
        let of = |key| self.config.pointer(key).and_then(Value::as_str);
        (of("/checkpoint/best").unwrap_or("mean_iou"), of("/checkpoint/mode").unwrap_or("max") == "max")
    }

    /// The best epoch on the validation data; the first of those that are equal.
    pub fn best(&self) -> Option<Best> {
        let (metric, greatest) = self.deciding();
        let lines = self.history.of(Stage::Validation).filter_map(|line| Some((line, line.get(metric)?)));
        let sign = if greatest { 1.0 } else { -1.0 };
        // `max_by` takes the last of equals.
        let (line, score) = lines.rev().max_by(|(_, a), (_, b)| (sign * a).total_cmp(&(sign * b)))?;
        Some(Best { metric: metric.into(), greatest, score, epoch: line.epoch, step: line.step })
    }

    /// Model, optimizer and data in one sentence, as far as the configuration names them.
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

    /// Seconds of training, and whether the run timed its epochs itself. Where it did not, this is from its first line
    /// to its last, so without its first epoch and with the pauses.
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
