//! Comparison of a saved network with the live one.

use contract::TorchError;
use tch::{Kind, Tensor};

/// Differences between a saved network and the live one, over some samples.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Parity {
    /// Number of samples that were compared.
    pub samples: i64,
    pixels: f64,
    same: f64,
    /// Greatest difference of two logits.
    pub max_error: f64,
    /// Greatest absolute value of a logit.
    pub largest: f64,
}

impl Parity {
    /// Compares logits `[N, K, H, W]`.
    pub fn add(&mut self, expected: &Tensor, found: &Tensor) -> Result<(), TorchError> {
        let number = |tensor: Tensor| tensor.f_to_kind(Kind::Double)?.f_double_value(&[]);
        let same = expected.f_argmax(1, false)?.f_eq_tensor(&found.f_argmax(1, false)?)?;
        self.samples += expected.size()[0];
        self.pixels += same.numel() as f64;
        self.same += number(same.f_sum(Kind::Double)?)?;
        // NaN counts as infinitely far off.
        let error = number(expected.f_sub(found)?.f_abs()?.f_max()?)?;
        self.max_error = if error.is_nan() { f64::INFINITY } else { self.max_error.max(error) };
        self.largest = self.largest.max(number(expected.f_abs()?.f_max()?)?);
        Ok(())
    }

    /// Returns the share of pixels that have the same class, from 0 to 1.
    pub fn agreement(&self) -> f64 {
        if self.pixels > 0.0 { self.same / self.pixels } else { 0.0 }
    }

    /// Returns true if the two are the same but for rounding.
    pub fn holds(&self, tolerance: Tolerance) -> bool {
        self.agreement() >= 1.0 - tolerance.classes && self.max_error <= tolerance.logits * self.largest
    }
}

/// Differences that are taken for rounding.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Tolerance {
    /// Largest difference of two logits, relative to the largest logit.
    pub logits: f64,
    /// Largest share of pixels that may change class.
    pub classes: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logits(values: [f32; 8]) -> Tensor {
        Tensor::from_slice(&values).view([1, 2, 2, 2])
    }

    const VALUES: [f32; 8] = [1.0, 2.0, 3.0, -4.0, 2.0, 1.0, -3.0, 4.0];

    #[test]
    fn rounding_passes_and_nothing_else() {
        let parity = |found: [f32; 8]| {
            let mut parity = Parity::default();
            parity.add(&logits(VALUES), &logits(found)).unwrap();
            (parity.agreement(), parity.holds(Tolerance { logits: 1e-3, classes: 1e-3 }))
        };
        assert_eq!(parity(VALUES), (1.0, true));
        assert_eq!(parity(VALUES.map(|value| value + 1e-4)), (1.0, true));
        assert_eq!(parity(VALUES.map(|value| value * 1.01)), (1.0, false));
        let mut other = VALUES;
        other.swap(0, 4);
        assert_eq!(parity(other), (0.75, false));
        other = VALUES;
        other[2] = f32::NAN;
        assert!(!parity(other).1);
        assert!(!Parity::default().holds(Tolerance { logits: 1e-3, classes: 1e-3 }), "nothing was compared");
    }
}
