//! Watches for losses and gradients that are not finite, and names the samples they came from.
//!
//! The optimizer has already refused to apply them (on the device, without a word); this is where a person hears of it.

use anyhow::{Result, bail};
use contract::{Progress, Update};
use tch::{Device, Tensor};

/// Steps between two looks at a GPU, which has to be waited for.
const GPU_INTERVAL: u64 = 20;

/// What was seen since the last look.
pub struct Guard {
    device: Device,
    steps: Vec<Step>,
}

struct Step {
    step: u64,
    names: Vec<String>,
    loss: Tensor,
    update: Option<Update>,
}

impl Guard {
    /// A guard of training on `device`.
    pub fn new(device: Device) -> Self {
        Self { device, steps: Vec::new() }
    }

    /// Takes note of a step. Gives its loss when it was time for a look, which reads it from the device.
    pub fn step(
        &mut self,
        at: Progress,
        names: Vec<String>,
        loss: Tensor,
        update: Option<Update>,
    ) -> Result<Option<f64>> {
        self.steps.push(Step { step: at.step, names, loss, update });
        if self.device != Device::Cpu && !at.step.is_multiple_of(GPU_INTERVAL) {
            return Ok(None);
        }
        let loss = self.steps.last().and_then(|step| value(&step.loss));
        self.look()?;
        Ok(loss)
    }

    /// Takes note of an epoch's end, with the update that it may have made.
    pub fn epoch(&mut self, update: Option<Update>) -> Result<()> {
        if let Some(last) = self.steps.last_mut().filter(|last| last.update.is_none()) {
            last.update = update;
        }
        self.look()
    }

    /// An error if an update was refused. Steps whose gradients wait for the next update are kept in mind.
    fn look(&mut self) -> Result<()> {
        let mut waiting = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let Some(update) = &step.update else { continue };
            if value(&update.rejected) != Some(0.0) {
                return self.report(&self.steps[waiting..=index], update);
            }
            waiting = index + 1;
        }
        self.steps.drain(..waiting);
        Ok(())
    }

    fn report(&self, steps: &[Step], update: &Update) -> Result<()> {
        let bad = |step: &&Step| value(&step.loss).is_none_or(|loss| !loss.is_finite());
        let culprits: Vec<&Step> = match steps.iter().filter(bad).collect::<Vec<_>>() {
            none if none.is_empty() => steps.iter().collect(),
            some => some,
        };
        let losses: Vec<String> = culprits.iter().map(|step| shown(&step.loss)).collect();
        let names: Vec<&str> = culprits.iter().flat_map(|step| step.names.iter().map(String::as_str)).collect();
        bail!(
            "step {}: the loss or its gradient is not finite (loss {}, gradient norm {}, learning rate {:e}; samples: {}). \
             The weights were not changed, and the checkpoints before it are good. Look at these samples, lower \
             optimizer.learning_rate, or set optimizer.clip_norm",
            culprits.first().map_or(0, |step| step.step),
            losses.join(", "),
            shown(&update.gradient_norm),
            update.learning_rate,
            names.join(", "),
        )
    }
}

fn value(scalar: &Tensor) -> Option<f64> {
    scalar.f_double_value(&[]).ok()
}

fn shown(scalar: &Tensor) -> String {
    value(scalar).map_or("unknown".into(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(guard: &mut Guard, step: u64, loss: f32, rejected: Option<f32>) -> Result<Option<f64>> {
        let update = rejected.map(|rejected| Update {
            learning_rate: 1e-3,
            gradient_norm: Tensor::from(f32::NAN),
            rejected: Tensor::from(rejected),
        });
        let at = Progress { step, ..Progress::default() };
        guard.step(at, vec![format!("sample{step}")], Tensor::from(loss), update)
    }

    #[test]
    fn a_rejected_update_names_step_samples_and_learning_rate() {
        let mut guard = Guard::new(Device::Cpu);
        assert_eq!(take(&mut guard, 1, 0.5, Some(0.0)).unwrap(), Some(0.5));
        let error = take(&mut guard, 2, f32::NAN, Some(1.0)).unwrap_err().to_string();
        assert!(error.starts_with("step 2:"), "{error}");
        for part in ["loss NaN", "learning rate 1e-3", "samples: sample2)"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn of_accumulated_batches_the_bad_one_is_named() {
        let mut guard = Guard::new(Device::Cpu);
        for (step, loss) in [(1, 0.5), (2, f32::INFINITY), (3, 0.4)] {
            take(&mut guard, step, loss, None).unwrap();
        }
        let error = take(&mut guard, 4, 0.3, Some(1.0)).unwrap_err().to_string();
        assert!(error.starts_with("step 2:") && error.contains("samples: sample2)"), "{error}");
    }
}
