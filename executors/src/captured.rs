//! Steps that are captured once and then replayed.

use crate::forward::call;
use crate::operators::{copied, detached, loss_of, measure, model_failed};
use crate::protect::{Kept, Protection};
use crate::{Error, Place};
use contract::{
    Batch, BoxError, Capture, CaptureError, KEPT_STEPS, Loss, Metric, Model, Optimizer, Share, Stage, StateDict,
    TorchError, Update,
};
use std::iter::once;
use tch::{Device, Kind, Tensor};

/// Number of forms of batches that are remembered before one is captured.
const FORMS: usize = 8;
/// Rows of numbers: that of the current step, and those that must keep their values.
const ROWS: u64 = KEPT_STEPS + 1;

/// The parts of a trainer that a step uses.
pub(crate) struct Parts<'p> {
    pub model: &'p dyn Model,
    pub loss_fn: &'p dyn Loss,
    pub optimizer: &'p mut dyn Optimizer,
    pub metric: &'p mut dyn Metric,
    pub protection: &'p Protection,
}

/// A capture of the steps of a trainer.
pub(crate) struct Captured<'c> {
    /// None once a capture has failed.
    capture: Option<&'c mut dyn Capture>,
    /// Forms of the first batches.
    seen: Vec<Form>,
    /// Form of the batches that are captured, as soon as one has come twice.
    form: Option<Form>,
    /// Number of the optimizer's operators that the capture is or will be of.
    operators: Option<u64>,
    fixed: Option<Fixed>,
    said: Vec<String>,
    unsaid: Vec<String>,
}

/// Everything of a batch that operators depend on: its tensors, but for their values, and its share.
type Form = (Option<Share>, Vec<(String, Vec<i64>, Vec<i64>, Kind, Device)>);

/// Tensors that keep their place.
struct Fixed {
    /// Inputs of a step.
    batch: Batch,
    /// Values of the metric before it.
    before: StateDict,
    /// Other values before it.
    kept: Kept,
    /// `[ROWS, …]` for each number that a step returns.
    rows: Vec<Tensor>,
    /// Number of steps so far.
    steps: u64,
}

impl<'c> Captured<'c> {
    pub fn new(capture: &'c mut dyn Capture) -> Self {
        let (seen, said, unsaid) = (Vec::new(), Vec::new(), Vec::new());
        Self { capture: Some(capture), seen, form: None, operators: None, fixed: None, said, unsaid }
    }

    /// Takes what is to be said, once for each reason.
    pub fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsaid)
    }

    fn say(&mut self, remark: String) {
        if !self.said.contains(&remark) {
            self.said.push(remark.clone());
            self.unsaid.push(remark);
        }
    }

    /// Makes a step on `batch` from the capture, or on the way to one. Returns None, and has changed nothing, if it
    /// must be made operator by operator.
    pub fn step(&mut self, parts: Parts, batch: &Batch, place: &Place) -> Result<Option<(Tensor, Update)>, Error> {
        let Parts { model, loss_fn, optimizer, metric, protection } = parts;
        if self.capture.is_none() {
            return Ok(None);
        }
        let Some(optimizer) = optimizer.replayable() else {
            self.say("No step is captured: the optimizer has no update that can be replayed".into());
            return Ok(None);
        };
        let of_model = |error: TorchError| model_failed(batch, place, error);
        let of_metric = |source: BoxError| Error::Metric { place: place.clone(), source };
        let of_optimizer = |source: BoxError| Error::Optimizer { place: place.clone(), source };
        if !self.takes(batch, optimizer.operators()).map_err(of_model)? {
            return Ok(None);
        }
        let (Some(capture), Some(form)) = (self.capture.as_deref_mut(), &self.form) else { return Ok(None) };

        let fixed = match &mut self.fixed {
            Some(fixed) => fixed,
            none => none.insert(Fixed::like(batch, metric, protection).map_err(of_model)?),
        };
        fixed.keep(metric, protection).map_err(|error| of_metric(error.into()))?;
        fixed.take_in(batch, form.1.len()).map_err(of_model)?;
        call(|| optimizer.prepare()).map_err(of_optimizer)?;

        let mut failed = None;
        let Fixed { batch: inputs, before, kept, .. } = &*fixed;
        let mut operators = || -> Result<Vec<Tensor>, Error> {
            let (loss, outputs) = loss_of(model, loss_fn, inputs, place)?;
            protection.put_back_unless_finite(kept).map_err(of_model)?;
            let seen = detached(inputs, &outputs, place)?;
            measure(metric, inputs, &loss.detach(), &seen, before).map_err(of_metric)?;
            let [norm, rejected] = call(|| optimizer.update(&loss)).map_err(of_optimizer)?;
            Ok(vec![loss.detach(), norm, rejected])
        };
        let made = capture.step(&mut || {
            operators().map_err(|error| {
                let said = error.to_string();
                failed = Some(error);
                said.into()
            })
        });
        let captured = matches!(made, Ok(Stage::Capture));
        let done = match made {
            Ok(_) => match fixed.push(capture.outputs()) {
                Ok([loss, norm, rejected]) => call(|| optimizer.finish())
                    .map(|learning_rate| Some((loss, Update::new(learning_rate, norm, rejected))))
                    .map_err(of_optimizer),
                Err(error) => Err(of_optimizer(error.into())),
            },
            Err(CaptureError::Capture(source)) => {
                optimizer.abandon(false);
                // The memory of the capture is free again.
                capture.reset().map_err(of_model)?;
                let remark = format!("No step is captured, all are made operator by operator: {source}");
                Ok(self.give_up(remark))
            }
            Err(CaptureError::Step(source)) => {
                optimizer.abandon(true);
                let source = CaptureError::Step(source);
                Err(failed.unwrap_or_else(|| Error::Replay { place: place.clone(), source }))
            }
            // How far the device got is not known, so the optimizer is not told.
            Err(source) => Err(Error::Replay { place: place.clone(), source }),
        };
        let fixed = &self.fixed;
        if let (Err(_) | Ok(None), Some(fixed)) = (&done, fixed) {
            metric.load_state(&fixed.before).map_err(|error| of_metric(error.into()))?;
            protection.put_back(&fixed.kept).map_err(of_model)?;
        }
        if self.capture.is_none() {
            self.fixed = None;
        }
        if captured {
            self.say("From here on steps are replayed from a capture".into());
        }
        if done.is_err() {
            // A capture that failed is none: a training that goes on makes another one.
            self.operators = None;
        }
        done
    }

    fn give_up<T>(&mut self, remark: String) -> Option<T> {
        self.capture = None;
        self.say(remark);
        None
    }

    /// Returns true if a step on `batch` is one of those that are captured, given the number of the optimizer's
    /// operators or why it wants none of it.
    fn takes(&mut self, batch: &Batch, operators: Result<u64, &'static str>) -> Result<bool, TorchError> {
        let operators = match operators {
            Ok(operators) => operators,
            Err(reason) => {
                self.say(format!("A step whose {reason} is made operator by operator, and not captured"));
                return Ok(false);
            }
        };
        let form = form_of(batch);
        match &self.form {
            None if !self.seen.contains(&form) => {
                self.seen.truncate(FORMS - 1);
                self.seen.insert(0, form);
                return Ok(false);
            }
            None => self.form = Some(form),
            Some(captured) if *captured != form => {
                let size = captured.1.first().map(|(_, size, ..)| size.clone()).unwrap_or_default();
                self.say(format!(
                    "Steps are captured for inputs {size:?}; batches of another form are trained on operator by \
                     operator"
                ));
                return Ok(false);
            }
            Some(_) => {}
        }
        if let (true, Some(capture)) = (self.operators != Some(operators), &mut self.capture) {
            capture.reset()?;
            self.operators = Some(operators);
        }
        Ok(true)
    }
}

/// Returns a batch's tensors by name, always in the same order.
fn tensors(batch: &Batch) -> impl Iterator<Item = (&str, &Tensor)> {
    let extra = batch.extra.iter().map(|(name, tensor)| (name.as_str(), tensor));
    once(("inputs", &batch.inputs)).chain(once(("targets", &batch.targets))).chain(extra)
}

fn form_of(batch: &Batch) -> Form {
    let form = |(name, tensor): (&str, &Tensor)| {
        (name.to_owned(), tensor.size(), tensor.stride(), tensor.kind(), tensor.device())
    };
    (batch.share, tensors(batch).map(form).collect())
}

impl Fixed {
    fn like(batch: &Batch, metric: &dyn Metric, protection: &Protection) -> Result<Self, TorchError> {
        let mut own = Batch::new(batch.inputs.f_empty_like()?, batch.targets.f_empty_like()?, Vec::new());
        own.share = batch.share;
        for (name, tensor) in &batch.extra {
            own.extra.insert(name.clone(), tensor.f_empty_like()?);
        }
        let (before, kept) = (copied(metric.state())?, protection.keep()?);
        Ok(Self { batch: own, before, kept, rows: Vec::new(), steps: 0 })
    }

    /// Keeps what a step that fails must put back.
    fn keep(&mut self, metric: &dyn Metric, protection: &Protection) -> Result<(), TorchError> {
        let now: Vec<Tensor> = metric.state().into_values().collect();
        let kept: Vec<Tensor> = self.before.values().map(Tensor::shallow_clone).collect();
        torch_ext::copy(&kept, &now)?;
        protection.keep_in(&mut self.kept)
    }

    /// Copies the `count` tensors of a batch to their places.
    fn take_in(&mut self, batch: &Batch, count: usize) -> Result<(), TorchError> {
        self.batch.names.clone_from(&batch.names);
        let all = |batch| {
            let mut all = Vec::with_capacity(count);
            all.extend(tensors(batch).map(|(_, tensor)| tensor.shallow_clone()));
            all
        };
        torch_ext::copy(&all(&self.batch), &all(batch))
    }

    /// Copies the numbers of a step to a row of their own, where they keep their values for `KEPT_STEPS` steps.
    fn push(&mut self, numbers: &[Tensor]) -> Result<[Tensor; 3], TorchError> {
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
