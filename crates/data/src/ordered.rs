//! Work done ahead by threads and returned in order: an iterator over `job(0), job(1), …` with a limit on how far the
//! threads run ahead of the consumer.
//!
//! **Invariant:** there is no channel and no queue of requests, only one counter from which workers claim the next
//! number. So results cannot depend on the number of workers, and dropping the iterator only has to signal stop.

use crate::error::{Error, guarded};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Work of the threads: the result for one number, the same whenever and wherever it is computed.
pub(crate) type Job<T> = Box<dyn Fn(u64) -> Result<T, Error> + Send + Sync>;

/// Iterator over the results of a job for a range of numbers, in order. It ends after the first error. Dropping it
/// waits for the results in progress, but for no others.
pub(crate) struct Ordered<T> {
    shared: Arc<Shared<T>>,
    threads: Vec<JoinHandle<()>>,
    /// The error of a thread that could not be started: the first and only result.
    broken: Option<Error>,
}

struct Shared<T> {
    job: Job<T>,
    ahead: u64,
    state: Mutex<State<T>>,
    /// Signals that a result is available.
    ready: Condvar,
    /// Signals that a result was taken, or that no work is left.
    room: Condvar,
}

struct State<T> {
    /// Next number that a worker claims.
    next: u64,
    /// Next number that is returned.
    taken: u64,
    end: u64,
    done: BTreeMap<u64, Result<T, Error>>,
}

impl<T: Send + 'static> Ordered<T> {
    /// Starts `workers` threads on `range` that keep at most `ahead` results finished or in progress; without workers,
    /// each result is computed on demand.
    pub(crate) fn new(range: Range<u64>, workers: u64, ahead: u64, job: Job<T>) -> Self {
        let useful = workers.min(ahead).min(range.end.saturating_sub(range.start));
        let state = State { next: range.start, taken: range.start, end: range.end, done: BTreeMap::new() };
        let shared = Shared { job, ahead, state: Mutex::new(state), ready: Condvar::new(), room: Condvar::new() };
        let mut ordered = Self { shared: Arc::new(shared), threads: Vec::new(), broken: None };
        for number in 0..useful {
            let shared = Arc::clone(&ordered.shared);
            match thread::Builder::new().name(format!("loader-{number}")).spawn(move || shared.work()) {
                Ok(thread) => ordered.threads.push(thread),
                Err(source) => {
                    ordered.broken = Some(Error::Thread { source });
                    break;
                }
            }
        }
        ordered
    }
}

impl<T> Shared<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is only ever changed by code that cannot panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, number: u64) -> Result<T, Error> {
        guarded(|| format!("batch {number}"), || (self.job)(number))
    }

    fn work(&self) {
        let mut state = self.lock();
        while state.next < state.end {
            if state.next >= state.taken.saturating_add(self.ahead) {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let number = state.next;
            state.next += 1;
            drop(state);
            let result = self.run(number);
            state = self.lock();
            state.done.insert(number, result);
            self.ready.notify_one();
        }
    }

    /// Keeps workers from claiming further numbers.
    fn stop(&self) {
        let mut state = self.lock();
        state.end = state.taken;
        state.done.clear();
        self.room.notify_all();
    }
}

impl<T> Iterator for Ordered<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.broken.take() {
            self.shared.stop();
            return Some(Err(error));
        }
        let mut state = self.shared.lock();
        if state.taken >= state.end {
            return None;
        }
        let number = state.taken;
        let result = if self.threads.is_empty() {
            drop(state);
            let result = self.shared.run(number);
            state = self.shared.lock();
            result
        } else {
            loop {
                if let Some(result) = state.done.remove(&number) {
                    break result;
                }
                state = self.shared.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        };
        state.taken += 1;
        drop(state);
        self.shared.room.notify_all();
        if result.is_err() {
            self.shared.stop();
        }
        Some(result)
    }
}

impl<T> Drop for Ordered<T> {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // A worker catches the panics of its job, so it cannot panic itself.
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    fn squares(range: Range<u64>, workers: u64, ahead: u64) -> Vec<u64> {
        let job = |number: u64| {
            thread::sleep(Duration::from_micros(number * 7919 % 400));
            Ok(number * number)
        };
        Ordered::new(range, workers, ahead, Box::new(job)).map(Result::unwrap).collect()
    }

    #[test]
    fn results_come_in_order_for_any_number_of_workers() {
        let expected: Vec<u64> = (3..60).map(|number| number * number).collect();
        for (workers, ahead) in [(0, 0), (0, 4), (1, 1), (2, 1), (4, 4), (4, 9), (64, 1000), (3, u64::MAX)] {
            assert_eq!(squares(3..60, workers, ahead), expected, "{workers} workers, {ahead} ahead");
        }
        assert_eq!(squares(5..5, 4, 4), [0; 0]);
        assert_eq!(squares(Range { start: 9, end: 5 }, 4, 4), [0; 0]);
    }

    #[test]
    fn workers_run_no_further_ahead_than_they_may() {
        let started = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&started);
        let job = move |number| {
            counter.fetch_add(1, Ordering::SeqCst);
            Ok(number)
        };
        let mut results = Ordered::new(0..100, 4, 3, Box::new(job));
        for taken in 0..20 {
            thread::sleep(Duration::from_millis(2));
            let running = started.load(Ordering::SeqCst);
            assert!(running <= taken + 3, "{running} started when {taken} were taken");
            results.next().unwrap().unwrap();
        }
    }

    #[test]
    fn dropping_it_anywhere_ends_every_thread() {
        for (taken, ahead) in [(0, 1), (0, 4), (1, 2), (5, 100), (20, 4)] {
            let alive = Arc::new(());
            let held = Arc::clone(&alive);
            let job = move |number| {
                let _held = &held;
                thread::sleep(Duration::from_micros(200));
                Ok(number)
            };
            let mut results = Ordered::new(0..20, 4, ahead, Box::new(job));
            assert_eq!(results.by_ref().take(taken).count(), taken);
            drop(results);
            assert_eq!(Arc::strong_count(&alive), 1, "a thread still holds the job");
        }
    }

    #[test]
    fn an_error_or_a_panic_comes_in_its_place_and_is_the_last() {
        for workers in [0, 1, 4] {
            let fail = |number| if number == 5 { Err(Error::Index { index: 5, len: 0 }) } else { Ok(number) };
            let results: Vec<_> = Ordered::new(0..50, workers, 8, Box::new(fail)).collect();
            assert_eq!(results.len(), 6);
            assert!(matches!(results[5], Err(Error::Index { .. })));

            let explode = |number: u64| if number == 3 { panic!("no {number}") } else { Ok(number) };
            let results: Vec<_> = Ordered::new(0..50, workers, 8, Box::new(explode)).collect();
            assert_eq!(results.len(), 4);
            assert_eq!(results[3].as_ref().unwrap_err().to_string(), "loading batch 3 panicked: no 3");
        }
    }
}
