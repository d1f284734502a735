//! Check of a replayed step: is it the same step made operator by operator?

use crate::operators::copied;
use crate::parts::Parts;
use contract::{BoxError, StateDict, TorchError, listed, load};
use tch::{Device, Kind, TchError, Tensor};

/// Maximum relative difference of a step's numbers, and of the size of a part's change, where libtorch's algorithms are
/// not deterministic.
const TOLERANCE: f64 = 0.01;
/// Maximum number of tensors listed in a message.
const NAMED: usize = 3;
const NUMBERS: [&str; 3] = ["the loss", "the gradient norm", "the rejection"];

/// All that a step changes.
pub(crate) struct Everything {
    stores: Vec<(String, StateDict)>,
    optimizer: StateDict,
    average: Option<StateDict>,
    metric: StateDict,
    generators: Vec<Tensor>,
}

/// A step that was replayed and undone.
pub(crate) struct Replayed {
    pub before: Everything,
    pub after: Everything,
    /// Loss, norm of the gradients, and whether the update was rejected.
    pub numbers: [Tensor; 3],
}

impl Everything {
    /// Returns all that a step changes. The tensors are those of the parts, but for the generators.
    pub fn of(parts: &mut Parts) -> Result<Self, TorchError> {
        let generators = parts.protection.devices().iter().map(|device| torch_ext::generator_state(*device));
        Ok(Self {
            stores: parts.protection.states(),
            optimizer: parts.optimizer.state(),
            average: parts.optimizer.average().map(|average| average.state()),
            metric: parts.metric.state(),
            generators: generators.collect::<Result<_, _>>()?,
        })
    }

    /// Returns a copy of all that a step changes.
    pub fn copy(parts: &mut Parts) -> Result<Self, TorchError> {
        let all = Self::of(parts)?;
        let stores = all.stores.into_iter().map(|(name, state)| Ok((name, copied(state)?)));
        Ok(Self {
            stores: stores.collect::<Result<_, TorchError>>()?,
            optimizer: copied(all.optimizer)?,
            average: all.average.map(copied).transpose()?,
            metric: copied(all.metric)?,
            generators: all.generators,
        })
    }

    /// Writes a copy back to the parts.
    pub fn put_back(&self, parts: &mut Parts) -> Result<(), BoxError> {
        for ((_, now), (_, before)) in parts.protection.states().iter().zip(&self.stores) {
            load(now, before)?;
        }
        parts.optimizer.load_state(&self.optimizer)?;
        if let (Some(average), Some(before)) = (parts.optimizer.average(), &self.average) {
            average.load_state(before)?;
        }
        parts.metric.load_state(&self.metric)?;
        for (device, before) in parts.protection.devices().iter().zip(&self.generators) {
            torch_ext::set_generator_state(*device, before)?;
        }
        Ok(())
    }

    fn parts(&self) -> impl Iterator<Item = (&str, &StateDict)> {
        let stores = self.stores.iter().map(|(name, state)| (name.as_str(), state));
        let average = self.average.iter().map(|state| ("average", state));
        stores.chain([("optimizer", &self.optimizer)]).chain(average).chain([("metric", &self.metric)])
    }
}

impl Replayed {
    /// Names what differs from the same step made operator by operator, which left `eager` and `numbers`, and how far;
    /// None if nothing does. `exact` compares all values to the bit, otherwise up to `TOLERANCE`. Waits for the device.
    pub fn difference(
        &self,
        eager: &Everything,
        numbers: &[Tensor; 3],
        exact: bool,
    ) -> Result<Option<String>, TorchError> {
        let _no_grad = tch::no_grad_guard();
        let mut found = Vec::new();
        for (name, (replayed, eager)) in NUMBERS.iter().zip(self.numbers.iter().zip(numbers)) {
            let same = if exact { same(replayed, eager)? } else { near(number(replayed)?, number(eager)?) };
            if !same {
                found.push(format!("{name} ({} instead of {})", number(replayed)?, number(eager)?));
            }
        }
        if self.generators_differ(eager)? {
            found.push("the random numbers drawn".into());
        }
        for ((part, before), ((_, replayed), (_, eager))) in
            self.before.parts().zip(self.after.parts().zip(eager.parts()))
        {
            if exact {
                differing(part, replayed, eager, &mut found)?;
                continue;
            }
            let [changed, should] = [change(before, replayed)?, change(before, eager)?];
            if !near(changed, should) {
                found.push(format!("{part} (a change of {changed:.3e} instead of {should:.3e})"));
            }
        }
        Ok((!found.is_empty()).then(|| listed(found, NAMED)))
    }

    fn generators_differ(&self, eager: &Everything) -> Result<bool, TchError> {
        for (replayed, eager) in self.after.generators.iter().zip(&eager.generators) {
            if !replayed.f_equal(eager)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Adds the tensors of a part that differ in any bit.
fn differing(part: &str, replayed: &StateDict, eager: &StateDict, found: &mut Vec<String>) -> Result<(), TchError> {
    if !replayed.keys().eq(eager.keys()) {
        found.push(format!("the tensors of {part}"));
        return Ok(());
    }
    for ((name, replayed), eager) in replayed.iter().zip(eager.values()) {
        if !same(replayed, eager)? {
            let far = replayed.f_to_kind(Kind::Double)?.f_sub(&eager.f_to_kind(Kind::Double)?)?.f_abs()?.f_max()?;
            found.push(format!("{part} {name} (by up to {:.3e})", number(&far)?));
        }
    }
    Ok(())
}

/// Returns true if all bits are the same, those of NaN included.
fn same(a: &Tensor, b: &Tensor) -> Result<bool, TchError> {
    let bits = |tensor: &Tensor| match tensor.kind() {
        Kind::Double => tensor.f_view_dtype(Kind::Int64),
        Kind::Float => tensor.f_view_dtype(Kind::Int),
        Kind::Half | Kind::BFloat16 => tensor.f_view_dtype(Kind::Int16),
        _ => Ok(tensor.shallow_clone()),
    };
    bits(a)?.f_equal(&bits(b)?)
}

/// Returns the Euclidean norm of the change of all tensors.
fn change(before: &StateDict, after: &StateDict) -> Result<f64, TchError> {
    let mut sum = 0.0;
    for (before, after) in before.values().zip(after.values()) {
        let change = after.f_to_kind(Kind::Double)?.f_sub(&before.f_to_kind(Kind::Double)?)?;
        sum += number(&change.f_square()?.f_sum(Kind::Double)?)?;
    }
    Ok(sum.sqrt())
}

fn near(a: f64, b: f64) -> bool {
    a == b || (a.is_nan() && b.is_nan()) || (a - b).abs() <= TOLERANCE * a.abs().max(b.abs())
}

fn number(scalar: &Tensor) -> Result<f64, TchError> {
    scalar.f_double_value(&[])
}

/// Returns true if a step on `device` must give the same bits each time.
pub(crate) fn is_exact(device: Device) -> bool {
    device == Device::Cpu || torch_ext::is_deterministic()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything(weights: [f64; 2], count: f64, generator: u8) -> Everything {
        let state = |values: &[f64]| StateDict::from([("w".to_owned(), Tensor::from_slice(values))]);
        Everything {
            stores: vec![("model".into(), state(&weights))],
            optimizer: state(&[0.0]),
            average: Some(state(&[0.0])),
            metric: state(&[count]),
            generators: vec![Tensor::from_slice(&[generator])],
        }
    }

    fn difference(replayed: (Everything, f32), eager: (Everything, f32), exact: bool) -> Option<String> {
        let numbers = |loss| [loss, f32::NAN, 0.0].map(Tensor::from);
        let before = everything([1.0, 1.0], 0.0, 0);
        let of_replay = Replayed { before, after: replayed.0, numbers: numbers(replayed.1) };
        of_replay.difference(&eager.0, &numbers(eager.1), exact).unwrap()
    }

    #[test]
    fn bits_are_compared_where_algorithms_are_deterministic() {
        let all = || (everything([1.5, f64::NAN], 7.0, 1), 0.5);
        assert_eq!(difference(all(), all(), true), None);
        let said = difference((everything([1.5, 2.0], 7.0, 1), 0.5), all(), true);
        assert_eq!(said, Some("model w (by up to NaN)".into()));
        let said = difference((everything([1.5, f64::NAN], 6.75, 0), 0.75), all(), true);
        let expected = "the loss (0.75 instead of 0.5), the random numbers drawn, metric w (by up to 2.500e-1)";
        assert_eq!(said, Some(expected.into()));
    }

    #[test]
    fn elsewhere_numbers_and_changes_are_near_and_random_numbers_the_same() {
        let all = || (everything([1.5, 2.0], 700.0, 1), 0.5);
        // Elements may differ where the gradient is noise.
        assert_eq!(difference((everything([2.0, 1.5], 703.0, 1), 0.503), all(), false), None);
        let said = difference((everything([1.57, 2.14], 0.0, 0), 0.51), all(), false);
        assert_eq!(
            said,
            Some(
                "the loss (0.5099999904632568 instead of 0.5), the random numbers drawn, model (a change of 1.275e0 \
                  instead of 1.118e0) and 1 more"
                    .into()
            )
        );
    }
}
