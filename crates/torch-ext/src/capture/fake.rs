//! A capture without a GPU, for tests.

use super::steps::{Recorder, Steps, made};
use crate::autocast::UncachedWeights;
use crate::lists::copy;
use crate::trace::Trace;
use contract::{Agree, BoxError, Capture, CaptureError, Stage, Step, TorchError};
use tch::Tensor;

/// Operators by which the host waits for a value, or for the size of a result.
const WAITS: [&str; 7] = ["item", "_local_scalar_dense", "is_nonzero", "nonzero", "equal", "masked_select", "bincount"];

/// Capture that makes every step operator by operator, on any device, and checks what a replay would rely on: that the
/// step runs the same operators in the same order, with the same numbers, on the same memory as at the capture. Results
/// are copied to where the capture left them, as a replay would write them.
///
/// It refuses operators that wait for a value from the device, as a CUDA graph does. It sees what libtorch's dispatcher
/// sees: not the values that the host writes to a tensor's memory itself.
///
/// Recording is making the step: a capture that fails since another rank's did has changed what the step changes.
#[derive(Debug)]
pub struct FakeCapture(Steps<Fake>);

impl FakeCapture {
    /// Creates a capture that captures after `warm_up` steps.
    pub fn new(warm_up: u32) -> Result<Self, TorchError> {
        Ok(Self(Steps::new(Fake { trace: Trace::new()?, lines: Vec::new(), replays: 0 }, warm_up)))
    }

    /// Returns the number of replays of all captures so far.
    pub fn replays(&self) -> u64 {
        self.0.recorder.replays
    }
}

impl Capture for FakeCapture {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        self.0.step_if_all(step, all)
    }

    fn outputs(&self) -> &[Tensor] {
        self.0.outputs()
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        self.0.reset()
    }
}

#[derive(Debug)]
struct Fake {
    trace: Trace,
    /// Operators of the capture.
    lines: Vec<String>,
    replays: u64,
}

impl Fake {
    fn watched(&self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
        let _uncached = UncachedWeights::new();
        let _watch = self.trace.watch(true)?;
        made(step)
    }

    /// Writes `new` results to the place of those of the capture.
    fn write(&self, outputs: &[Tensor], new: &[Tensor]) -> Result<(), CaptureError> {
        let differs = |text: String| Err(CaptureError::Differs(text));
        if new.len() != outputs.len() {
            return differs(format!("it returned {} tensors and returns {}", outputs.len(), new.len()));
        }
        for (number, (old, new)) in outputs.iter().zip(new).enumerate() {
            let like = |tensor: &Tensor| (tensor.size(), tensor.kind(), tensor.device());
            if like(old) != like(new) {
                return differs(format!("result {number} was {:?} and is {:?}", like(old), like(new)));
            }
            // The step gave out a tensor that it was given, a ring for example.
            let [was, is] = [old, new].map(|tensor| self.trace.was_outside(tensor));
            if (was || is) && old.data_ptr() != new.data_ptr() {
                return differs(format!("result {number} has moved to other memory"));
            }
            if !was {
                copy(&[old.detach()], &[new.detach()]).map_err(CaptureError::Replay)?;
            }
        }
        Ok(())
    }
}

impl Recorder for Fake {
    fn warm_up(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
        made(step)
    }

    fn record(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
        let outputs = self.watched(step)?;
        self.lines = self.trace.lines();
        let waits = |line: &&String| {
            let name = line.split_once('(').and_then(|(name, _)| name.strip_prefix("aten::"));
            name.is_some_and(|name| WAITS.contains(&name))
        };
        match self.lines.iter().find(waits) {
            Some(line) => Err(format!("{line} waits for the device").into()),
            None => Ok(outputs),
        }
    }

    fn begin(&mut self) -> Result<(), CaptureError> {
        Ok(())
    }

    fn replay(&mut self, step: &mut Step<'_>, outputs: &mut [Tensor]) -> Result<(), CaptureError> {
        let new = self.watched(step).map_err(CaptureError::Step)?;
        let lines = self.trace.lines();
        if let Some(number) = (0..lines.len().max(self.lines.len())).find(|at| lines.get(*at) != self.lines.get(*at)) {
            let told = |lines: &[String]| lines.get(number).map_or("nothing", String::as_str).to_owned();
            let (was, is) = (told(&self.lines), told(&lines));
            return Err(CaptureError::Differs(format!("operator {number} was {was} and is {is}")));
        }
        self.write(outputs, &new)?;
        self.replays += 1;
        Ok(())
    }

    fn forget(&mut self) -> Result<(), TorchError> {
        (self.trace, self.lines) = (Trace::new()?, Vec::new());
        Ok(())
    }
}
