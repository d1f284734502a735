//! One optimizer for all rules: backward, average, finite check, clip, update, schedule, in this order.

mod replay;
mod rules;
mod state;

use crate::gradients::Gradients;
use crate::groups::Group;
use crate::loss_scale::LossScale;
use crate::plateau::Followed;
use crate::weights::Weights;
use crate::{Average, Config, Decay, Length, Schedule};
use contract::{BoxError, Optimizer, Replayable, Scores, StateDict, TorchError, Update};
use tch::{Kind, TchError, Tensor};
use torch_ext as ext;

/// Optimizer of named parameters with an update [`Rule`](crate::Rule).
#[derive(Debug)]
pub struct Optim {
    config: Config,
    schedule: Schedule,
    updates_per_epoch: u64,
    total_updates: u64,
    names: Vec<String>,
    parameters: Vec<Tensor>,
    /// One list, parallel to the parameters, for each slot of the rule.
    slots: Vec<Vec<Tensor>>,
    /// Parameter groups; last the parameters that no group names.
    groups: Vec<Group>,
    /// Scalar f32 on the device: 1 if a loss since the last update was not finite.
    found_inf: Tensor,
    /// Loss scale, if gradients must be brought into the range of f16.
    loss_scale: Option<LossScale>,
    asked: Gradients,
    average: Option<Average>,
    /// Number of updates, rejected ones included, which the schedule counts.
    updates: u64,
    /// Number of batches whose gradients are accumulated.
    accumulated: u64,
    /// Their weights; None if all count alike: a single one, or those of a checkpoint from before they were weighted.
    weights: Option<Weights>,
    /// Scores that the schedule follows, if it follows one.
    followed: Option<Followed>,
    /// True if an update has begun to change parameters and state since the last call began.
    changing: bool,
    /// See [`Optimizer::is_unchanged`].
    unchanged: bool,
}

impl Optim {
    pub(crate) fn new(
        config: Config,
        schedule: Schedule,
        Length { updates_per_epoch, epochs }: Length,
        parameters: Vec<(String, Tensor)>,
    ) -> Result<Self, TorchError> {
        let (names, parameters): (Vec<_>, Vec<_>) = parameters.into_iter().unzip();
        let device = parameters[0].device();
        let zeros = |_| parameters.iter().map(|p| p.detach().f_zeros_like()).collect::<Result<Vec<_>, _>>();
        let slots = config.rule.slots().iter().map(zeros).collect::<Result<Vec<_>, _>>()?;
        let kinds = (&config.groups[..], config.layer_decay.as_ref());
        let groups = Group::all(kinds, &names, updates_per_epoch, device)?;
        let follows = schedule.score().is_some();
        let optim = Self {
            config,
            schedule,
            updates_per_epoch,
            total_updates: updates_per_epoch.saturating_mul(epochs),
            names,
            parameters,
            slots,
            groups,
            found_inf: Tensor::f_zeros([0i64; 0], (Kind::Float, device))?,
            loss_scale: None,
            asked: Gradients::default(),
            average: None,
            updates: 0,
            accumulated: 0,
            weights: None,
            followed: follows.then(Followed::default),
            changing: false,
            unchanged: true,
        };
        optim.freeze_and_thaw()?;
        Ok(optim)
    }

    /// Enables dynamic loss scaling, so that gradients survive f16. An update whose gradients overflow is left out, and
    /// not reported as rejected unless the factor is down to 1.
    pub fn scaling_the_loss(mut self) -> Result<Self, TorchError> {
        self.loss_scale = Some(LossScale::new(self.found_inf.device())?);
        Ok(self)
    }

    /// Returns the handle to request the gradients of an update.
    pub fn asked_gradients(&self) -> Gradients {
        self.asked.clone()
    }

    /// Keeps an average of `variables` (weights and running statistics: the state of a `VarStore`), from their current
    /// values on, if `ema` or `swa` is set.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn averaging(mut self, variables: StateDict) -> Result<Self, TorchError> {
        self.average = self.config.average(variables)?;
        Ok(self)
    }

    /// Returns the groups that the next update changes.
    fn active(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.is_active(self.updates))
    }

    /// Makes parameters require gradients from their first update on.
    fn freeze_and_thaw(&self) -> Result<(), TorchError> {
        for group in &self.groups {
            for parameter in group.of(&self.parameters) {
                let _ = parameter.f_set_requires_grad(group.frozen_for <= self.updates)?;
            }
        }
        Ok(())
    }

    /// Returns the learning rate of update number `update`, from 0, at this factor of a plateau.
    fn learning_rate_of(&self, update: u64, plateau: f64) -> f64 {
        let planned = |update| self.schedule.rate(self.config.learning_rate, update, self.total_updates) * plateau;
        match &self.config.swa {
            Some(swa) => swa.rate(update, self.updates_per_epoch, planned),
            None => planned(update),
        }
    }

    /// Returns the learning rate of the next update.
    fn next_learning_rate(&self) -> f64 {
        self.learning_rate_of(self.updates, self.followed.as_ref().map_or(1.0, Followed::factor))
    }

    fn gradients(&self) -> Result<Vec<Tensor>, TchError> {
        // A parameter that the loss does not reach has no gradient; it counts as zero.
        let gradient = |p: &Tensor| {
            let gradient = p.grad();
            if gradient.defined() { Ok(gradient) } else { p.detach().f_zeros_like() }
        };
        self.parameters.iter().map(gradient).collect()
    }

    /// Returns the factor by which the accumulated gradients exceed their mean: the sum of the batches' weights, or
    /// their number if they count alike, times the loss scale.
    fn multiple(&self) -> Result<Tensor, TchError> {
        let count = self.accumulated.max(1) as f64;
        match (&self.weights, &self.loss_scale) {
            (None, None) => self.found_inf.f_full_like(count),
            (None, Some(scale)) => scale.factor().f_mul_scalar(count),
            (Some(weights), None) => weights.divisor(),
            (Some(weights), Some(scale)) => scale.factor().f_mul(&weights.divisor()?),
        }
    }

    /// Returns the global norm of the gradients of active groups, averaged over the accumulated batches.
    fn norm(&self, gradients: &[Tensor], multiple: &Tensor) -> Result<Tensor, TorchError> {
        let mut active: Vec<usize> = self.active().flat_map(|group| &group.members).copied().collect();
        active.sort_unstable();
        let used: Vec<Tensor> = active.into_iter().map(|member| gradients[member].shallow_clone()).collect();
        Ok(ext::global_norm(&used)?.f_div(multiple)?)
    }

    /// Makes an update of the gradients that are there.
    fn update(&mut self) -> Result<Update, TorchError> {
        self.write_rates()?;
        let [norm, rejected] = self.change()?;
        Ok(Update::new(self.count()?, norm, rejected))
    }

    /// Writes the learning rates of the next update to the device.
    fn write_rates(&mut self) -> Result<(), TorchError> {
        let (learning_rate, updates) = (self.next_learning_rate(), self.updates);
        let mut groups = self.groups.iter_mut().filter(|group| group.is_active(updates));
        Ok(groups.try_for_each(|group| group.write_rate(learning_rate))?)
    }

    /// Does the device's part of an update, which may be captured and replayed: it takes all that changes from update
    /// to update from tensors that keep their place, and changes nothing on the host. Returns the norm of the gradients
    /// and whether the update was rejected.
    fn change(&mut self) -> Result<[Tensor; 2], TorchError> {
        let _no_grad = tch::no_grad_guard();
        let gradients = self.gradients()?;
        // The kernels divide by `scale`, which averages, undoes the loss scale, and clips.
        let multiple = self.multiple()?;
        let norm = self.norm(&gradients, &multiple)?;
        let excess = match self.config.clip_norm {
            Some(limit) => ((&norm + 1e-6) / limit).f_clamp_min(1.0)?,
            None => norm.f_ones_like()?,
        };
        let scale = excess.f_mul(&multiple)?;
        let finite = self.reach(&norm.f_div(&excess)?)?.f_isfinite()?.f_to_kind(Kind::Float)?;
        let overflowed = 1.0 - finite;
        let left_out = self.found_inf.f_maximum(&overflowed)?;
        // Before the kernels, which overwrite the gradients.
        self.asked.answer(&self.names, &gradients, &multiple)?;
        self.changing = true;
        for group in self.active() {
            let _ = group.step.shallow_clone().f_add_(&(1.0 - &left_out))?;
            for layer in &group.layers {
                self.apply(layer, &group.step, &gradients, &scale, &left_out)?;
            }
        }
        let rejected = match &mut self.loss_scale {
            Some(scale) => {
                let rejected = self.found_inf.f_maximum(&scale.beyond_help(&overflowed)?)?;
                scale.follow(&left_out)?;
                rejected
            }
            None => left_out,
        };
        for parameter in &self.parameters {
            ext::clear_grad(parameter)?;
        }
        let _ = self.found_inf.f_zero_()?;
        Ok([norm, rejected])
    }

    /// Does what follows an update, and is never captured. Returns the learning rate of the update.
    fn count(&mut self) -> Result<f64, TorchError> {
        let learning_rate = self.next_learning_rate();
        self.updates += 1;
        (self.accumulated, self.weights) = (0, None);
        self.followed.iter_mut().for_each(Followed::apply);
        if self.groups.iter().any(|group| group.frozen_for == self.updates) {
            self.freeze_and_thaw()?;
        }
        if let Some(average) = &mut self.average {
            match self.config.swa.as_ref().map(|swa| swa.takes(self.updates, self.updates_per_epoch)) {
                None | Some(Some(true)) => average.update()?,
                Some(Some(false)) => {}
                Some(None) => average.restart()?,
            }
        }
        Ok(learning_rate)
    }
}

impl Optim {
    /// Returns the weight of a loss as a scalar f32 next to the parameters, if other batches share its update.
    fn weigh(&self, weight: &dyn Fn() -> Result<Tensor, BoxError>) -> Result<Option<Tensor>, BoxError> {
        if self.config.accumulate <= 1 && self.accumulated == 0 {
            return Ok(None);
        }
        let _no_grad = tch::no_grad_guard();
        let weight = weight()?;
        let near = || weight.f_to_device(self.parameters[0].device())?.f_to_kind(Kind::Float)?.f_reshape([0i64; 0]);
        Ok(Some(near().map_err(TorchError::from)?))
    }

    /// Takes in the weight of a batch, before its backward pass. Returns the factor of its loss.
    fn share(&mut self, weight: &Tensor) -> Result<Tensor, TorchError> {
        let mut weights = match self.weights.take() {
            Some(weights) => weights,
            None if self.accumulated > 0 => Weights::equal(self.accumulated, weight)?,
            None => Weights::new(weight.device())?,
        };
        let [before, own] = weights.add(weight)?;
        self.weights = Some(weights);
        if self.accumulated > 0 {
            let _no_grad = tch::no_grad_guard();
            for mut gradient in self.parameters.iter().map(Tensor::grad).filter(Tensor::defined) {
                let _ = gradient.f_mul_(&before)?;
            }
        }
        Ok(own)
    }

    fn take_in(&mut self, loss: &Tensor, weight: Option<&Tensor>) -> Result<Option<Update>, TorchError> {
        let share = weight.map(|weight| self.share(weight)).transpose()?;
        self.backward(loss, share.as_ref())?;
        self.accumulated += 1;
        if self.accumulated < self.config.accumulate { Ok(None) } else { Ok(Some(self.update()?)) }
    }

    /// Adds the gradients of `loss`, times the `share` of its batch. May be captured and replayed.
    fn backward(&mut self, loss: &Tensor, share: Option<&Tensor>) -> Result<(), TorchError> {
        let bad = |loss: &Tensor| loss.detach().f_isfinite()?.f_logical_not()?.f_to_kind(Kind::Float);
        let mut scaled = loss.shallow_clone();
        for factor in share.into_iter().chain(self.loss_scale.as_ref().map(LossScale::factor)) {
            scaled = scaled.f_mul(factor)?;
        }
        scaled.f_backward()?;
        let bad = bad(loss).and_then(|bad| self.found_inf.f_maximum(&bad))?;
        Ok(self.found_inf.f_copy_(&bad)?)
    }

    /// Undoes what a failed call did to the gradients, and returns true, if that is all it did and no others were
    /// accumulated before.
    fn take_back(&mut self, waiting: u64) -> Result<bool, TorchError> {
        if self.changing || waiting > 0 {
            return Ok(false);
        }
        for parameter in &self.parameters {
            ext::clear_grad(parameter)?;
        }
        let _ = self.found_inf.f_zero_()?;
        (self.accumulated, self.weights) = (waiting, None);
        Ok(true)
    }
}

impl Optimizer for Optim {
    fn minimize(
        &mut self,
        loss: &Tensor,
        weight: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError> {
        (self.changing, self.unchanged) = (false, false);
        let weight = self.weigh(weight).inspect_err(|_| self.unchanged = true)?;
        let waiting = self.accumulated;
        let done = self.take_in(loss, weight.as_ref());
        if done.is_err() {
            // The error that led here matters more than one of this call.
            self.unchanged = self.take_back(waiting).unwrap_or(false);
        }
        Ok(done?)
    }

    fn flush(&mut self) -> Result<Option<Update>, BoxError> {
        if self.accumulated == 0 {
            return Ok(None);
        }
        self.changing = false;
        let done = self.update();
        self.unchanged = !self.changing;
        Ok(Some(done?))
    }

    fn updates_next(&self) -> bool {
        self.accumulated + 1 >= self.config.accumulate
    }

    fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    fn learning_rate(&self) -> f64 {
        let last = self.updates.saturating_sub(1);
        self.learning_rate_of(last, self.followed.as_ref().map_or(1.0, Followed::applied))
    }

    fn scored(&mut self, scores: &Scores) -> Result<(), BoxError> {
        if let (Decay::Plateau(rule), Some(followed)) = (&self.schedule.decay, &mut self.followed) {
            followed.see(rule, self.config.learning_rate, scores)?;
        }
        Ok(())
    }

    fn average(&mut self) -> Option<&mut dyn contract::Average> {
        self.average.as_mut().map(|average| average as &mut dyn contract::Average)
    }

    fn replayable(&mut self) -> Option<&mut dyn Replayable> {
        Some(self)
    }
}

#[cfg(test)]
mod tests;
