//! The stages of a capture, the same for every device.

use contract::{BoxError, TorchError, caught};
use tch::Tensor;

/// A step: enqueues its operators and returns the tensors that hold its results.
pub type Step<'a> = dyn FnMut() -> Result<Vec<Tensor>, BoxError> + 'a;

/// A step that is captured after a few runs, and replayed from then on.
pub trait Capture {
    /// Makes the next step and returns in what way. `step` is called to warm up and to be captured; a replay does
    /// without it.
    ///
    /// # Errors
    ///
    /// See [`CaptureError`]. After each of them this thread's stream and libtorch's allocator are as before, and steps
    /// can be made without a capture. A capture that failed has drawn no random numbers.
    fn step(&mut self, step: &mut Step<'_>) -> Result<Stage, CaptureError>;

    /// Returns the tensors that the last step returned. The next replay overwrites those of a capture.
    fn outputs(&self) -> &[Tensor];
}

/// Way in which a step was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Operator by operator, on the stream of the capture.
    WarmUp,
    /// Captured, and then replayed for the first time.
    Capture,
    /// Replayed.
    Replay,
}

/// Failure of a step that is or is to be captured.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The step itself failed while it warmed up. It can be tried again.
    #[error("a step failed before it was captured")]
    Step(#[source] BoxError),
    /// The step could not be captured. Nothing of it has run on the device.
    #[error("the step could not be captured as a CUDA graph; it must be made operator by operator")]
    Capture(#[source] BoxError),
    /// The device could not be told to replay.
    #[error("the captured step could not be replayed")]
    Replay(#[source] TorchError),
    /// A replay would not do what the step does now; only [`FakeCapture`](crate::FakeCapture) can know.
    #[error("a replay would not repeat the step: {0}")]
    Differs(String),
    /// An earlier step could not be captured or replayed.
    #[error("the step has no capture, since an earlier attempt failed; make it operator by operator")]
    Gone,
}

/// A device's part in a capture.
pub(super) trait Recorder {
    /// Makes the step as the capture will find it.
    fn warm_up(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError>;
    /// Records the step and makes it once.
    fn record(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, CaptureError>;
    /// Makes the recorded step once more.
    fn replay(&mut self, step: &mut Step<'_>, outputs: &mut [Tensor]) -> Result<(), CaptureError>;
}

/// The order of the stages, the same for every device.
#[derive(Debug)]
pub(super) struct Steps<R> {
    pub(super) recorder: R,
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
        Self { recorder, state: State::WarmUp(warm_up), outputs: Vec::new() }
    }
}

impl<R: Recorder> Capture for Steps<R> {
    fn step(&mut self, step: &mut Step<'_>) -> Result<Stage, CaptureError> {
        match self.state {
            State::WarmUp(0) => {
                // The results of the warm-up would take up memory beside those of the capture.
                self.outputs.clear();
                self.state = State::Gone;
                self.outputs = self.recorder.record(step)?;
                self.state = State::Captured;
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
}

/// Calls a step. Its panics become errors, so that a capture always comes to an end.
pub(super) fn made(step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
    caught(step).unwrap_or_else(|said| Err(said.into()))
}
