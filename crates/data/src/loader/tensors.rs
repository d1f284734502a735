//! Conversion of bytes to tensors.
//!
//! On a CPU the loader's threads do this, in pieces below the size (32,768 numbers) from which libtorch would split an
//! operation among its own threads. Those belong to the computation: two teams of threads on the same cores are many
//! times slower than one. A piece stays in the processor's cache until it is finished. For a GPU the bytes are sent as
//! they are, a quarter of the size of floats, and converted there.

use crate::pipeline::Normalize;
use contract::TorchError;
use tch::{Device, Kind, Tensor};

/// Numbers in a piece; a multiple of 3, so that each piece begins with the first channel of a pixel.
const PIECE: usize = 24_576;

/// Means and standard deviations, in the shape in which they are applied.
pub(super) struct Constants {
    mean: Tensor,
    std: Tensor,
}

impl Constants {
    /// Creates one for each channel: `[C, 1, 1]`.
    fn of_channels(normalize: &Normalize, device: Device) -> Result<Self, TorchError> {
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::f_from_slice(&values)?.f_view([-1, 1, 1])?.f_to_device(device)
        };
        Ok(Self { mean: tensor(&normalize.mean)?, std: tensor(&normalize.std)? })
    }

    /// Creates one for each number of a piece: `[PIECE]`. Elementwise operations are fast on long rows and slow on rows
    /// of three.
    fn of_piece(normalize: &Normalize) -> Result<Self, TorchError> {
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().cycle().take(PIECE).map(|value| *value as f32).collect();
            Tensor::f_from_slice(&values)
        };
        Ok(Self { mean: tensor(&normalize.mean)?, std: tensor(&normalize.std)? })
    }
}

/// Converts blocks to tensors, for one thread at a time.
pub(super) struct Converter {
    device: Device,
    /// Constants for pieces on a CPU, for whole batches elsewhere.
    constants: Option<Constants>,
}

impl Converter {
    pub(super) fn new(normalize: Option<&Normalize>, device: Device) -> Result<Self, TorchError> {
        let constants = normalize.map(|normalize| match device {
            Device::Cpu => Constants::of_piece(normalize),
            _ => Constants::of_channels(normalize, device),
        });
        Ok(Self { device, constants: constants.transpose()? })
    }

    /// Allocates host tensors for a batch of `shape` `[N, H, W, C]`. To be called by the thread that takes the batches:
    /// if a loader thread, which ends with the epoch, did it, the system would reclaim the memory after every batch.
    pub(super) fn room(&self, shape: [i64; 4]) -> Result<[Tensor; 2], TorchError> {
        let of_kind = |shape: &[i64], kind| {
            let room = Tensor::f_empty(shape, (kind, Device::Cpu))?;
            // The device fetches bytes from pinned memory while the host goes on; libtorch keeps the memory until then.
            if self.device.is_cuda() { torch_ext::pinned(&room) } else { Ok(room) }
        };
        let [values, ids] = if self.device == Device::Cpu { [Kind::Float, Kind::Int64] } else { [Kind::Uint8; 2] };
        Ok([of_kind(&shape, values)?, of_kind(&shape[..3], ids)?])
    }

    /// Does the first half, in the loader's threads: `images` are `N×H×W×C` bytes and `masks` `N×H×W`, for at most as
    /// many samples as [`room`](Self::room) allocated. On a CPU this completes the conversion; elsewhere the tensors
    /// hold the same bytes.
    pub(super) fn on_host(
        &self,
        images: &[u8],
        masks: &[u8],
        samples: i64,
        room: [Tensor; 2],
    ) -> Result<[Tensor; 2], TorchError> {
        let [inputs, targets] = room;
        let [inputs, targets] = [inputs.f_narrow(0, 0, samples)?, targets.f_narrow(0, 0, samples)?];
        self.write(images, &inputs, self.device == Device::Cpu)?;
        self.write(masks, &targets, false)?;
        Ok([inputs, targets])
    }

    /// Copies `bytes` into `whole`; if they are `values`, scales and normalises them for the network.
    fn write(&self, bytes: &[u8], whole: &Tensor, values: bool) -> Result<(), TorchError> {
        let flat = whole.f_view(-1)?;
        for (number, piece) in bytes.chunks(PIECE).enumerate() {
            let len = piece.len() as i64;
            let mut place = flat.f_narrow(0, (number * PIECE) as i64, len)?;
            place.f_copy_(&Tensor::f_from_slice(piece)?)?;
            if values {
                let mut place = place.f_div_scalar_(255.0)?;
                if let Some(Constants { mean, std }) = &self.constants {
                    let _ = place.f_sub_(&mean.f_narrow(0, 0, len)?)?.f_div_(&std.f_narrow(0, 0, len)?)?;
                }
            }
        }
        Ok(())
    }

    /// Does the second half, in the thread that takes the batch: inputs `[N, C, H, W]` f32, channels-last in memory,
    /// which convolutions are fastest on, and targets `[N, H, W]` i64, on the device.
    pub(super) fn on_device(&self, [images, masks]: [Tensor; 2]) -> Result<[Tensor; 2], TorchError> {
        if self.device == Device::Cpu {
            return Ok([images.f_permute([0, 3, 1, 2])?, masks]);
        }
        let sent = |bytes: Tensor| bytes.f_to_device_(self.device, Kind::Uint8, true, false);
        // The conversion of a permuted view keeps the order of the axes in memory.
        let mut inputs = sent(images)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        let mut inputs = inputs.f_div_scalar_(255.0)?;
        if let Some(Constants { mean, std }) = &self.constants {
            inputs = inputs.f_sub_(mean)?.f_div_(std)?;
        }
        Ok([inputs, sent(masks)?.f_to_kind(Kind::Int64)?])
    }
}
