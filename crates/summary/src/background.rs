//! A writer in a thread of its own.

use crate::{Error, Record, Writer};
use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

/// How many records wait for the thread at most.
const QUEUE: usize = 256;
/// How soon what failed is tried again at the earliest, where nobody asks for it.
const AGAIN: Duration = Duration::from_secs(1);

/// Another writer, at work in a thread of its own. It never fails: what the other one cannot do is said once in the log, with
/// its reason, and once more when it works again.
///
/// Where the queue is full, images and histograms are dropped, and how many is said at the end; all else waits for room.
/// Dropping it writes what is left, and waits for that.
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
    /// Everything before this is to be flushed, and then an answer given.
    Flush(SyncSender<()>),
}

impl Background {
    /// Sends `writer`, which messages call `name`, into a thread that flushes it `every` so often.
    pub fn new(name: &str, writer: impl Writer + 'static, every: Duration) -> Result<Self, Error> {
        let (queue, messages) = sync_channel(QUEUE);
        let name = name.to_string();
        let worker = Worker { name: name.clone(), writer, every, failing: false };
        let thread = thread::Builder::new().name("summary".into()).spawn(move || worker.run(&messages));
        let thread = thread.map_err(|source| Error::Thread { name: name.clone(), source })?;
        Ok(Self { name, queue: Some(queue), thread: Some(thread), dropped: 0 })
    }

    /// The thread panicked, which only a writer with a fault can make it do.
    fn lost(&mut self) {
        if self.queue.take().is_some() {
            log::warn!("{}: its writer ended with a panic, and nothing more is written there", self.name);
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

    /// Waits until everything so far was handed to the system, as far as that is possible now.
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
            // A panic has been printed already.
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
        // When what was written is to be flushed.
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
                    // Who does not wait any more needs no answer.
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
            log::warn!("{}: {error}. What was waiting to be written is lost", self.name);
        }
    }

    /// Flushes, and says when to try again if that failed.
    fn flush(&mut self) -> Option<Instant> {
        let flushed = self.writer.flush();
        let again = flushed.as_ref().err().and_then(|_| Instant::now().checked_add(self.every.max(AGAIN)));
        // Only this tells that a writer which buffers works again.
        if flushed.is_ok() && self.failing {
            self.failing = false;
            log::info!("{}: what was waiting is written now", self.name);
        }
        self.hear(flushed);
        again
    }

    fn hear(&mut self, written: Result<(), Error>) {
        // Who refuses says so.
        if let Err(error) = written
            && !self.failing
            && !matches!(error, Error::Refused { .. })
        {
            self.failing = true;
            log::warn!("{}: {error}. Training goes on; what is to be written there waits in memory", self.name);
        }
    }
}

#[cfg(test)]
mod tests;
