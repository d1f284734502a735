//! The lines of the log: they tear no bar, and wait while a dashboard covers the terminal.

use crate::{bars::BARS, words};
use log::{Level, Log, Metadata, Record};
use std::collections::VecDeque;
use std::io::{Write, stderr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// A dashboard keeps so many lines; a run that logs more is one that debugs, and better off without a dashboard.
const KEPT: usize = 20_000;

/// What was logged since the dashboard opened; `None` while there is none.
static KEPT_LINES: Mutex<Option<Kept>> = Mutex::new(None);

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// When it was logged.
    pub at: SystemTime,
    /// How much it matters.
    pub level: Level,
    /// What it says, without line breaks.
    pub text: String,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    left_out: u64,
}

/// A log whose lines do not tear what is on the terminal. The lines that come while a dashboard is open are shown there,
/// and written to stderr when it closes.
pub struct Lines<L>(pub L);

impl<L: Log> Log for Lines<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if self.enabled(record.metadata()) && !keep(record) {
            BARS.suspend(|| self.0.log(record));
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

fn lock() -> MutexGuard<'static, Option<Kept>> {
    KEPT_LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether there is a dashboard that keeps the record.
fn keep(record: &Record) -> bool {
    if lock().is_none() {
        return false;
    }
    // Without the lock: what is logged may itself log, or panic, and a panic wants the lines.
    let (at, text) = (SystemTime::now(), record.args().to_string());
    let mut kept = lock();
    let Some(kept) = kept.as_mut() else { return false };
    for text in text.lines() {
        // What a terminal would obey, and not show, has no place on a screen.
        let text = text.replace(|sign: char| sign.is_control(), " ");
        if kept.lines.len() == KEPT {
            kept.lines.pop_front();
            kept.left_out += 1;
        }
        kept.lines.push_back(Line { at, level: record.level(), text });
    }
    true
}

/// From now on lines are kept.
pub(crate) fn start_keeping() {
    *lock() = Some(Kept::default());
}

/// Writes what was kept to stderr; from now on lines go there themselves.
pub(crate) fn stop_keeping() {
    // The lock is held until all is written: a line that comes meanwhile comes after them.
    let mut kept = lock();
    if let Some(kept) = kept.take() {
        // A stderr that is closed can be told nothing.
        let _ = write(&kept, &mut stderr().lock());
    }
}

fn write(kept: &Kept, to: &mut impl Write) -> std::io::Result<()> {
    let mut text = String::new();
    if kept.left_out > 0 {
        text += &format!("({} lines before these were left out)\n", kept.left_out);
    }
    for Line { at, level, text: line } in &kept.lines {
        text += &format!("[{} {level:<5}] {line}\n", words::stamp(*at));
    }
    to.write_all(text.as_bytes())?;
    to.flush()
}

/// How many lines are kept.
pub(crate) fn count() -> usize {
    lock().as_ref().map_or(0, |kept| kept.lines.len())
}

/// The last lines but `skipped`, at most `count`, oldest first.
pub(crate) fn window(skipped: usize, count: usize) -> Vec<Line> {
    let kept = lock();
    let Some(Kept { lines, .. }) = kept.as_ref() else { return Vec::new() };
    let end = lines.len().saturating_sub(skipped);
    lines.range(end.saturating_sub(count)..end).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use log::LevelFilter;
    use std::time::{Duration, UNIX_EPOCH};

    struct Count(Mutex<u32>);

    impl Log for Count {
        fn enabled(&self, metadata: &Metadata) -> bool {
            metadata.level() <= LevelFilter::Info
        }

        fn log(&self, _: &Record) {
            *self.0.lock().unwrap() += 1;
        }

        fn flush(&self) {}
    }

    fn record(log: &impl Log, level: Level, text: &str) {
        log.log(&Record::builder().level(level).args(format_args!("{text}")).build());
    }

    #[test]
    fn lines_are_kept_while_a_dashboard_is_open_and_go_through_otherwise() {
        let log = Lines(Count(Mutex::new(0)));
        record(&log, Level::Info, "before");
        assert_eq!(*log.0.0.lock().unwrap(), 1);
        start_keeping();
        for text in ["one", "two\nlines", "bell\x07and\ttab"] {
            record(&log, Level::Warn, text);
        }
        record(&log, Level::Debug, "nobody asked for");
        let texts = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("|");
        assert_eq!(count(), 4);
        assert_eq!(
            [(0, 2), (3, 9), (9, 9)].map(|(skipped, count)| texts(window(skipped, count))),
            ["lines|bell and tab", "one", ""]
        );
        stop_keeping();
        record(&log, Level::Info, "after");
        assert_eq!(*log.0.0.lock().unwrap(), 2);
    }

    #[test]
    fn kept_lines_are_written_as_a_log_writes_them() {
        let line =
            |text: &str| Line { at: UNIX_EPOCH + Duration::from_secs(60), level: Level::Info, text: text.into() };
        let mut shown = Vec::new();
        write(&Kept { lines: [line("one"), line("two")].into(), left_out: 3 }, &mut shown).unwrap();
        let expected = "(3 lines before these were left out)\n\
            [1970-01-01T00:01:00Z INFO ] one\n[1970-01-01T00:01:00Z INFO ] two\n";
        assert_eq!(String::from_utf8(shown).unwrap(), expected);
    }
}
