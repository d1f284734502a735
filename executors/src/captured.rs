//! Steps that are captured once and then replayed.

use crate::agreed::Agreed;
use crate::fixed::{Fixed, Form, form_of};
use crate::forward::call;
use crate::operators::{detached, loss_of, measure, model_failed};
use crate::parts::Parts;
use crate::proof::{Everything, Replayed, is_exact};
use crate::{Error, Place};
use contract::{Batch, BoxError, Capture, CaptureError, Ranks, Stage, TorchError, Update};
use tch::Tensor;

/// Number of forms of batches that are remembered before one is captured.
const FORMS: usize = 8;
/// First steps of a capture that are checked: that of the capture itself, and two on other batches.
const CHECKED: u32 = 3;

/// A capture of the steps of a trainer.
pub(crate) struct Captured<'c> {
    /// None once a capture has failed.
    capture: Option<&'c mut dyn Capture>,
    /// Ranks that capture alike.
    agreed: Agreed<'c>,
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
    pub fn new(capture: &'c mut dyn Capture, ranks: Option<&'c dyn Ranks>) -> Self {
        let (seen, said, unsaid) = (Vec::new(), Vec::new(), Vec::new());
        Self {
            capture: Some(capture),
            agreed: Agreed::new(ranks),
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
        if !self.takes(&mut parts, batch, place)? {
            return parts.step(batch, place);
        }
        if self.unproven == 0 {
            return match self.replay(&mut parts, batch, place)? {
                Some((loss, update, _)) => Ok((loss, Some(update))),
                None => parts.step(batch, place),
            };
        }
        let before = Everything::copy(&mut parts).map_err(|error| error.to_string());
        let before = match self.agreed.all(before).map_err(|source| disagree(place, source))? {
            Ok(before) => before,
            Err(why) => {
                self.give_up(&mut parts, unchecked(&why));
                return parts.step(batch, place);
            }
        };
        match self.replay(&mut parts, batch, place)? {
            Some((loss, update, Stage::WarmUp)) => Ok((loss, Some(update))),
            Some((loss, update, _)) => {
                self.check(&mut parts, before, [loss, update.gradient_norm, update.rejected], batch, place)
            }
            None => {
                // A capture may have been made before that of another rank failed.
                undo(&before, &mut parts, place)?;
                parts.step(batch, place)
            }
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
        let Parts { model, loss_fn, optimizer, metric, protection } = &mut *parts;
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
        let agreed = &self.agreed;
        let made = capture.step_if_all(
            &mut || {
                operators().map_err(|error| {
                    let said = error.to_string();
                    failed = Some(error);
                    said.into()
                })
            },
            &mut |own| Ok(agreed.first_with(!own)?.is_none()),
        );
        let mut refused = None;
        let done = match made {
            Ok(stage) => match fixed.push(capture.outputs()) {
                Ok([loss, norm, rejected]) => call(|| {
                    model.replayed();
                    optimizer.finish()
                })
                .map(|learning_rate| Some((loss, Update::new(learning_rate, norm, rejected), stage)))
                .map_err(of_optimizer),
                Err(error) => Err(of_optimizer(error.into())),
            },
            Err(CaptureError::Capture(source)) => {
                optimizer.abandon(false);
                refused = Some(source);
                Ok(None)
            }
            Err(CaptureError::Ranks(source)) => {
                optimizer.abandon(false);
                Err(Error::Replay { place: place.clone(), source: CaptureError::Ranks(source) })
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
            self.give_up(parts, format!("No step is captured, all are made operator by operator: {source}"));
        }
        if done.is_err() {
            // A capture that failed is none: a training that goes on makes another one.
            self.operators = None;
        }
        done
    }

    /// Undoes a replayed step, which left `numbers`, and makes it operator by operator. If they differ on any rank, or
    /// there is no room for both, no step is replayed any more.
    fn check(
        &mut self,
        parts: &mut Parts,
        before: Everything,
        numbers: [Tensor; 3],
        batch: &Batch,
        place: &Place,
    ) -> Result<(Tensor, Option<Update>), Error> {
        let after = Everything::copy(parts).map_err(|error| error.to_string());
        undo(&before, parts, place)?;
        parts.optimizer.replayable().into_iter().for_each(|optimizer| optimizer.abandon(false));
        let after = self.agreed.all(after).map_err(|source| disagree(place, source))?;
        let replayed = match after {
            Ok(after) => Replayed { before, after, numbers },
            Err(why) => {
                self.give_up(parts, unchecked(&why));
                return parts.step(batch, place);
            }
        };
        let (loss, update) = match parts.step(batch, place) {
            // Other ranks have made the step, and cannot make it once more.
            Err(error) if parts.optimizer.is_unchanged() && self.agreed.is_alone() => {
                // The capture takes up memory that the step may have lacked.
                drop(replayed);
                self.give_up(parts, unchecked(&error));
                return parts.step(batch, place);
            }
            made => made?,
        };
        let Some(update) = update else { return Ok((loss, None)) };
        let exact = is_exact(loss.device());
        let numbers = [&loss, &update.gradient_norm, &update.rejected].map(Tensor::shallow_clone);
        let found = Everything::of(parts).and_then(|eager| replayed.difference(&eager, &numbers, exact));
        let elsewhere = self.agreed.first_with(!matches!(found, Ok(None))).map_err(|source| {
            // The step is made, and not counted.
            Error::Replay { place: place.clone(), source: CaptureError::Ranks(source) }
        })?;
        match (found, elsewhere) {
            (Ok(None), None) => self.prove(exact),
            (Ok(None), Some(rank)) => {
                let remark = "No step is replayed any more, all are made operator by operator: rank";
                self.give_up(parts, format!("{remark} {rank} has found a replay that is wrong, or could not check it"));
            }
            (Ok(Some(difference)), _) => {
                let place = Place { names: Vec::new(), ..place.clone() };
                self.warning = Some(format!(
                    "{place}: a replayed step differs from the same step made operator by operator in {difference}. \
                     All steps are made operator by operator from here on; nothing of the replay was kept"
                ));
                self.forget(parts);
            }
            (Err(error), _) => self.give_up(parts, unchecked(&error)),
        }
        Ok((loss, Some(update)))
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

    fn give_up(&mut self, parts: &mut Parts, remark: String) {
        self.forget(parts);
        self.say(remark);
    }

    fn forget(&mut self, parts: &mut Parts) {
        if let Some(capture) = self.capture.take() {
            // Its memory is free again. If that fails, it stays taken, and steps are made as well.
            let _ = capture.reset();
        }
        self.fixed = None;
        parts.optimizer.replayable().into_iter().for_each(|optimizer| optimizer.dismiss());
    }

    /// Returns true if a step on `batch` is one of those that are captured. As long as the capture is not proven, all
    /// ranks return the same.
    fn takes(&mut self, parts: &mut Parts, batch: &Batch, place: &Place) -> Result<bool, Error> {
        if self.capture.is_none() {
            return Ok(false);
        }
        let Some(optimizer) = parts.optimizer.replayable() else {
            self.say("No step is captured: the optimizer has no update that can be replayed".into());
            return Ok(false);
        };
        let (operators, refusal) = (optimizer.operators(), optimizer.refusal());
        let is_proven = self.operators == Some(operators) && self.unproven == 0;
        let form = form_of(batch);
        let fits = match refusal {
            Some(reason) => {
                self.say(format!("A step whose {reason} is made operator by operator, and not captured"));
                false
            }
            None => self.fits(&form),
        };
        if is_proven {
            return Ok(fits);
        }
        if self.agreed.first_with(!fits).map_err(|source| disagree(place, source))?.is_some() {
            return Ok(false);
        }
        self.form = Some(form);
        if self.operators == Some(operators) {
            return Ok(true);
        }
        self.begin(operators, parts).map_err(|error| model_failed(batch, place, error))
    }

    /// Returns true if a batch of this form is one of those that are captured, or the first that has come twice.
    fn fits(&mut self, form: &Form) -> bool {
        match &self.form {
            None if self.seen.contains(form) => true,
            None => {
                self.seen.truncate(FORMS - 1);
                self.seen.insert(0, form.clone());
                false
            }
            Some(captured) if captured != form => {
                let size = captured.1.first().map(|(_, size, ..)| size.clone()).unwrap_or_default();
                self.say(format!(
                    "Steps are captured for inputs {size:?}; batches of another form are trained on operator by \
                     operator"
                ));
                false
            }
            Some(_) => true,
        }
    }

    /// Begins with a capture of those `operators`, and returns true, if its first steps can be undone.
    fn begin(&mut self, operators: u64, parts: &mut Parts) -> Result<bool, TorchError> {
        let parameters = parts.optimizer.replayable().map(|optimizer| optimizer.parameters());
        if !parameters.is_some_and(|parameters| parts.protection.holds(parameters)) {
            let remark = "No step is captured: a replay is not checked against a step made operator by operator \
                          unless all parameters are protected by the trainer";
            self.give_up(parts, remark.into());
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

/// Puts back all that a replayed step has changed.
fn undo(before: &Everything, parts: &mut Parts, place: &Place) -> Result<(), Error> {
    before.put_back(parts).map_err(|error| {
        let source = CaptureError::Replay(TorchError::new(&error.to_string()));
        Error::Replay { place: place.clone(), source }
    })
}

fn disagree(place: &Place, source: BoxError) -> Error {
    Error::Ranks { place: place.clone(), source }
}

/// Returns the remark that a replay could not be checked.
fn unchecked(why: &dyn std::fmt::Display) -> String {
    format!("No step is replayed, all are made operator by operator: a replay could not be checked: {why}")
}
