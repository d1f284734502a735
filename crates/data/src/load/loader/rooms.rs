//! Memory for batches on the host, and their way to the device.

use crate::load::layout::Layout;
use crate::load::{Targets, Values};
use contract::TorchError;
use std::sync::{Mutex, PoisonError};
use tch::{Device, Kind, Tensor};
use torch_ext::Uploads;

/// Batches that may be on their way to the device. With two, one is copied while the next one is sent.
const ON_THEIR_WAY: usize = 2;

/// Maker of memory for batches.
pub(super) struct Rooms {
    device: Device,
    /// Shapes and kinds of a whole batch's images and targets.
    forms: [(Vec<i64>, Kind); 2],
    /// Batches are sent to a device as they are; else they stay where they are written.
    pub(super) sends: bool,
    /// Rings of pinned memory for images and targets, once they are needed.
    rings: Mutex<Option<[Uploads; 2]>>,
}

/// Memory of the host for the images or the targets of a batch.
pub(super) enum Room {
    Kept(Tensor),
    Sent(torch_ext::Room),
}

impl Room {
    /// Returns the tensor to write to, that of a whole batch.
    pub(super) fn tensor(&self) -> &Tensor {
        match self {
            Self::Kept(tensor) => tensor,
            Self::Sent(room) => room.tensor(),
        }
    }
}

impl Rooms {
    /// Describes batches of images of `shape` `[N, H, W, C]` and `layout`, and their targets. For a CPU they stay where
    /// they are written; other devices are sent the images' own numbers.
    pub(super) fn new(device: Device, shape: [i64; 4], layout: &Layout, targets: Targets) -> Self {
        Self::sending(device != Device::Cpu, device, shape, layout, targets)
    }

    /// Like [`new`](Self::new), with the choice of the way: a CPU can be sent them too.
    pub(super) fn sending(sends: bool, device: Device, shape: [i64; 4], layout: &Layout, targets: Targets) -> Self {
        let [samples, height, width, _] = shape;
        let targets = match targets {
            Targets::Classes => (vec![samples, height, width], if sends { Kind::Uint8 } else { Kind::Int64 }),
            Targets::Values(Values { channels: None, .. }) => (vec![samples, height, width], Kind::Float),
            Targets::Values(Values { channels: Some(channels), .. }) => {
                (vec![samples, channels.into(), height, width], Kind::Float)
            }
        };
        let kind = if sends { layout.kind() } else { Kind::Float };
        let images = (shape.into(), kind);
        Self { device, forms: [images, targets], sends, rings: Mutex::default() }
    }

    /// Returns memory for a batch: plain memory if batches stay there, else that of a ring. To be called by the thread
    /// that takes the batches: if a loader thread, which ends with the epoch, did it, the system would reclaim the
    /// memory after every batch.
    pub(super) fn room(&self) -> Result<[Room; 2], TorchError> {
        let [images, targets] = &self.forms;
        if !self.sends {
            let kept = |(shape, kind): &(Vec<i64>, Kind)| Tensor::f_empty(shape, (*kind, Device::Cpu)).map(Room::Kept);
            return Ok([kept(images)?, kept(targets)?]);
        }
        self.with_rings(|[of_images, of_targets]| {
            let images = of_images.room(&images.0, images.1)?;
            Ok([Room::Sent(images), Room::Sent(of_targets.room(&targets.0, targets.1)?)])
        })
    }

    /// Returns the first `samples` samples of a batch, on the device. Nothing waits for their copy.
    pub(super) fn take(&self, rooms: [Room; 2], samples: i64) -> Result<[Tensor; 2], TorchError> {
        match rooms {
            [Room::Sent(images), Room::Sent(targets)] => self.with_rings(|[of_images, of_targets]| {
                let (images, targets) = (of_images.send(images, samples)?, of_targets.send(targets, samples)?);
                // They are there already, unless it is a device for which there is no ring.
                Ok([images.f_to_device(self.device)?, targets.f_to_device(self.device)?])
            }),
            [images, targets] => {
                let part = |room: Room| room.tensor().f_narrow(0, 0, samples);
                Ok([part(images)?, part(targets)?])
            }
        }
    }

    fn with_rings<T>(&self, run: impl FnOnce(&mut [Uploads; 2]) -> Result<T, TorchError>) -> Result<T, TorchError> {
        let mut rings = self.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let rings = match &mut *rings {
            Some(rings) => rings,
            none => {
                let ring = || Uploads::new(self.device, ON_THEIR_WAY);
                none.insert([ring()?, ring()?])
            }
        };
        run(rings)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn memory_is_used_again_after_the_first_batches() {
        let rooms = Rooms::sending(true, Device::Cpu, [4, 8, 8, 3], &Layout::from(3), Targets::Classes);
        let ahead = 3;
        let mut waiting: Vec<[Room; 2]> = (0..ahead).map(|_| rooms.room().unwrap()).collect();
        let mut used = [BTreeSet::new(), BTreeSet::new()];
        for batch in 0..20 {
            let taken = waiting.remove(0);
            for (used, room) in used.iter_mut().zip(&taken) {
                used.insert(room.tensor().data_ptr() as usize);
            }
            // The last batch of an epoch is smaller.
            let samples = if batch % 5 == 4 { 2 } else { 4 };
            let [images, targets] = rooms.take(taken, samples).unwrap();
            assert_eq!((images.size(), images.kind()), (vec![samples, 8, 8, 3], Kind::Uint8));
            assert_eq!((targets.size(), targets.kind()), (vec![samples, 8, 8], Kind::Uint8));
            waiting.push(rooms.room().unwrap());
        }
        assert!(used.iter().all(|used| used.len() <= ahead + ON_THEIR_WAY), "{used:?}");
    }

    #[test]
    fn batches_for_a_cpu_stay_where_they_are_written() {
        let values = Targets::Values(Values { channels: Some(2), ..Values::default() });
        let rooms = Rooms::new(Device::Cpu, [4, 8, 6, 3], &Layout::from(3), values);
        let room = rooms.room().unwrap();
        let places = room.each_ref().map(|room| room.tensor().data_ptr());
        let taken = rooms.take(room, 3).unwrap();
        assert_eq!(taken.each_ref().map(Tensor::data_ptr), places);
        assert_eq!(taken.each_ref().map(Tensor::size), [vec![3, 8, 6, 3], vec![3, 2, 8, 6]]);
        assert_eq!(taken.each_ref().map(Tensor::kind), [Kind::Float; 2]);
        assert!(rooms.rings.lock().unwrap().is_none());
    }
}
