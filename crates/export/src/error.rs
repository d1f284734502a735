//! Why a network was not saved, or not read again.

use contract::TorchError;
use std::io;
use std::path::PathBuf;
use tch::TchError;

/// Why a network was not saved, or not read again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// libtorch could not follow the network on the example.
    #[error("following the network: {0}")]
    Follow(#[source] TorchError),
    /// libtorch refused.
    #[error("{doing} {}: {source}", path.display())]
    Torch {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What it said.
        source: TorchError,
    },
    /// A `model.pt` that is not as this crate writes it. It is a program, so nothing of it was run.
    #[error("{} is not run, for it is no model.pt as oxiseg saves it: {problem}", path.display())]
    Foreign {
        /// The file.
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
        /// What is in the way.
        what: String,
    },
    /// The network has more than images for its input and logits for its output.
    #[error("a network with one input and one output was expected, this one has {inputs} and {outputs}")]
    Interface {
        /// Inputs.
        inputs: usize,
        /// Outputs.
        outputs: usize,
    },
    /// More than fits into an ONNX file.
    #[error("the network has {size} bytes, and an ONNX file can have no more than 2 GB: leave that format out")]
    TooLarge {
        /// Its size in bytes.
        size: usize,
    },
    /// A file could not be written.
    #[error("writing {}: {source}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// ONNX Runtime refused.
    #[error("ONNX Runtime on {}: {said}", path.display())]
    Onnx {
        /// Which file.
        path: PathBuf,
        /// What it said.
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
