//! The stages of a capture, the same for every device.

use contract::{Agree, BoxError, Capture, CaptureError, Stage, Step, TorchError, caught};
use tch::Tensor;

/// A device's part in a capture.
pub(super) trait Recorder {
    /// Makes the step as the capture will find it.
    fn warm_up(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError>;
    /// Records the step.
    fn record(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError>;
    /// Makes the step that was just recorded for the first time, unless recording it was making it.
    fn begin(&mut self) -> Result<(), CaptureError>;
    /// Makes the recorded step once more.
    fn replay(&mut self, step: &mut Step<'_>, outputs: &mut [Tensor]) -> Result<(), CaptureError>;
    /// Forgets the recorded step and frees its memory.
    fn forget(&mut self) -> Result<(), TorchError>;
}

/// The order of the stages, the same for every device.
#[derive(Debug)]
pub(super) struct Steps<R> {
    pub(super) recorder: R,
    warm_up: u32,
    state: State,
    outputs: Vec<Tensor>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// So many runs are left before the capture.
    WarmUp(u32),
    Captured,
    Gone,
}

impl<R> Steps<R> {
    pub(super) fn new(recorder: R, warm_up: u32) -> Self {
        Self { recorder, warm_up, state: State::WarmUp(warm_up), outputs: Vec::new() }
    }
}

impl<R: Recorder> Capture for Steps<R> {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        match self.state {
            State::WarmUp(0) => {
                // The results of the warm-up would take up memory beside those of the capture.
                self.outputs.clear();
                self.state = State::Gone;
                let recorded = self.recorder.record(step);
                let by_all = all(recorded.is_ok()).map_err(CaptureError::Ranks)?;
                let outputs = recorded.map_err(CaptureError::Capture)?;
                if !by_all {
                    return Err(CaptureError::Capture("another rank could not capture it".into()));
                }
                self.recorder.begin()?;
                (self.outputs, self.state) = (outputs, State::Captured);
                Ok(Stage::Capture)
            }
            State::WarmUp(left) => {
                self.outputs = self.recorder.warm_up(step).map_err(CaptureError::Step)?;
                self.state = State::WarmUp(left - 1);
                Ok(Stage::WarmUp)
            }
            State::Captured => {
                self.state = State::Gone;
                self.recorder.replay(step, &mut self.outputs)?;
                self.state = State::Captured;
                Ok(Stage::Replay)
            }
            State::Gone => Err(CaptureError::Gone),
        }
    }

    fn outputs(&self) -> &[Tensor] {
        &self.outputs
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        self.state = State::Gone;
        self.outputs.clear();
        self.recorder.forget()?;
        self.state = State::WarmUp(self.warm_up);
        Ok(())
    }
}

/// Calls a step. Its panics become errors, so that a capture always comes to an end.
pub(super) fn made(step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
    caught(step).unwrap_or_else(|said| Err(said.into()))
}
