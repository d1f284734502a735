//! Bytes to tensors.
//!
//! On a CPU this is done by the loader's threads, in pieces below the size (32,768 numbers) from which libtorch would share
//! an operation out to threads of its own. Those belong to whoever computes: two teams of threads for the same cores
//! are many times slower than one. A piece stays in the processor's cache until all is done with it. On a GPU the
//! bytes travel as they are, a quarter of what floats would take, and are converted there.

use crate::pipeline::Normalize;
use contract::TorchError;
use tch::{Device, Kind, Tensor};

/// Numbers in a piece; a multiple of 3, so that each begins with the first channel of a pixel.
const PIECE: usize = 24_576;

/// Means and standard deviations, in the shape that they are applied in.
pub(super) struct Constants {
    mean: Tensor,
    std: Tensor,
}

impl Constants {
    /// One for each channel: `[C, 1, 1]`.
    fn of_channels(normalize: &Normalize, device: Device) -> Result<Self, TorchError> {
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
            Tensor::f_from_slice(&values)?.f_view([-1, 1, 1])?.f_to_device(device)
        };
        Ok(Self { mean: tensor(&normalize.mean)?, std: tensor(&normalize.std)? })
    }

    /// One for each number of a piece: `[PIECE]`. Elementwise operations on long rows are fast, on rows of three slow.
    fn of_piece(normalize: &Normalize) -> Result<Self, TorchError> {
        let tensor = |values: &[f64]| {
            let values: Vec<f32> = values.iter().cycle().take(PIECE).map(|value| *value as f32).collect();
            Tensor::f_from_slice(&values)
        };
        Ok(Self { mean: tensor(&normalize.mean)?, std: tensor(&normalize.std)? })
    }
}

/// What turns blocks into tensors. One of it serves one thread at a time.
pub(super) struct Converter {
    device: Device,
    /// For the pieces on a CPU, for whole batches elsewhere.
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

    /// Room for a batch of `shape` `[N, H, W, C]` on the host, for the thread that takes the batches to make: of a
    /// thread that ends with the epoch, the system would take the memory back after every batch, and give it anew.
    pub(super) fn room(&self, shape: [i64; 4]) -> Result<[Tensor; 2], TorchError> {
        let of_kind = |shape: &[i64], kind| {
            let room = Tensor::f_empty(shape, (kind, Device::Cpu))?;
            // From pinned memory the device fetches the bytes while the host goes on; libtorch keeps it until then.
            if self.device.is_cuda() { torch_ext::pinned(&room) } else { Ok(room) }
        };
        let [values, ids] = if self.device == Device::Cpu { [Kind::Float, Kind::Int64] } else { [Kind::Uint8; 2] };
        Ok([of_kind(&shape, values)?, of_kind(&shape[..3], ids)?])
    }

    /// The first half, for the loader's threads: `images` are `N×H×W×C` bytes and `masks` `N×H×W`, for as many samples as
    /// [`room`](Self::room) was made for or fewer. On a CPU all that there is to do, elsewhere tensors of the same bytes.
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

    /// Puts `bytes` into `whole`; those that are `values` are brought to what the network is fed with.
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

    /// The second half, for the thread that takes the batch: inputs `[N, C, H, W]` f32, channels-last in memory, which
    /// convolutions are fastest on, and targets `[N, H, W]` i64, on the device.
    pub(super) fn on_device(&self, [images, masks]: [Tensor; 2]) -> Result<[Tensor; 2], TorchError> {
        if self.device == Device::Cpu {
            return Ok([images.f_permute([0, 3, 1, 2])?, masks]);
        }
        let sent = |bytes: Tensor| bytes.f_to_device_(self.device, Kind::Uint8, true, false);
        // The order of the axes in memory outlives the conversion of a permuted view.
        let mut inputs = sent(images)?.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?;
        let mut inputs = inputs.f_div_scalar_(255.0)?;
        if let Some(Constants { mean, std }) = &self.constants {
            inputs = inputs.f_sub_(mean)?.f_div_(std)?;
        }
        Ok([inputs, sent(masks)?.f_to_kind(Kind::Int64)?])
    }
}
