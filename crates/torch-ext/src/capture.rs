//! Steps that are recorded once and then replayed, so that the host need not enqueue their operators one by one.
//! `contract::Capture` says what such a step must keep to.

#[cfg(cuda_graphs)]
mod cuda;
mod fake;
mod steps;

pub use fake::FakeCapture;

use contract::{Capture, TorchError};
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
