//! The optimizer of a rank: its gradients are the sums of all ranks' gradients.

mod replay;

use crate::{Error, Group};
use contract::{
    Average, BoxError, Optimizer, Ranks, Replayable, Scores, StateDict, StateError, Stateful, TorchError, Update,
};
use tch::{Kind, Tensor};
use torch_ext::{Processes, Reducer};

/// Size of a bucket of gradients in bytes.
const BUCKET: usize = 25 << 20;
/// Size of the first bucket, which is complete first and starts the traffic.
const FIRST: usize = 1 << 20;

/// Form in which gradients travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// As they are.
    #[default]
    None,
    /// Rounded to bf16: half the traffic of f32, 8 bits of precision. Sums are rounded as well.
    Bf16,
}

/// Optimizer whose gradients are summed over all ranks before each update, while the backward pass goes on. They are
/// not divided: the loss of each rank is [`contract::Loss::across`], whose gradients add up to those of one process.
///
/// Gradients that are only accumulated cause no traffic. A rank whose loss does not reach a parameter adds zero to it.
/// Parameters may start or cease to require gradients, on all ranks at once. A group of one sums nothing.
pub struct Reduced<'g, O> {
    inner: O,
    group: &'g Group,
    parameters: Vec<Tensor>,
    compression: Compression,
    /// True as long as steps may be captured.
    capturable: bool,
    reducer: Option<Summing>,
    /// True if gradients wait that were not summed yet.
    waiting: bool,
    /// True if the last call failed before it reached the inner optimizer.
    untouched: bool,
}

/// Reducer of those parameters that require gradients.
struct Summing {
    reducer: Reducer,
    trained: Vec<usize>,
}

impl<'g, O: Optimizer> Reduced<'g, O> {
    /// Wraps `inner`, the optimizer of `parameters` by name, which are the same on all ranks.
    pub fn new(inner: O, group: &'g Group, parameters: &StateDict, compression: Compression) -> Self {
        let parameters = parameters.values().map(Tensor::shallow_clone).collect();
        Self {
            inner,
            group,
            parameters,
            compression,
            capturable: false,
            reducer: None,
            waiting: false,
            untouched: false,
        }
    }

    /// Sums gradients at the end of each backward pass, if `capturable`, so that a step can be captured and replayed.
    /// The sums have the same bits. So a rank that replays its step can meet one that makes it operator by operator:
    /// the operations of all ranks have one order. All ranks choose alike.
    #[must_use]
    pub fn capturable(self, capturable: bool) -> Self {
        Self { capturable, ..self }
    }

    /// Returns the inner optimizer.
    pub fn inner(&self) -> &O {
        &self.inner
    }

    /// Returns the number of buckets in which gradients travel; 0 before the first update.
    pub fn buckets(&self) -> usize {
        self.reducer.as_ref().map_or(0, |summing| summing.reducer.buckets())
    }

    /// Returns the processes whose gradients are summed, if there are several.
    fn processes(&self) -> Option<Processes> {
        self.group.processes().filter(|_| self.group.count() > 1).cloned()
    }

    fn trained(&self) -> Vec<usize> {
        (0..self.parameters.len()).filter(|place| self.parameters[*place].requires_grad()).collect()
    }

    /// Has the backward pass of `loss` sum the gradients.
    fn prepare_sums(&mut self, processes: &Processes, loss: &Tensor) -> Result<(), BoxError> {
        let trained = self.trained();
        if trained.is_empty() {
            return Ok(());
        }
        if self.reducer.as_ref().is_none_or(|summing| summing.trained != trained) {
            self.reducer = None;
            let of = |place: &usize| self.parameters[*place].shallow_clone();
            let parameters: Vec<_> = trained.iter().map(of).collect();
            // Buckets follow the order in which gradients are finished. It is that of rank 0: others may not reach all.
            let order = torch_ext::gradient_order(loss, &parameters)?;
            self.group.broadcast(&[order.shallow_clone()], 0)?;
            let order = Vec::<i64>::try_from(order).map_err(TorchError::from)?;
            let ordered: Vec<_> = order.iter().map(|place| parameters[*place as usize].shallow_clone()).collect();
            let bf16 = self.compression == Compression::Bf16;
            let reducer = Reducer::new(processes, &ordered, BUCKET, FIRST, bf16, !self.capturable)?;
            self.reducer = Some(Summing { reducer, trained });
        }
        self.group.begin()?;
        match &self.reducer {
            Some(summing) => Ok(summing.reducer.prepare(loss)?),
            None => Ok(()),
        }
    }

    /// Sums gradients that were only accumulated.
    fn sum_waiting(&mut self) -> Result<(), BoxError> {
        let _no_grad = tch::no_grad_guard();
        let trained: Vec<_> = self.trained().into_iter().map(|place| &self.parameters[place]).collect();
        let defined = |parameter: &&Tensor| if parameter.grad().defined() { 1u8 } else { 0 };
        let used = Tensor::from_slice(&trained.iter().map(defined).collect::<Vec<_>>()).to_kind(Kind::Int);
        self.group.sum(&[used.shallow_clone()])?;
        let used = Vec::<i32>::try_from(used).map_err(TorchError::from)?;
        let mut gradients = Vec::new();
        for (parameter, _) in trained.iter().zip(used).filter(|(_, used)| *used > 0) {
            if !parameter.grad().defined() {
                let zero = parameter.f_detach().and_then(|parameter| parameter.f_zeros_like());
                torch_ext::set_grad(parameter, &zero.map_err(TorchError::from)?)?;
            }
            gradients.push(parameter.grad());
        }
        self.group.sum(&gradients)
    }

    /// Minimises with a reducer, or without where the update is not due.
    fn reduced(
        &mut self,
        processes: &Processes,
        loss: &Tensor,
        weight: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError> {
        let due = self.inner.updates_next();
        if due {
            self.untouched = true;
            self.prepare_sums(processes, loss)?;
            self.untouched = false;
        }
        let update = self.inner.minimize(loss, weight)?;
        if due && update.is_none() {
            return Err(Error::Accumulates.into());
        }
        self.waiting = update.is_none();
        Ok(update)
    }
}

impl<O: Optimizer> Stateful for Reduced<'_, O> {
    fn state(&self) -> StateDict {
        self.inner.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        self.inner.load_state(state)?;
        if self.processes().is_none() {
            return Ok(());
        }
        // Gradients of a state count once: they are those of rank 0.
        self.waiting = self.parameters.iter().any(|parameter| parameter.grad().defined());
        if self.group.rank() > 0 {
            for mut gradient in self.parameters.iter().map(Tensor::grad).filter(Tensor::defined) {
                let zeroed = gradient.f_zero_();
                let _ = zeroed.map_err(|error| StateError::Torch { name: "gradient".into(), source: error.into() })?;
            }
        }
        Ok(())
    }
}

impl<O: Optimizer> Optimizer for Reduced<'_, O> {
    fn minimize(
        &mut self,
        loss: &Tensor,
        weight: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError> {
        let Some(processes) = self.processes() else { return self.inner.minimize(loss, weight) };
        let done = self.reduced(&processes, loss, weight);
        done.map_err(|error| {
            // It may stand in the middle of a pass.
            self.reducer = None;
            self.group.explained(error)
        })
    }

    fn flush(&mut self) -> Result<Option<Update>, BoxError> {
        if self.waiting && self.processes().is_some() {
            self.untouched = false;
            self.sum_waiting()?;
            self.waiting = false;
        }
        self.inner.flush()
    }

    fn updates_next(&self) -> bool {
        self.inner.updates_next()
    }

    fn is_unchanged(&self) -> bool {
        self.untouched || self.inner.is_unchanged()
    }

    fn learning_rate(&self) -> f64 {
        self.inner.learning_rate()
    }

    fn scored(&mut self, scores: &Scores) -> Result<(), BoxError> {
        self.inner.scored(scores)
    }

    fn average(&mut self) -> Option<&mut dyn Average> {
        self.inner.average()
    }

    /// Returns None where gradients are summed while the backward pass goes on, which a replay would not do.
    fn replayable(&mut self) -> Option<&mut dyn Replayable> {
        match self.processes() {
            None => self.inner.replayable(),
            Some(_) if self.capturable && self.inner.replayable().is_some() => Some(self),
            Some(_) => None,
        }
    }
}
