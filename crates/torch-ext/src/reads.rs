//! Number of times that the host reads a value from the device and waits for it, for tests of the training step.

use crate::ffi;
use contract::TorchError;
use std::marker::PhantomData;

/// Guard that counts the operators by which this thread reads a value.
///
/// The count is the same on a CPU, where such a read is free, as on a GPU, where the whole queue has to drain first.
#[derive(Debug)]
pub struct Reads {
    handle: u64,
    before: i64,
    /// libtorch keeps the observer per thread.
    this_thread: PhantomData<*const ()>,
}

impl Reads {
    /// Starts to count.
    pub fn watch() -> Result<Self, TorchError> {
        let mut handle = 0;
        // SAFETY: a pointer to a live integer.
        ffi::checked(unsafe { ffi::oxiseg_watch_reads(&mut handle) })?;
        // SAFETY: a counter of this thread.
        let before = unsafe { ffi::oxiseg_reads() };
        Ok(Self { handle, before, this_thread: PhantomData })
    }

    /// Returns the number of reads since the start.
    pub fn count(&self) -> i64 {
        // SAFETY: a counter of this thread.
        unsafe { ffi::oxiseg_reads() - self.before }
    }
}

impl Drop for Reads {
    fn drop(&mut self) {
        // SAFETY: removes what `watch` has added, on the same thread.
        unsafe { ffi::oxiseg_unwatch(self.handle) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn reads_are_counted_and_sums_are_not() {
        let x = Tensor::ones([8], (Kind::Float, Device::Cpu));
        let reads = Reads::watch().unwrap();
        let sum = (&x * 2.0).sum(Kind::Float);
        assert_eq!(reads.count(), 0);
        assert_eq!(sum.double_value(&[]), 16.0);
        assert_eq!(reads.count(), 1);
        let _ = x.nonzero();
        assert_eq!(reads.count(), 2);
        drop(reads);
        let again = Reads::watch().unwrap();
        assert_eq!(again.count(), 0);
    }
}
