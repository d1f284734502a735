//! State of the optimizer in a checkpoint.

use super::Optim;
use crate::loss_scale::LossScale;
use crate::plateau::Followed;
use crate::scalar::count;
use crate::weights::Weights;
use contract::{StateDict, StateError, Stateful, load};
use tch::Tensor;
use torch_ext as ext;

const STEP: &str = "step";
pub(super) const UPDATES: &str = "updates";
pub(super) const ACCUMULATED: &str = "accumulated";
const FOUND_INF: &str = "found_inf";
const GRADIENT: &str = "gradient";

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
        state.extend(self.followed.iter().flat_map(Followed::state));
        if self.accumulated > 0 {
            let zero = |p: &Tensor| p.detach().zeros_like();
            let gradient = |p: &Tensor| if p.grad().defined() { p.grad() } else { zero(p) };
            state.extend(self.gradient_names().zip(self.parameters.iter().map(gradient)));
            state.extend(self.weights.iter().flat_map(Weights::state));
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
        let followed = Followed::take(&mut tensors)?;

        let mut into = self.tensors();
        let (mut gradients, mut weights) = (Vec::new(), None);
        if accumulated > 0 {
            if Weights::are_in(&tensors) {
                let empty = Weights::new(self.found_inf.device());
                let empty = empty.map_err(|source| StateError::Torch { name: GRADIENT.into(), source })?;
                into.extend(empty.state());
                weights = Some(empty);
            }
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
        (self.updates, self.accumulated, self.weights) = (updates, accumulated, weights);
        self.followed.iter_mut().for_each(|own| own.clone_from(&followed));
        self.freeze_and_thaw().map_err(|source| StateError::Torch { name: UPDATES.into(), source })
    }
}
