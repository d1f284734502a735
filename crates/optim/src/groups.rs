//! Groups of parameters that are trained slower, later or not at all.

use contract::{Invalid, TorchError};
use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use tch::{Device, Kind, TchError, Tensor};

/// Group of parameters, selected by name, that is trained slower, later or not at all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ParameterGroup")]
pub struct GroupConfig {
    /// Pattern of their names: `*` stands for anything, `?` for one character, `[0-4]` for one of these.
    pub parameters: String,
    /// Multiplier on the learning rate; 0 freezes the parameters.
    #[serde(default = "one")]
    pub factor: f64,
    /// Number of epochs at the beginning in which the parameters are frozen.
    #[serde(default)]
    pub frozen_epochs: u64,
}

fn one() -> f64 {
    1.0
}

impl GroupConfig {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        check_pattern("parameters", &self.parameters)?;
        let factor = self.factor;
        Invalid::unless(factor.is_finite() && factor >= 0.0, "factor", || format!("must be 0 or more, is {factor}"))
    }

    fn holds(&self, name: &str) -> bool {
        matches(&self.parameters, name)
    }
}

fn check_pattern(key: &str, pattern: &str) -> Result<(), Invalid> {
    let read = Pattern::new(pattern);
    Invalid::unless(read.is_ok(), key, || {
        format!("'{pattern}' is not a valid pattern: {}", read.err().map_or("", |error| error.msg))
    })
}

fn matches(pattern: &str, name: &str) -> bool {
    Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(name))
}

/// Checks that every group has a parameter and that some parameter is trained from the beginning. A parameter belongs
/// to the first group whose pattern its name matches.
pub fn check<'a>(groups: &[GroupConfig], names: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
    let of_each = divide(groups, names);
    let (rest, named) = of_each.split_last().map_or((&[][..], &[][..]), |(rest, named)| (&**rest, named));
    for (number, (group, members)) in groups.iter().zip(named).enumerate() {
        Invalid::unless(!members.is_empty(), &format!("groups[{number}].parameters"), || {
            let pattern = &group.parameters;
            format!("no trained parameter outside earlier groups is called '{pattern}'")
        })?;
    }
    let trained = |(group, members): (&GroupConfig, &Vec<usize>)| group.frozen_for(1) == 0 && !members.is_empty();
    Invalid::unless(!rest.is_empty() || groups.iter().zip(named).any(trained), "groups", || {
        "leave nothing that is trained from the beginning".into()
    })
}

/// Returns the indices of each group's parameters, and last those of the rest.
fn divide<'a>(groups: &[GroupConfig], names: impl Iterator<Item = &'a str>) -> Vec<Vec<usize>> {
    let mut members = vec![Vec::new(); groups.len() + 1];
    for (number, name) in names.enumerate() {
        members[groups.iter().position(|group| group.holds(name)).unwrap_or(groups.len())].push(number);
    }
    members
}

impl GroupConfig {
    /// Returns the number of updates for which the group is frozen.
    fn frozen_for(&self, updates_per_epoch: u64) -> u64 {
        if self.factor == 0.0 { u64::MAX } else { self.frozen_epochs.saturating_mul(updates_per_epoch) }
    }
}

/// Layer-wise decay of the learning rate (BEiT, Bao et al., 2022): parameters close to the input learn slower.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LayerDecay {
    /// Multiplier on the learning rate for each layer towards the input. The last layer has it once; parameters of no
    /// layer, a decoder's for example, keep the full rate. A group's factor is applied too.
    pub factor: f64,
    /// Patterns of the names of each layer's parameters, as in `groups`, from the input on. A parameter belongs to the
    /// first layer that names it.
    pub layers: Vec<String>,
}

impl LayerDecay {
    /// Checks the values; the error names the first invalid one.
    pub fn check(&self) -> Result<(), Invalid> {
        let factor = self.factor;
        let fits = factor > 0.0 && factor <= 1.0;
        Invalid::unless(fits, "factor", || format!("must be above 0 and at most 1, is {factor}"))?;
        Invalid::unless(!self.layers.is_empty(), "layers", || "must name the layers from the input on".into())?;
        for (number, layer) in self.layers.iter().enumerate() {
            check_pattern(&format!("layers[{number}]"), layer)?;
        }
        Ok(())
    }

    /// Checks that each layer has one of the parameters of these names.
    pub(crate) fn check_names(&self, names: &[&str]) -> Result<(), Invalid> {
        for (number, layer) in self.layers.iter().enumerate() {
            let holds = names.iter().any(|name| self.layer(name) == Some(number));
            Invalid::unless(holds, &format!("layer_decay.layers[{number}]"), || {
                format!("no trained parameter outside earlier layers is called '{layer}'")
            })?;
        }
        Ok(())
    }

    /// Returns the number of the layer of a parameter.
    fn layer(&self, name: &str) -> Option<usize> {
        self.layers.iter().position(|layer| matches(layer, name))
    }

    /// Returns the multiplier on the learning rate of a layer.
    fn factor_of(&self, layer: Option<usize>) -> f64 {
        layer.map_or(1.0, |layer| (layer..self.layers.len()).map(|_| self.factor).product())
    }
}

/// Parameters of one learning rate.
#[derive(Debug)]
pub(crate) struct Layer {
    /// Indices of the parameters.
    pub members: Vec<usize>,
    /// Multiplier on the optimizer's learning rate.
    factor: f64,
    /// Learning rate of the next update, on the device: a scalar f32, or f64 on a CPU, whose kernels compute with it.
    pub rate: Tensor,
    /// Value of `rate`; NaN before the first update.
    written: f64,
}

/// Parameters that are trained alike, but for the learning rate of each layer.
#[derive(Debug)]
pub(crate) struct Group {
    /// Indices of the parameters.
    pub members: Vec<usize>,
    /// All members, by layer; one where the rates of layers do not differ.
    pub layers: Vec<Layer>,
    /// Number of updates before the group's first one.
    pub frozen_for: u64,
    /// Scalar f32 on the device: updates that were not rejected, which Adam's bias correction counts. Each group counts
    /// its own.
    pub step: Tensor,
}

impl Group {
    /// Returns the groups of the named parameters, and last the rest.
    pub fn all(
        (groups, decay): (&[GroupConfig], Option<&LayerDecay>),
        names: &[String],
        updates_per_epoch: u64,
        device: Device,
    ) -> Result<Vec<Self>, TorchError> {
        let members = divide(groups, names.iter().map(String::as_str));
        let kinds = groups.iter().map(|group| (group.factor, group.frozen_for(updates_per_epoch))).chain([(1.0, 0)]);
        let kind = if device == Device::Cpu { Kind::Double } else { Kind::Float };
        let group = |(members, (factor, frozen_for)): (Vec<usize>, (f64, u64))| {
            let mut of_layers = BTreeMap::<_, Vec<usize>>::new();
            for member in &members {
                of_layers.entry(decay.and_then(|decay| decay.layer(&names[*member]))).or_default().push(*member);
            }
            let layer = |(layer, members)| {
                let factor = factor * decay.map_or(1.0, |decay| decay.factor_of(layer));
                Ok(Layer { members, factor, rate: Tensor::f_zeros([0i64; 0], (kind, device))?, written: f64::NAN })
            };
            let layers = of_layers.into_iter().map(layer).collect::<Result<_, TorchError>>()?;
            Ok(Self { members, layers, frozen_for, step: Tensor::f_zeros([0i64; 0], (Kind::Float, device))? })
        };
        members.into_iter().zip(kinds).map(group).collect()
    }

    /// Returns true if update number `update`, from 0, changes the group's parameters.
    pub fn is_active(&self, update: u64) -> bool {
        self.frozen_for <= update && !self.members.is_empty()
    }

    /// Writes the layers' shares of the optimizer's learning rate to where the kernels read them.
    pub fn write_rate(&mut self, learning_rate: f64) -> Result<(), TchError> {
        self.layers.iter_mut().try_for_each(|layer| layer.write_rate(learning_rate))
    }

    /// Returns the group's items of a list that is parallel to the parameters.
    pub fn of(&self, all: &[Tensor]) -> Vec<Tensor> {
        of(&self.members, all)
    }
}

fn of(members: &[usize], all: &[Tensor]) -> Vec<Tensor> {
    members.iter().map(|member| all[*member].shallow_clone()).collect()
}

impl Layer {
    fn write_rate(&mut self, learning_rate: f64) -> Result<(), TchError> {
        let rate = learning_rate * self.factor;
        if self.written.to_bits() != rate.to_bits() {
            let _ = self.rate.f_fill_(rate)?;
            self.written = rate;
        }
        Ok(())
    }

    /// Returns the layer's items of a list that is parallel to the parameters.
    pub fn of(&self, all: &[Tensor]) -> Vec<Tensor> {
        of(&self.members, all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(parameters: &str, factor: f64, frozen_epochs: u64) -> GroupConfig {
        GroupConfig { parameters: parameters.into(), factor, frozen_epochs }
    }

    #[test]
    fn a_parameter_belongs_to_the_first_group_that_names_it() {
        let names = ["encoder.1.weight", "encoder.2.weight", "head.weight", "encoder.1.bias"];
        let groups = [group("encoder.[12].weight", 0.1, 0), group("encoder.*", 0.5, 0)];
        assert_eq!(divide(&groups, names.into_iter()), [vec![0, 1], vec![3], vec![2]]);
        check(&groups, names.into_iter()).unwrap();
    }

    #[test]
    fn rates_fall_layer_by_layer_towards_the_input() {
        let names = ["head.weight", "encoder.1.a.weight", "encoder.1.b.weight", "encoder.0.weight"];
        let decay = LayerDecay { factor: 0.5, layers: vec!["encoder.0.*".into(), "encoder.1.*".into()] };
        decay.check().unwrap();
        decay.check_names(&names).unwrap();
        let names = names.map(String::from);
        let groups = [group("*.b.*", 0.1, 0)];
        let all = Group::all((&groups, Some(&decay)), &names, 1, Device::Cpu).unwrap();
        let found: Vec<_> = all
            .iter()
            .map(|group| &group.layers)
            .map(|layers| layers.iter().map(|layer| (layer.members.clone(), layer.factor)).collect::<Vec<_>>())
            .collect();
        assert_eq!(found, [vec![(vec![2], 0.05)], vec![(vec![0], 1.0), (vec![3], 0.25), (vec![1], 0.5)]]);
        let missing = LayerDecay { layers: vec!["encoder.0.*".into(), "encoder.0.weight".into()], ..decay.clone() };
        let said = missing.check_names(&["encoder.0.weight"]).unwrap_err();
        assert_eq!(said.key, "layer_decay.layers[1]");
        for (factor, layers, key) in [(0.0, vec!["a"], "factor"), (1.5, vec!["a"], "factor"), (0.5, vec![], "layers")] {
            let layers = layers.into_iter().map(String::from).collect();
            assert_eq!(LayerDecay { factor, layers }.check().unwrap_err().key, key);
        }
        assert_eq!(LayerDecay { layers: vec!["[".into()], ..decay }.check().unwrap_err().key, "layers[0]");
    }

    #[test]
    fn groups_of_nothing_and_nothing_to_train_are_refused() {
        let says = |groups: &[GroupConfig]| check(groups, ["a.weight", "b.weight"].into_iter()).unwrap_err();
        assert_eq!(says(&[group("a.*", 1.0, 0), group("a.weight", 1.0, 0)]).key, "groups[1].parameters");
        assert!(says(&[group("A.*", 1.0, 0)]).problem.contains("called 'A.*'"));
        assert_eq!(says(&[group("*", 1.0, 3)]).key, "groups");
        assert_eq!(says(&[group("a.*", 0.0, 0), group("b.*", 1.0, 1)]).key, "groups");
        assert_eq!(group("[", 1.0, 0).check().unwrap_err().key, "parameters");
        assert_eq!(group("*", -1.0, 0).check().unwrap_err().key, "factor");
        assert_eq!(group("*", f64::NAN, 0).check().unwrap_err().key, "factor");
    }
}
