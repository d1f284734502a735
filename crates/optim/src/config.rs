//! The `optimizer` section of a configuration.

use crate::groups;
use crate::{Average, GroupConfig, LayerDecay, Rule, Swa};
use contract::{Invalid, StateDict, TorchError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Length of a training, over which a schedule runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Length {
    /// Updates in an epoch; see [`Config::updates_per_epoch`].
    pub updates_per_epoch: u64,
    /// Epochs in all.
    pub epochs: u64,
}

/// Options of the optimizer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Optimizer")]
pub struct Config {
    /// Update rule and its options.
    #[schemars(extend("x-resume" = "ask"))]
    pub rule: Rule,
    /// Learning rate before the schedule's factor.
    #[schemars(extend("x-resume" = "ask"))]
    pub learning_rate: f64,
    /// Weight decay, also of weights that the loss does not reach; its effect depends on the rule. 0 for none.
    #[schemars(extend("x-resume" = "ask"))]
    pub weight_decay: f64,
    /// Maximum global norm of the gradients; larger ones are scaled down. `null` for no clipping.
    #[schemars(extend("x-resume" = "ask"))]
    pub clip_norm: Option<f64>,
    /// Number of batches whose gradients are averaged for one update of the weights, each weighted by what its loss
    /// counts: the pixels that are not ignored, or the sum of their class weights.
    #[schemars(extend("x-resume" = "ask"))]
    pub accumulate: u64,
    /// Decay of a moving average of the weights, which validation and prediction then use, e.g. 0.999; `null` for none.
    #[schemars(extend("x-resume" = "ask"))]
    pub ema: Option<f64>,
    /// Equal mean of the weights of the last epochs, which validation and prediction then use; `null` for none.
    #[schemars(extend("x-resume" = "ask"))]
    pub swa: Option<Swa>,
    /// Groups of parameters that are trained slower, later or not at all. A parameter belongs to the first group that
    /// names it.
    #[schemars(extend("x-resume" = "ask"))]
    pub groups: Vec<GroupConfig>,
    /// Layer-wise decay of the learning rate; `null` for none.
    #[schemars(extend("x-resume" = "ask"))]
    pub layer_decay: Option<LayerDecay>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            rule: Rule::default(),
            learning_rate: 1e-3,
            weight_decay: 0.0,
            clip_norm: None,
            accumulate: 1,
            ema: None,
            swa: None,
            groups: Vec::new(),
            layer_decay: None,
        }
    }
}

impl Config {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        self.rule.check().map_err(|invalid| Invalid { key: format!("rule.{}", invalid.key), ..invalid })?;
        let positive = |key: &str, value: f64| {
            Invalid::unless(value.is_finite() && value > 0.0, key, || format!("must be above 0, is {value}"))
        };
        positive("learning_rate", self.learning_rate)?;
        self.clip_norm.map_or(Ok(()), |norm| positive("clip_norm", norm))?;
        let decay = self.weight_decay;
        Invalid::unless(decay.is_finite() && decay >= 0.0, "weight_decay", || {
            format!("must be 0 or more, is {decay}")
        })?;
        Invalid::unless(self.accumulate > 0, "accumulate", || "must be at least 1, is 0".into())?;
        for (number, group) in self.groups.iter().enumerate() {
            let named = |invalid: Invalid| Invalid { key: format!("groups[{number}].{}", invalid.key), ..invalid };
            group.check().map_err(named)?;
        }
        let within = |section: &str, checked: Result<(), Invalid>| {
            checked.map_err(|invalid| Invalid { key: format!("{section}.{}", invalid.key), ..invalid })
        };
        within("layer_decay", self.layer_decay.as_ref().map_or(Ok(()), LayerDecay::check))?;
        within("swa", self.swa.as_ref().map_or(Ok(()), Swa::check))?;
        Invalid::unless(self.swa.is_none() || self.ema.is_none(), "swa", || {
            "averages the weights like ema: set one of them".into()
        })?;
        self.ema.map_or(Ok(()), |ema| {
            Invalid::unless(Average::valid(ema), "ema", || format!("must be above 0 and below 1, is {ema}"))
        })
    }

    /// Returns the number of updates in an epoch of `batches` batches, including the flush of leftover gradients.
    pub fn updates_per_epoch(&self, batches: u64) -> u64 {
        batches.div_ceil(self.accumulate.max(1))
    }

    /// Checks groups and layers against the parameters of these names: each must have one, and some parameter must be
    /// trained from the beginning.
    pub fn check_groups<'a>(&self, names: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
        let names: Vec<&str> = names.collect();
        groups::check(&self.groups, names.iter().copied())?;
        self.layer_decay.as_ref().map_or(Ok(()), |decay| decay.check_names(&names))
    }

    /// Builds the average of `variables` (weights and running statistics) from their current values, if `ema` or `swa`
    /// is set.
    pub fn average(&self, variables: StateDict) -> Result<Option<Average>, TorchError> {
        match (self.ema, &self.swa) {
            (Some(decay), _) => Ok(Some(Average::new(decay, variables)?)),
            (None, Some(_)) => Ok(Some(Average::equal(variables)?)),
            (None, None) => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Adam, Lion, RAdam, Schedule, Sgd};
    use contract::Stateful;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn impossible_values_are_named() {
        let ok = Config::default();
        let negative = GroupConfig { parameters: "*".into(), factor: -1.0, frozen_epochs: 0 };
        let none = LayerDecay { factor: 0.5, layers: Vec::new() };
        let swa = |text: &str| Some(serde_json::from_str(text).unwrap());
        assert_eq!(ok.check(), Ok(()));
        assert_eq!(Config { ema: Some(0.999), ..ok.clone() }.check(), Ok(()));
        for (config, key) in [
            (Config { learning_rate: 0.0, ..ok.clone() }, "learning_rate"),
            (Config { learning_rate: f64::INFINITY, ..ok.clone() }, "learning_rate"),
            (Config { weight_decay: -0.1, ..ok.clone() }, "weight_decay"),
            (Config { clip_norm: Some(0.0), ..ok.clone() }, "clip_norm"),
            (Config { accumulate: 0, ..ok.clone() }, "accumulate"),
            (Config { groups: vec![negative], ..ok.clone() }, "groups[0].factor"),
            (Config { ema: Some(0.0), ..ok.clone() }, "ema"),
            (Config { ema: Some(1.0), ..ok.clone() }, "ema"),
            (Config { ema: Some(f64::NAN), ..ok.clone() }, "ema"),
            (Config { swa: swa(r#"{"start_epoch": 1, "learning_rate": 0}"#), ..ok.clone() }, "swa.learning_rate"),
            (Config { swa: swa(r#"{"start_epoch": 1}"#), ema: Some(0.9), ..ok.clone() }, "swa"),
            (Config { layer_decay: Some(none), ..ok.clone() }, "layer_decay.layers"),
            (Config { rule: Rule::RAdam(RAdam { epsilon: 0.0, ..RAdam::default() }), ..ok.clone() }, "rule.epsilon"),
            (Config { rule: Rule::Lion(Lion { beta2: 1.0, ..Lion::default() }), ..ok.clone() }, "rule.beta2"),
            (Config { rule: Rule::Adam(Adam { beta2: 1.0, ..Adam::default() }), ..ok.clone() }, "rule.beta2"),
            (Config { rule: Rule::AdamW(Adam { epsilon: 0.0, ..Adam::default() }), ..ok.clone() }, "rule.epsilon"),
            (Config { rule: Rule::Sgd(Sgd { momentum: 0.0, nesterov: true }), ..ok }, "rule.nesterov"),
        ] {
            assert_eq!(config.check().unwrap_err().key, key);
        }
    }

    /// A weight, a running statistic and a frozen weight.
    fn variables() -> StateDict {
        let ones = |trained: bool| Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(trained);
        [("weight", true), ("norm.running_mean", false), ("encoder.frozen", false)]
            .map(|(name, trained)| (name.to_string(), ones(trained)))
            .into()
    }

    const LENGTH: Length = Length { updates_per_epoch: 1, epochs: 1 };

    #[test]
    fn an_optimizer_takes_only_what_requires_a_gradient() {
        let variables = variables();
        let shared = variables.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
        let optim = Config::default().build(shared, Schedule::default(), LENGTH).unwrap();
        let of = |name: &str| Stateful::state(&optim).keys().any(|key| key.contains(name));
        assert!(of("weight") && !of("running_mean") && !of("frozen"));
        assert!(!variables["encoder.frozen"].requires_grad(), "it was unfrozen");
    }

    #[test]
    fn what_cannot_work_is_not_built() {
        let error = |config: &Config, schedule: Schedule, variables| {
            config.build(variables, schedule, LENGTH).unwrap_err().to_string()
        };
        let negative = Config { learning_rate: -1.0, ..Config::default() };
        assert_eq!(error(&negative, Schedule::default(), variables()), "learning_rate: must be above 0, is -1");
        let frozen = GroupConfig { parameters: "encoder.*".into(), factor: 0.1, frozen_epochs: 0 };
        let groups = Config { groups: vec![frozen], ..Config::default() };
        let said = error(&groups, Schedule::default(), variables());
        assert!(said.starts_with("groups[0].parameters: ") && said.contains("encoder.*"), "{said}");
        let cosine = Schedule { decay: crate::Decay::Cosine { min_rate: 0.0, floor: 2.0 }, ..Schedule::default() };
        let said = error(&Config::default(), cosine, variables());
        assert!(said.starts_with("schedule.decay.floor: "), "{said}");
        let late = Config { swa: Some(serde_json::from_str(r#"{"start_epoch": 1}"#).unwrap()), ..Config::default() };
        let said = error(&late, Schedule::default(), variables());
        assert_eq!(said, "swa.start_epoch: must be below train.epochs, 1, is 1");
        let unknown = LayerDecay { factor: 0.5, layers: vec!["decoder.*".into()] };
        let said = error(&Config { layer_decay: Some(unknown), ..Config::default() }, Schedule::default(), variables());
        assert!(said.starts_with("layer_decay.layers[0]: ") && said.contains("decoder.*"), "{said}");
        let said = error(&Config::default(), Schedule::default(), StateDict::new());
        assert_eq!(said, "no parameter requires a gradient, so there is nothing to train");
    }
}
