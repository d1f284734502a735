//! A file of one JSON object a line, which only grows, and whose lines are whole.

use crate::{Error, growing::Growing};
use serde::{Deserialize, Serialize};
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::{Path, PathBuf},
};

/// A file such as `metrics.jsonl`. NaN and infinity become `null`, since JSON has neither.
#[derive(Debug)]
pub struct JsonLines {
    file: Growing,
}

/// What a line says it is about.
#[derive(Deserialize)]
pub(crate) struct Mark {
    pub stage: Option<String>,
    pub epoch: Option<u64>,
    pub step: Option<u64>,
}

impl JsonLines {
    /// Opens `path` for more lines, creating it if need be. A last line that was torn by a crash is cut off.
    pub fn append(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let options = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = options.map_err(Error::io("open", &path))?;
        let length = whole_lines(&file).map_err(Error::io("read", &path))?;
        Ok(Self { file: Growing::new(path, file, length)? })
    }

    /// Writes one line and hands it to the system at once. A line that could not be written is kept and comes with the
    /// next, so nothing is missing once there is room.
    pub fn write(&mut self, object: &impl Serialize) -> Result<(), Error> {
        let mut line = serde_json::to_vec(object).map_err(|error| Error::encode(self.file.path(), error))?;
        line.push(b'\n');
        self.file.push(&line)?;
        self.file.hand_over()
    }

    /// Hands lines to the system that could not be written before.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.hand_over()
    }

    /// Removes the lines of `path` that `keep` does not want, all at once or none. Lines that are no objects, or not
    /// whole, are removed too: they come from a crash. A file that is not there has no lines.
    pub(crate) fn cut_back(path: &Path, keep: impl Fn(&Mark) -> bool) -> Result<(), Error> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(Error::io("open", path))?,
        };
        let partial = path.with_extension("jsonl.partial");
        let mut kept = BufWriter::new(File::create(&partial).map_err(Error::io("create", &partial))?);
        let mut removed = 0;
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(Error::io("read", path))? > 0 {
            match serde_json::from_slice(&line) {
                Ok(mark) if line.ends_with(b"\n") && keep(&mark) => {
                    kept.write_all(&line).map_err(Error::io("write", &partial))?;
                }
                _ => removed += 1,
            }
            line.clear();
        }
        let kept = kept.into_inner().map_err(|error| Error::io("write", &partial)(error.into_error()))?;
        kept.sync_all().map_err(Error::io("flush", &partial))?;
        fs::rename(&partial, path).map_err(Error::io("rename", &partial))?;
        if removed > 0 {
            log::info!("removed {removed} lines from {}: what they say comes again", path.display());
        }
        Ok(())
    }
}

/// The length of the file up to its last line's end.
fn whole_lines(file: &File) -> io::Result<u64> {
    let mut reader = BufReader::new(file);
    let (mut length, mut line) = (0, Vec::new());
    loop {
        let bytes = reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            return Ok(length);
        }
        length += bytes as u64;
        line.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_appended_and_a_torn_one_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        JsonLines::append(&path).unwrap().write(&json!({"a": 1})).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"b\": 2").unwrap();
        let mut lines = JsonLines::append(&path).unwrap();
        lines.write(&json!({"c": f64::NAN})).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"c\":null}\n");
    }

    #[test]
    fn a_file_that_is_one_torn_line_becomes_empty() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"a\"").unwrap();
        JsonLines::append(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn cutting_back_keeps_the_lines_up_to_the_step_as_they_are() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let until_5 = |mark: &Mark| mark.step.is_some_and(|step| step <= 5);
        JsonLines::cut_back(&path, until_5).unwrap();
        assert!(!path.exists());
        let keep = "{\"stage\":\"train\",\"epoch\":1,\"step\":5,  \"loss\":0.1}\n{\"step\":4}\n";
        fs::write(&path, format!("{keep}{{\"step\":6}}\nnoise\n{{\"step\":5")).unwrap();
        JsonLines::cut_back(&path, until_5).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), keep);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
