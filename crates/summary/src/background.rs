//! A writer that runs in a thread of its own.

use crate::{Error, Record, Writer};
use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// Capacity of the queue in records.
const QUEUE: usize = 256;
/// Minimum delay before a failed flush is retried, unless a caller flushes.
const AGAIN: Duration = Duration::from_secs(1);

/// Runs another writer in a thread of its own. It never returns an error: a failure of the inner writer is logged once,
/// with its reason, and once more when writing works again.
///
/// When the queue is full, images and histograms are dropped, and their number is logged at the end; all other records
/// wait for room. Dropping a `Background` writes all remaining records and waits for that.
#[derive(Debug)]
pub struct Background {
    name: String,
    /// `None` once the thread is gone.
    queue: Option<SyncSender<Message>>,
    thread: Option<JoinHandle<()>>,
    dropped: u64,
}

enum Message {
    Record(Record),
    /// Request to flush all records before it, answered once done.
    Flush(SyncSender<()>),
}

impl Background {
    /// Moves `writer` into a thread that flushes it at intervals of `every`. Messages call it `name`.
    pub fn new(name: &str, writer: impl Writer + 'static, every: Duration) -> Result<Self, Error> {
        let (queue, messages) = sync_channel(QUEUE);
        let name = name.to_string();
        let worker = Worker { name: name.clone(), writer, every, failing: false };
        let thread = thread::Builder::new().name("summary".into()).spawn(move || worker.run(&messages));
        let thread = thread.map_err(|source| Error::Thread { name: name.clone(), source })?;
        Ok(Self { name, queue: Some(queue), thread: Some(thread), dropped: 0 })
    }

    /// Gives up on the thread, which panicked because of a bug in its writer.
    fn lost(&mut self) {
        if self.queue.take().is_some() {
            log::warn!("{}: its writer panicked; nothing more is written there", self.name);
        }
    }
}

impl Writer for Background {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let message = Message::Record(record.clone());
        if record.is_bulky() {
            match queue.try_send(message) {
                Ok(()) => (),
                Err(TrySendError::Full(_)) => self.dropped += 1,
                Err(TrySendError::Disconnected(_)) => self.lost(),
            }
        } else if queue.send(message).is_err() {
            self.lost();
        }
        Ok(())
    }

    /// Waits until all records so far are handed to the system, or have failed to be.
    fn flush(&mut self) -> Result<(), Error> {
        let Some(queue) = &self.queue else { return Ok(()) };
        let (answer, done) = sync_channel(1);
        if queue.send(Message::Flush(answer)).is_err() || done.recv().is_err() {
            self.lost();
        }
        Ok(())
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // The panic was printed already.
            thread.join().ok();
        }
        if self.dropped > 0 {
            log::warn!(
                "{} lacks {} images or histograms, which came faster than they were written",
                self.name,
                self.dropped
            );
        }
    }
}

struct Worker<W> {
    name: String,
    writer: W,
    every: Duration,
    failing: bool,
}

impl<W: Writer> Worker<W> {
    fn run(mut self, messages: &Receiver<Message>) {
        // Time of the next flush, if one is due.
        let mut due: Option<Instant> = None;
        loop {
            let message = match due {
                None => messages.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => messages.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match message {
                Ok(Message::Record(record)) => {
                    let written = self.writer.write(&record);
                    self.hear(written);
                    due = due.or_else(|| Instant::now().checked_add(self.every));
                }
                Ok(Message::Flush(answer)) => {
                    due = self.flush();
                    // An error means that the caller no longer waits.
                    answer.send(()).ok();
                }
                Err(RecvTimeoutError::Timeout) => (),
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if due.is_some_and(|due| due <= Instant::now()) {
                due = self.flush();
            }
        }
        if let Err(error) = self.writer.flush()
            && !matches!(error, Error::Refused { .. })
        {
            log::warn!("{}: {error}. Everything still waiting to be written is lost", self.name);
        }
    }

    /// Flushes the writer. Returns the time of the next attempt if that failed.
    fn flush(&mut self) -> Option<Instant> {
        let flushed = self.writer.flush();
        let again = flushed.as_ref().err().and_then(|_| Instant::now().checked_add(self.every.max(AGAIN)));
        // Only a flush shows that a buffering writer works again: its `write` succeeds regardless.
        if flushed.is_ok() && self.failing {
            self.failing = false;
            log::info!("{}: writing works again; everything that was waiting is written now", self.name);
        }
        self.hear(flushed);
        again
    }

    fn hear(&mut self, written: Result<(), Error>) {
        // A refusal is reported by the permit's owner.
        if let Err(error) = written
            && !self.failing
            && !matches!(error, Error::Refused { .. })
        {
            self.failing = true;
            log::warn!("{}: {error}. Training goes on; records for it wait in memory", self.name);
        }
    }
}

#[cfg(test)]
mod tests;
