//! Training log of a run, read back from `metrics.jsonl`.

pub use crate::{Stage, line::Line};

use crate::{Error, line::text};
use std::{
    io::{self, Read},
    path::Path,
};

/// Scalar of the stage [`Run`](Stage::Run) after the last epoch of a run that its early stopping ended: the number of
/// epochs since the best score.
pub const STOPPED_EARLY: &str = "stopped_early";

/// Lines of `metrics.jsonl`, in order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// One line per epoch and stage, and one per training step if the run logged those.
    pub lines: Vec<Line>,
}

/// Returns all bytes of a regular file.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    regular::open(path)?.read_to_end(&mut bytes)?;
    Ok(bytes)
}

impl History {
    /// Reads `metrics.jsonl`; a missing file has no lines. Text after the last newline was torn by a crash or is being
    /// written right now: it is skipped unless it is a whole object. Other malformed lines are skipped with a warning
    /// in the log, so that an edit by hand does not make the rest unreadable.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let bytes = match read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            bytes => bytes.map_err(Error::io("read", path))?,
        };
        let (mut lines, mut broken) = (Vec::new(), Vec::new());
        for (index, line) in bytes.split_inclusive(|byte| *byte == b'\n').enumerate() {
            let text = text(line);
            if text.trim_ascii().is_empty() {
                continue;
            }
            match serde_json::from_slice(text) {
                Ok(line) => lines.push(line),
                Err(_) if !line.ends_with(b"\n") => {}
                Err(error) => broken.push((index + 1, error)),
            }
        }
        if let Some((line, problem)) = broken.first() {
            let more = if broken.len() > 1 { format!(" (and {} more)", broken.len() - 1) } else { String::new() };
            log::warn!("{}, line {line}{more}: {problem}; skipped", path.display());
        }
        Ok(Self { lines })
    }

    /// Returns the lines of one stage.
    pub fn of(&self, stage: Stage) -> impl DoubleEndedIterator<Item = &Line> + Clone {
        self.lines.iter().filter(move |line| line.stage == stage)
    }

    /// Returns the finite values of a scalar in the lines of a stage, each with its epoch.
    pub fn scores(&self, stage: Stage, name: &str) -> Vec<(u64, f64)> {
        self.of(stage).filter_map(|line| Some((line.epoch, line.get(name)?))).collect()
    }

    /// Returns the number of finished epochs.
    pub fn epochs(&self) -> u64 {
        self.of(Stage::Train).map(|line| line.epoch).max().unwrap_or(0)
    }

    /// Returns the line that says that the early stopping ended the run after its last epoch. A run that went on since
    /// has none.
    pub fn stopped_early(&self) -> Option<&Line> {
        self.of(Stage::Run).rfind(|line| line.epoch >= self.epochs() && line.get(STOPPED_EARLY).is_some())
    }

    /// Returns the number of training steps done.
    pub fn steps(&self) -> u64 {
        self.lines.iter().map(|line| line.step).max().unwrap_or(0)
    }

    /// Returns the names after `prefix` in the lines of all epochs, for example the classes after `iou/`; each once,
    /// sorted.
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let lines = self.lines.iter().filter(|line| line.stage != Stage::Step);
        let mut names: Vec<String> = lines
            .flat_map(|line| line.scalars.keys())
            .filter_map(|name| Some(name.strip_prefix(prefix)?.into()))
            .collect();
        names.sort();
        names.dedup();
        names
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn read(text: &[u8]) -> Result<History, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, text).unwrap();
        History::read(&path)
    }

    const TRAIN: &str = r#"{"stage":"train","epoch":1,"step":19,"time":1.5,"loss":0.5,"iou/pet":null}"#;

    #[test]
    fn a_line_is_read_with_its_scalars() {
        let history = read(format!("{TRAIN}\n").as_bytes()).unwrap();
        let line = &history.lines[0];
        assert_eq!((line.stage, line.epoch, line.step, line.time), (Stage::Train, 1, 19, 1.5));
        assert_eq!(line.get("loss"), Some(0.5));
        assert_eq!(line.scalars["iou/pet"], None);
        assert_eq!(line.get("accuracy"), None);
        assert_eq!(history.names("iou/"), ["pet"]);
        assert_eq!((history.epochs(), history.steps()), (1, 19));
    }

    #[test]
    fn a_run_that_ended_early_says_so_until_it_goes_on() {
        let end = r#"{"stage":"run","epoch":1,"step":19,"time":2.0,"stopped_early":3.0,"best/loss":0.5}"#;
        let history = read(format!("{TRAIN}\n{end}\n").as_bytes()).unwrap();
        let line = history.stopped_early().unwrap();
        assert_eq!((line.get(STOPPED_EARLY), line.get("best/loss")), (Some(3.0), Some(0.5)));
        let later = TRAIN.replace("\"epoch\":1", "\"epoch\":2");
        assert_eq!(read(format!("{TRAIN}\n{end}\n{later}\n").as_bytes()).unwrap().stopped_early(), None);
        assert_eq!(read(TRAIN.as_bytes()).unwrap().stopped_early(), None);
    }

    #[test]
    fn a_file_that_is_not_there_has_no_lines() {
        assert_eq!(History::read(Path::new("/nowhere/metrics.jsonl")).unwrap(), History::default());
        assert_eq!(read(b"").unwrap(), History::default());
    }

    #[test]
    fn a_torn_last_line_is_left_out_wherever_it_was_torn() {
        let whole = format!("{TRAIN}\n{TRAIN}");
        for end in TRAIN.len() + 1..whole.len() {
            assert_eq!(read(&whole.as_bytes()[..end]).unwrap().lines.len(), 1, "torn at {end}");
        }
        assert_eq!(read(whole.as_bytes()).unwrap().lines.len(), 2, "whole but for its end");
        assert_eq!(read(format!("{TRAIN}\n\0\0\0\0").as_bytes()).unwrap().lines.len(), 1);
    }

    #[test]
    fn garbage_in_the_middle_is_passed_over() {
        for garbage in [
            "noise",
            "{\"stage\":\"train\"}",
            "[]",
            "\0\0",
            &TRAIN.replace("train", "lunch"),
            &TRAIN.replace("0.5", "\"x\""),
        ] {
            let history = read(format!("{TRAIN}\n{garbage}\n{TRAIN}\n").as_bytes()).unwrap();
            assert_eq!(history.lines.len(), 2, "{garbage}");
        }
    }

    #[test]
    fn a_line_behind_a_hole_is_read() {
        assert_eq!(read(format!("\0\0\0\0{TRAIN}\n").as_bytes()).unwrap().lines.len(), 1);
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let error = History::read(folder.path()).unwrap_err().to_string();
        assert!(error.ends_with("only regular files are read"), "{error}");
    }
}
