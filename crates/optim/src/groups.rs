//! Groups of parameters that are trained slower, later or not at all.

use contract::{Invalid, TorchError};
use glob::Pattern;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
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
        let pattern = Pattern::new(&self.parameters);
        Invalid::unless(pattern.is_ok(), "parameters", || {
            format!("'{}' is not a valid pattern: {}", self.parameters, pattern.err().map_or("", |error| error.msg))
        })?;
        let factor = self.factor;
        Invalid::unless(factor.is_finite() && factor >= 0.0, "factor", || format!("must be 0 or more, is {factor}"))
    }

    fn holds(&self, name: &str) -> bool {
        Pattern::new(&self.parameters).is_ok_and(|pattern| pattern.matches(name))
    }
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

/// Parameters that are trained alike.
#[derive(Debug)]
pub(crate) struct Group {
    /// Indices of the parameters.
    pub members: Vec<usize>,
    /// Multiplier on the optimizer's learning rate.
    pub factor: f64,
    /// Number of updates before the group's first one.
    pub frozen_for: u64,
    /// Scalar f32 on the device: updates that were not rejected, which Adam's bias correction counts. Each group counts
    /// its own.
    pub step: Tensor,
    /// Learning rate of the next update, on the device: a scalar f32, or f64 on a CPU, whose kernels compute with it.
    pub rate: Tensor,
    /// Value of `rate`; NaN before the first update.
    written: f64,
}

impl Group {
    /// Returns the groups of the named parameters, and last the rest.
    pub fn all(
        groups: &[GroupConfig],
        names: &[String],
        updates_per_epoch: u64,
        device: Device,
    ) -> Result<Vec<Self>, TorchError> {
        let members = divide(groups, names.iter().map(String::as_str));
        let kinds = groups.iter().map(|group| (group.factor, group.frozen_for(updates_per_epoch))).chain([(1.0, 0)]);
        let group = |(members, (factor, frozen_for))| {
            let step = Tensor::f_zeros([0i64; 0], (Kind::Float, device))?;
            let kind = if device == Device::Cpu { Kind::Double } else { Kind::Float };
            let rate = Tensor::f_zeros([0i64; 0], (kind, device))?;
            Ok(Self { members, factor, frozen_for, step, rate, written: f64::NAN })
        };
        members.into_iter().zip(kinds).map(group).collect()
    }

    /// Returns true if update number `update`, from 0, changes the group's parameters.
    pub fn is_active(&self, update: u64) -> bool {
        self.frozen_for <= update && !self.members.is_empty()
    }

    /// Writes the group's share of the optimizer's learning rate to where the kernels read it.
    pub fn write_rate(&mut self, learning_rate: f64) -> Result<(), TchError> {
        let rate = learning_rate * self.factor;
        if self.written.to_bits() != rate.to_bits() {
            let _ = self.rate.f_fill_(rate)?;
            self.written = rate;
        }
        Ok(())
    }

    /// Returns the group's items of a list that is parallel to the parameters.
    pub fn of(&self, all: &[Tensor]) -> Vec<Tensor> {
        self.members.iter().map(|member| all[*member].shallow_clone()).collect()
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
