//! The path of all output: a bounded queue, and a thread of its own that writes it.
//!
//! A terminal may stall (Ctrl-S, a lost network) or disappear, and a disk may be full. None of this may stop, slow or
//! fail the training, so only the thread waits for the terminal:
//!
//! - Lines are written in order. The number of waiting bytes is bounded; lines beyond the bound are dropped, and a line
//!   in their place states how many. Lines that cannot be written are counted in the same way, once writing works
//!   again.
//! - A bar is one line that is redrawn. Only its newest state is kept.
//! - A frame of the dashboard is drawn only when nothing waits ([`is_idle`]).
//! - [`flush`] waits as long as the reader makes progress, and gives up otherwise.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write, stderr, stdout};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Condvar, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Limits of the program. 16 MB are 100,000 lines and more; the waits are short, since a job that is asked to stop
/// often gets only 30 seconds.
const LIMITS: Limits = Limits { bytes: 16 << 20, patience: Duration::from_secs(4), longest: Duration::from_secs(20) };
/// Bytes per write: a pipe takes this many atomically, and each write shows that the reader still reads.
const PIECE: usize = 4096;
/// Pause before the next attempt on a non-blocking stream that is full.
const PAUSE: Duration = Duration::from_millis(20);
/// Escape sequence: carriage return, erase the line.
const CLEAR: &[u8] = b"\r\x1b[2K";

static OUTPUT: LazyLock<Output> = LazyLock::new(|| Output::serve(LIMITS, stdout, stderr));

/// Limits of the queue.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Maximum number of waiting bytes.
    bytes: usize,
    /// Longest wait for a reader that takes nothing.
    patience: Duration,
    /// Longest wait for a slow reader.
    longest: Duration,
}

/// Stream to write to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stream {
    /// Standard output: results.
    Out,
    /// Standard error: all else.
    Err,
}

#[derive(Debug)]
struct Entry {
    to: Stream,
    bytes: Vec<u8>,
    /// Number of lines in `bytes`; 0 for a frame, whose loss need not be reported.
    lines: u64,
    /// Receives the result of writing it.
    written: Option<SyncSender<io::Result<()>>>,
}

#[derive(Debug, Default)]
struct Queue {
    entries: VecDeque<Entry>,
    /// Total bytes of the entries.
    bytes: usize,
    /// Number of lines dropped since the last one that was accepted.
    left_out: u64,
    /// Bar to show, with its owner.
    bar: Option<(u64, String)>,
    /// True if the bar on the screen is out of date.
    redraw: bool,
    /// True while the thread writes.
    busy: bool,
    /// Time at which the reader last took something, or at which the first waiting entry came.
    moved: Option<Instant>,
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.entries.is_empty() && !self.redraw && !self.busy
    }

    fn add(&mut self, entry: Entry) {
        self.bytes += entry.bytes.len();
        self.entries.push_back(entry);
    }

    /// Queues a note on the number of dropped lines, if any.
    fn admit(&mut self) {
        if self.left_out > 0 {
            let bytes = missing(self.left_out);
            self.left_out = 0;
            self.add(Entry { to: Stream::Err, bytes, lines: 0, written: None });
        }
    }
}

fn missing(lines: u64) -> Vec<u8> {
    format!("({lines} lines were left out here, since nobody took them)\n").into_bytes()
}

/// The queue and its thread.
struct Output {
    limits: Limits,
    shared: Arc<Shared>,
    /// True if the thread runs. Without it everything is written directly.
    served: bool,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for and returns the next entry with the bar to show after it, or the bar alone.
    fn next(&self) -> (Option<Entry>, Option<String>) {
        let mut queue = self.lock();
        (queue.busy, queue.moved) = (false, Some(Instant::now()));
        self.changed.notify_all();
        loop {
            let entry = queue.entries.pop_front();
            if entry.is_some() || queue.redraw {
                queue.bytes -= entry.as_ref().map_or(0, |entry| entry.bytes.len());
                queue.busy = true;
                // The bar need not be drawn between two lines.
                let last = queue.entries.is_empty();
                queue.redraw &= !last;
                let bar = queue.bar.as_ref().filter(|_| last).map(|(_, line)| line.clone());
                return (entry, bar);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes all entries, for ever.
    fn work(&self, mut out: impl Write, mut err: impl Write) {
        let (mut shown, mut failed) = (false, 0);
        loop {
            let (entry, bar) = self.next();
            let mut bytes = if shown { CLEAR.to_vec() } else { Vec::new() };
            shown = bar.is_some();
            let Some(Entry { to, bytes: text, lines, written }) = entry else {
                bytes.extend(bar.into_iter().flat_map(String::into_bytes));
                // The loss of a bar need not be reported.
                let _ = self.put(&mut err, &bytes);
                continue;
            };
            let result = match to {
                Stream::Out => {
                    let _ = self.put(&mut err, &bytes);
                    bytes.clear();
                    self.put(&mut out, &text)
                }
                Stream::Err => {
                    if failed > 0 && lines > 0 {
                        bytes.extend(missing(failed));
                    }
                    bytes.extend(text);
                    Ok(())
                }
            };
            bytes.extend(bar.into_iter().flat_map(String::into_bytes));
            match self.put(&mut err, &bytes) {
                Ok(()) if to == Stream::Err && lines > 0 => failed = 0,
                Err(_) if to == Stream::Err => failed += lines,
                _ => {}
            }
            if let Some(written) = written {
                // The caller may have given up.
                let _ = written.send(result);
            }
        }
    }

    fn put(&self, to: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match to.write(&bytes[..bytes.len().min(PIECE)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(count) => {
                    bytes = &bytes[count..];
                    self.lock().moved = Some(Instant::now());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(PAUSE),
                Err(error) => return Err(error),
            }
        }
        to.flush()
    }
}

impl Output {
    /// Returns a queue whose thread writes to the streams that `out` and `err` create.
    fn serve<O: Write, E: Write>(
        limits: Limits,
        out: impl FnOnce() -> O + Send + 'static,
        err: impl FnOnce() -> E + Send + 'static,
    ) -> Self {
        let shared = Arc::new(Shared::default());
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("output".into());
        let served = thread.spawn(move || of_thread.work(out(), err())).is_ok();
        Self { limits, shared, served }
    }

    /// Changes the queue and notifies the thread.
    fn change(&self, change: impl FnOnce(&mut Queue)) {
        let mut queue = self.shared.lock();
        if queue.is_idle() {
            queue.moved = Some(Instant::now());
        }
        change(&mut queue);
        self.shared.changed.notify_all();
    }

    fn push(&self, entry: Entry) {
        if !self.served {
            let result = match entry.to {
                Stream::Out => stdout().write_all(&entry.bytes),
                Stream::Err => stderr().write_all(&entry.bytes),
            };
            entry.written.map(|written| written.send(result));
            return;
        }
        self.change(|queue| {
            if queue.bytes + entry.bytes.len() > self.limits.bytes {
                queue.left_out += entry.lines;
            } else {
                queue.admit();
                queue.add(entry);
            }
        });
    }

    fn say(&self, bytes: Vec<u8>) {
        let lines = bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.push(Entry { to: Stream::Err, bytes, lines, written: None });
    }

    fn bar(&self, owner: u64, line: Option<String>) {
        self.change(|queue| {
            let own = queue.bar.as_ref().is_some_and(|(of, _)| *of == owner);
            if line.is_some() || own {
                queue.bar = line.map(|line| (owner, line));
                queue.redraw = self.served;
            }
        });
    }

    /// Waits until `done`, and returns true; false if a limit was reached first.
    fn wait(&self, mut done: impl FnMut(&Queue) -> bool) -> bool {
        let since = Instant::now();
        let mut queue = self.shared.lock();
        while !done(&queue) {
            let patience =
                self.limits.patience.saturating_sub(queue.moved.map_or(Duration::ZERO, |moved| moved.elapsed()));
            let left = patience.min(self.limits.longest.saturating_sub(since.elapsed()));
            if left.is_zero() {
                return false;
            }
            queue = self.shared.changed.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    fn flush(&self) -> bool {
        let mut written = self.wait(Queue::is_idle);
        if written && self.shared.lock().left_out > 0 {
            self.change(Queue::admit);
            written = self.wait(Queue::is_idle);
        }
        written
    }

    fn show(&self, text: &str) -> io::Result<()> {
        let (sender, result) = sync_channel(1);
        let bytes = format!("{text}\n").into_bytes();
        self.push(Entry { to: Stream::Out, bytes, lines: 0, written: Some(sender) });
        let mut said = None;
        self.wait(|_| {
            said = said.take().or_else(|| result.try_recv().ok());
            said.is_some()
        });
        said.unwrap_or_else(|| Err(io::Error::new(ErrorKind::TimedOut, "nobody reads it")))
    }
}

/// Shows a line on stderr, after all earlier output. Never waits.
pub fn say(line: &str) {
    OUTPUT.say(format!("{line}\n").into_bytes());
}

/// Shows a line on stdout that is not a result, after all earlier output. Waits no longer than a reader may pause. The
/// error says why the line was not written.
pub fn show(text: &str) -> io::Result<()> {
    OUTPUT.show(text)
}

/// Prints a result to stdout, after all earlier output. A result is never dropped: it waits for its reader.
pub fn print(text: &str) -> io::Result<()> {
    flush();
    writeln!(stdout(), "{text}")
}

/// Waits until everything is written, and returns true if it is. Gives up on a reader that takes nothing for 4 seconds,
/// and on a slow one after 20.
pub fn flush() -> bool {
    OUTPUT.flush()
}

/// Returns true if nothing waits to be written.
pub(crate) fn is_idle() -> bool {
    OUTPUT.shared.lock().is_idle()
}

/// Shows this line as the bar of `owner`, in place of any other; `None` removes the bar if it is still that of `owner`.
pub(crate) fn bar(owner: u64, line: Option<String>) {
    OUTPUT.bar(owner, line);
}

/// Writer to stderr that never waits, as the target of a logger. Each write holds one or more whole lines.
#[derive(Debug, Default, Clone, Copy)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        OUTPUT.say(bytes.to_vec());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Drawing that is queued by `flush`.
#[derive(Debug, Default)]
pub(crate) struct Drawing(Vec<u8>);

impl Write for Drawing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.0);
        if !bytes.is_empty() {
            OUTPUT.push(Entry { to: Stream::Err, bytes, lines: 0, written: None });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
