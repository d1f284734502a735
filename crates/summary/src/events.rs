//! TensorBoard event files: protocol buffers in checksummed records.
//!
//! This crate only writes them, and never parses them.

use crate::{
    Error, Permit,
    frame::frame,
    growing::{Found, Growing},
    waiting::Waiting,
};
use protobuf::Message;
use std::{
    fs::{self, OpenOptions},
    io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::SystemTime,
};
use tensorboard_proto::event::Event;

const PREFIX: &str = "events.out.tfevents.";
/// Number of files that this process created so far, so that two of the same second have different names.
static FILES: AtomicU64 = AtomicU64::new(0);
/// Size in bytes at which the buffer is handed to the system without a request.
const ENOUGH: usize = 8 << 10;
/// Maximum size in bytes of the buffer while writing fails.
const BOUND: usize = 64 << 20;

/// The event files of one folder, `events.out.tfevents.<unix seconds>.<host>.<process>.<n><suffix>`; the first is
/// created with the first event. Events are buffered until [`hand_over`](Self::hand_over) or until the value is
/// dropped, which ignores errors. Events that could not be written are kept, up to `BOUND` bytes, and written with the
/// next. A file that another program removed, replaced or changed is left alone, and a new one begun.
#[derive(Debug)]
pub struct EventFile {
    folder: PathBuf,
    suffix: &'static str,
    /// Size in bytes at which a new file is begun.
    rotate: u64,
    file: Option<Growing>,
    waiting: Waiting,
    permit: Permit,
    /// True if the last attempt to write failed.
    failing: bool,
}

impl EventFile {
    /// Does not touch the disk yet.
    pub fn new(folder: PathBuf, suffix: &'static str, rotate: u64) -> Self {
        let (waiting, permit) = (Waiting::new(BOUND), Permit::default());
        Self { folder, suffix, rotate, file: None, waiting, permit, failing: false }
    }

    /// Asks `permit` before each change of a file or folder.
    pub fn permitted(&mut self, permit: &Permit) {
        self.permit = permit.clone();
    }

    /// Buffers an event; a `bulky` one may be dropped.
    pub fn push(&mut self, event: &Event, bulky: bool) -> Result<(), Error> {
        let bytes = event.write_to_bytes().map_err(|error| Error::encode(&self.folder, error))?;
        self.waiting.push(&frame(&bytes), bulky);
        // A retry for every event would fill the disk to its last byte and cut that off again, each time. So a failure
        // is retried only on request.
        if self.waiting.bytes().len() < ENOUGH || self.failing { Ok(()) } else { self.hand_over() }
    }

    /// Hands the buffered events to the system, so that TensorBoard sees them.
    pub fn hand_over(&mut self) -> Result<(), Error> {
        let written = if self.waiting.bytes().is_empty() { Ok(()) } else { self.append() };
        self.failing = written.is_err();
        written
    }

    fn append(&mut self) -> Result<(), Error> {
        self.permit.ask().map_err(Error::refused)?;
        // If the file cannot be inspected, assume that it is unchanged.
        let changed = |file: &mut Growing| file.found().is_ok_and(|found| found != Found::Same);
        if let Some(file) = self.file.take_if(changed) {
            log::warn!("{} was changed or removed by another program: going on in a new file", file.path().display());
        }
        let file = match self.file.take_if(|file| file.length() < self.rotate) {
            Some(file) => self.file.insert(file),
            None => self.file.insert(create(&self.folder, self.suffix)?),
        };
        file.append(self.waiting.bytes())?;
        self.waiting.clear();
        Ok(())
    }

    /// Returns true if the folder has no event file and no event waits to be written. False if the folder cannot be
    /// read.
    pub fn is_untouched(&self) -> bool {
        self.waiting.bytes().is_empty() && files(&self.folder).is_ok_and(|files| files.is_empty())
    }

    /// Begins a new file with the next event, and discards all buffered events.
    pub fn begin_anew(&mut self) {
        self.file = None;
        self.waiting.clear();
    }

    /// Returns the number of events that were dropped because the buffer was full.
    pub fn dropped(&self) -> u64 {
        self.waiting.dropped()
    }
}

impl Drop for EventFile {
    fn drop(&mut self) {
        self.hand_over().ok();
    }
}

/// Starts a new file in `folder`, which is created if missing. TensorBoard reads it after the existing ones.
fn create(folder: &Path, suffix: &str) -> Result<Growing, Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    // TensorBoard reads files in the order of their names, so these must ascend even if the clock was set back.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let latest = files(folder)?.iter().filter_map(|name| seconds(name)).max();
    let seconds = now.as_secs().max(latest.map_or(0, |latest| u64::from(latest) + 1));
    let n = FILES.fetch_add(1, Ordering::Relaxed);
    let path = folder.join(format!("{PREFIX}{seconds:010}.{}.{}.{n}{suffix}", host(), process::id()));
    let file = OpenOptions::new().append(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
    let mut event = Event::new();
    event.set_wall_time(now.as_secs_f64());
    event.set_file_version("brain.Event:2".into());
    let version = event.write_to_bytes().map_err(|error| Error::encode(&path, error))?;
    let mut file = Growing::new(path, file, 0)?;
    if let Err(error) = file.append(&frame(&version)) {
        // Creation will be retried, and every attempt would leave an empty file.
        fs::remove_file(file.path()).ok();
        return Err(error);
    }
    Ok(file)
}

/// Returns the names of the event files in `folder`; none if the folder is missing.
pub fn files(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(Error::io("read", folder))?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        files.extend(name.into_string().ok().filter(|name| name.starts_with(PREFIX)));
    }
    Ok(files)
}

/// Parses the seconds in the name of an event file.
fn seconds(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

/// Returns the host name with each character but ASCII letters, digits and `-` replaced by `_`.
fn host() -> String {
    let name = gethostname::gethostname();
    let name = name.to_string_lossy();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
