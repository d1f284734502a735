//! Streams of a GPU, and events: marks in the work that a device has been given.

use crate::{cuda_index, ffi};
use contract::TorchError;
use std::ffi::c_int;
#[cfg(cuda_graphs)]
use std::marker::PhantomData;
use std::ptr::NonNull;
use tch::Device;

/// A stream of a GPU, on which work runs beside that of other streams.
#[derive(Debug)]
pub(crate) struct Stream(NonNull<ffi::CStream>);

// SAFETY: it is the number of a stream, which belongs to no thread.
unsafe impl Send for Stream {}

impl Stream {
    /// Takes one of libtorch's streams of `device`, a GPU.
    pub(crate) fn new(device: Device) -> Result<Self, TorchError> {
        // SAFETY: the shim writes a stream that we own, or fails.
        ffi::owned(|out| unsafe { ffi::oxiseg_new_stream(cuda_index(device), out) }).map(Self)
    }

    /// Sends this thread's work to the stream while the guard lives: after all that was enqueued before, and before all
    /// that is enqueued after it.
    #[cfg(cuda_graphs)]
    pub(crate) fn enter(&self) -> Result<Entered<'_>, TorchError> {
        // SAFETY: a live stream; the shim writes what `leave` needs, or fails.
        let former = ffi::owned(|out| unsafe { ffi::oxiseg_enter_stream(self.0.as_ptr(), out) })?;
        Ok(Entered { stream: self, former, this_thread: PhantomData })
    }

    pub(crate) fn as_ptr(&self) -> *const ffi::CStream {
        self.0.as_ptr()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it.
        unsafe { ffi::oxiseg_free_stream(self.0.as_ptr()) };
    }
}

/// Guard of a stream that is current.
#[cfg(cuda_graphs)]
pub(crate) struct Entered<'s> {
    stream: &'s Stream,
    former: NonNull<ffi::CFormer>,
    /// The current stream is a matter of each thread.
    this_thread: PhantomData<*const ()>,
}

#[cfg(cuda_graphs)]
impl Drop for Entered<'_> {
    fn drop(&mut self) {
        // SAFETY: puts back what `enter` found, on the same thread, and frees it. If that fails the device itself has
        // failed, and the next call says so.
        unsafe { ffi::oxiseg_leave_stream(self.stream.as_ptr(), self.former.as_ptr()) };
    }
}

/// A mark in a device's current stream. On a CPU, where work is done when its call returns, it has always passed.
#[derive(Debug)]
pub(crate) struct Event(Mark);

#[derive(Debug)]
enum Mark {
    Host,
    Device(NonNull<ffi::CEvent>, c_int),
    #[cfg(test)]
    Held(held::Mark),
}

// SAFETY: an event belongs to no thread, and is used by one at a time.
unsafe impl Send for Event {}

impl Event {
    /// Records all work that the current stream has been given so far.
    pub(crate) fn record(&self) -> Result<(), TorchError> {
        match &self.0 {
            Mark::Host => Ok(()),
            // SAFETY: a live event.
            Mark::Device(event, index) => ffi::checked(unsafe { ffi::oxiseg_record_event(event.as_ptr(), *index) }),
            #[cfg(test)]
            Mark::Held(mark) => {
                mark.record();
                Ok(())
            }
        }
    }

    /// Returns true if the work recorded last is done, or none was. Does not wait.
    pub(crate) fn passed(&self) -> Result<bool, TorchError> {
        match &self.0 {
            Mark::Host => Ok(true),
            Mark::Device(event, _) => {
                let mut passed = 0;
                // SAFETY: a live event and a pointer to a live integer.
                ffi::checked(unsafe { ffi::oxiseg_event_passed(event.as_ptr(), &mut passed) })?;
                Ok(passed != 0)
            }
            #[cfg(test)]
            Mark::Held(mark) => Ok(mark.passed()),
        }
    }

    /// Waits until the work recorded last is done.
    pub(crate) fn wait(&self) -> Result<(), TorchError> {
        match &self.0 {
            Mark::Host => Ok(()),
            // SAFETY: a live event.
            Mark::Device(event, _) => ffi::checked(unsafe { ffi::oxiseg_wait_for_event(event.as_ptr()) }),
            #[cfg(test)]
            Mark::Held(mark) => {
                mark.wait();
                Ok(())
            }
        }
    }

    /// Returns the shim's event, if it is one of a device.
    pub(crate) fn device(&self) -> Option<NonNull<ffi::CEvent>> {
        match &self.0 {
            Mark::Device(event, _) => Some(*event),
            _ => None,
        }
    }
}

impl Drop for Event {
    fn drop(&mut self) {
        if let Mark::Device(event, _) = &self.0 {
            // SAFETY: made by the shim, and nobody else has it.
            unsafe { ffi::oxiseg_free_event(event.as_ptr()) };
        }
    }
}

/// Maker of the events of a device.
#[derive(Debug, Clone)]
pub(crate) enum Events {
    Of(Device),
    #[cfg(test)]
    Held(std::sync::Arc<held::Clock>),
}

impl Events {
    pub(crate) fn event(&self) -> Result<Event, TorchError> {
        match self {
            Self::Of(device) if device.is_cuda() => {
                let index = cuda_index(*device);
                // SAFETY: the shim writes an event that we own, or fails.
                let event = ffi::owned(|out| unsafe { ffi::oxiseg_new_event(index, out) })?;
                Ok(Event(Mark::Device(event, index)))
            }
            Self::Of(_) => Ok(Event(Mark::Host)),
            #[cfg(test)]
            Self::Held(clock) => Ok(Event(Mark::Held(held::Mark::new(clock)))),
        }
    }
}

/// Events that pass when a test says so.
#[cfg(test)]
pub(crate) mod held {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// Number of events that were recorded, that have passed, and that were waited for.
    #[derive(Debug, Default)]
    pub(crate) struct Clock {
        pub(crate) recorded: AtomicU64,
        pub(crate) passed: AtomicU64,
        pub(crate) waits: AtomicU64,
    }

    #[derive(Debug)]
    pub(super) struct Mark {
        clock: Arc<Clock>,
        number: AtomicU64,
    }

    impl Mark {
        pub(super) fn new(clock: &Arc<Clock>) -> Self {
            Self { clock: Arc::clone(clock), number: AtomicU64::new(0) }
        }

        pub(super) fn record(&self) {
            self.number.store(self.clock.recorded.fetch_add(1, Relaxed) + 1, Relaxed);
        }

        pub(super) fn passed(&self) -> bool {
            self.number.load(Relaxed) <= self.clock.passed.load(Relaxed)
        }

        pub(super) fn wait(&self) {
            if !self.passed() {
                self.clock.waits.fetch_add(1, Relaxed);
                self.clock.passed.fetch_max(self.number.load(Relaxed), Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_a_cpu_has_always_passed() {
        let event = Events::Of(Device::Cpu).event().unwrap();
        assert!(event.passed().unwrap());
        event.record().unwrap();
        event.wait().unwrap();
        assert!(event.passed().unwrap() && event.device().is_none());
    }

    #[test]
    fn a_gpu_that_is_not_there_is_an_error() {
        let device = Device::Cuda(120);
        assert!(Stream::new(device).is_err());
        let recorded = Events::Of(device).event().and_then(|event| event.record());
        assert!(recorded.is_err());
    }
}
