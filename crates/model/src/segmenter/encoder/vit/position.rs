//! Positions of patches, as embeddings that are added or as rotations of queries and keys.

use std::f64::consts::TAU;
use tch::{Device, Kind, Tensor};

/// Longest period of a rotation, in half sides of the image (`rope_temperature` of DINOv3's models in timm; section 3.2
/// of the paper).
const BASE: f64 = 100.0;

/// Returns position embeddings `[1, side², C]` for `height` × `width` patches: by antialiased bicubic interpolation, as
/// timm does.
pub(super) fn resized(positions: &Tensor, side: i64, [height, width]: [i64; 2]) -> Tensor {
    if [height, width] == [side; 2] {
        return positions.shallow_clone();
    }
    let kind = positions.kind();
    let grid = positions.to_kind(Kind::Float).unflatten(1, [side, side]).permute([0, 3, 1, 2]);
    let grid = grid.internal_upsample_bicubic2d_aa([height, width], false, None, None);
    grid.flatten(2, 3).transpose(1, 2).to_kind(kind)
}

/// Rotary position embeddings (Su et al., 2021) of two axes, as in DINOv3: half of the pairs of channels turn with the
/// row, half with the column, both from -1 to 1 over the image.
#[derive(Debug)]
pub(super) struct Rotation {
    /// Sine and cosine for each token and channel, `[T, C]`.
    of_tokens: Option<[Tensor; 2]>,
}

impl Clone for Rotation {
    fn clone(&self) -> Self {
        Self { of_tokens: self.of_tokens.as_ref().map(|pair| pair.each_ref().map(Tensor::shallow_clone)) }
    }
}

impl Rotation {
    /// Makes the rotation that changes nothing.
    pub(super) fn none() -> Self {
        Self { of_tokens: None }
    }

    /// Makes the rotations of `others` tokens without a position, and of `height` × `width` patches, for heads of
    /// `channels` channels.
    pub(super) fn new(others: i64, [height, width]: [i64; 2], channels: i64, device: Device) -> Self {
        let options = (Kind::Float, device);
        let exponents = Tensor::arange(channels / 4, options) * (2.0 / (channels / 2) as f64);
        let frequencies = Tensor::full([1], BASE, options).pow(&-exponents) * TAU;
        let angles = |side: i64| {
            let places = (Tensor::arange(side, options) + 0.5) / side as f64 * 2.0 - 1.0;
            places.unsqueeze(1) * &frequencies
        };
        let size = [height, width, channels / 4];
        let (rows, columns) = (angles(height).unsqueeze(1).expand(size, false), angles(width).expand(size, false));
        let angles = Tensor::cat(&[&rows, &columns, &rows, &columns], 2).flatten(0, 1);
        // No angle for the other tokens.
        let angles = Tensor::cat(&[Tensor::zeros([others, channels], options), angles], 0);
        Self { of_tokens: Some([angles.sin(), angles.cos()]) }
    }

    /// Rotates queries or keys `[N, heads, T, C]`. Channels C / 2 apart make a pair.
    pub(super) fn apply(&self, x: Tensor) -> Tensor {
        let Some([sine, cosine]) = &self.of_tokens else { return x };
        let half = x.size()[3] / 2;
        let crossed = Tensor::cat(&[-x.narrow(3, half, half), x.narrow(3, 0, half)], 3);
        (&x * cosine + crossed * sine).to_kind(x.kind())
    }
}
