//! Conversion of images and targets to tensors.
//!
//! On a CPU the loader's threads do this, in pieces below the size (32,768 numbers) from which libtorch would split an
//! operation among its own threads. Those belong to the computation: two teams of threads on the same cores are many
//! times slower than one. A piece stays in the processor's cache until it is finished. For a GPU bytes are sent as they
//! are, a quarter of the size of floats, as 16-bit numbers are, and converted there.

use super::rooms::Room;
use crate::load::dataset::Dataset;
use crate::load::layout::Layout;
use crate::load::pipeline::Normalize;
use crate::load::{Target, Targets};
use contract::TorchError;
use raster::Pixels;
use tch::{Device, Kind, Tensor, kind::Element};

/// Maximum numbers in a piece. Each piece begins with the first channel of a pixel.
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
    targets: Targets,
    /// Numbers in a piece.
    piece: usize,
    layout: Layout,
    /// Batches are sent to a device as they are, and converted there.
    sends: bool,
    /// Constants for pieces on a CPU, for whole batches elsewhere.
    constants: Option<Constants>,
}

impl Converter {
    pub(super) fn new(
        normalize: Option<&Normalize>,
        dataset: &dyn Dataset,
        device: Device,
        sends: bool,
    ) -> Result<Self, TorchError> {
        let (channels, targets, layout) = (dataset.channels().max(1) as usize, dataset.targets(), dataset.layout());
        let constants = normalize.map(|normalize| match sends {
            false => Constants::of_piece(normalize),
            true => Constants::of_channels(normalize, device),
        });
        let piece = (PIECE / channels).max(1) * channels;
        Ok(Self { targets, piece, layout, sends, constants: constants.transpose()? })
    }

    /// Does the first half, in the loader's threads: `images` are `N×H×W×C` numbers and the targets `N×H×W` or
    /// `N×C×H×W`, for at most as many samples as there is `room` for. On a CPU this completes the conversion; elsewhere
    /// the room holds the same numbers.
    pub(super) fn on_host(&self, images: &Pixels, wanted: &Target, room: &[Room; 2]) -> Result<(), TorchError> {
        let [inputs, targets] = room.each_ref().map(Room::tensor);
        match images {
            Pixels::U8(bytes) => self.write(bytes, inputs, !self.sends)?,
            Pixels::F32(floats) => self.write(floats, inputs, !self.sends)?,
            // See `Layout::kind`.
            Pixels::U16(numbers) if self.sends => self.write_as(numbers, inputs, |number| number as i16)?,
            Pixels::U16(numbers) => self.write_as(numbers, inputs, f32::from)?,
        }
        match wanted {
            Target::Classes(ids) => self.write(ids, targets, false),
            Target::Values(values) => self.write(values, targets, false),
        }
    }

    /// Copies `numbers` into `whole`; if they are an input's `values`, scales and normalises them for the network.
    fn write<T: Element>(&self, numbers: &[T], whole: &Tensor, values: bool) -> Result<(), TorchError> {
        let flat = whole.f_view(-1)?;
        for (number, piece) in numbers.chunks(self.piece).enumerate() {
            self.write_piece(&flat, number, piece, values)?;
        }
        Ok(())
    }

    /// Writes an input's 16-bit `numbers` as other ones.
    fn write_as<T: Element>(&self, numbers: &[u16], whole: &Tensor, of: impl Fn(u16) -> T) -> Result<(), TorchError> {
        let (flat, mut other) = (whole.f_view(-1)?, Vec::with_capacity(self.piece.min(numbers.len())));
        for (number, piece) in numbers.chunks(self.piece).enumerate() {
            other.clear();
            other.extend(piece.iter().map(|number| of(*number)));
            self.write_piece(&flat, number, &other, !self.sends)?;
        }
        Ok(())
    }

    fn write_piece<T: Element>(
        &self,
        flat: &Tensor,
        number: usize,
        piece: &[T],
        values: bool,
    ) -> Result<(), TorchError> {
        let len = piece.len() as i64;
        let mut place = flat.f_narrow(0, (number * self.piece) as i64, len)?;
        place.f_copy_(&Tensor::f_from_slice(piece)?)?;
        if values {
            let [low, high] = self.layout.unit();
            let mut place = if low == 0.0 { place } else { place.f_sub_scalar_(f64::from(low))? };
            let mut place = place.f_div_scalar_(f64::from(high - low))?;
            if let Some(Constants { mean, std }) = &self.constants {
                let _ = place.f_sub_(&mean.f_narrow(0, 0, len)?)?.f_div_(&std.f_narrow(0, 0, len)?)?;
            }
        }
        Ok(())
    }

    /// Does the second half, in the thread that takes the batch and with tensors on the device: returns inputs
    /// `[N, C, H, W]` f32, channels-last in memory, which convolutions are fastest on, and targets.
    pub(super) fn on_device(&self, [images, targets]: [Tensor; 2]) -> Result<[Tensor; 2], TorchError> {
        if !self.sends {
            return Ok([images.f_permute([0, 3, 1, 2])?, targets]);
        }
        let mut inputs = self.layout.values(&images)?;
        if let Some(Constants { mean, std }) = &self.constants {
            inputs = inputs.f_sub_(mean)?.f_div_(std)?;
        }
        let targets = match self.targets {
            Targets::Classes => targets.f_to_kind(Kind::Int64)?,
            Targets::Values(_) => targets,
        };
        Ok([inputs, targets])
    }
}
