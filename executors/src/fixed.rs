//! Tensors of a captured step that keep their place.

use crate::operators::copied;
use crate::protect::{Kept, Protection};
use contract::{Batch, KEPT_STEPS, Metric, Share, StateDict, TorchError};
use std::iter::once;
use tch::{Device, Kind, Tensor};

/// Rows of numbers: that of the current step, and those that must keep their values.
const ROWS: u64 = KEPT_STEPS + 1;

/// Everything of a batch that operators depend on: its share, and its tensors, but for their values.
pub(crate) type Form = (Option<Share>, Vec<(String, Vec<i64>, Vec<i64>, Kind, Device)>);

/// Tensors that keep their place.
pub(crate) struct Fixed {
    /// Inputs of a step.
    pub batch: Batch,
    /// Values of the metric before it.
    pub before: StateDict,
    /// Other values before it.
    pub kept: Kept,
    /// `[ROWS, …]` for each number that a step returns.
    rows: Vec<Tensor>,
    /// Number of steps so far.
    steps: u64,
}

/// Returns a batch's tensors by name, always in the same order.
fn tensors(batch: &Batch) -> impl Iterator<Item = (&str, &Tensor)> {
    let extra = batch.extra.iter().map(|(name, tensor)| (name.as_str(), tensor));
    once(("inputs", &batch.inputs)).chain(once(("targets", &batch.targets))).chain(extra)
}

pub(crate) fn form_of(batch: &Batch) -> Form {
    let form = |(name, tensor): (&str, &Tensor)| {
        (name.to_owned(), tensor.size(), tensor.stride(), tensor.kind(), tensor.device())
    };
    (batch.share, tensors(batch).map(form).collect())
}

impl Fixed {
    pub fn like(batch: &Batch, metric: &dyn Metric, protection: &Protection) -> Result<Self, TorchError> {
        let mut own = Batch::new(batch.inputs.f_empty_like()?, batch.targets.f_empty_like()?, Vec::new());
        own.share = batch.share;
        for (name, tensor) in &batch.extra {
            own.extra.insert(name.clone(), tensor.f_empty_like()?);
        }
        let (before, kept) = (copied(metric.state())?, protection.keep()?);
        Ok(Self { batch: own, before, kept, rows: Vec::new(), steps: 0 })
    }

    /// Keeps what a step that fails must put back.
    pub fn keep(&mut self, metric: &dyn Metric, protection: &Protection) -> Result<(), TorchError> {
        let now: Vec<Tensor> = metric.state().into_values().collect();
        let kept: Vec<Tensor> = self.before.values().map(Tensor::shallow_clone).collect();
        torch_ext::copy(&kept, &now)?;
        protection.keep_in(&mut self.kept)
    }

    /// Copies the tensors of a batch to their places.
    pub fn take_in(&mut self, batch: &Batch) -> Result<(), TorchError> {
        self.batch.names.clone_from(&batch.names);
        let all = |batch: &Batch| {
            // Room for all at once: a step allocates little.
            let mut all = Vec::with_capacity(2 + batch.extra.len());
            all.extend(tensors(batch).map(|(_, tensor)| tensor.shallow_clone()));
            all
        };
        torch_ext::copy(&all(&self.batch), &all(batch))
    }

    /// Copies the numbers of a step to a row of their own, where they keep their values for `KEPT_STEPS` steps.
    pub fn push(&mut self, numbers: &[Tensor]) -> Result<[Tensor; 3], TorchError> {
        if self.rows.is_empty() {
            let row = |number: &Tensor| {
                let size: Vec<i64> = once(ROWS as i64).chain(number.size()).collect();
                Tensor::f_zeros(size, (number.kind(), number.device()))
            };
            self.rows = numbers.iter().map(row).collect::<Result<_, _>>()?;
        }
        let place = (self.steps % ROWS) as i64;
        let row = self.rows.iter().map(|rows| rows.f_get(place)).collect::<Result<Vec<_>, _>>()?;
        torch_ext::copy(&row, numbers)?;
        self.steps += 1;
        let count = row.len();
        row.try_into().map_err(|_| TorchError::new(&format!("a step returned {count} numbers, not 3")))
    }
}
