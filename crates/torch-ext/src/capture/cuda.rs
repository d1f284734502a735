//! Captures as CUDA graphs.

use super::steps::{Recorder, made};
use crate::autocast::UncachedWeights;
use crate::stream::Stream;
use crate::trace::Trace;
use crate::{cuda_index, ffi};
use contract::{BoxError, CaptureError, Step, TorchError};
use std::mem;
use std::ptr::NonNull;
use tch::{Device, Tensor};

/// Recorder of a GPU. It warms up and records on a stream of its own, as CUDA wants it, and replays on the current one.
#[derive(Debug)]
pub(super) struct CudaGraphs {
    device: Device,
    stream: Stream,
    graph: Option<Graph>,
    /// Keeps the memory that a replay uses.
    trace: Trace,
}

impl CudaGraphs {
    pub(super) fn new(device: Device) -> Result<Self, TorchError> {
        Ok(Self { device, stream: Stream::new(device)?, graph: None, trace: Trace::new()? })
    }

    fn captured(&self, step: &mut Step<'_>) -> Result<(Graph, Vec<Tensor>), BoxError> {
        let _side = self.stream.enter()?;
        let _uncached = UncachedWeights::new();
        let graph = Graph::begin(self.device)?;
        let outputs = {
            let watch = self.trace.watch(false);
            watch.map_err(BoxError::from).and_then(|_watch| made(step))
        };
        match outputs {
            Ok(outputs) => Ok((graph.end()?, outputs)),
            Err(error) => {
                graph.abort();
                Err(error)
            }
        }
    }
}

impl Recorder for CudaGraphs {
    fn warm_up(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
        let _side = self.stream.enter()?;
        made(step)
    }

    fn record(&mut self, step: &mut Step<'_>) -> Result<Vec<Tensor>, BoxError> {
        let (graph, outputs) = self.captured(step)?;
        self.graph = Some(graph);
        Ok(outputs)
    }

    /// Recorded is not made.
    fn begin(&mut self) -> Result<(), CaptureError> {
        match &self.graph {
            Some(graph) => graph.replay().map_err(CaptureError::Replay),
            None => Err(CaptureError::Gone),
        }
    }

    fn replay(&mut self, _: &mut Step<'_>, _: &mut [Tensor]) -> Result<(), CaptureError> {
        self.begin()
    }

    fn forget(&mut self) -> Result<(), TorchError> {
        self.graph = None;
        self.trace = Trace::new()?;
        Ok(())
    }
}

/// A CUDA graph of the shim.
#[derive(Debug)]
struct Graph(NonNull<ffi::CCudaGraph>);

impl Graph {
    fn begin(device: Device) -> Result<Self, TorchError> {
        // SAFETY: the shim writes a graph that we own, or fails and captures nothing.
        ffi::owned(|out| unsafe { ffi::oxiseg_begin_capture(cuda_index(device), out) }).map(Self)
    }

    fn end(self) -> Result<Self, TorchError> {
        // SAFETY: a live graph whose capture has begun. If it cannot end, the shim puts libtorch right.
        ffi::checked(unsafe { ffi::oxiseg_end_capture(self.0.as_ptr()) })?;
        Ok(self)
    }

    fn abort(self) {
        // SAFETY: a live graph whose capture has begun; the shim frees it.
        unsafe { ffi::oxiseg_abort_capture(self.0.as_ptr()) };
        mem::forget(self);
    }

    fn replay(&self) -> Result<(), TorchError> {
        // SAFETY: a live graph whose capture has ended. Its memory is the graph's own or kept by the trace.
        ffi::checked(unsafe { ffi::oxiseg_replay(self.0.as_ptr()) })
    }
}

impl Drop for Graph {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and nobody else has it. The shim waits for its replays.
        unsafe { ffi::oxiseg_free_cuda_graph(self.0.as_ptr()) };
    }
}
