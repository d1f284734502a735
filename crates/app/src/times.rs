//! Measures the time that a training spends in each phase.
//!
//! **Invariant:** all time is counted exactly once: a lap starts where the last one ended. Measuring never waits for a
//! GPU; its computing time shows where the program waits for it anyway.

use contract::{Batches, Input};
use data::Moving;
use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Phase of a training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Waiting for the threads that load data.
    Data,
    /// Bringing batches to the device.
    Transfer,
    /// Forward, backward, update, and the check of the results.
    Compute,
    /// Validation at the end of an epoch.
    Validation,
    /// Logging and display.
    Logging,
    /// Saving; another thread does most of it.
    Checkpoint,
}

const NAMES: [(Phase, &str); 6] = [
    (Phase::Data, "seconds/data"),
    (Phase::Transfer, "seconds/transfer"),
    (Phase::Compute, "seconds/compute"),
    (Phase::Validation, "seconds/validation"),
    (Phase::Logging, "seconds/logging"),
    (Phase::Checkpoint, "seconds/checkpoint"),
];

/// A stopwatch with a lap for each phase.
#[derive(Debug)]
pub struct Times {
    last: Instant,
    step: [Duration; NAMES.len()],
    epoch: [Duration; NAMES.len()],
}

impl Times {
    /// Starts the stopwatch.
    pub fn start() -> Self {
        Self { last: Instant::now(), step: Default::default(), epoch: Default::default() }
    }

    /// Counts the time since the last lap towards `phase`.
    pub fn lap(&mut self, phase: Phase) {
        let now = Instant::now();
        self.add(phase, now - self.last);
        self.last = now;
    }

    /// Counts the time since the last lap as a training step; `waits` knows how long it waited for its batch.
    pub fn lap_of_step(&mut self, waits: &Timed) {
        let (data, transfer) = waits.take();
        self.add(Phase::Data, data);
        self.add(Phase::Transfer, transfer);
        let now = Instant::now();
        self.add(Phase::Compute, (now - self.last).saturating_sub(data + transfer));
        self.last = now;
    }

    fn add(&mut self, phase: Phase, time: Duration) {
        self.step[phase as usize] += time;
        self.epoch[phase as usize] += time;
    }

    /// Returns the time spent waiting for the last batch, since the last [`take_step`](Self::take_step).
    pub fn waited(&self) -> Duration {
        self.step[Phase::Data as usize]
    }

    /// Returns the seconds of each phase since the last call.
    pub fn take_step(&mut self) -> Vec<(String, f64)> {
        named(&std::mem::take(&mut self.step))
    }

    /// Returns the seconds of each phase since the last call, and their sum.
    pub fn take_epoch(&mut self) -> Vec<(String, f64)> {
        let epoch = std::mem::take(&mut self.epoch);
        let mut all = named(&epoch);
        all.push(("seconds/epoch".into(), epoch.iter().sum::<Duration>().as_secs_f64()));
        all
    }
}

fn named(times: &[Duration]) -> Vec<(String, f64)> {
    NAMES.iter().map(|(phase, name)| ((*name).to_string(), times[*phase as usize].as_secs_f64())).collect()
}

/// An input that measures how long callers wait for it.
pub struct Timed<'a> {
    input: &'a dyn Input,
    moving: Arc<Moving>,
    /// Value of `moving` at the start, or at the last [`take`](Self::take).
    moved: Cell<Duration>,
    waited: Cell<Duration>,
}

impl<'a> Timed<'a> {
    /// Times `input`; `moving` counts the time that it takes to move its batches to the device.
    pub fn new(input: &'a dyn Input, moving: Arc<Moving>) -> Self {
        Self { input, moved: Cell::new(moving.so_far()), moving, waited: Cell::default() }
    }

    /// Returns the time spent waiting for batches, and moving them to the device, since the last call.
    fn take(&self) -> (Duration, Duration) {
        let so_far = self.moving.so_far();
        let transfer = so_far - self.moved.replace(so_far);
        (self.waited.take().saturating_sub(transfer), transfer)
    }
}

impl Input for Timed<'_> {
    fn epoch(&self, epoch: u64, skip: u64) -> Batches<'_> {
        let mut batches = self.input.epoch(epoch, skip);
        Box::new(std::iter::from_fn(move || {
            let since = Instant::now();
            let batch = batches.next();
            self.waited.set(self.waited.get() + since.elapsed());
            batch
        }))
    }

    fn len(&self) -> u64 {
        self.input.len()
    }
}

/// Returns the resident memory of this process, in megabytes, if the system tells.
pub fn memory_mb() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Batch;
    use std::thread::sleep;
    use tch::{Device, Kind, Tensor};

    struct Slow;

    impl Input for Slow {
        fn epoch(&self, _: u64, skip: u64) -> Batches<'_> {
            Box::new((skip..2).map(|_| {
                sleep(Duration::from_millis(20));
                let inputs = Tensor::f_zeros([1, 1, 1, 1], (Kind::Float, Device::Cpu))?;
                Ok(Batch::new(inputs.shallow_clone(), inputs.f_zeros_like()?, vec!["a".into()]))
            }))
        }

        fn len(&self) -> u64 {
            2
        }
    }

    #[test]
    fn all_time_is_counted_once_and_where_it_belongs() {
        let (since, mut times) = (Instant::now(), Times::start());
        let input = Timed::new(&Slow, Arc::default());
        for batch in input.epoch(0, 0) {
            batch.unwrap();
            sleep(Duration::from_millis(10));
            times.lap_of_step(&input);
            assert!(times.waited() >= Duration::from_millis(20));
            let step = times.take_step();
            assert!(step[0].1 >= 0.02 && step[2].1 >= 0.01, "{step:?}");
        }
        sleep(Duration::from_millis(5));
        times.lap(Phase::Checkpoint);
        let whole = since.elapsed().as_secs_f64();
        let epoch = times.take_epoch();
        let of = |name: &str| epoch.iter().find(|(known, _)| known == name).unwrap().1;
        assert!(of("seconds/data") >= 0.04 && of("seconds/compute") >= 0.02 && of("seconds/checkpoint") >= 0.005);
        assert_eq!(of("seconds/transfer") + of("seconds/validation") + of("seconds/logging"), 0.0);
        let sum: f64 = epoch.iter().take(NAMES.len()).map(|(_, seconds)| seconds).sum();
        assert!((sum - of("seconds/epoch")).abs() < 1e-9 && sum <= whole);
        assert!(times.take_epoch().iter().all(|(_, seconds)| *seconds == 0.0));
    }
}
