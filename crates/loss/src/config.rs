//! The `loss` section of a configuration: a weighted sum of the losses.

use crate::{CrossEntropy, Dice};
use contract::{Batch, BoxError, Invalid, Loss, Outputs, Ranks, TorchError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

const NO_LOSSES: &str = "a sum of no losses";

/// The loss: `cross_entropy * CrossEntropy + dice * Dice`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Loss", extend("x-resume" = "ask"))]
pub struct Config {
    /// Weight of the cross entropy in the sum; 0 leaves it out.
    pub cross_entropy: f64,
    /// Weight of the soft Dice loss in the sum; 0 leaves it out.
    pub dice: f64,
    /// Weight of each class in the cross entropy, in the order of the class ids; null weighs all equally.
    pub class_weights: Option<Vec<f64>>,
    /// Smoothing of the Dice loss, in pixels.
    pub smooth: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { cross_entropy: 1.0, dice: 0.0, class_weights: None, smooth: 1.0 }
    }
}

impl Config {
    /// Checks the values for `classes` classes; the error names the first invalid one.
    pub fn check(&self, classes: usize) -> Result<(), Invalid> {
        for (key, value) in [("cross_entropy", self.cross_entropy), ("dice", self.dice), ("smooth", self.smooth)] {
            Invalid::unless(value.is_finite() && value >= 0.0, key, || format!("must be 0 or more, is {value}"))?;
        }
        Invalid::unless(self.cross_entropy + self.dice > 0.0, "cross_entropy", || {
            "is 0 and so is dice: nothing is left to minimise; set one of them above 0".into()
        })?;
        let Some(weights) = &self.class_weights else { return Ok(()) };
        Invalid::unless(weights.len() == classes, "class_weights", || {
            format!("must hold one weight for each of the {classes} classes, holds {}", weights.len())
        })?;
        Invalid::unless(self.cross_entropy > 0.0, "class_weights", || {
            "weigh the cross entropy only, and cross_entropy is 0: remove them or set it above 0".into()
        })?;
        let good = weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().any(|w| *w > 0.0);
        Invalid::unless(good, "class_weights", || format!("must be 0 or more, one of them above 0; are {weights:?}"))
    }

    /// Builds the loss on `device`.
    pub fn build(&self, device: Device) -> Result<Sum, TorchError> {
        let mut terms: Vec<(f64, Box<dyn Loss>)> = Vec::new();
        if self.cross_entropy > 0.0 {
            let weights = self.class_weights.as_ref().map(|weights| {
                let weights: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
                Tensor::f_from_slice(&weights)?.f_to_device(device)
            });
            terms.push((self.cross_entropy, Box::new(CrossEntropy { class_weights: weights.transpose()? })));
        }
        if self.dice > 0.0 {
            terms.push((self.dice, Box::new(Dice { smooth: self.smooth })));
        }
        Ok(Sum { terms })
    }
}

/// A weighted sum of losses.
///
/// The [weight](Loss::weight) of a batch is that of the first term: the one weight can make the mean of only one term
/// exact. [`Config::build`] puts the cross entropy first, since that of Dice is exact under none.
pub struct Sum {
    /// Losses with their factors; at least one.
    pub terms: Vec<(f64, Box<dyn Loss>)>,
}

impl Sum {
    fn of(&self, each: impl Fn(&dyn Loss) -> Result<Tensor, BoxError>) -> Result<Tensor, BoxError> {
        let mut sum: Option<Tensor> = None;
        for (share, term) in &self.terms {
            let loss = each(term.as_ref())? * *share;
            sum = Some(match sum {
                None => loss,
                Some(sum) => sum.f_add(&loss).map_err(TorchError::from)?,
            });
        }
        sum.ok_or_else(|| NO_LOSSES.into())
    }
}

impl Loss for Sum {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.of(|term| term.loss(outputs, batch))
    }

    fn weight(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let (_, first) = self.terms.first().ok_or(NO_LOSSES)?;
        first.weight(outputs, batch)
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.of(|term| term.across(ranks, outputs, batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn impossible_values_are_named() {
        let ok = Config::default();
        assert_eq!(ok.check(3), Ok(()));
        for (config, key) in [
            (Config { dice: -1.0, ..ok.clone() }, "dice"),
            (Config { smooth: f64::NAN, ..ok.clone() }, "smooth"),
            (Config { cross_entropy: 0.0, ..ok.clone() }, "cross_entropy"),
            (Config { class_weights: Some(vec![1.0]), ..ok.clone() }, "class_weights"),
            (Config { class_weights: Some(vec![0.0; 3]), ..ok.clone() }, "class_weights"),
            (Config { class_weights: Some(vec![1.0; 3]), dice: 1.0, cross_entropy: 0.0, ..ok }, "class_weights"),
        ] {
            assert_eq!(config.check(3).unwrap_err().key, key);
        }
    }

    /// Returns the weight of a batch of two samples, with two ignored pixels of six.
    fn weight(loss_fn: &dyn Loss) -> f64 {
        let targets = Tensor::from_slice(&[0i64, 1, 255, 2, 2, 255]).view([2, 1, 3]);
        let inputs = Tensor::zeros([2, 3, 1, 3], (Kind::Float, Device::Cpu));
        let batch = Batch::new(inputs.shallow_clone(), targets, Vec::new());
        let weight = loss_fn.weight(&inputs.into(), &batch).unwrap();
        assert_eq!((weight.size(), weight.kind()), (vec![], Kind::Float));
        weight.double_value(&[])
    }

    #[test]
    fn a_batch_weighs_what_its_mean_was_divided_by() {
        let built = |config: Config| config.build(Device::Cpu).unwrap();
        let class_weights = Some(vec![1.0, 2.0, 4.0]);
        let (plain, dice) = (Config::default(), Config { cross_entropy: 0.0, dice: 1.0, ..Config::default() });
        assert_eq!(weight(&built(plain.clone())), 4.0);
        assert_eq!(weight(&built(Config { class_weights: class_weights.clone(), ..plain.clone() })), 11.0);
        assert_eq!(weight(&built(dice)), 4.0);
        assert_eq!(weight(&built(Config { class_weights, dice: 2.0, ..plain })), 11.0, "that of the first term");
        let nothing = Sum { terms: Vec::new() };
        let batch = Batch::new(Tensor::from(0f32), Tensor::from(0i64), Vec::new());
        assert_eq!(nothing.weight(&Tensor::from(0f32).into(), &batch).unwrap_err().to_string(), NO_LOSSES);
        let closure = |_: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Err("not called".into()) };
        assert_eq!(weight(&closure), 2.0, "the samples");
    }
}
