//! Dynamic loss scaling (Micikevicius et al., 2018): gradients that f16 would round to zero are multiplied into its
//! range, and divided again before they are used.

use contract::{StateDict, TorchError};
use tch::{Device, Kind, TchError, Tensor};

/// Initial factor and growth interval of PyTorch's `GradScaler`: it doubles the factor after INTERVAL updates without
/// an overflow, and halves it on one.
const INITIAL: f64 = 65_536.0;
const INTERVAL: f64 = 2_000.0;
/// Minimum factor: the scale is not to blame for an overflow here.
const LEAST: f64 = 1.0;

const SCALE: &str = "loss_scale";
const CLEAN: &str = "loss_scale_clean";

/// The loss scale. It is a power of two, so multiplying and dividing by it is exact, and it stays on the device, so
/// that nothing waits for it.
#[derive(Debug)]
pub(crate) struct LossScale {
    /// Scalar f32.
    scale: Tensor,
    /// Scalar f32: updates without an overflow since the last change of the scale.
    clean: Tensor,
}

impl LossScale {
    pub fn new(device: Device) -> Result<Self, TorchError> {
        let scalar = |value: f64| Tensor::f_full([0i64; 0], value, (Kind::Float, device));
        Ok(Self { scale: scalar(INITIAL)?, clean: scalar(0.0)? })
    }

    /// Returns the current factor: scalar f32.
    pub fn factor(&self) -> &Tensor {
        &self.scale
    }

    /// Returns 1 if an update `overflowed` (1 or 0) and no smaller scale could have helped, else 0: scalar f32.
    pub fn beyond_help(&self, overflowed: &Tensor) -> Result<Tensor, TchError> {
        overflowed.f_mul(&self.scale.f_le(LEAST)?.f_to_kind(Kind::Float)?)
    }

    /// Replaces the factor by the next one, after an update whose gradients `overflowed` (1 or 0).
    pub fn follow(&mut self, overflowed: &Tensor) -> Result<(), TchError> {
        let clean = self.clean.f_add_scalar(1.0)?.f_mul(&(1.0 - overflowed))?;
        let grown = clean.f_ge(INTERVAL)?.f_to_kind(Kind::Float)?;
        // 2, 0.5 or 1.
        let factor = (&grown + 1.0).f_mul(&(1.0 - overflowed * 0.5))?;
        let scale = self.scale.f_mul(&factor)?.f_clamp_min(LEAST)?;
        // Twice the largest power of two would be infinite.
        let scale = scale.f_where_self(&scale.f_isfinite()?, &self.scale)?;
        self.scale.f_copy_(&scale)?;
        self.clean.f_copy_(&clean.f_mul(&(1.0 - grown))?)
    }

    /// Returns both tensors by their names in a checkpoint; they share memory with `self`.
    pub fn state(&self) -> StateDict {
        [(SCALE, &self.scale), (CLEAN, &self.clean)].map(|(name, t)| (name.to_string(), t.shallow_clone())).into()
    }

    /// Removes the tensors of [`state`](Self::state) from a state that came from a run in another precision.
    pub fn remove_from(state: &mut StateDict) {
        state.remove(SCALE);
        state.remove(CLEAN);
    }

    /// Adds the tensors that a state from a run in another precision lacks, with their initial values.
    pub fn add_to(&self, state: &mut StateDict) -> Result<(), TorchError> {
        for (name, value) in Self::new(self.scale.device())?.state() {
            state.entry(name).or_insert(value);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    /// Output of reference/loss_scale.py.
    #[derive(Deserialize)]
    struct Reference {
        updates: u64,
        overflows: Vec<u64>,
        changes: Vec<(u64, f64)>,
    }

    #[test]
    fn it_changes_when_and_as_that_of_pytorch_does() {
        let text = include_str!("../reference/loss_scale.json");
        let Reference { updates, overflows, changes } = serde_json::from_str(text).unwrap();
        let mut scale = LossScale::new(Device::Cpu).unwrap();
        let (mut found, mut before) = (Vec::new(), INITIAL);
        for update in 0..updates {
            let overflowed = f32::from(u8::from(overflows.contains(&update)));
            scale.follow(&Tensor::from(overflowed)).unwrap();
            let now = scale.factor().double_value(&[]);
            if now != before {
                found.push((update, now));
                before = now;
            }
        }
        assert_eq!(found, changes);
    }

    #[test]
    fn it_stays_finite() {
        let mut scale = LossScale::new(Device::Cpu).unwrap();
        let largest = 2f64.powi(127);
        let _ = scale.scale.fill_(largest);
        let _ = scale.clean.fill_(INTERVAL - 1.0);
        scale.follow(&Tensor::from(0f32)).unwrap();
        assert_eq!(scale.factor().double_value(&[]), largest);
    }
}
