//! The model of a rank: the same weights as on all others, from the start on.

use crate::{Error, packed};
use contract::{Batch, BoxError, Model, Outputs, Ranks, StateDict, TorchError};
use std::cell::Cell;
use tch::Tensor;

/// Model whose variables are the same on all ranks at the start. What changes without gradients, such as running
/// statistics, is that of rank 0 in each pass of evaluation.
pub struct Distributed<'m> {
    model: &'m dyn Model,
    ranks: &'m dyn Ranks,
    buffers: Vec<Tensor>,
    /// True if the buffers may differ, since a batch was trained on.
    stale: Cell<bool>,
}

impl<'m> Distributed<'m> {
    /// Compares `variables`, those of the model by name (`store.variables().into_iter().collect()`), with those of all
    /// ranks, and sets them to the values of rank 0.
    ///
    /// # Errors
    ///
    /// Fails, on all ranks, if a name, shape or kind differs; the error names the tensor and the rank. Fails if a rank
    /// does.
    pub fn new(model: &'m dyn Model, variables: &StateDict, ranks: &'m dyn Ranks) -> Result<Self, BoxError> {
        let none = Self { model, ranks, buffers: Vec::new(), stale: Cell::new(false) };
        if ranks.count() == 1 {
            return Ok(none);
        }
        same_on_all(variables, ranks)?;
        let all: Vec<Tensor> = variables.values().map(Tensor::f_detach).collect::<Result<_, _>>().map_err(torch)?;
        ranks.broadcast(&all, 0)?;
        let buffers = variables.values().zip(all).filter(|(variable, _)| !variable.requires_grad());
        Ok(Self { buffers: buffers.map(|(_, values)| values).collect(), ..none })
    }

    fn equal_buffers(&self, train: bool) -> Result<(), BoxError> {
        if self.ranks.count() > 1 && self.stale.replace(train) && !train && !self.buffers.is_empty() {
            self.ranks.broadcast(&self.buffers, 0)?;
        }
        Ok(())
    }
}

impl Model for Distributed<'_> {
    /// # Panics
    ///
    /// Panics if another rank fails; [`Group::fault`](crate::Group::fault) tells which.
    fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
        if let Err(error) = self.equal_buffers(train) {
            panic!("{error}");
        }
        // Dropout draws for the samples of all ranks.
        torch_ext::with_share(batch.share, || self.model.outputs(batch, train))
    }

    fn replayed(&self) {
        self.stale.set(true);
        self.model.replayed();
    }
}

fn torch(error: tch::TchError) -> TorchError {
    error.into()
}

/// Compares names, shapes and kinds of the tensors with those of rank 0, on all ranks.
fn same_on_all(variables: &StateDict, ranks: &dyn Ranks) -> Result<(), BoxError> {
    let form = |tensor: &Tensor| {
        let kind = packed::code(tensor.kind()).map_or(-1, |code| code as i64);
        Tensor::f_from_slice(&[vec![kind], tensor.size()].concat()).map_err(torch)
    };
    let forms = variables.iter().map(|(name, tensor)| Ok((name.clone(), form(tensor)?)));
    let all = ranks.gather(&forms.collect::<Result<_, TorchError>>()?)?;
    for (rank, other) in all.iter().enumerate().skip(1) {
        if let Some(problem) = difference(&all[0], other)? {
            return Err(Error::Different { rank, problem }.into());
        }
    }
    Ok(())
}

/// Describes the first difference of two lists of forms.
fn difference(first: &StateDict, other: &StateDict) -> Result<Option<String>, TorchError> {
    if let Some(name) = first.keys().find(|name| !other.contains_key(*name)) {
        return Ok(Some(format!("tensor '{name}' is missing")));
    }
    if let Some(name) = other.keys().find(|name| !first.contains_key(*name)) {
        return Ok(Some(format!("tensor '{name}' is one that rank 0 lacks")));
    }
    for ((name, own), other) in first.iter().zip(other.values()) {
        let [own, other] = [own, other].map(|form| Vec::<i64>::try_from(form).map_err(torch));
        let (own, other) = (own?, other?);
        if own[1..] != other[1..] {
            return Ok(Some(format!("tensor '{name}' is {:?}, on rank 0 {:?}", &other[1..], &own[1..])));
        }
        if own != other {
            let kind = |form: &[i64]| match form.first().and_then(|code| packed::kind(u64::try_from(*code).ok()?)) {
                Some(kind) => format!("{kind:?}"),
                None => "of another kind".into(),
            };
            return Ok(Some(format!("tensor '{name}' is {}, on rank 0 {}", kind(&other), kind(&own))));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    fn variables(rank: usize) -> StateDict {
        let value = rank as f64 + 1.0;
        let tensor = |size: &[i64]| Tensor::full(size, value, (Kind::Float, Device::Cpu));
        [("running".to_string(), tensor(&[2])), ("weight".to_string(), tensor(&[3]).set_requires_grad(true))].into()
    }

    struct Scaled(Tensor);

    impl Model for Scaled {
        fn outputs(&self, batch: &Batch, train: bool) -> Outputs {
            if train {
                let _ = self.0.shallow_clone().f_add_(&batch.inputs.mean(Kind::Float)).unwrap();
            }
            (&batch.inputs * &self.0.sum(Kind::Float)).into()
        }
    }

    fn batch(value: f64) -> Batch {
        let inputs = Tensor::full([1, 2], value, (Kind::Float, Device::Cpu));
        Batch::new(inputs.shallow_clone(), inputs, vec!["sample".into()])
    }

    #[test]
    fn all_ranks_start_with_rank_0s_values_and_evaluate_with_its_statistics() {
        let all = testing::together(3, |ranks| {
            let variables = variables(ranks.rank());
            let model = Scaled(variables["running"].shallow_clone());
            let model = Distributed::new(&model, &variables, ranks).unwrap();
            let equal = variables["weight"].double_value(&[0]);
            // Training makes the statistics differ; evaluation takes rank 0's, once.
            let _ = model.outputs(&batch(ranks.rank() as f64), true);
            let evaluate = || model.outputs(&batch(1.0), false).prediction.double_value(&[0, 0]);
            let evaluated = [(); 2].map(|()| evaluate());
            let running = variables["running"].double_value(&[0]);
            // So does a replay of training, of which the model sees nothing.
            let _ = variables["running"].shallow_clone().fill_(ranks.rank() as f64 + 5.0);
            model.replayed();
            (equal, evaluated, running, evaluate())
        });
        assert_eq!(all, vec![(1.0, [2.0, 2.0], 1.0, 10.0); 3]);
    }

    #[test]
    fn another_network_is_named_by_tensor_and_rank() {
        type Spoil = fn(&mut StateDict);
        let cases: [(Spoil, &str); 4] = [
            (|all| drop(all.remove("weight")), "rank 2 has another network than rank 0: tensor 'weight' is missing"),
            (|all| drop(all.insert("x".into(), Tensor::from(1f32))), "tensor 'x' is one that rank 0 lacks"),
            (
                |all| drop(all.insert("weight".into(), Tensor::from_slice(&[1f32]))),
                "tensor 'weight' is [1], on rank 0 [3]",
            ),
            (
                |all| drop(all.insert("weight".into(), Tensor::from_slice(&[1f64, 2.0, 3.0]))),
                "tensor 'weight' is Double, on rank 0 Float",
            ),
        ];
        for (spoil, message) in cases {
            let said = testing::together(3, |ranks| {
                let mut variables = variables(ranks.rank());
                if ranks.rank() == 2 {
                    spoil(&mut variables);
                }
                let model = Scaled(Tensor::from(1f32));
                Distributed::new(&model, &variables, ranks).map(|_| ()).unwrap_err().to_string()
            });
            assert!(said.iter().all(|said| said.contains(message)), "{said:?}");
        }
    }
}
