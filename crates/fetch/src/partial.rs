//! The part of a file that has arrived, and the note from where, which lets a later process go on.

use crate::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Version of a file at its source.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Version {
    /// Strong entity tag or date of the file there. Without one, nothing can be resumed.
    pub validator: Option<String>,
    /// Size in bytes, if it is told.
    pub total: Option<u64>,
}

/// The file that is written. Only the holder of the lock has it.
pub(crate) struct Partial {
    file: File,
    path: PathBuf,
    note: PathBuf,
    url: String,
    length: u64,
    version: Version,
}

impl Partial {
    /// Opens what an earlier process left of the same address at `path`, or an empty file.
    pub(crate) fn open(path: &Path, note: &Path, url: &str) -> Result<Self, Error> {
        // Nothing is written through a link.
        if fs::symlink_metadata(path).is_ok_and(|about| !about.is_file()) {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
        }
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let file = file.map_err(Error::io("create", path))?;
        let length = file.metadata().map_err(Error::io("read", path))?.len();
        let version = fs::read_to_string(note).ok().and_then(|text| Version::read(&text, url));
        let url = url.to_string();
        let mut partial = Self { file, path: path.into(), note: note.into(), url, length, version: Version::default() };
        match version {
            Some(version) if version.total.is_none_or(|total| length <= total) => partial.version = version,
            _ => partial.restart(Version::default())?,
        }
        Ok(partial)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> u64 {
        self.length
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Returns true if every byte is there.
    pub(crate) fn is_whole(&self) -> bool {
        self.version.total == Some(self.length)
    }

    /// Begins anew, with a file of this version.
    pub(crate) fn restart(&mut self, version: Version) -> Result<(), Error> {
        self.file.set_len(0).map_err(Error::io("empty", &self.path))?;
        self.length = 0;
        // After the bytes of another version are gone, and before there are any of this one.
        regular::publish(&self.note, version.written(&self.url).as_bytes())?;
        self.version = version;
        Ok(())
    }

    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let written = self.file.seek(SeekFrom::Start(self.length)).and_then(|_| self.file.write_all(bytes));
        written.map_err(Error::io("write", &self.path))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Removes all of it.
    pub(crate) fn remove(&self) {
        // The error that led here says more than one about the removal.
        let _ = fs::remove_file(&self.path);
        let _ = fs::remove_file(&self.note);
    }

    /// Flushes the file and gives it its name.
    pub(crate) fn publish(self, to: &Path) -> Result<(), Error> {
        self.file.sync_all().map_err(Error::io("flush", &self.path))?;
        fs::rename(&self.path, to).map_err(Error::io("rename", &self.path))?;
        match fs::remove_file(&self.note) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(Error::io("remove", &self.note)(error)),
            _ => {}
        }
        let folder = to.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        regular::flush_folder(folder).map_err(Error::io("flush", folder))
    }
}

impl Version {
    fn written(&self, url: &str) -> String {
        let total = self.total.map_or(String::new(), |total| total.to_string());
        format!("{url}\n{}\n{total}\n", self.validator.as_deref().unwrap_or_default())
    }

    /// Reads what [`written`](Self::written) wrote; None if it cannot be resumed, or is of another address.
    fn read(text: &str, url: &str) -> Option<Self> {
        let mut lines = text.lines();
        lines.next().filter(|line| *line == url)?;
        let validator = lines.next().filter(|line| !line.is_empty())?;
        let total = lines.next().filter(|line| !line.is_empty()).map(str::parse).transpose().ok()?;
        Some(Self { validator: Some(validator.into()), total })
    }
}
