//! Weights of auxiliary outputs, and their targets.

use contract::{Batch, Invalid, Outputs, TorchError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Kind, TchError, Tensor};

/// Weights of a network's auxiliary outputs in the loss.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a number or \"halving\"")]
pub enum Auxiliary {
    /// Weight of each auxiliary output, where the prediction has 1 (PSPNet's auxiliary head: 0.4).
    Constant(f64),
    /// A rule.
    Rule(Rule),
}

/// Rule that makes weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rule {
    /// `1 / 2^i` for output i, where the prediction is the first, 0 for the last one, and all divided by their sum
    /// (nnU-Net's deep supervision). Auxiliary outputs come in the order of falling resolution.
    Halving,
}

impl Default for Auxiliary {
    fn default() -> Self {
        Self::Constant(0.4)
    }
}

impl JsonSchema for Auxiliary {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Auxiliary".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "The weight of each auxiliary output, or `halving`: 1/2^i for output i, where the \
                            prediction is the first, 0 for the last one, divided by their sum.",
            "anyOf": [
                { "type": "string", "enum": ["halving"] },
                { "type": "number", "format": "double" },
            ],
            "errorMessage": "expected a number or \"halving\"",
        })
    }
}

impl Auxiliary {
    pub(crate) fn check(self) -> Result<(), Invalid> {
        let Self::Constant(weight) = self else { return Ok(()) };
        let good = weight.is_finite() && weight >= 0.0;
        Invalid::unless(good, "auxiliary", || format!("must be 0 or more, or \"halving\", is {weight}"))
    }

    /// Returns the weights of the prediction and of `count` auxiliary outputs.
    pub fn weights(self, count: usize) -> Vec<f64> {
        let Self::Constant(weight) = self else {
            let mut weights: Vec<f64> = (0..=count).map(|output| 0.5f64.powi(output as i32)).collect();
            if count > 0 {
                weights[count] = 0.0;
            }
            let sum: f64 = weights.iter().sum();
            return weights.iter().map(|weight| weight / sum).collect();
        };
        std::iter::once(1.0).chain(std::iter::repeat_n(weight, count)).collect()
    }
}

/// Returns an auxiliary output as outputs of their own, and the batch with targets of its size.
pub(crate) fn part(output: &Tensor, batch: &Batch) -> Result<(Outputs, Batch), TorchError> {
    let mut own = Batch::new(batch.inputs.shallow_clone(), closest(&batch.targets, output)?, batch.names.clone());
    own.extra = batch.extra.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    own.share = batch.share;
    Ok((output.shallow_clone().into(), own))
}

/// Returns the class ids at the centres of the output's pixels. Outputs are not enlarged instead, since the gradient of
/// that adds up in any order on a GPU.
fn closest(targets: &Tensor, output: &Tensor) -> Result<Tensor, TchError> {
    let (mut targets, size) = (targets.shallow_clone(), output.size());
    for (dim, wanted) in (1..).zip(size.iter().skip(2)) {
        let given = targets.size()[dim];
        if given == *wanted {
            continue;
        }
        let at = Tensor::f_arange(*wanted, (Kind::Int64, targets.device()))?.f_mul_scalar(2)?.f_add_scalar(1)?;
        let at = at.f_mul_scalar(given)?.f_floor_divide_scalar(2 * *wanted)?;
        targets = targets.f_index_select(dim as i64, &at)?;
    }
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn weights_are_those_of_nnunet() {
        let halving = Auxiliary::Rule(Rule::Halving);
        assert_eq!(halving.weights(0), [1.0]);
        assert_eq!(halving.weights(1), [1.0, 0.0]);
        assert_eq!(halving.weights(3), [4.0 / 7.0, 2.0 / 7.0, 1.0 / 7.0, 0.0]);
        assert_eq!(Auxiliary::default().weights(2), [1.0, 0.4, 0.4]);
        assert_eq!(Auxiliary::Constant(-1.0).check().unwrap_err().key, "auxiliary");
    }

    #[test]
    fn targets_are_taken_at_the_centres() {
        let targets = Tensor::arange(2 * 4 * 6, (Kind::Int64, Device::Cpu)).view([2, 4, 6]);
        let of = |height: i64, width: i64| {
            closest(&targets, &Tensor::zeros([2, 3, height, width], (Kind::Float, Device::Cpu))).unwrap()
        };
        assert_eq!(of(2, 3).get(0), Tensor::from_slice(&[7i64, 9, 11, 19, 21, 23]).view([2, 3]));
        assert_eq!(of(4, 6), targets);
        assert_eq!(of(4, 2).get(1).get(0), Tensor::from_slice(&[25i64, 28]));
    }
}
