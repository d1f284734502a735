//! Inputs that tests of several crates share; a dependency of tests only.

mod threads;

use tch::{Device, Kind, Tensor};

pub use threads::{together, together_owned};

/// Returns values between -1 and 1 that look like noise and depend only on shape and `seed`. They are computed, not
/// drawn: tests that run at the same time share libtorch's generator. `noise` of tests/reference/networks.py computes
/// the same.
pub fn noise_f64(shape: &[i64], seed: u64) -> Tensor {
    let places = Tensor::arange(shape.iter().product::<i64>(), (Kind::Double, Device::Cpu)) + 1.0;
    ((places * 12.9898 + seed as f64 * 78.233).sin() * 43758.5453).frac().reshape(shape)
}

/// Like [`noise_f64`], rounded to f32.
pub fn noise(shape: &[i64], seed: u64) -> Tensor {
    noise_f64(shape, seed).to_kind(Kind::Float)
}
