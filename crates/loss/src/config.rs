//! The `loss` section of a configuration: a weighted sum of the losses.

use crate::{Auxiliary, ClassWeights, CrossEntropy, Dice, Error, Sum, Term};
use contract::{Invalid, Loss, TorchError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// The loss: `cross_entropy * CrossEntropy + dice * Dice`, and the `terms`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Loss", extend("x-resume" = "ask"))]
pub struct Config {
    /// Weight of the cross entropy in the sum; 0 leaves it out.
    pub cross_entropy: f64,
    /// Weight of the soft Dice loss in the sum; 0 leaves it out.
    pub dice: f64,
    /// Weight of each class in the cross entropy and in the terms `focal`, `binary_cross_entropy` and `ohem`; null
    /// weighs all equally. A training measures `inverse` and `median` once and records the numbers.
    pub class_weights: Option<ClassWeights>,
    /// Share of the target's probability that the cross entropy spreads evenly over all classes, from 0 to below 1.
    pub label_smoothing: f64,
    /// Smoothing of the Dice loss of `dice`, in pixels.
    pub smooth: f64,
    /// Further losses in the sum. Set `cross_entropy` to 0 to train with them alone.
    pub terms: Vec<Term>,
    /// Weight of each auxiliary output, of networks that have some: a number beside the prediction's 1, or `halving`.
    pub auxiliary: Auxiliary,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            cross_entropy: 1.0,
            dice: 0.0,
            class_weights: None,
            label_smoothing: 0.0,
            smooth: 1.0,
            terms: Vec::new(),
            auxiliary: Auxiliary::default(),
        }
    }
}

impl Config {
    /// Checks the values for `classes` classes; the error names the first invalid one.
    pub fn check(&self, classes: usize) -> Result<(), Invalid> {
        for (key, value) in [("cross_entropy", self.cross_entropy), ("dice", self.dice), ("smooth", self.smooth)] {
            Invalid::unless(value.is_finite() && value >= 0.0, key, || format!("must be 0 or more, is {value}"))?;
        }
        for (place, term) in self.terms.iter().enumerate() {
            let of_term = |Invalid { key, problem }| Invalid { key: format!("terms[{place}].{key}"), problem };
            term.check().map_err(of_term)?;
        }
        let terms: f64 = self.terms.iter().map(Term::weight).sum();
        Invalid::unless(self.cross_entropy + self.dice + terms > 0.0, "cross_entropy", || {
            "is 0 and so is dice, and no term has a weight: nothing is left to minimise; set one of them above 0".into()
        })?;
        let smoothing = self.label_smoothing;
        Invalid::unless((0.0..1.0).contains(&smoothing), "label_smoothing", || {
            format!("must be from 0 to below 1, is {smoothing}")
        })?;
        Invalid::unless(smoothing == 0.0 || self.cross_entropy > 0.0, "label_smoothing", || {
            "is part of the cross entropy, and cross_entropy is 0: remove it or set that above 0".into()
        })?;
        self.auxiliary.check()?;
        let Some(weights) = &self.class_weights else { return Ok(()) };
        let weighed = self.cross_entropy > 0.0 || self.terms.iter().any(Term::takes_class_weights);
        Invalid::unless(weighed, "class_weights", || {
            "weigh the losses of single pixels only, and there is none: remove them, set cross_entropy above 0, or add \
             a term focal, binary_cross_entropy or ohem"
                .into()
        })?;
        weights.check(classes)
    }

    /// Builds the loss on `device`.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does, or if the class weights are still to be measured.
    pub fn build(&self, device: Device) -> Result<Sum, Error> {
        let class_weights = match &self.class_weights {
            None => None,
            Some(ClassWeights::Measured(_)) => return Err(Error::Unmeasured),
            Some(ClassWeights::Listed(weights)) => {
                let weights: Vec<f32> = weights.iter().map(|w| *w as f32).collect();
                let weights = Tensor::f_from_slice(&weights).and_then(|weights| weights.f_to_device(device));
                Some(weights.map_err(TorchError::from)?)
            }
        };
        let mut terms: Vec<(f64, Box<dyn Loss>)> = Vec::new();
        if self.cross_entropy > 0.0 {
            let class_weights = class_weights.as_ref().map(Tensor::shallow_clone);
            let loss = CrossEntropy { class_weights, label_smoothing: self.label_smoothing };
            terms.push((self.cross_entropy, Box::new(loss)));
        }
        // The first one's weight is that of the sum.
        let (of_pixels, others): (Vec<&Term>, Vec<&Term>) = self.terms.iter().partition(|t| t.takes_class_weights());
        for term in of_pixels.into_iter().chain(others).filter(|term| term.weight() > 0.0) {
            terms.push((term.weight(), term.build(class_weights.as_ref())));
        }
        if self.dice > 0.0 {
            terms.push((self.dice, Box::new(Dice { smooth: self.smooth })));
        }
        Ok(Sum { terms, auxiliary: self.auxiliary })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::{Batch, BoxError, Outputs};
    use tch::Kind;

    #[test]
    fn impossible_values_are_named() {
        let ok = Config::default();
        assert_eq!(ok.check(3), Ok(()));
        for (config, key) in [
            (Config { dice: -1.0, ..ok.clone() }, "dice"),
            (Config { smooth: f64::NAN, ..ok.clone() }, "smooth"),
            (Config { cross_entropy: 0.0, ..ok.clone() }, "cross_entropy"),
            (Config { label_smoothing: 1.0, ..ok.clone() }, "label_smoothing"),
            (Config { label_smoothing: 0.1, cross_entropy: 0.0, dice: 1.0, ..ok.clone() }, "label_smoothing"),
            (Config { auxiliary: Auxiliary::Constant(f64::NAN), ..ok.clone() }, "auxiliary"),
            (Config { class_weights: Some(vec![1.0].into()), ..ok.clone() }, "class_weights"),
            (Config { class_weights: Some(vec![0.0; 3].into()), ..ok.clone() }, "class_weights"),
            (Config { class_weights: Some(vec![1.0; 3].into()), dice: 1.0, cross_entropy: 0.0, ..ok }, "class_weights"),
        ] {
            assert_eq!(config.check(3).unwrap_err().key, key);
        }
    }

    fn with_terms(terms: &str) -> Config {
        let terms: Vec<Term> = serde_json::from_str(terms).unwrap();
        Config { cross_entropy: 0.0, terms, ..Config::default() }
    }

    #[test]
    fn impossible_values_of_terms_are_named() {
        for (terms, expected) in [
            (r#"[{"kind": "focal", "weight": 0}]"#, "cross_entropy"),
            (r#"[{"kind": "lovasz"}, {"kind": "focal", "weight": -1}]"#, "terms[1].weight"),
            (r#"[{"kind": "focal", "gamma": -1}]"#, "terms[0].gamma"),
            (r#"[{"kind": "ohem", "threshold": 1.5}]"#, "terms[0].threshold"),
            (r#"[{"kind": "ohem", "min_kept": -0.5}]"#, "terms[0].min_kept"),
            (r#"[{"kind": "ohem", "min_kept": 0, "threshold": 0}]"#, "terms[0].threshold"),
            (r#"[{"kind": "tversky", "gamma": 0}]"#, "terms[0].gamma"),
            (r#"[{"kind": "tversky", "beta": -1}]"#, "terms[0].beta"),
            (r#"[{"kind": "jaccard", "smooth": -1}]"#, "terms[0].smooth"),
        ] {
            assert_eq!(with_terms(terms).check(3).unwrap_err().key, expected, "{terms}");
        }
        let class_weights = Some(vec![1.0; 3].into());
        let overlap = Config { class_weights: class_weights.clone(), ..with_terms(r#"[{"kind": "jaccard"}]"#) };
        assert_eq!(overlap.check(3).unwrap_err().key, "class_weights");
        let of_pixels = Config { class_weights, ..with_terms(r#"[{"kind": "jaccard"}, {"kind": "ohem"}]"#) };
        assert_eq!(of_pixels.check(3), Ok(()));
    }

    #[test]
    fn weights_that_nobody_has_measured_build_no_loss() {
        let measured: ClassWeights = serde_json::from_str(r#""median""#).unwrap();
        let config = Config { class_weights: Some(measured), ..Config::default() };
        assert_eq!(config.check(3), Ok(()));
        let error = config.build(Device::Cpu).err().unwrap().to_string();
        assert!(error.starts_with("loss.class_weights: they are to be measured"), "{error}");
    }

    #[test]
    fn auxiliary_outputs_count_by_their_weights_at_their_own_size() {
        let noise = |size: i64, seed| testing::noise(&[2, 3, size, size], seed) * 3.0;
        let targets = (Tensor::arange(128, (Kind::Int64, Device::Cpu)) * 7919).remainder(3).view([2, 8, 8]);
        let sum = |auxiliary| {
            let terms = vec![Term::Lovasz { weight: 0.5, hinge: false, per_image: true }];
            Config { dice: 1.0, auxiliary, terms, ..Config::default() }.build(Device::Cpu).unwrap()
        };
        let loss = |auxiliary, outputs: Outputs, targets: &Tensor| {
            let batch = Batch::new(outputs.prediction.shallow_clone(), targets.shallow_clone(), Vec::new());
            let alone = sum(auxiliary).across(&contract::Alone::default(), &outputs, &batch).unwrap();
            let loss = sum(auxiliary).loss(&outputs, &batch).unwrap().double_value(&[]);
            assert!((loss - alone.double_value(&[])).abs() < 1e-6);
            loss
        };
        let constant = Auxiliary::Constant(0.25);
        let halves = (Tensor::arange(4, (Kind::Int64, Device::Cpu)) * 2 + 1, noise(4, 5));
        let of_half = targets.index_select(1, &halves.0).index_select(2, &halves.0);
        let first = loss(constant, noise(8, 1).into(), &targets);
        let (same, half) = (loss(constant, noise(8, 2).into(), &targets), loss(constant, halves.1.into(), &of_half));
        let outputs = || Outputs::new(noise(8, 1), vec![noise(8, 2), noise(4, 5)]);
        let found = loss(constant, outputs(), &targets);
        assert!((found - (first + 0.25 * same + 0.25 * half)).abs() < 1e-6, "{found}");
        let found = loss(Auxiliary::Rule(crate::Rule::Halving), outputs(), &targets);
        assert!((found - (first + 0.5 * same) / 1.5).abs() < 1e-6, "{found}");
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
        let class_weights = Some(vec![1.0, 2.0, 4.0].into());
        let (plain, dice) = (Config::default(), Config { cross_entropy: 0.0, dice: 1.0, ..Config::default() });
        assert_eq!(weight(&built(plain.clone())), 4.0);
        assert_eq!(weight(&built(Config { class_weights: class_weights.clone(), ..plain.clone() })), 11.0);
        assert_eq!(weight(&built(dice)), 4.0);
        assert_eq!(weight(&built(Config { class_weights, dice: 2.0, ..plain })), 11.0, "that of the first term");
        for (terms, expected) in [
            (r#"[{"kind": "jaccard", "per_image": true}]"#, 2.0),
            (r#"[{"kind": "lovasz", "per_image": true}, {"kind": "binary_cross_entropy"}]"#, 4.0),
            // All probabilities are 1/3.
            (r#"[{"kind": "ohem", "threshold": 0.34, "min_kept": 0}]"#, 4.0),
            (r#"[{"kind": "ohem", "threshold": 0.33, "min_kept": 0}]"#, 0.0),
        ] {
            assert_eq!(weight(&built(with_terms(terms))), expected, "{terms}");
        }
        let nothing = Sum { terms: Vec::new(), auxiliary: Auxiliary::default() };
        let batch = Batch::new(Tensor::from(0f32), Tensor::from(0i64), Vec::new());
        assert_eq!(nothing.weight(&Tensor::from(0f32).into(), &batch).unwrap_err().to_string(), "a sum of no losses");
        let closure = |_: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Err("not called".into()) };
        assert_eq!(weight(&closure), 2.0, "the samples");
    }
}
