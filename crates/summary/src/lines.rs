//! An append-only file of one JSON object per line, whose lines are whole.

use crate::{
    Error, Permit, Record, Value, Writer,
    growing::{Found, Growing},
    line::{KEYS, Line, Mark, Ordered, text},
};
use regular::{Failed, Partial};
use serde::Serialize;
use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

/// A JSON lines file, for example `metrics.jsonl`. As a [`Writer`] it takes scalars, one line per record, and is
/// truncated at a restart.
///
/// Each line is handed to the system at once. A line that could not be written is kept and comes with the next, so that
/// nothing is missing once the disk has room. NaN and infinity become `null`, since JSON has neither.
///
/// If someone truncates, replaces or removes the file meanwhile, as editors do, the next lines go to the end of the
/// file that has the name then, and one warning is logged.
#[derive(Debug)]
pub struct JsonLines {
    file: Growing,
    waiting: Vec<u8>,
    permit: Permit,
    told: bool,
}

impl JsonLines {
    /// Opens `path` for appending, creating it if missing. Cuts off a last line that was torn by a crash.
    pub fn append(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Ok(Self { file: whole(path.into())?, waiting: Vec::new(), permit: Permit::default(), told: false })
    }

    /// Asks `permit` before each change of the file.
    #[must_use]
    pub fn permitted(mut self, permit: &Permit) -> Self {
        self.permit = permit.clone();
        self
    }

    fn line(&mut self, object: &impl Serialize) -> Result<(), Error> {
        let line = serde_json::to_vec(object).map_err(|error| Error::encode(self.file.path(), error))?;
        self.waiting.extend(line);
        self.waiting.push(b'\n');
        self.flush()
    }

    /// Removes all lines that came after `epochs` finished epochs and `step` steps.
    fn restart(&mut self, epochs: u64, step: u64) -> Result<(), Error> {
        self.flush()?;
        self.permit.ask().map_err(Error::refused)?;
        let path = self.file.path().to_path_buf();
        Self::cut_back(&path, |mark| mark.is_before(epochs, step))?;
        // `cut_back` replaced the file.
        self.file = whole(path)?;
        Ok(())
    }

    /// Moves to the place for the next line: the end of the file that has the name now.
    fn find_end(&mut self) -> Result<(), Error> {
        let (found, path) = (self.file.found()?, self.file.path().to_path_buf());
        match found {
            Found::Same => return Ok(()),
            Found::Cut | Found::Grown => {}
            Found::Replaced | Found::Missing => self.file = Growing::at_its_end(path.clone(), open(&path)?)?,
        }
        self.file.go_on_at_its_end()?;
        if !ends_a_line(self.file.file()).map_err(Error::io("read", &path))? {
            self.file.append(b"\n")?;
        }
        let what = match found {
            Found::Cut => "was cut",
            Found::Replaced => "was replaced by another file",
            _ => "was removed",
        };
        if found != Found::Grown && !std::mem::replace(&mut self.told, true) {
            log::warn!("{} {what} by somebody else: what comes is written at its end", path.display());
        }
        Ok(())
    }

    /// Removes the lines of `path` that `keep` rejects, atomically. Also removes lines that are incomplete or not JSON
    /// objects: they come from a crash, or from the hole left where someone truncated the file. Accepts a missing file.
    fn cut_back(path: &Path, keep: impl Fn(&Mark) -> bool) -> Result<(), Error> {
        let file = match regular::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            file => file.map_err(Error::io("open", path))?,
        };
        let failed = |failed: Failed| Error::io(failed.doing, &failed.path)(failed.source);
        // Only the process that holds the run's lock writes here, so what a killed one left has this name too.
        let partial = Partial::named(path.with_extension("jsonl.partial"), path).map_err(failed)?;
        let mut kept = BufWriter::new(partial.file());
        let (mut removed, mut broken) = (0, 0);
        let mut lines = BufReader::new(file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line).map_err(Error::io("read", path))? > 0 {
            let text = text(&line);
            match serde_json::from_slice(text) {
                Ok(mark) if line.ends_with(b"\n") && keep(&mark) => {
                    kept.write_all(text).map_err(Error::io("write", partial.path()))?;
                }
                Ok(_) => removed += 1,
                Err(_) => broken += 1,
            }
            line.clear();
        }
        kept.flush().map_err(Error::io("write", partial.path()))?;
        drop(kept);
        partial.publish().map_err(failed)?;
        if removed > 0 {
            log::info!("removed {removed} lines from {}: the run will log them again", path.display());
        }
        if broken > 0 {
            log::warn!("removed {broken} broken lines from {}", path.display());
        }
        Ok(())
    }
}

impl Writer for JsonLines {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        let scalars = match &record.value {
            Value::Scalars(scalars) => scalars,
            Value::Restart => return self.restart(record.epoch, record.step),
            _ => return Ok(()),
        };
        if let Some((name, _)) = scalars.iter().find(|(name, _)| KEYS.contains(&name.as_str())) {
            let problem = format!("'{name}' cannot name a scalar, since every line has that key");
            return Err(Error::encode(self.file.path(), problem));
        }
        let Record { stage, epoch, step, time, .. } = *record;
        self.line(&Line { stage, epoch, step, time, scalars: Ordered(scalars) })
    }

    fn flush(&mut self) -> Result<(), Error> {
        if !self.waiting.is_empty() {
            self.permit.ask().map_err(Error::refused)?;
            self.find_end()?;
            self.file.append(&self.waiting)?;
            self.waiting.clear();
        }
        Ok(())
    }
}

impl Drop for JsonLines {
    fn drop(&mut self) {
        self.flush().ok();
    }
}

/// Opens `path` for appending, creating it if missing.
fn open(path: &Path) -> Result<File, Error> {
    // Opening a pipe would block until someone reads it.
    if fs::metadata(path).is_ok_and(|about| !about.is_file()) {
        return Err(Error::io("open", path)(io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file")));
    }
    OpenOptions::new().read(true).append(true).create(true).open(path).map_err(Error::io("open", path))
}

/// Opens `path`, truncated to its last whole line.
fn whole(path: PathBuf) -> Result<Growing, Error> {
    let file = open(&path)?;
    let (length, lacks_end) = whole_lines(&file).map_err(Error::io("read", &path))?;
    let mut file = Growing::new(path, file, length)?;
    if lacks_end {
        file.append(b"\n")?;
    }
    Ok(file)
}

/// Returns the length of the file up to its last whole line, and true if that line lacks its newline, as an editor may
/// leave it.
fn whole_lines(file: &File) -> io::Result<(u64, bool)> {
    let mut reader = BufReader::new(file);
    let (mut length, mut line) = (0, Vec::new());
    loop {
        let bytes = reader.read_until(b'\n', &mut line)? as u64;
        if !line.ends_with(b"\n") {
            let whole = serde_json::from_slice::<Mark>(&line).is_ok();
            return Ok(if whole { (length + bytes, true) } else { (length, false) });
        }
        length += bytes;
        line.clear();
    }
}

/// Returns true if the file is empty or ends with a newline, so that appended text begins a line.
fn ends_a_line(mut file: &File) -> io::Result<bool> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_a_full_disk_does_not_take_comes_once_there_is_room() {
        let Some(full) = Growing::full() else { return };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = JsonLines::append(&path).unwrap();
        lines.file = full;
        for number in 0..2 {
            let error = lines.line(&json!(number)).unwrap_err().to_string();
            assert!(error.starts_with("cannot write /dev/full: No space left"), "{error}");
        }
        lines.file = Growing::new(path.clone(), open(&path).unwrap(), 0).unwrap();
        lines.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0\n1\n");
        lines.line(&json!(2)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "0\n1\n2\n");
    }

    #[test]
    fn lines_are_appended_and_a_torn_one_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        JsonLines::append(&path).unwrap().line(&json!({"a": 1})).unwrap();
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"b\": 2").unwrap();
        let mut lines = JsonLines::append(&path).unwrap();
        lines.line(&json!({"c": f64::NAN})).unwrap();
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
    fn a_last_line_that_only_lacks_its_end_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "{\"a\":1}\n{\"b\":2}").unwrap();
        JsonLines::append(&path).unwrap().line(&json!(3)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"a\":1}\n{\"b\":2}\n3\n");
    }

    #[test]
    fn lines_go_on_in_the_file_that_has_the_name_whatever_somebody_did_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let mut lines = JsonLines::append(&path).unwrap();
        let mut expect = |number: u64, text: &str| {
            lines.line(&json!(number)).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        };
        expect(0, "0\n");
        fs::write(&path, "").unwrap();
        expect(1, "1\n");
        // As editors do, one of which omits the last newline.
        let other = folder.path().join("other");
        fs::write(&other, "note").unwrap();
        fs::rename(&other, &path).unwrap();
        expect(2, "note\n2\n");
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"another").unwrap();
        expect(3, "note\n2\nanother\n3\n");
        fs::remove_file(&path).unwrap();
        expect(4, "4\n");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = lines.line(&json!(5)).unwrap_err().to_string();
        assert!(error.ends_with("metrics.jsonl: it is no regular file"), "{error}");
        fs::remove_dir(&path).unwrap();
        lines.flush().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "5\n", "it waited");
    }

    #[test]
    fn nothing_is_written_where_that_is_refused_and_no_folder_is_made() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        fs::create_dir(&run).unwrap();
        let path = run.join("metrics.jsonl");
        let here = run.join("lock");
        fs::write(&here, "").unwrap();
        let permit = Permit::new(move || fs::metadata(&here).map(drop).map_err(|_| "the run was moved".into()));
        let mut lines = JsonLines::append(&path).unwrap().permitted(&permit);
        lines.line(&json!(1)).unwrap();
        fs::rename(&run, folder.path().join("moved")).unwrap();
        assert_eq!(lines.line(&json!(2)).unwrap_err().to_string(), "the run was moved");
        drop(lines);
        assert!(!run.exists());
        assert_eq!(fs::read_to_string(folder.path().join("moved/metrics.jsonl")).unwrap(), "1\n");
    }

    #[test]
    fn cutting_back_finds_the_line_behind_a_hole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, "\0\0\0{\"step\":1}\n\0\0\n{\"step\":2}\n").unwrap();
        JsonLines::cut_back(&path, |mark| mark.step == Some(1)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"step\":1}\n");
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
        #[cfg(unix)]
        std::os::unix::fs::symlink(folder.path().join("theirs"), path.with_extension("jsonl.partial")).unwrap();
        JsonLines::cut_back(&path, until_5).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), keep);
        assert!(!folder.path().join("theirs").exists(), "nothing is written through a link");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
