//! Steps that are recorded once and then replayed, so that the host need not enqueue their operators one by one.
//!
//! A replay repeats the operators of the capture with the numbers and the memory that they had there. So a step that is
//! to be captured reads its inputs from tensors that keep their place, and so does everything that changes from step to
//! step: learning rate, step counts, loss scale, sums of a metric. It reads no value from the device.

#[cfg(cuda_graphs)]
mod cuda;
mod fake;
mod steps;

pub use fake::FakeCapture;
pub use steps::{Capture, CaptureError, Stage, Step};

use contract::TorchError;
use tch::Device;

/// Makes a capture of a step on `device` as a CUDA graph, after `warm_up` steps. Returns `None` if it is not a GPU, or
/// if CUDA's headers were not found when this was compiled (see `scripts/libtorch`).
///
/// Memory that the captured step uses stays allocated as long as the capture lives. Dropout goes on drawing new
/// numbers, those that it would draw without a capture.
pub fn cuda_graph(device: Device, warm_up: u32) -> Result<Option<Box<dyn Capture>>, TorchError> {
    #[cfg(cuda_graphs)]
    if device.is_cuda() {
        return Ok(Some(Box::new(steps::Steps::new(cuda::CudaGraphs::new(device)?, warm_up))));
    }
    let _ = (device, warm_up);
    Ok(None)
}

/// Returns true if CUDA's headers were found when this was compiled.
pub fn has_cuda_graphs() -> bool {
    cfg!(cuda_graphs)
}

#[cfg(test)]
mod tests;
