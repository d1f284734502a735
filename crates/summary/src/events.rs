//! TensorBoard event files: protocol buffers in checksummed records.
//!
//! They are only ever written here, never parsed.

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
/// Files of this process so far, so that two of one second have different names.
static FILES: AtomicU64 = AtomicU64::new(0);
/// What is waiting is handed over by itself from this size on.
const ENOUGH: usize = 8 << 10;
/// What waits at most while nothing can be written.
const BOUND: usize = 64 << 20;

/// The event files of one folder, `events.out.tfevents.<unix seconds>.<host>.<process>.<n><suffix>`; the first is
/// created when there is something to write. Events are buffered until [`hand_over`](Self::hand_over) or until it is
/// dropped, where an error would go unseen. What could not be written is kept, within bounds, and comes with the next.
/// A file that somebody else removed, replaced or changed is left alone, and a new one begun.
#[derive(Debug)]
pub struct EventFile {
    folder: PathBuf,
    suffix: &'static str,
    /// The size from which on a new file is begun.
    rotate: u64,
    file: Option<Growing>,
    waiting: Waiting,
    permit: Permit,
    /// Whether it could not be written when that was tried last.
    failing: bool,
}

impl EventFile {
    /// Nothing is touched yet.
    pub fn new(folder: PathBuf, suffix: &'static str, rotate: u64) -> Self {
        let (waiting, permit) = (Waiting::new(BOUND), Permit::default());
        Self { folder, suffix, rotate, file: None, waiting, permit, failing: false }
    }

    /// Changes nothing without this permit.
    pub fn permitted(&mut self, permit: &Permit) {
        self.permit = permit.clone();
    }

    /// Takes an event; a `bulky` one may be dropped.
    pub fn push(&mut self, event: &Event, bulky: bool) -> Result<(), Error> {
        let bytes = event.write_to_bytes().map_err(|error| Error::encode(&self.folder, error))?;
        self.waiting.push(&frame(&bytes), bulky);
        // To fill a disk to its last byte and cut that off again, for every event, would help nobody: a failure is tried
        // again only when that is asked for.
        if self.waiting.bytes().len() < ENOUGH || self.failing { Ok(()) } else { self.hand_over() }
    }

    /// Hands what is buffered to the system, so that TensorBoard sees it.
    pub fn hand_over(&mut self) -> Result<(), Error> {
        let written = if self.waiting.bytes().is_empty() { Ok(()) } else { self.append() };
        self.failing = written.is_err();
        written
    }

    fn append(&mut self) -> Result<(), Error> {
        self.permit.ask()?;
        // Where nobody can tell, it is as we left it.
        let changed = |file: &mut Growing| file.found().is_ok_and(|found| found != Found::Same);
        if let Some(file) = self.file.take_if(changed) {
            log::warn!("{} was changed or removed by somebody else: going on in a new file", file.path().display());
        }
        let file = match self.file.take_if(|file| file.length() < self.rotate) {
            Some(file) => self.file.insert(file),
            None => self.file.insert(create(&self.folder, self.suffix)?),
        };
        file.append(self.waiting.bytes())?;
        self.waiting.clear();
        Ok(())
    }

    /// Whether there is no event file in the folder, and nothing waits for one. Where nobody can tell, there is.
    pub fn is_untouched(&self) -> bool {
        self.waiting.bytes().is_empty() && files(&self.folder).is_ok_and(|files| files.is_empty())
    }

    /// Begins a new file with what comes, and forgets what was waiting.
    pub fn begin_anew(&mut self) {
        self.file = None;
        self.waiting.clear();
    }

    /// How many events were dropped because too much was waiting.
    pub fn dropped(&self) -> u64 {
        self.waiting.dropped()
    }
}

impl Drop for EventFile {
    fn drop(&mut self) {
        self.hand_over().ok();
    }
}

/// Starts a new file in `folder`, which is created if need be. TensorBoard reads it after those already there.
fn create(folder: &Path, suffix: &str) -> Result<Growing, Error> {
    fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    // TensorBoard reads files in the order of their names, so a clock that was set back must not show in them.
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
        // It is tried again, and every attempt would leave an empty file.
        fs::remove_file(file.path()).ok();
        return Err(error);
    }
    Ok(file)
}

/// The names of the event files in `folder`; a folder that is not there has none.
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

/// The seconds in the name of an event file.
fn seconds(name: &str) -> Option<u32> {
    name.strip_prefix(PREFIX)?.split('.').next()?.parse().ok()
}

/// The name of this machine with no character that could not be in a file's name.
fn host() -> String {
    let name = gethostname::gethostname();
    let name = name.to_string_lossy();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests;
