//! The update rules, applied to the parameters of a layer.

use super::Optim;
use crate::groups::Layer;
use crate::{Lion, RAdam, Rule};
use contract::TorchError;
use tch::{Kind, TchError, Tensor};
use torch_ext as ext;

impl Optim {
    /// Returns a value as large as those that the kernels compute from gradients of the norm `clipped`, which may
    /// overflow although the gradients do not. NaN and infinity propagate even if the learning rate is 0.
    pub(super) fn reach(&self, clipped: &Tensor) -> Result<Tensor, TchError> {
        let layers = self.active().flat_map(|group| &group.layers);
        let rates = layers.map(|layer| layer.rate.f_to_kind(Kind::Float)).collect::<Result<Vec<_>, _>>()?;
        let fastest = match &rates[..] {
            [rate] => rate.shallow_clone(),
            rates => Tensor::f_stack(rates, 0)?.f_max()?,
        };
        match self.config.rule {
            Rule::Sgd(_) => clipped.f_mul(&fastest),
            // The second moment takes in the squares. The norm of a single number is computed without squaring it.
            Rule::Adam(_) | Rule::AdamW(_) | Rule::RAdam(_) => clipped.f_add(&fastest)?.f_mul(clipped),
            // Only the momentum depends on the size of the gradient.
            Rule::Lion(_) => Ok(clipped.shallow_clone()),
        }
    }

    pub(super) fn apply(
        &self,
        layer: &Layer,
        step: &Tensor,
        gradients: &[Tensor],
        scale: &Tensor,
        left_out: &Tensor,
    ) -> Result<(), TorchError> {
        let weight_decay = self.config.weight_decay;
        let [parameters, gradients] = [&self.parameters, gradients].map(|all| layer.of(all));
        let slots: Vec<Vec<Tensor>> = self.slots.iter().map(|slot| layer.of(slot)).collect();
        let (scale, left_out, learning_rate) = (Some(scale), Some(left_out), &layer.rate);
        match self.config.rule {
            Rule::Adam(adam) | Rule::AdamW(adam) => {
                let kernel = ext::Adam {
                    learning_rate,
                    beta1: adam.beta1,
                    beta2: adam.beta2,
                    epsilon: adam.epsilon,
                    weight_decay,
                    decoupled: matches!(self.config.rule, Rule::AdamW(_)),
                };
                ext::fused_adam(&parameters, &gradients, &slots[0], &slots[1], step, kernel, scale, left_out)
            }
            Rule::RAdam(RAdam { beta1, beta2, epsilon, decoupled_weight_decay: decoupled }) => {
                let kernel = ext::Adam { learning_rate, beta1, beta2, epsilon, weight_decay, decoupled };
                ext::radam(&parameters, &gradients, &slots[0], &slots[1], step, kernel, scale, left_out)
            }
            Rule::Lion(Lion { beta1, beta2 }) => {
                let kernel = ext::Lion { learning_rate, beta1, beta2, weight_decay };
                ext::lion(&parameters, &gradients, &slots[0], kernel, scale, left_out)
            }
            Rule::Sgd(sgd) => {
                let kernel = ext::Sgd { learning_rate, momentum: sgd.momentum, weight_decay, nesterov: sgd.nesterov };
                let velocities = slots.first().map_or(&[][..], Vec::as_slice);
                ext::fused_sgd(&parameters, &gradients, velocities, kernel, scale, left_out)
            }
        }
    }
}
