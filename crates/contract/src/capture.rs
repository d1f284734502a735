//! Steps that a device records once and then replays.

use crate::{BoxError, TorchError};
use tch::Tensor;

/// A step: enqueues its operators and returns the tensors that hold its results.
pub type Step<'a> = dyn FnMut() -> Result<Vec<Tensor>, BoxError> + 'a;

/// Tells all ranks whether this one could record its step, and returns true if all of them could.
pub type Agree<'a> = dyn FnMut(bool) -> Result<bool, BoxError> + 'a;

/// A step that is captured after a few runs, and replayed from then on. The crate `torch-ext` has one for GPUs (a CUDA
/// graph), and one that tests a step without a GPU.
///
/// A replay repeats the operators of the capture with the numbers and the memory that they had there. So a step that is
/// to be captured reads its inputs from tensors that keep their place, and so does everything that changes from step to
/// step: learning rate, step counts, loss scale, sums of a metric. It reads no value from the device, and changes
/// nothing else on the host.
pub trait Capture {
    /// Makes the next step and returns in what way. `step` is called to warm up and to be captured; a replay does
    /// without it.
    ///
    /// # Errors
    ///
    /// See [`CaptureError`]. After each of them this thread's stream and libtorch's allocator are as before, and steps
    /// can be made without a capture. A capture that failed has drawn no random numbers.
    fn step(&mut self, step: &mut Step<'_>) -> Result<Stage, CaptureError> {
        self.step_if_all(step, &mut Ok)
    }

    /// Does the same as [`step`](Self::step) on one of several ranks, whose operators wait for those of the others.
    /// `all` is called once, after the step was recorded and before it is made: it is made if all ranks have recorded
    /// theirs, and is a [`CaptureError::Capture`] on all of them otherwise.
    ///
    /// # Errors
    ///
    /// Those of [`step`](Self::step), and that of `all`.
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError>;

    /// Returns the tensors that the last step returned. The next replay overwrites those of a capture.
    fn outputs(&self) -> &[Tensor];

    /// Forgets the capture, and that one may have failed: the next steps warm up for another one.
    ///
    /// # Errors
    ///
    /// Fails if memory is short.
    fn reset(&mut self) -> Result<(), TorchError>;
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
    /// The ranks could not tell each other whether they have captured it. Nothing of it has run on the device.
    #[error("the ranks could not agree on the capture of a step: {0}")]
    Ranks(#[source] BoxError),
    /// The device could not be told to replay.
    #[error("the captured step could not be replayed")]
    Replay(#[source] TorchError),
    /// A replay would not do what the step does now; only a capture for tests can know.
    #[error("a replay would not repeat the step: {0}")]
    Differs(String),
    /// An earlier step could not be captured or replayed.
    #[error("the step has no capture, since an earlier attempt failed; make it operator by operator")]
    Gone,
}
