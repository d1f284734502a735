//! Images as tensors, on their way to a network.

use crate::load::layout::Layout;
use raster::{Depth, Pixels};
use tch::{Kind, TchError, Tensor};

impl Layout {
    /// Returns the kind in which images go to a device. There is no unsigned kind of 16 bits to compute with: those go
    /// as signed ones of the same bits.
    pub fn kind(&self) -> Kind {
        match self.depth {
            Depth::U8 => Kind::Uint8,
            Depth::U16 => Kind::Int16,
            Depth::F32 => Kind::Float,
        }
    }

    /// Copies `image` into a tensor of this `shape` and of [`kind`](Self::kind).
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn tensor(&self, image: &Pixels, shape: &[i64]) -> Result<Tensor, TchError> {
        let flat = match image {
            Pixels::U8(bytes) => Tensor::f_from_slice(bytes)?,
            Pixels::U16(numbers) => {
                Tensor::f_from_slice(&numbers.iter().map(|number| *number as i16).collect::<Vec<i16>>())?
            }
            Pixels::F32(floats) => Tensor::f_from_slice(floats)?,
        };
        flat.f_view(shape)
    }

    /// Converts images `[N, H, W, C]` of [`kind`](Self::kind) to `[N, C, H, W]` f32, whose numbers from 0 to 1 mean
    /// black to white. In memory the channels stay last.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn values(&self, images_nhwc: &Tensor) -> Result<Tensor, TchError> {
        let inputs = images_nhwc.f_permute([0, 3, 1, 2])?;
        let wrapped = inputs.kind() == Kind::Int16;
        // The conversion of a permuted view keeps the order of the axes in memory.
        let inputs = inputs.f_to_kind(Kind::Float)?;
        let inputs = if wrapped { inputs.f_remainder(65_536.0)? } else { inputs };
        let [low, high] = self.unit();
        let inputs = if low == 0.0 { inputs } else { inputs.f_sub_scalar(f64::from(low))? };
        inputs.f_div_scalar(f64::from(high - low))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::layout::Range;
    use crate::{Channels, Depth};

    #[test]
    fn all_16_bits_arrive() {
        let numbers: Vec<u16> = (0..=u16::MAX).collect();
        let range = Some(Range::Common([0.0, 65_536.0]));
        let layout = Layout { channels: Channels::Count(4), depth: Depth::U16, range, ..Layout::from(4) };
        let images = layout.tensor(&numbers.clone().into(), &[1, 64, 256, 4]).unwrap();
        let values = layout.values(&images).unwrap();
        assert_eq!((values.size(), values.stride()), (vec![1, 4, 64, 256], vec![65_536, 1, 1024, 4]));
        let values = Vec::<f32>::try_from(values.permute([0, 2, 3, 1]).flatten(0, -1)).unwrap();
        let expected: Vec<f32> = numbers.iter().map(|number| f32::from(*number) / 65_536.0).collect();
        assert!(values == expected);
    }
}
