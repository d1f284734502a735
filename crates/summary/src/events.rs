//! TensorBoard event files: protocol buffers in checksummed records.
//!
//! They are only ever written here, never parsed.

use crate::{Error, frame::frame, growing::Growing};
use protobuf::Message;
use std::{
    fs::{self, OpenOptions},
    path::Path,
    process,
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};
use tensorboard_proto::{
    event::{Event, SessionLog, SessionLog_SessionStatus},
    summary::{Summary, Summary_Value},
};

const PREFIX: &str = "events.out.tfevents.";
/// Files of this process so far, so that two of one second have different names.
static FILES: AtomicU64 = AtomicU64::new(0);

/// One TensorBoard event file, `events.out.tfevents.<unix seconds>.<host>.<process>.<n>`. Records are buffered until
/// [`flush`](Self::flush) or until the writer is dropped, where an error would go unseen. A record that could not be
/// written is kept and comes with the next.
#[derive(Debug)]
pub struct EventWriter {
    file: Growing,
}

impl EventWriter {
    /// Starts a new file in `folder`, which is created if need be. TensorBoard reads it after those already there.
    pub fn create(folder: &Path) -> Result<Self, Error> {
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        // TensorBoard reads files in the order of their names, so a clock that was set back must not show in them.
        let seconds = since_1970().as_secs().max(latest(folder)?.map_or(0, |latest| latest + 1));
        let n = FILES.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{PREFIX}{seconds:010}.{}.{}.{n}", host(), process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(Error::io("create", &path))?;
        let mut writer = Self { file: Growing::new(path, file, 0)? };
        let mut event = Event::new();
        event.set_file_version("brain.Event:2".into());
        writer.write(event)?;
        writer.flush()?;
        Ok(writer)
    }

    /// The file.
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Writes one point of the curve `tag`. TensorBoard keeps f32; NaN and infinity are allowed and shown as such.
    pub fn scalar(&mut self, tag: &str, step: i64, value: f64) -> Result<(), Error> {
        let mut point = Summary_Value::new();
        point.set_tag(tag.into());
        point.set_simple_value(value as f32);
        let mut summary = Summary::new();
        summary.mut_value().push(point);
        let mut event = Event::new();
        event.set_step(step);
        event.set_summary(summary);
        self.write(event)
    }

    /// Says that the run starts again here: TensorBoard forgets the points of this folder from `step` on, `step`
    /// included, that it has read so far.
    pub fn restart(&mut self, step: i64) -> Result<(), Error> {
        let mut log = SessionLog::new();
        log.set_status(SessionLog_SessionStatus::START);
        let mut event = Event::new();
        event.set_step(step);
        event.set_session_log(log);
        self.write(event)
    }

    /// Hands what is buffered to the system, so that TensorBoard sees it.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.file.hand_over()
    }

    fn write(&mut self, mut event: Event) -> Result<(), Error> {
        event.set_wall_time(since_1970().as_secs_f64());
        let bytes = event.write_to_bytes().map_err(|error| Error::encode(self.path(), error))?;
        self.file.push(&frame(&bytes))
    }
}

pub fn since_1970() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The seconds in the name of the last event file of `folder`.
fn latest(folder: &Path) -> Result<Option<u64>, Error> {
    let mut latest = None;
    for entry in fs::read_dir(folder).map_err(Error::io("read", folder))? {
        let name = entry.map_err(Error::io("read", folder))?.file_name();
        let seconds = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split('.').next()?.parse::<u32>().ok());
        latest = latest.max(seconds.map(u64::from));
    }
    Ok(latest)
}

/// The name of this machine with no character that could not be in a file's name.
fn host() -> String {
    let name = gethostname::gethostname();
    let name = name.to_string_lossy();
    name.chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::unframe;

    fn contains(bytes: &[u8], part: &[u8]) -> bool {
        bytes.windows(part.len()).any(|window| window == part)
    }

    #[test]
    fn a_file_is_a_version_and_points() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(&folder.path().join("logs/train")).unwrap();
        writer.scalar("loss", 3, 0.5).unwrap();
        writer.restart(4).unwrap();
        writer.flush().unwrap();
        let records = unframe(&fs::read(writer.path()).unwrap());
        let [version, point, restart] = records.as_slice() else { panic!("{} records", records.len()) };
        // By the field numbers of event.proto and summary.proto: wall_time is 1 and takes 9 bytes.
        assert_eq!((version[0], &version[9..]), (0x09, b"\x1a\x0dbrain.Event:2".as_slice()));
        let seconds = f64::from_le_bytes(version[1..9].try_into().unwrap());
        assert!((since_1970().as_secs_f64() - seconds).abs() < 60.0);
        let value = [b"\x0a\x0b\x0a\x04loss\x15".as_slice(), &0.5f32.to_le_bytes()].concat();
        assert_eq!(point[9..], [b"\x10\x03\x2a\x0d".as_slice(), &value].concat());
        assert_eq!(restart[9..], *b"\x10\x04\x3a\x02\x08\x01");
    }

    #[test]
    fn a_later_file_sorts_after_the_earlier_even_if_the_clock_was_set_back() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("events.out.tfevents.4000000000.h.1.0"), "").unwrap();
        fs::write(folder.path().join("events.out.tfevents.x"), "").unwrap();
        let names: Vec<_> = (0..3)
            .map(|_| EventWriter::create(folder.path()).unwrap().path().file_name().unwrap().to_owned())
            .map(|name| name.into_string().unwrap())
            .collect();
        for (name, seconds) in names.iter().zip(4_000_000_001u64..) {
            assert!(name.starts_with(&format!("events.out.tfevents.{seconds}.")), "{name}");
        }
    }

    #[test]
    fn values_that_are_not_finite_are_written() {
        let folder = tempfile::tempdir().unwrap();
        let mut writer = EventWriter::create(folder.path()).unwrap();
        writer.scalar("loss", 0, f64::NAN).unwrap();
        writer.flush().unwrap();
        assert!(contains(&fs::read(writer.path()).unwrap(), &f32::NAN.to_le_bytes()));
    }

    #[test]
    fn an_error_names_the_path() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = EventWriter::create(&file).unwrap_err().to_string();
        assert!(error.contains(&file.display().to_string()), "{error}");
    }
}
