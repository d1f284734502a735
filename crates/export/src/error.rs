//! Errors of saving a network and of reading it back.

use contract::TorchError;
use std::io;
use std::path::PathBuf;
use tch::TchError;

/// Failure to save a network or to read it back.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libtorch could not trace the network on the example.
    #[error("tracing the network: {0}")]
    Follow(#[source] TorchError),
    /// libtorch reported an error.
    #[error("{doing} {}: {source}", path.display())]
    Torch {
        /// Operation that failed.
        doing: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Error of libtorch.
        source: TorchError,
    },
    /// A `model.pt` that differs from what this crate writes. It is a program, so none of it was run.
    #[error("{} is not run, for it is no model.pt as oxiseg saves it: {problem}", path.display())]
    Foreign {
        /// Path of the file.
        path: PathBuf,
        /// Description of the deviation.
        problem: String,
    },
    /// An operator has no translation.
    #[error("libtorch's operator {name} has no translation to ONNX here")]
    Operator {
        /// Its name in libtorch.
        name: String,
    },
    /// An operator's argument has no translation.
    #[error("libtorch's operator {name} has no translation to ONNX here as it is used: {what}")]
    Argument {
        /// The operator's name in libtorch.
        name: String,
        /// Reason.
        what: String,
    },
    /// The network does not have exactly one input (images) and one output (logits).
    #[error("a network with one input and one output was expected, this one has {inputs} and {outputs}")]
    Interface {
        /// Number of inputs.
        inputs: usize,
        /// Number of outputs.
        outputs: usize,
    },
    /// The example is no image.
    #[error("a network is traced on an image [1, C, H, W], and its example has the shape {shape:?}")]
    Example {
        /// Shape of the example.
        shape: Vec<i64>,
    },
    /// The traced network takes one image only.
    #[error("the traced network does not take several images at once: {said}")]
    Batch {
        /// Message of libtorch.
        said: String,
    },
    /// The network is too large for an ONNX file.
    #[error("the network has {size} bytes, and an ONNX file can have no more than 2 GB: leave that format out")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A file could not be written.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A runtime of ONNX reported an error.
    #[error("{runtime} on {}: {said}", path.display())]
    Onnx {
        /// Name of the runtime.
        runtime: &'static str,
        /// Path of the file.
        path: PathBuf,
        /// Its message.
        said: String,
    },
}

impl Error {
    pub(crate) fn torch(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(TchError) -> Self {
        let path = path.into();
        move |error| Self::Torch { doing, path, source: error.into() }
    }

    pub(crate) fn of_weights(name: &str) -> impl FnOnce(TchError) -> Self {
        Self::torch("reading the constant", name)
    }
}
