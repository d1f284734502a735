//! Copies from the host to a GPU that nothing waits for.

use crate::ffi;
use crate::stream::{Event, Events, Stream};
use contract::TorchError;
use std::collections::VecDeque;
use tch::{Device, Kind, Tensor};

/// Ring of buffers in pinned memory of the host, from which tensors of any kind are copied to a device, on a stream of
/// their own. A buffer is used again after its copy is done. Once the ring has its buffers, nothing allocates memory
/// of the host; that of the device comes from libtorch's cache.
///
/// On a CPU an upload is a copy.
#[derive(Debug)]
pub struct Uploads {
    device: Device,
    stream: Option<Stream>,
    events: Events,
    most: usize,
    /// Buffers that were sent, oldest first.
    sent: VecDeque<Buffer>,
}

#[derive(Debug)]
struct Buffer {
    bytes: Tensor,
    /// Recorded behind the copy from this buffer.
    copied: Event,
}

/// Room for a tensor in a buffer of the ring. A room that is dropped takes its buffer with it.
#[derive(Debug)]
pub struct Room {
    buffer: Buffer,
    tensor: Tensor,
}

impl Room {
    /// Returns the tensor to write to. Its values are those of an earlier upload.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }
}

impl Uploads {
    /// Creates a ring that has up to `most` buffers on their way to `device`.
    pub fn new(device: Device, most: usize) -> Result<Self, TorchError> {
        Self::with(device, most, Events::Of(device))
    }

    fn with(device: Device, most: usize, events: Events) -> Result<Self, TorchError> {
        let stream = if device.is_cuda() { Some(Stream::new(device)?) } else { None };
        Ok(Self { device, stream, events, most: most.max(1), sent: VecDeque::new() })
    }

    /// Returns room for a tensor of this shape and kind. Waits only where `most` buffers are on their way.
    pub fn room(&mut self, shape: &[i64], kind: Kind) -> Result<Room, TorchError> {
        let bytes = shape.iter().product::<i64>() * kind.elt_size_in_bytes() as i64;
        let mut buffer = self.free_buffer()?;
        if buffer.bytes.numel() < bytes as usize {
            buffer.bytes = self.allocate(bytes)?;
        }
        let tensor = buffer.bytes.f_narrow(0, 0, bytes)?.f_view_dtype(kind)?.f_view(shape)?;
        Ok(Room { buffer, tensor })
    }

    fn free_buffer(&mut self) -> Result<Buffer, TorchError> {
        // One stream copies, so the oldest copy is the first to be done.
        let full = self.sent.len() >= self.most;
        let usable = match self.sent.front() {
            Some(oldest) => full || oldest.copied.passed()?,
            None => false,
        };
        let oldest = if usable { self.sent.pop_front() } else { None };
        let Some(buffer) = oldest else {
            return Ok(Buffer { bytes: self.allocate(0)?, copied: self.events.event()? });
        };
        buffer.copied.wait()?;
        Ok(buffer)
    }

    fn allocate(&self, bytes: i64) -> Result<Tensor, TorchError> {
        host_bytes(self.device, bytes)
    }

    /// Copies the first `rows` rows of a room's tensor to the device. Work that is enqueued from now on finds them
    /// there.
    pub fn send(&mut self, room: Room, rows: i64) -> Result<Tensor, TorchError> {
        let Room { buffer, tensor } = room;
        let host = tensor.f_narrow(0, 0, rows)?;
        let uploaded = match (&self.stream, buffer.copied.device()) {
            (Some(stream), Some(copied)) => {
                let (stream, host, copied) = (stream.as_ptr(), host.as_ptr(), copied.as_ptr());
                // SAFETY: a live stream, tensor and event. The buffer stays in the ring until the event has passed.
                ffi::made(|out| unsafe { ffi::oxiseg_upload(stream, host, copied, out) })?
            }
            _ => {
                let mut copy = host.f_empty_like()?;
                copy.f_copy_(&host)?;
                buffer.copied.record()?;
                copy
            }
        };
        self.sent.push_back(buffer);
        Ok(uploaded)
    }

    /// Copies `host`, a tensor of the host of one dimension or more, to the device.
    pub fn upload(&mut self, host: &Tensor) -> Result<Tensor, TorchError> {
        let room = self.room(&host.size(), host.kind())?;
        room.tensor.shallow_clone().f_copy_(host)?;
        let rows = host.size().first().copied().unwrap_or_default();
        self.send(room, rows)
    }
}

/// Allocates bytes of the host that `device` reads and writes without anybody waiting: pinned ones for a GPU.
pub(crate) fn host_bytes(device: Device, bytes: i64) -> Result<Tensor, TorchError> {
    if device.is_cuda() {
        // SAFETY: the shim makes a tensor or fails.
        return ffi::made(|out| unsafe { ffi::oxiseg_pinned_bytes(bytes, out) });
    }
    Ok(Tensor::f_empty([bytes], (Kind::Uint8, Device::Cpu))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stream::held::Clock;
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;

    fn held(most: usize) -> (Uploads, Arc<Clock>) {
        let clock = Arc::new(Clock::default());
        (Uploads::with(Device::Cpu, most, Events::Held(Arc::clone(&clock))).unwrap(), clock)
    }

    fn address(room: &Room) -> usize {
        room.tensor().data_ptr() as usize
    }

    #[test]
    fn tensors_of_every_kind_arrive_and_stay() {
        let mut uploads = Uploads::new(Device::Cpu, 2).unwrap();
        let hosts = [
            Tensor::arange(24, (Kind::Uint8, Device::Cpu)).reshape([2, 3, 4]),
            Tensor::arange(6, (Kind::Int16, Device::Cpu)).reshape([3, 2]) - 3,
            testing::noise(&[5, 7], 1).tr(),
            Tensor::zeros([0, 7], (Kind::Double, Device::Cpu)),
        ];
        let uploaded: Vec<Tensor> = hosts.iter().map(|host| uploads.upload(host).unwrap()).collect();
        for (host, uploaded) in hosts.iter().zip(&uploaded) {
            assert!(uploaded.kind() == host.kind() && uploaded.equal(host), "{uploaded:?}");
        }
    }

    #[test]
    fn a_buffer_is_used_again_only_after_its_event() {
        let (mut uploads, clock) = held(3);
        let mut send = |clear: bool| {
            let room = uploads.room(&[4, 4], Kind::Float).unwrap();
            let at = address(&room);
            let _ = uploads.send(room, 4).unwrap();
            if clear {
                clock.passed.store(clock.recorded.load(Relaxed), Relaxed);
            }
            at
        };
        let first = [send(false), send(false), send(true)];
        assert_eq!(BTreeSet::from(first).len(), 3, "none had passed");
        assert_eq!([send(true), send(true), send(true), send(true)], [first[0], first[1], first[2], first[0]]);
        assert_eq!(clock.waits.load(Relaxed), 0);
    }

    #[test]
    fn a_full_ring_waits_for_its_oldest_buffer() {
        let (mut uploads, clock) = held(2);
        let mut addresses = Vec::new();
        for _ in 0..5 {
            let room = uploads.room(&[8], Kind::Uint8).unwrap();
            addresses.push(address(&room));
            let _ = uploads.send(room, 8).unwrap();
        }
        assert_eq!(clock.waits.load(Relaxed), 3);
        assert_eq!(addresses[2..], [addresses[0], addresses[1], addresses[0]]);
        assert_eq!(uploads.sent.len(), 2);
    }

    #[test]
    fn a_buffer_serves_smaller_tensors_and_grows_for_larger_ones() {
        let mut uploads = Uploads::new(Device::Cpu, 1).unwrap();
        let mut send = |shape: &[i64], kind, rows| {
            let room = uploads.room(shape, kind).unwrap();
            let _ = room.tensor().shallow_clone().fill_(3);
            let at = address(&room);
            let uploaded = uploads.send(room, rows).unwrap();
            assert!(uploaded.size()[0] == rows && uploaded.eq(3).all().int64_value(&[]) == 1);
            at
        };
        let large = send(&[4, 6], Kind::Float, 4);
        assert_eq!(send(&[4, 6], Kind::Uint8, 4), large);
        assert_eq!(send(&[4, 6], Kind::Float, 3), large);
        let larger = send(&[400, 600], Kind::Float, 400);
        assert_eq!([send(&[4, 6], Kind::Float, 4), send(&[400, 600], Kind::Float, 1)], [larger; 2]);
    }

    #[test]
    fn a_dropped_room_leaves_the_ring_whole() {
        let mut uploads = Uploads::new(Device::Cpu, 2).unwrap();
        drop(uploads.room(&[3], Kind::Float).unwrap());
        let two = [uploads.room(&[3], Kind::Float).unwrap(), uploads.room(&[3], Kind::Float).unwrap()];
        assert_ne!(address(&two[0]), address(&two[1]));
        for room in two {
            let _ = uploads.send(room, 3).unwrap();
        }
        assert_eq!(uploads.sent.len(), 2);
    }
}
