//! Writes new files: counts and checksums their bytes on the way, and flushes them to the disk.
//!
//! Making and checksumming the bytes, handing them to the system, and the disk's own work take about equally long. Each
//! has a thread, so a file takes as long as the slowest of them and not their sum.

use crate::{Error, files::Record};
use std::{
    fs::File,
    io::{self, Write},
    mem,
    panic::resume_unwind,
    path::Path,
    sync::mpsc::{Receiver, Sender, channel, sync_channel},
    thread::{Builder, Scope, ScopedJoinHandle, scope},
};

/// Size of a buffer, whose bytes are made, checksummed and written while they are in the processor's cache. A multiple
/// of every kind's size.
const BUFFER: usize = 1 << 20;
/// Maximum number of buffers in flight, whatever the size of the file.
const BUFFERS: usize = 4;
/// Bytes after which a flush is started. Left to itself, the system would begin when the file is complete.
const FLUSH: usize = 32 << 20;

/// A file that is being written.
pub struct Hashed<'a> {
    path: &'a Path,
    hasher: blake3::Hasher,
    bytes: u64,
    buffer: Vec<u8>,
    used: usize,
    full: Sender<Vec<u8>>,
    empty: Receiver<Vec<u8>>,
}

impl Hashed<'_> {
    /// Creates the file `path`, lets `make` fill it, and flushes it to the disk. After the return, even with an error,
    /// no thread works on the file.
    pub fn create(path: &Path, make: impl FnOnce(&mut Hashed) -> Result<(), Error>) -> Result<Record, Error> {
        let file = File::create_new(path).map_err(Error::io("create", path))?;
        let record = scope(|scope| {
            let ((full, to_write), (written, empty)) = (channel(), channel());
            for _ in 1..BUFFERS {
                written.send(vec![0; BUFFER]).ok();
            }
            let to = &file;
            let writer = start(scope, path, move || write(to, path, &to_write, &written))?;
            let (hasher, buffer) = (blake3::Hasher::new(), vec![0; BUFFER]);
            let mut this = Hashed { path, hasher, bytes: 0, buffer, used: 0, full, empty };
            let made = make(&mut this).and_then(|()| this.finish());
            // If both failed, the writing thread's error is the cause.
            join(writer)?;
            made
        })?;
        file.sync_all().map_err(Error::io("flush", path))?;
        Ok(record)
    }

    /// Returns how many bytes [`Self::fill`] accepts now; at least 1.
    pub fn room(&self) -> usize {
        BUFFER - self.used
    }

    /// Appends `length` bytes, which `fill` writes into the slice it receives.
    pub fn fill(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), Error>) -> Result<(), Error> {
        fill(&mut self.buffer[self.used..self.used + length])?;
        self.used += length;
        if self.used < BUFFER {
            return Ok(());
        }
        self.send()?;
        self.buffer = self.empty.recv().map_err(|_| self.ended())?;
        Ok(())
    }

    /// Appends `bytes`.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (now, later) = bytes.split_at(bytes.len().min(self.room()));
            self.fill(now.len(), |to| {
                to.copy_from_slice(now);
                Ok(())
            })?;
            bytes = later;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Record, Error> {
        self.buffer.truncate(self.used);
        self.send()?;
        Ok(Record { bytes: self.bytes, blake3: self.hasher.finalize().to_hex().to_string() })
    }

    /// Checksums the buffer and hands it to the writing thread.
    fn send(&mut self) -> Result<(), Error> {
        // Not before it is full: the checksum is fastest in pieces of a power of two.
        self.hasher.update(&self.buffer);
        self.bytes += self.buffer.len() as u64;
        self.used = 0;
        self.full.send(mem::take(&mut self.buffer)).map_err(|_| self.ended())
    }

    /// Returns the error for a writing thread that has ended. That thread's own error takes precedence.
    fn ended(&self) -> Error {
        Error::io("write", self.path)(io::ErrorKind::BrokenPipe.into())
    }
}

/// Writes the buffers as they come, and meanwhile flushes them to the disk on another thread.
fn write(file: &File, path: &Path, full: &Receiver<Vec<u8>>, empty: &Sender<Vec<u8>>) -> Result<(), Error> {
    scope(|scope| {
        let (flush, asked) = sync_channel(1);
        // A disk error may be reported to a single flush only, so no flush's error must be lost.
        let flusher = start(scope, path, move || asked.iter().try_for_each(|()| file.sync_data()))?;
        let mut waiting = 0;
        let written = full.iter().try_for_each(|buffer| {
            (&*file).write_all(&buffer)?;
            waiting += buffer.len();
            // While the last flush is still running, these bytes wait.
            if waiting >= FLUSH && flush.try_send(()).is_ok() {
                waiting = 0;
            }
            empty.send(buffer).ok();
            Ok(())
        });
        drop(flush);
        let flushed = join(flusher).map_err(Error::io("flush", path));
        written.map_err(Error::io("write", path)).and(flushed)
    })
}

type Thread<'scope, T> = ScopedJoinHandle<'scope, T>;

fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    path: &Path,
    work: impl FnOnce() -> T + Send + 'scope,
) -> Result<Thread<'scope, T>, Error> {
    let thread = Builder::new().name("checkpoint".into()).spawn_scoped(scope, work);
    thread.map_err(Error::io("start a thread to write", path))
}

fn join<T>(thread: Thread<T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn files_of_any_length_have_their_bytes_and_checksum() {
        let folder = tempfile::tempdir().unwrap();
        for length in [0, 1, BUFFER - 1, BUFFER, BUFFER + 1, (BUFFERS + 2) * BUFFER, FLUSH + 3 * BUFFER + 7] {
            let bytes: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let path = folder.path().join(length.to_string());
            let record = Hashed::create(&path, |file| bytes.chunks(300_001).try_for_each(|part| file.write(part)));
            assert!(fs::read(&path).unwrap() == bytes, "{length}");
            let blake3 = blake3::hash(&bytes).to_hex().to_string();
            assert_eq!(record.unwrap(), Record { bytes: length as u64, blake3 });
        }
    }

    #[test]
    fn what_the_maker_refuses_is_the_error() {
        let folder = tempfile::tempdir().unwrap();
        let refuse = |file: &mut Hashed| {
            file.write(&vec![1; 3 * BUFFERS * BUFFER])?;
            Err(Error::Name { state: "no".into() })
        };
        let error = Hashed::create(&folder.path().join("a"), refuse).unwrap_err();
        assert!(matches!(error, Error::Name { .. }), "{error}");
    }

    #[test]
    fn what_the_thread_says_goes_before_what_follows_from_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        fs::write(&path, "").unwrap();
        // Open for reading only, so every write fails.
        let file = File::open(&path).unwrap();
        let ((full, to_write), (written, empty)) = (channel(), channel());
        full.send(vec![1; 10]).unwrap();
        let said = write(&file, &path, &to_write, &written).unwrap_err().to_string();
        assert!(said.starts_with("cannot write") && said.contains("Bad file descriptor"), "{said}");
        // Once the thread has ended, the maker does not wait for it.
        drop((to_write, written));
        let hasher = blake3::Hasher::new();
        let mut file = Hashed { path: &path, hasher, bytes: 0, buffer: vec![0; BUFFER], used: 0, full, empty };
        assert!(file.write(&vec![1; 2 * BUFFER]).is_err());
    }
}
