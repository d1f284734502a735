//! Predicted rows on their way from the device to the threads that use them.

use anyhow::Result;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use tch::Tensor;
use torch_ext::{Download, Downloads};

/// Bytes and messages of rows that may wait: each message has memory of its own, which a GPU writes to.
const BYTES: usize = 64 << 20;
const MESSAGES: usize = 256;

/// Number of messages that may wait however large they are.
const ANY_SIZE: usize = 3;

/// Predictions for some rows of an image.
pub struct Rows {
    /// Class id of each pixel.
    pub ids: Vec<u8>,
    /// `[K, rows, width]` probabilities of the classes; empty if not requested.
    pub probabilities: Vec<f32>,
}

/// [`Rows`] that may not be computed yet.
pub struct Predicted {
    ids: Download,
    /// If requested.
    probabilities: Option<Download>,
    /// Held until the rows are used.
    _space: Option<Space>,
}

impl Predicted {
    /// Takes `[K, rows, W]` probabilities. The device multiplies them by `weights`, `[K, 1, 1]`, and finds the classes.
    /// Only those leave it, and the probabilities, without weights, if they are wanted. Does not wait for the device.
    pub fn of(
        probabilities: &Tensor,
        weights: Option<&Tensor>,
        with_probabilities: bool,
        downloads: &mut Downloads,
    ) -> Result<Self> {
        let ids = match weights {
            None => saved::most_likely(probabilities)?,
            Some(weights) => saved::most_likely(&probabilities.f_mul(weights)?)?,
        };
        let ids = downloads.download(&ids)?;
        let probabilities = with_probabilities.then(|| downloads.download(probabilities)).transpose()?;
        Ok(Self { ids, probabilities, _space: None })
    }

    /// Waits until the device has computed the rows, and returns them. What it computes afterwards goes on meanwhile.
    pub fn read(&self) -> Result<Rows> {
        let probabilities = self.probabilities.as_ref().map(Download::read).transpose()?;
        Ok(Rows { ids: self.ids.read()?, probabilities: probabilities.unwrap_or_default() })
    }

    /// Waits while too many rows do, and counts these among them until they are dropped.
    pub fn wait_for(self, room: &Arc<Room>) -> Self {
        let bytes = self.ids.bytes() + self.probabilities.as_ref().map_or(0, Download::bytes);
        Self { _space: Some(room.take(bytes)), ..self }
    }
}

/// Limit on the memory of rows that wait: small images do not wait for each other, and large ones do not fill memory.
#[derive(Debug, Default)]
pub struct Room {
    /// Bytes and messages that wait.
    waiting: Mutex<(usize, usize)>,
    changed: Condvar,
}

/// Part of a [`Room`] that rows take.
#[derive(Debug)]
struct Space {
    room: Arc<Room>,
    bytes: usize,
}

impl Room {
    fn take(self: &Arc<Self>, bytes: usize) -> Space {
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.changed.wait_while(waiting, |waiting| is_full(*waiting, bytes));
        let mut waiting = waiting.unwrap_or_else(PoisonError::into_inner);
        waiting.0 += bytes;
        waiting.1 += 1;
        Space { room: Arc::clone(self), bytes }
    }
}

/// Returns whether these bytes and messages leave no room for a message of `bytes` bytes.
fn is_full((all, messages): (usize, usize), bytes: usize) -> bool {
    messages >= MESSAGES || messages >= ANY_SIZE && all + bytes > BYTES
}

impl Drop for Space {
    fn drop(&mut self) {
        let mut waiting = self.room.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.0 -= self.bytes;
        waiting.1 -= 1;
        self.room.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn rows_wait_only_where_they_would_fill_memory() {
        assert!(!is_full((0, 0), 2 * BYTES) && !is_full((2 * BYTES, ANY_SIZE - 1), 1));
        assert!(!is_full((BYTES - 1, MESSAGES - 1), 1) && is_full((BYTES, ANY_SIZE), 1) && is_full((0, MESSAGES), 1));
        let room = Arc::new(Room::default());
        let mut large: Vec<Space> = (0..ANY_SIZE).map(|_| room.take(BYTES)).collect();
        thread::scope(|scope| {
            let next = scope.spawn(|| room.take(1));
            // Goes on once another one is done; nobody else says so.
            large.pop();
            assert_eq!(next.join().unwrap().bytes, 1);
        });
        drop(large);
        assert_eq!(*room.waiting.lock().unwrap(), (0, 0));
    }
}
