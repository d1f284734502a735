//! One optimizer for all rules: backward, average, finite check, clip, update, schedule, in this order.

use crate::count::count;
use crate::gradients::Gradients;
use crate::groups::Group;
use crate::loss_scale::LossScale;
use crate::{Average, Config, Length, Rule, Schedule};
use contract::{BoxError, Optimizer, StateDict, StateError, Stateful, TorchError, Update, load};
use tch::{Kind, TchError, Tensor};
use torch_ext as ext;

const STEP: &str = "step";
const UPDATES: &str = "updates";
const ACCUMULATED: &str = "accumulated";
const FOUND_INF: &str = "found_inf";
const GRADIENT: &str = "gradient";

/// Optimizer of named parameters with an update [`Rule`].
#[derive(Debug)]
pub struct Optim {
    config: Config,
    schedule: Schedule,
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
        let groups = Group::all(&config.groups, &names, updates_per_epoch, device)?;
        let optim = Self {
            config,
            schedule,
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

    /// Keeps a moving average of `variables` (weights and running statistics: the state of a `VarStore`), from their
    /// current values on, if `ema` is set.
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
        self.groups.iter().filter(|group| group.frozen_for <= self.updates && !group.members.is_empty())
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

    /// Returns the learning rate of update number `update`, from 0.
    fn learning_rate_of(&self, update: u64) -> f64 {
        self.config.learning_rate * self.schedule.factor(update, self.total_updates)
    }

    fn gradients(&self) -> Result<Vec<Tensor>, TchError> {
        // A parameter that the loss does not reach has no gradient; it counts as zero.
        let gradient = |p: &Tensor| {
            let gradient = p.grad();
            if gradient.defined() { Ok(gradient) } else { p.detach().f_zeros_like() }
        };
        self.parameters.iter().map(gradient).collect()
    }

    /// Returns the factor by which the accumulated gradients exceed their mean: the number of summed batches times the
    /// loss scale.
    fn multiple(&self) -> Result<Tensor, TchError> {
        let count = self.accumulated.max(1) as f64;
        match &self.loss_scale {
            Some(scale) => scale.factor().f_mul_scalar(count),
            None => self.found_inf.f_full_like(count),
        }
    }

    /// Returns the global norm of the gradients of active groups, averaged over the accumulated batches.
    fn norm(&self, gradients: &[Tensor], multiple: &Tensor) -> Result<Tensor, TorchError> {
        let mut active: Vec<usize> = self.active().flat_map(|group| &group.members).copied().collect();
        active.sort_unstable();
        let used: Vec<Tensor> = active.into_iter().map(|member| gradients[member].shallow_clone()).collect();
        Ok(ext::global_norm(&used)?.f_div(multiple)?)
    }

    fn update(&mut self) -> Result<Update, TorchError> {
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
        let learning_rate = self.learning_rate_of(self.updates);
        let fastest = self.active().map(|group| group.factor).fold(0.0, f64::max) * learning_rate;
        let finite = self.reach(&norm.f_div(&excess)?, fastest)?.f_isfinite()?.f_to_kind(Kind::Float)?;
        let overflowed = 1.0 - finite;
        let left_out = self.found_inf.f_maximum(&overflowed)?;
        // Before the kernels, which overwrite the gradients.
        self.asked.answer(&self.names, &gradients, &multiple)?;
        self.changing = true;
        for group in self.active() {
            let _ = group.step.shallow_clone().f_add_(&(1.0 - &left_out))?;
            self.apply(group, &gradients, learning_rate * group.factor, &scale, &left_out)?;
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
        self.found_inf = self.found_inf.f_zeros_like()?;
        self.updates += 1;
        self.accumulated = 0;
        if self.groups.iter().any(|group| group.frozen_for == self.updates) {
            self.freeze_and_thaw()?;
        }
        if let Some(average) = &mut self.average {
            average.update()?;
        }
        Ok(Update::new(learning_rate, norm, rejected))
    }

    /// Returns a value as large as those that the kernels compute from gradients of the norm `clipped`, which may
    /// overflow although the gradients do not. NaN and infinity propagate even if the learning rate is 0.
    fn reach(&self, clipped: &Tensor, learning_rate: f64) -> Result<Tensor, TchError> {
        match self.config.rule {
            Rule::Sgd(_) => clipped.f_mul_scalar(learning_rate),
            // The second moment takes in the squares. The norm of a single number is computed without squaring it.
            Rule::Adam(_) | Rule::AdamW(_) => clipped.f_add_scalar(learning_rate)?.f_mul(clipped),
        }
    }

    fn apply(
        &self,
        group: &Group,
        gradients: &[Tensor],
        lr: f64,
        scale: &Tensor,
        left_out: &Tensor,
    ) -> Result<(), TorchError> {
        let weight_decay = self.config.weight_decay;
        let [parameters, gradients] = [&self.parameters, gradients].map(|all| group.of(all));
        let slots: Vec<Vec<Tensor>> = self.slots.iter().map(|slot| group.of(slot)).collect();
        let (scale, left_out) = (Some(scale), Some(left_out));
        match self.config.rule {
            Rule::Adam(adam) | Rule::AdamW(adam) => {
                let kernel = ext::Adam {
                    learning_rate: lr,
                    beta1: adam.beta1,
                    beta2: adam.beta2,
                    epsilon: adam.epsilon,
                    weight_decay,
                    decoupled: matches!(self.config.rule, Rule::AdamW(_)),
                };
                ext::fused_adam(&parameters, &gradients, &slots[0], &slots[1], &group.step, kernel, scale, left_out)
            }
            Rule::Sgd(sgd) => {
                let kernel =
                    ext::Sgd { learning_rate: lr, momentum: sgd.momentum, weight_decay, nesterov: sgd.nesterov };
                let velocities = slots.first().map_or(&[][..], Vec::as_slice);
                ext::fused_sgd(&parameters, &gradients, velocities, kernel, scale, left_out)
            }
        }
    }
}

impl Optim {
    fn take_in(&mut self, loss: &Tensor) -> Result<Option<Update>, TorchError> {
        let bad = |loss: &Tensor| loss.detach().f_isfinite()?.f_logical_not()?.f_to_kind(Kind::Float);
        let scaled = match &self.loss_scale {
            Some(scale) => loss.f_mul(scale.factor())?,
            None => loss.shallow_clone(),
        };
        scaled.f_backward()?;
        self.found_inf = bad(loss).and_then(|bad| self.found_inf.f_maximum(&bad))?;
        self.accumulated += 1;
        if self.accumulated < self.config.accumulate { Ok(None) } else { Ok(Some(self.update()?)) }
    }

    /// Undoes what a failed call did to the gradients, and returns true, if that is all it did and no others were
    /// accumulated before.
    fn take_back(&mut self, waiting: u64, found_inf: Tensor) -> Result<bool, TorchError> {
        if self.changing || waiting > 0 {
            return Ok(false);
        }
        for parameter in &self.parameters {
            ext::clear_grad(parameter)?;
        }
        (self.found_inf, self.accumulated) = (found_inf, waiting);
        Ok(true)
    }
}

impl Optimizer for Optim {
    fn minimize(&mut self, loss: &Tensor) -> Result<Option<Update>, BoxError> {
        let (waiting, found_inf) = (self.accumulated, self.found_inf.shallow_clone());
        self.changing = false;
        let done = self.take_in(loss);
        if done.is_err() {
            // The error that led here matters more than one of this call.
            self.unchanged = self.take_back(waiting, found_inf).unwrap_or(false);
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

    fn is_unchanged(&self) -> bool {
        self.unchanged
    }

    fn learning_rate(&self) -> f64 {
        self.learning_rate_of(self.updates.saturating_sub(1))
    }

    fn average(&mut self) -> Option<&mut dyn contract::Average> {
        self.average.as_mut().map(|average| average as &mut dyn contract::Average)
    }
}

impl Optim {
    /// Returns the tensors that [`Stateful::load_state`] writes to: all of the state but the counts and the accumulated
    /// gradients.
    fn tensors(&self) -> StateDict {
        let mut state = StateDict::new();
        for (slot, tensors) in self.config.rule.slots().iter().zip(&self.slots) {
            let named = self.names.iter().zip(tensors).map(|(name, t)| (format!("{slot}.{name}"), t.shallow_clone()));
            state.extend(named);
        }
        // The count of the rest is `step`, those of groups are `step.0`, `step.1`, …
        let rest = self.groups.len() - 1;
        for (number, group) in self.groups.iter().enumerate() {
            let name = if number == rest { STEP.into() } else { format!("{STEP}.{number}") };
            state.insert(name, group.step.shallow_clone());
        }
        state.insert(FOUND_INF.into(), self.found_inf.shallow_clone());
        state.extend(self.loss_scale.iter().flat_map(LossScale::state));
        state
    }

    fn gradient_names(&self) -> impl Iterator<Item = String> {
        self.names.iter().map(|name| format!("{GRADIENT}.{name}"))
    }
}

impl Stateful for Optim {
    fn state(&self) -> StateDict {
        let mut state = self.tensors();
        state.insert(UPDATES.into(), Tensor::from(self.updates as i64));
        state.insert(ACCUMULATED.into(), Tensor::from(self.accumulated as i64));
        if self.accumulated > 0 {
            let zero = |p: &Tensor| p.detach().zeros_like();
            let gradient = |p: &Tensor| if p.grad().defined() { p.grad() } else { zero(p) };
            state.extend(self.gradient_names().zip(self.parameters.iter().map(gradient)));
        }
        state
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        let (updates, accumulated) = (count(state, UPDATES)?, count(state, ACCUMULATED)?);
        let mut tensors: StateDict = state.iter().map(|(name, t)| (name.clone(), t.shallow_clone())).collect();
        tensors.remove(UPDATES);
        tensors.remove(ACCUMULATED);
        match &self.loss_scale {
            Some(scale) => {
                let added = scale.add_to(&mut tensors);
                added.map_err(|source| StateError::Torch { name: "loss_scale".into(), source })?;
            }
            None => LossScale::remove_from(&mut tensors),
        }

        let mut into = self.tensors();
        let mut gradients = Vec::new();
        if accumulated > 0 {
            gradients = self.parameters.iter().map(|p| p.detach().zeros_like()).collect();
            into.extend(self.gradient_names().zip(gradients.iter().map(Tensor::shallow_clone)));
        }
        load(&into, &tensors)?;
        for (index, parameter) in self.parameters.iter().enumerate() {
            let done = match gradients.get(index) {
                Some(gradient) => ext::set_grad(parameter, gradient),
                None => ext::clear_grad(parameter),
            };
            done.map_err(|source| StateError::Torch { name: self.names[index].clone(), source })?;
        }
        (self.updates, self.accumulated) = (updates, accumulated);
        self.freeze_and_thaw().map_err(|source| StateError::Torch { name: UPDATES.into(), source })
    }
}

#[cfg(test)]
mod tests;
