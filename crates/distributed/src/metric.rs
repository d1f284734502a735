//! Metrics of what all ranks saw.

use crate::AcrossRanks;
use contract::{Batch, BoxError, Metric, Outputs, Scores, StateDict, StateError, Stateful, TorchError};
use tch::Tensor;

/// Copies a state, which may share memory with the metric.
fn copied(state: &StateDict) -> Result<StateDict, TorchError> {
    let copy = |(name, tensor): (&String, &Tensor)| {
        let mut copy = tensor.f_empty_like()?;
        copy.f_copy_(tensor)?;
        Ok((name.clone(), copy))
    };
    state.iter().map(copy).collect()
}

/// Returns the scores of all `states`. Each rank merges them in the same order, so all have the same scores to the bit.
fn scores(metric: &mut impl Metric, states: &[StateDict]) -> Result<Scores, BoxError> {
    let [first, others @ ..] = states else { return Err("no rank gave a state".into()) };
    metric.load_state(first)?;
    for other in others {
        metric.merge(other)?;
    }
    metric.compute()
}

impl<M: Metric> Metric for AcrossRanks<M> {
    fn reset(&mut self) {
        self.inner.get_mut().reset();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        self.inner.get_mut().update(loss, outputs, batch)
    }

    /// Returns the scores over what all ranks saw since the last reset.
    fn compute(&self) -> Result<Scores, BoxError> {
        let mut inner = self.inner.borrow_mut();
        let _no_grad = tch::no_grad_guard();
        let own = copied(&inner.state())?;
        let found = self.ranks.gather(&own).and_then(|states| scores(&mut *inner, &states));
        inner.load_state(&own)?;
        found
    }

    /// Returns the names by what this rank saw: one rank alone may ask for them.
    fn columns(&self) -> Result<Vec<String>, BoxError> {
        self.inner.borrow().columns()
    }

    fn merge(&mut self, other: &StateDict) -> Result<(), StateError> {
        self.inner.get_mut().merge(other)
    }
}

/// The state is what this rank saw.
impl<M: Metric> Stateful for AcrossRanks<M> {
    fn state(&self) -> StateDict {
        self.inner.borrow().state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.inner.get_mut().load_state(state)
    }
}
