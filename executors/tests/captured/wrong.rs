//! A capture whose replays are wrong.

use contract::{Agree, Capture, CaptureError, Stage, StateDict, Step, TorchError};
use tch::Tensor;

/// Steps made operator by operator before the capture.
pub const WARM_UP: u32 = 3;

/// Error of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrong {
    /// It uses a learning rate that is a seventh larger, that of another step.
    LearningRate,
    /// It leaves the metric out.
    Metric,
    /// It leaves the optimizer's count of its steps out.
    Steps,
    /// It draws other random numbers.
    Dropout,
    /// It writes its loss to another place.
    Loss,
    /// It does not find an update that is rejected.
    Rejection,
}

/// A capture that spoils the replays of another one.
pub struct Spoiled<'c> {
    capture: &'c mut dyn Capture,
    wrong: Option<(Wrong, u32)>,
    steps: u32,
    weights: StateDict,
    metric: StateDict,
    optimizer: StateDict,
}

impl<'c> Spoiled<'c> {
    /// Spoils what it finds in the states of weights, metric and optimizer, in this order.
    pub fn new(capture: &'c mut dyn Capture, wrong: Option<(Wrong, u32)>, states: [StateDict; 3]) -> Self {
        let [mut weights, metric, optimizer] = states;
        weights.retain(|name, _| !name.contains("running"));
        Self { capture, wrong, steps: 0, weights, metric, optimizer }
    }
}

fn copied(state: &StateDict) -> Vec<Tensor> {
    state.values().map(Tensor::copy).collect()
}

impl Capture for Spoiled<'_> {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        self.steps += 1;
        let wrong = self.wrong.filter(|(_, from)| self.steps > WARM_UP + from).map(|(wrong, _)| wrong);
        let (weights, metric, count) = (copied(&self.weights), copied(&self.metric), self.optimizer["step"].copy());
        if wrong == Some(Wrong::Dropout) {
            tch::manual_seed(i64::from(self.steps));
        }
        let stage = self.capture.step_if_all(step, all)?;
        let _no_grad = tch::no_grad_guard();
        let outputs = self.capture.outputs();
        match wrong {
            Some(Wrong::LearningRate) => {
                for (now, before) in self.weights.values_mut().zip(weights) {
                    let changed = (&*now - &before) * (8.0 / 7.0);
                    now.copy_(&(before + changed));
                }
            }
            Some(Wrong::Metric) => self.metric.values_mut().zip(metric).for_each(|(now, before)| now.copy_(&before)),
            Some(Wrong::Steps) => self.optimizer.get_mut("step").unwrap().copy_(&count),
            Some(Wrong::Loss) => drop(outputs[0].shallow_clone().g_add_scalar_(0.5)),
            Some(Wrong::Rejection) => drop(outputs[2].shallow_clone().g_add_scalar_(1.0)),
            Some(Wrong::Dropout) | None => {}
        }
        Ok(stage)
    }

    fn outputs(&self) -> &[Tensor] {
        self.capture.outputs()
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        self.capture.reset()
    }
}
