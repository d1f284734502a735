//! Numbers of the last steps, on their way from the device to the host.

use crate::ffi;
use crate::stream::{Event, Events};
use contract::TorchError;
use tch::{Device, Kind, TchError, Tensor};

/// Ring of rows of numbers, one for each step, in memory of the host that the device writes to. Neither giving a row
/// nor asking for one waits for the device.
///
/// A captured step leaves its numbers in tensors that the next replay overwrites. They are given to the ring between
/// the two, and are read when the device has got so far.
#[derive(Debug)]
pub struct Ring {
    device: Device,
    /// `[N, F]` f64, pinned where there is a GPU.
    rows: Tensor,
    /// One for each row: recorded when its copy was enqueued.
    copied: Vec<Event>,
    pushed: u64,
}

/// State of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// The device has not got so far.
    Pending,
    /// The numbers.
    Values(Vec<f64>),
    /// A later step has taken its place.
    Overwritten,
}

impl Ring {
    /// Creates a ring of the last `steps` steps with `fields` numbers each.
    pub fn new(device: Device, steps: usize, fields: usize) -> Result<Self, TorchError> {
        Self::with(device, steps, fields, &Events::Of(device))
    }

    fn with(device: Device, steps: usize, fields: usize, events: &Events) -> Result<Self, TorchError> {
        if steps == 0 || fields == 0 {
            return Err(TorchError::new("a ring needs a place for at least one step and one number"));
        }
        let rows = Tensor::f_zeros([steps as i64, fields as i64], (Kind::Double, Device::Cpu))?;
        let rows = if device.is_cuda() { crate::pinned(&rows)? } else { rows };
        let copied = (0..steps).map(|_| events.event()).collect::<Result<_, _>>()?;
        Ok(Self { device, rows, copied, pushed: 0 })
    }

    /// Makes a row of scalars, as [`push`](Self::push) takes it. To be called as a part of the step.
    pub fn row(scalars: &[&Tensor]) -> Result<Tensor, TorchError> {
        let scalars = scalars.iter().map(|scalar| scalar.detach().f_to_kind(Kind::Double)?.f_reshape([0i64; 0]));
        Ok(Tensor::f_stack(&scalars.collect::<Result<Vec<_>, TchError>>()?, 0)?)
    }

    /// Enqueues the copy of a step's `row` (`[F]` f64, on the device) behind the step itself, and returns the number by
    /// which to [`read`](Self::read) it: 0, 1, and so on.
    pub fn push(&mut self, row: &Tensor) -> Result<u64, TorchError> {
        let fields = self.rows.size()[1];
        if row.size() != [fields] || row.kind() != Kind::Double || row.device() != self.device {
            let (size, kind, device) = (row.size(), row.kind(), row.device());
            let expected = self.device;
            return Err(TorchError::new(&format!(
                "a row of a ring must be [{fields}] of Double on {expected:?}, is {size:?} of {kind:?} on {device:?}"
            )));
        }
        let place = self.place(self.pushed);
        let into = self.rows.f_get(place as i64)?;
        // SAFETY: two live tensors. The ring's memory stays where it is, and nobody reads the row before its event has
        // passed.
        ffi::checked(unsafe { ffi::oxiseg_copy_without_waiting(into.as_ptr(), row.as_ptr()) })?;
        self.copied[place].record()?;
        self.pushed += 1;
        Ok(self.pushed - 1)
    }

    /// Returns row `number` if the device has got so far. Does not wait.
    pub fn read(&self, number: u64) -> Result<Reading, TorchError> {
        if number >= self.pushed {
            return Ok(Reading::Pending);
        }
        if self.pushed - number > self.copied.len() as u64 {
            return Ok(Reading::Overwritten);
        }
        let place = self.place(number);
        if !self.copied[place].passed()? {
            return Ok(Reading::Pending);
        }
        Ok(Reading::Values(Vec::try_from(self.rows.f_get(place as i64)?)?))
    }

    /// Waits until the device has got as far as row `number`, or to the last one given.
    pub fn wait(&self, number: u64) -> Result<(), TorchError> {
        match self.pushed.checked_sub(1) {
            Some(last) => self.copied[self.place(number.min(last))].wait(),
            None => Ok(()),
        }
    }

    fn place(&self, number: u64) -> usize {
        (number % self.copied.len() as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::held::Clock;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    fn row(number: u64) -> Tensor {
        Ring::row(&[&Tensor::from(number as f32), &Tensor::from(0.5f64).reshape([1])]).unwrap()
    }

    fn values(number: u64) -> Reading {
        Reading::Values(vec![number as f64, 0.5])
    }

    #[test]
    fn a_row_is_read_only_after_its_event_and_until_it_is_overwritten() {
        let clock = Arc::new(Clock::default());
        let mut ring = Ring::with(Device::Cpu, 3, 2, &Events::Held(Arc::clone(&clock))).unwrap();
        assert_eq!(ring.read(0).unwrap(), Reading::Pending);
        for number in 0..3 {
            assert_eq!(ring.push(&row(number)).unwrap(), number);
        }
        assert_eq!(ring.read(0).unwrap(), Reading::Pending);
        clock.passed.store(2, Relaxed);
        assert_eq!([0, 1, 2].map(|number| ring.read(number).unwrap()), [values(0), values(1), Reading::Pending]);
        ring.push(&row(3)).unwrap();
        // The device may not have written it yet, but it may at any time.
        assert_eq!(ring.read(0).unwrap(), Reading::Overwritten);
        assert_eq!(ring.read(3).unwrap(), Reading::Pending);
        assert_eq!(clock.waits.load(Relaxed), 0);
        ring.wait(3).unwrap();
        assert_eq!([1, 2, 3].map(|number| ring.read(number).unwrap()), [values(1), values(2), values(3)]);
        assert_eq!(clock.waits.load(Relaxed), 1);
    }

    #[test]
    fn nothing_else_than_a_row_of_the_ring_is_taken() {
        let mut ring = Ring::new(Device::Cpu, 20, 2).unwrap();
        ring.wait(5).unwrap();
        let error = ring.push(&Tensor::from_slice(&[1f32, 2.0])).unwrap_err();
        assert_eq!(error.to_string(), "libtorch: a row of a ring must be [2] of Double on Cpu, is [2] of Float on Cpu");
        assert!(ring.push(&Tensor::from(1f64)).is_err() && Ring::new(Device::Cpu, 0, 1).is_err());
        assert_eq!(ring.read(0).unwrap(), Reading::Pending);
        ring.push(&row(7)).unwrap();
        assert_eq!(ring.read(0).unwrap(), values(7));
    }
}
