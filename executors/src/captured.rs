//! Steps that are captured once and then replayed.

use crate::fixed::{Fixed, Form, form_of};
use crate::forward::call;
use crate::operators::{detached, loss_of, measure, model_failed};
use crate::parts::Parts;
use crate::proof::{Everything, Replayed, is_exact};
use crate::protect::Protection;
use crate::{Error, Place};
use contract::{Batch, BoxError, Capture, CaptureError, Replayable, Stage, TorchError, Update};
use tch::Tensor;

/// Number of forms of batches that are remembered before one is captured.
const FORMS: usize = 8;
/// First steps of a capture that are checked: that of the capture itself, and two on other batches.
const CHECKED: u32 = 3;

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
    /// Steps of the capture that are still to be checked.
    unproven: u32,
    fixed: Option<Fixed>,
    said: Vec<String>,
    unsaid: Vec<String>,
    warning: Option<String>,
}

impl<'c> Captured<'c> {
    pub fn new(capture: &'c mut dyn Capture) -> Self {
        let (seen, said, unsaid) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            capture: Some(capture),
            seen,
            form: None,
            operators: None,
            unproven: CHECKED,
            fixed: None,
            said,
            unsaid,
            warning: None,
        }
    }

    /// Takes what is to be said, once for each reason.
    pub fn remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.unsaid)
    }

    /// Takes the warning that a replay was wrong.
    pub fn warning(&mut self) -> Option<String> {
        self.warning.take()
    }

    fn say(&mut self, remark: String) {
        if !self.said.contains(&remark) {
            self.said.push(remark.clone());
            self.unsaid.push(remark);
        }
    }

    /// Makes a step on `batch`: from the capture, on the way to one, or operator by operator.
    pub fn step(&mut self, mut parts: Parts, batch: &Batch, place: &Place) -> Result<(Tensor, Option<Update>), Error> {
        if !self.takes(&mut parts, batch).map_err(|error| model_failed(batch, place, error))? {
            return parts.step(batch, place);
        }
        let before = match (self.unproven > 0).then(|| Everything::copy(&mut parts)).transpose() {
            Ok(before) => before,
            Err(error) => {
                self.give_up(unchecked(&error));
                return parts.step(batch, place);
            }
        };
        let Some((loss, update, stage)) = self.replay(&mut parts, batch, place)? else {
            return parts.step(batch, place);
        };
        match before.filter(|_| stage != Stage::WarmUp) {
            Some(before) => self.check(&mut parts, before, [loss, update.gradient_norm, update.rejected], batch, place),
            None => Ok((loss, Some(update))),
        }
    }

    /// Makes a step on `batch` from the capture, or on the way to one. Returns None, and has changed nothing, if it
    /// must be made operator by operator.
    fn replay(
        &mut self,
        parts: &mut Parts,
        batch: &Batch,
        place: &Place,
    ) -> Result<Option<(Tensor, Update, Stage)>, Error> {
        let Parts { model, loss_fn, optimizer, metric, protection } = parts;
        let of_model = |error: TorchError| model_failed(batch, place, error);
        let of_metric = |source: BoxError| Error::Metric { place: place.clone(), source };
        let of_optimizer = |source: BoxError| Error::Optimizer { place: place.clone(), source };
        let Some(capture) = self.capture.as_deref_mut() else { return Ok(None) };
        let Some(optimizer) = optimizer.replayable() else { return Ok(None) };

        let fixed = match &mut self.fixed {
            Some(fixed) => fixed,
            none => none.insert(Fixed::like(batch, *metric, protection).map_err(of_model)?),
        };
        fixed.keep(*metric, protection).map_err(|error| of_metric(error.into()))?;
        fixed.take_in(batch).map_err(of_model)?;
        call(|| optimizer.prepare()).map_err(of_optimizer)?;

        let mut failed = None;
        let Fixed { batch: inputs, before, kept, .. } = &*fixed;
        let mut operators = || -> Result<Vec<Tensor>, Error> {
            let (loss, outputs) = loss_of(*model, *loss_fn, inputs, place)?;
            protection.put_back_unless_finite(kept).map_err(of_model)?;
            let seen = detached(inputs, &outputs, place)?;
            measure(*metric, inputs, &loss.detach(), &seen, before).map_err(of_metric)?;
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
        let mut refused = None;
        let done = match made {
            Ok(stage) => match fixed.push(capture.outputs()) {
                Ok([loss, norm, rejected]) => call(|| optimizer.finish())
                    .map(|learning_rate| Some((loss, Update::new(learning_rate, norm, rejected), stage)))
                    .map_err(of_optimizer),
                Err(error) => Err(of_optimizer(error.into())),
            },
            Err(CaptureError::Capture(source)) => {
                optimizer.abandon(false);
                refused = Some(source);
                Ok(None)
            }
            Err(CaptureError::Step(source)) => {
                optimizer.abandon(true);
                let source = CaptureError::Step(source);
                Err(failed.unwrap_or_else(|| Error::Replay { place: place.clone(), source }))
            }
            // How far the device got is not known, so the optimizer is not told.
            Err(source) => Err(Error::Replay { place: place.clone(), source }),
        };
        if let Err(_) | Ok(None) = done {
            metric.load_state(&fixed.before).map_err(|error| of_metric(error.into()))?;
            protection.put_back(&fixed.kept).map_err(of_model)?;
        }
        if let Some(source) = refused {
            self.give_up(format!("No step is captured, all are made operator by operator: {source}"));
        }
        if done.is_err() {
            // A capture that failed is none: a training that goes on makes another one.
            self.operators = None;
        }
        done
    }

    /// Undoes a replayed step, which left `numbers`, and makes it operator by operator. If they differ, or there is no
    /// room for both, no step is replayed any more.
    fn check(
        &mut self,
        parts: &mut Parts,
        before: Everything,
        numbers: [Tensor; 3],
        batch: &Batch,
        place: &Place,
    ) -> Result<(Tensor, Option<Update>), Error> {
        let after = Everything::copy(parts);
        before.put_back(parts).map_err(|error| {
            let source = CaptureError::Replay(TorchError::new(&error.to_string()));
            Error::Replay { place: place.clone(), source }
        })?;
        parts.optimizer.replayable().into_iter().for_each(|optimizer| optimizer.abandon(false));
        let replayed = match after {
            Ok(after) => Replayed { before, after, numbers },
            Err(error) => {
                self.give_up(unchecked(&error));
                return parts.step(batch, place);
            }
        };
        let (loss, update) = match parts.step(batch, place) {
            Err(error) if parts.optimizer.is_unchanged() => {
                // The capture takes up memory that the step may have lacked.
                drop(replayed);
                self.give_up(unchecked(&error));
                return parts.step(batch, place);
            }
            made => made?,
        };
        if let Some(update) = &update {
            let exact = is_exact(loss.device());
            let numbers = [&loss, &update.gradient_norm, &update.rejected].map(Tensor::shallow_clone);
            match Everything::of(parts).and_then(|eager| replayed.difference(&eager, &numbers, exact)) {
                Ok(None) => self.prove(exact),
                Ok(Some(difference)) => {
                    let place = Place { names: Vec::new(), ..place.clone() };
                    self.warning = Some(format!(
                        "{place}: a replayed step differs from the same step made operator by operator in \
                         {difference}. All steps are made operator by operator from here on; nothing of the replay was \
                         kept"
                    ));
                    self.forget();
                }
                Err(error) => self.give_up(unchecked(&error)),
            }
        }
        Ok((loss, update))
    }

    fn prove(&mut self, exact: bool) {
        self.unproven -= 1;
        if self.unproven == 0 {
            let how = if exact { "to the bit" } else { "within 1 %" };
            self.say(format!(
                "From here on steps are replayed from a capture, whose first {CHECKED} were those made operator by \
                 operator, {how}"
            ));
        }
    }

    fn give_up(&mut self, remark: String) {
        self.forget();
        self.say(remark);
    }

    fn forget(&mut self) {
        if let Some(capture) = self.capture.take() {
            // Its memory is free again. If that fails, it stays taken, and steps are made as well.
            let _ = capture.reset();
        }
        self.fixed = None;
    }

    /// Returns true if a step on `batch` is one of those that are captured.
    fn takes(&mut self, parts: &mut Parts, batch: &Batch) -> Result<bool, TorchError> {
        if self.capture.is_none() {
            return Ok(false);
        }
        let Some(optimizer) = parts.optimizer.replayable() else {
            self.say("No step is captured: the optimizer has no update that can be replayed".into());
            return Ok(false);
        };
        let operators = match optimizer.operators() {
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
        if self.operators != Some(operators) {
            return self.begin(operators, optimizer, parts.protection);
        }
        Ok(true)
    }

    /// Begins with a capture of those `operators`, and returns true, if its first steps can be undone.
    fn begin(
        &mut self,
        operators: u64,
        optimizer: &dyn Replayable,
        protection: &Protection,
    ) -> Result<bool, TorchError> {
        if !protection.holds(optimizer.parameters()) {
            self.give_up(
                "No step is captured: a replay is not checked against a step made operator by operator unless all \
                 parameters are protected by the trainer"
                    .into(),
            );
            return Ok(false);
        }
        if self.operators.is_some() {
            self.say("Other parameters are trained from here on, so the step is captured anew".into());
        }
        if let Some(capture) = &mut self.capture {
            capture.reset()?;
        }
        (self.operators, self.unproven) = (Some(operators), CHECKED);
        Ok(true)
    }
}

/// Returns the remark that a replay could not be checked.
fn unchecked(error: &dyn std::error::Error) -> String {
    format!("No step is replayed, all are made operator by operator: a replay could not be checked: {error}")
}
