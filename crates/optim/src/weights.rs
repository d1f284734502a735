//! Weights of the batches that make one update together.

use contract::{StateDict, TorchError};
use tch::{Device, Kind, TchError, Tensor};

const GREATEST: &str = "weight.greatest";
const SUM: &str = "weight.sum";

/// Running sum of the weights, relative to the greatest of them, so that no factor of a gradient is above 1: even in
/// f16, one batch that weighs a thousand times the others overflows nothing. It stays on the device, so that nothing
/// waits for it. Equal weights have the factor 1 and the number of batches as their sum, exactly.
#[derive(Debug)]
pub(crate) struct Weights {
    /// Scalar f32: the greatest weight so far.
    greatest: Tensor,
    /// Scalar f32: the sum of the weights, divided by the greatest.
    sum: Tensor,
}

impl Weights {
    /// Creates an empty sum.
    pub fn new(device: Device) -> Result<Self, TorchError> {
        let zero = || Tensor::f_zeros([0i64; 0], (Kind::Float, device));
        Ok(Self { greatest: zero()?, sum: zero()? })
    }

    /// Creates the sum of `count` batches that each weigh as much as one of `weight` (scalar f32).
    pub fn equal(count: u64, weight: &Tensor) -> Result<Self, TorchError> {
        Ok(Self { greatest: weight.shallow_clone(), sum: weight.f_full_like(count as f64)? })
    }

    /// Adds a batch of this weight (scalar f32). Returns the factor of the gradients so far, and that of the batch's
    /// loss. Both are 0 as long as no batch weighs anything.
    pub fn add(&mut self, weight: &Tensor) -> Result<[Tensor; 2], TchError> {
        let greatest = self.greatest.f_maximum(weight)?;
        let divisor = greatest.f_clamp_min(f64::from(f32::MIN_POSITIVE))?;
        let [before, own] = [self.greatest.f_div(&divisor)?, weight.f_div(&divisor)?];
        self.sum = self.sum.f_mul(&before)?.f_add(&own)?;
        self.greatest = greatest;
        Ok([before, own])
    }

    /// Returns what the sum of the gradients must be divided by: scalar f32. The sum of the weights is at least 1, or
    /// 0 if no batch weighs anything; the gradients are 0 then, and stay so.
    pub fn divisor(&self) -> Result<Tensor, TchError> {
        self.sum.f_clamp_min(1.0)
    }

    /// Returns both tensors by their names in a checkpoint; they share memory with `self`.
    pub fn state(&self) -> StateDict {
        [(GREATEST, &self.greatest), (SUM, &self.sum)].map(|(name, t)| (name.to_string(), t.shallow_clone())).into()
    }

    /// Returns true if `state` has the tensors of [`state`](Self::state). A checkpoint from before batches were
    /// weighted has none.
    pub fn are_in(state: &StateDict) -> bool {
        [GREATEST, SUM].iter().any(|name| state.contains_key(*name))
    }
}
