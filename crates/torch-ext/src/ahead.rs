//! Bound on the work that a device has been given and has not done.

use crate::stream::{Event, Events};
use contract::TorchError;
use std::collections::VecDeque;
use tch::Device;

/// Keeps the host a few passes ahead of the device: far enough that the device always has work, and no further, because
/// everything that is enqueued takes memory.
///
/// On a CPU, where work is done when its call returns, nothing waits.
#[derive(Debug)]
pub struct Ahead {
    events: Events,
    most: usize,
    /// One for each pass that may not be done, oldest first.
    passes: VecDeque<Event>,
}

impl Ahead {
    /// Lets the host be up to `most` passes ahead of `device`.
    pub fn new(device: Device, most: usize) -> Self {
        Self::with(Events::Of(device), most)
    }

    fn with(events: Events, most: usize) -> Self {
        Self { events, most: most.max(1), passes: VecDeque::new() }
    }

    /// Marks the end of a pass in the current stream. Waits only where the host is more than `most` passes ahead: for
    /// the oldest of them.
    pub fn enqueued(&mut self) -> Result<(), TorchError> {
        let pass = self.events.event()?;
        pass.record()?;
        self.passes.push_back(pass);
        while self.passes.len() > self.most {
            self.passes.pop_front().map_or(Ok(()), |oldest| oldest.wait())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::held::Clock;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    #[test]
    fn the_host_waits_only_for_passes_that_are_too_far_behind() {
        let clock = Arc::new(Clock::default());
        let mut ahead = Ahead::with(Events::Held(Arc::clone(&clock)), 2);
        let mut state = || {
            ahead.enqueued().unwrap();
            (clock.waits.load(Relaxed), clock.passed.load(Relaxed))
        };
        assert_eq!([state(), state(), state(), state()], [(0, 0), (0, 0), (1, 1), (2, 2)]);
        // A device that keeps up is never waited for.
        clock.passed.store(5, Relaxed);
        assert_eq!([state(), state()], [(2, 5), (2, 5)]);
    }

    #[test]
    fn a_cpu_is_never_behind() {
        let mut ahead = Ahead::new(Device::Cpu, 2);
        (0..9).for_each(|_| ahead.enqueued().unwrap());
        assert_eq!(ahead.passes.len(), 2);
    }
}
