//! Lines of the log: they corrupt no progress bar, and are kept while a dashboard covers the terminal.

use crate::{
    clean::{clean, clean_line},
    output, words,
};
use log::{Level, Log, Metadata, Record};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// Maximum number of lines that a dashboard keeps; a run that logs more is being debugged, and needs no dashboard.
const KEPT: usize = 20_000;

/// Lines logged since the dashboard opened; `None` while none is open.
static KEPT_LINES: Mutex<Option<Kept>> = Mutex::new(None);

/// Line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct Line {
    /// Time of logging.
    pub at: SystemTime,
    /// Severity.
    pub level: Level,
    /// Text without line breaks.
    pub text: String,
}

#[derive(Debug, Default)]
struct Kept {
    lines: VecDeque<Line>,
    left_out: u64,
}

/// Logger that escapes control characters in its lines ([`clean`]). Lines logged while a dashboard is open are shown
/// there, and written to stderr when it closes. The inner logger should write to [`Stderr`](crate::Stderr), so that its
/// lines do not corrupt a progress bar and no caller waits for a terminal.
pub struct Lines<L>(pub L);

impl<L: Log> Log for Lines<L> {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = clean(&record.args().to_string());
        if !keep(record.level(), &text) {
            let mut builder = Record::builder();
            builder.metadata(record.metadata().clone()).module_path(record.module_path());
            builder.file(record.file()).line(record.line());
            self.0.log(&builder.args(format_args!("{text}")).build());
        }
    }

    fn flush(&self) {
        self.0.flush();
        output::flush();
    }
}

fn lock() -> MutexGuard<'static, Option<Kept>> {
    KEPT_LINES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the text for the dashboard; returns false if none is open.
fn keep(level: Level, text: &str) -> bool {
    let at = SystemTime::now();
    let mut kept = lock();
    let Some(kept) = kept.as_mut() else { return false };
    for text in text.lines() {
        if kept.lines.len() == KEPT {
            kept.lines.pop_front();
            kept.left_out += 1;
        }
        kept.lines.push_back(Line { at, level, text: clean_line(&text.replace('\t', " ")) });
    }
    true
}

/// Starts to keep lines.
pub(crate) fn start_keeping() {
    *lock() = Some(Kept::default());
}

/// Writes the kept lines to stderr; later lines go there directly.
pub(crate) fn stop_keeping() {
    // Hold the lock until all lines are queued, so that lines logged meanwhile come after them.
    let mut kept = lock();
    if let Some(kept) = kept.take() {
        written(&kept).for_each(|line| output::say(&line));
    }
}

/// Formats the kept lines as a log.
fn written(kept: &Kept) -> impl Iterator<Item = String> {
    let left_out = (kept.left_out > 0).then(|| format!("({} lines before these were left out)", kept.left_out));
    let line = |Line { at, level, text }: &Line| format!("[{} {level:<5}] {text}", words::stamp(*at));
    left_out.into_iter().chain(kept.lines.iter().map(line))
}

/// Returns the number of kept lines.
pub(crate) fn count() -> usize {
    lock().as_ref().map_or(0, |kept| kept.lines.len())
}

/// Returns at most `count` lines before the last `skipped` ones, oldest first.
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

    /// Logger that keeps its messages.
    struct Taken(Mutex<Vec<String>>);

    impl Log for Taken {
        fn enabled(&self, metadata: &Metadata) -> bool {
            metadata.level() <= LevelFilter::Info
        }

        fn log(&self, record: &Record) {
            self.0.lock().unwrap().push(format!("{} {}", record.target(), record.args()));
        }

        fn flush(&self) {}
    }

    fn record(log: &impl Log, level: Level, text: &str) {
        log.log(&Record::builder().level(level).target("here").args(format_args!("{text}")).build());
    }

    #[test]
    fn lines_are_kept_while_a_dashboard_is_open_and_go_through_otherwise() {
        let log = Lines(Taken(Mutex::default()));
        record(&log, Level::Info, "before \x1b[2J\r\u{202e}");
        assert_eq!(*log.0.0.lock().unwrap(), ["here before \\u001b[2J\\u000d\\u202e"]);
        start_keeping();
        for text in ["one", "two\nlines", "bell\x07and\ttab"] {
            record(&log, Level::Warn, text);
        }
        record(&log, Level::Debug, "nobody asked for");
        let texts = |lines: Vec<Line>| lines.into_iter().map(|line| line.text).collect::<Vec<_>>().join("|");
        assert_eq!(count(), 4);
        assert_eq!(
            [(0, 2), (3, 9), (9, 9)].map(|(skipped, count)| texts(window(skipped, count))),
            ["lines|bell\\u0007and tab", "one", ""]
        );
        stop_keeping();
        record(&log, Level::Info, "after");
        assert_eq!(log.0.0.lock().unwrap().last().unwrap(), "here after");
    }

    #[test]
    fn kept_lines_are_written_as_a_log_writes_them() {
        let line =
            |text: &str| Line { at: UNIX_EPOCH + Duration::from_secs(60), level: Level::Info, text: text.into() };
        let kept = Kept { lines: [line("one"), line("two")].into(), left_out: 3 };
        let expected = "(3 lines before these were left out)\n\
            [1970-01-01T00:01:00Z INFO ] one\n[1970-01-01T00:01:00Z INFO ] two";
        assert_eq!(written(&kept).collect::<Vec<_>>().join("\n"), expected);
    }
}
