//! Copies from a GPU to the host, which only whoever reads their values waits for.

use crate::ffi;
use crate::stream::{Event, Events, Stream};
use crate::uploads::host_bytes;
use contract::TorchError;
use std::sync::{Arc, Mutex, PoisonError};
use tch::kind::Element;
use tch::{Device, Kind, TchError, Tensor};

/// Maximum number of unused buffers that are kept.
const KEPT: usize = 64;

/// Copies of tensors of any kind from a device into pinned memory of the host, on a stream of their own. Each may be
/// read in another thread, which waits for that copy alone and not for later work. Its buffer is used again afterwards.
///
/// On a CPU a download is a copy.
#[derive(Debug)]
pub struct Downloads {
    device: Device,
    stream: Option<Stream>,
    events: Events,
    unused: Arc<Mutex<Vec<Buffer>>>,
}

#[derive(Debug)]
struct Buffer {
    bytes: Tensor,
    /// Recorded behind the copy into this buffer.
    copied: Event,
}

/// Values on their way to the host.
#[derive(Debug)]
pub struct Download {
    /// None only while it is dropped.
    buffer: Option<Buffer>,
    bytes: i64,
    kind: Kind,
    unused: Arc<Mutex<Vec<Buffer>>>,
}

impl Downloads {
    /// Prepares downloads from `device`.
    pub fn new(device: Device) -> Result<Self, TorchError> {
        Self::with(device, Events::Of(device))
    }

    fn with(device: Device, events: Events) -> Result<Self, TorchError> {
        let stream = if device.is_cuda() { Some(Stream::new(device)?) } else { None };
        Ok(Self { device, stream, events, unused: Arc::default() })
    }

    /// Enqueues the copy of `tensor`, behind the work that computes it. Does not wait.
    pub fn download(&mut self, tensor: &Tensor) -> Result<Download, TorchError> {
        if tensor.device() != self.device {
            let (expected, found) = (self.device, tensor.device());
            return Err(TorchError::new(&format!("expected a tensor on {expected:?} to download, found {found:?}")));
        }
        let (from, kind) = (tensor.f_detach()?.f_contiguous()?, tensor.kind());
        let bytes = from.numel() as i64 * kind.elt_size_in_bytes() as i64;
        let unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = match unused {
            Some(buffer) => buffer,
            None => Buffer { bytes: host_bytes(self.device, 0)?, copied: self.events.event()? },
        };
        if buffer.bytes.numel() < bytes as usize {
            buffer.bytes = host_bytes(self.device, bytes)?;
        }
        let mut into = buffer.values(bytes, kind)?.f_view(from.size().as_slice())?;
        match (&self.stream, buffer.copied.device()) {
            (Some(stream), Some(copied)) => {
                let (stream, from, into) = (stream.as_ptr(), from.as_ptr(), into.as_ptr());
                // SAFETY: a live stream, tensors and event. Nobody reads the buffer before the event has passed.
                ffi::checked(unsafe { ffi::oxiseg_download(stream, from, into, copied.as_ptr()) })?;
            }
            _ => {
                into.f_copy_(&from)?;
                buffer.copied.record()?;
            }
        }
        Ok(Download { buffer: Some(buffer), bytes, kind, unused: Arc::clone(&self.unused) })
    }
}

impl Buffer {
    /// Returns the first `bytes` bytes as values of this kind.
    fn values(&self, bytes: i64, kind: Kind) -> Result<Tensor, TchError> {
        self.bytes.f_narrow(0, 0, bytes)?.f_view_dtype(kind)
    }
}

impl Download {
    /// Returns the size in bytes.
    pub fn bytes(&self) -> usize {
        self.bytes as usize
    }

    /// Waits for the copy, and returns the tensor's values in the order of its dimensions.
    ///
    /// # Errors
    ///
    /// Fails if the device does, or if `T` is not the tensor's kind.
    pub fn read<T: Element>(&self) -> Result<Vec<T>, TorchError> {
        let Some(buffer) = &self.buffer else { return Ok(Vec::new()) };
        if T::KIND != self.kind {
            return Err(TorchError::new(&format!("values of {:?} are no {:?}", self.kind, T::KIND)));
        }
        buffer.copied.wait()?;
        let values = buffer.values(self.bytes, self.kind)?;
        let mut read = vec![T::ZERO; values.numel()];
        values.f_copy_data(&mut read, values.numel())?;
        Ok(read)
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        // A copy that nobody waited for comes before the next one into its buffer: one stream copies.
        let mut unused = self.unused.lock().unwrap_or_else(PoisonError::into_inner);
        unused.extend(self.buffer.take());
        unused.truncate(KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::held::Clock;
    use std::sync::atomic::Ordering::Relaxed;
    use std::thread;

    const CPU: Device = Device::Cpu;

    fn address(download: &Download) -> usize {
        download.buffer.as_ref().unwrap().bytes.data_ptr() as usize
    }

    #[test]
    fn tensors_of_every_kind_and_layout_arrive() {
        let mut downloads = Downloads::new(CPU).unwrap();
        let bytes = Tensor::arange(24, (Kind::Uint8, CPU)).reshape([4, 6]).tr();
        let numbers = Tensor::arange(6, (Kind::Float, CPU)).reshape([2, 3]) / 3.0;
        let [of_bytes, of_numbers, none] = [&bytes, &numbers, &Tensor::zeros([0, 3], (Kind::Float, CPU))]
            .map(|tensor| downloads.download(tensor).unwrap());
        assert_eq!((of_bytes.bytes(), of_numbers.bytes(), none.bytes()), (24, 24, 0));
        assert_eq!(of_bytes.read::<u8>().unwrap(), Vec::<u8>::try_from(bytes.flatten(0, -1)).unwrap());
        assert_eq!(of_numbers.read::<f32>().unwrap(), Vec::<f32>::try_from(numbers.flatten(0, -1)).unwrap());
        assert_eq!(none.read::<f32>().unwrap(), [0f32; 0]);
        let error = of_bytes.read::<f32>().unwrap_err();
        assert_eq!(error.to_string(), "libtorch: values of Uint8 are no Float");
    }

    #[test]
    fn only_the_reader_waits_and_for_its_own_copy() {
        let clock = Arc::new(Clock::default());
        let mut downloads = Downloads::with(CPU, Events::Held(Arc::clone(&clock))).unwrap();
        let [first, second, third] =
            [1, 2, 3].map(|value| downloads.download(&Tensor::full([5], value, (Kind::Uint8, CPU))).unwrap());
        assert_eq!(clock.waits.load(Relaxed), 0);
        let read = |download: Download| thread::spawn(move || download.read::<u8>().unwrap()).join().unwrap();
        assert_eq!(read(second), [2; 5]);
        assert_eq!((clock.waits.load(Relaxed), clock.passed.load(Relaxed)), (1, 2));
        assert_eq!((read(first), read(third)), (vec![1; 5], vec![3; 5]));
        assert_eq!(clock.waits.load(Relaxed), 2);
    }

    #[test]
    fn a_buffer_is_used_again_once_its_download_is_dropped_and_grows() {
        let mut downloads = Downloads::new(CPU).unwrap();
        let mut download = |size: i64| downloads.download(&Tensor::full([size], 7, (Kind::Uint8, CPU))).unwrap();
        let (one, other) = (download(100), download(100));
        assert_ne!(address(&one), address(&other));
        let free = address(&one);
        drop(one);
        let again = download(60);
        assert_eq!((address(&again), again.read::<u8>().unwrap()), (free, vec![7; 60]));
        drop(again);
        let larger = download(1000);
        assert_eq!(larger.read::<u8>().unwrap(), [7; 1000]);
        let many: Vec<Download> = (0..3 * KEPT).map(|_| download(1)).collect();
        drop((many, other));
        assert_eq!(downloads.unused.lock().unwrap().len(), KEPT);
    }

    #[test]
    fn a_tensor_elsewhere_is_an_error() {
        let mut downloads = Downloads { device: Device::Cuda(0), ..Downloads::new(CPU).unwrap() };
        let error = downloads.download(&Tensor::zeros([1], (Kind::Uint8, CPU))).unwrap_err();
        assert_eq!(error.to_string(), "libtorch: expected a tensor on Cuda(0) to download, found Cpu");
    }

    #[test]
    fn a_gpu_gives_what_its_queue_computes_to_other_threads() {
        if !tch::Cuda::is_available() {
            println!("SKIPPED: no GPU");
            return;
        }
        let device = Device::Cuda(0);
        let mut downloads = Downloads::new(device).unwrap();
        let all: Vec<Download> = (0..40)
            .map(|number| {
                // Much work before each copy, and its memory is used again at once.
                let one = Tensor::full([512, 512], 1.0, (Kind::Float, device));
                let product = (0..4).fold(one.shallow_clone(), |product, _| product.matmul(&one) / 512.0);
                downloads.download(&(product + number).to_kind(Kind::Uint8)).unwrap()
            })
            .collect();
        let read = |(number, download): (u8, Download)| {
            thread::spawn(move || download.read::<u8>().unwrap().iter().all(|value| *value == number + 1))
        };
        let read: Vec<_> = (0..).zip(all).map(read).collect();
        assert!(read.into_iter().all(|thread| thread.join().unwrap()));
    }
}
