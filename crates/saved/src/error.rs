//! Errors of saved networks.

use contract::{StateError, TorchError};
use std::io;
use std::path::PathBuf;
use tch::TchError;

/// Failure to save, open or use a network.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The folder has no description that can be read.
    #[error("{} is no saved network: model.json: {source}", folder.display())]
    NoNetwork {
        /// The folder.
        folder: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// The description is not what an export writes.
    #[error("{}: {source}; export the network again", path.display())]
    Description {
        /// Path of the description.
        path: PathBuf,
        /// Deviation, with its line.
        source: serde_json::Error,
    },
    /// The description has a format of another version.
    #[error("{} has format {format}, which this program does not read: use the oxiseg that saved it", path.display())]
    Format {
        /// Path of the description.
        path: PathBuf,
        /// Its format.
        format: u64,
    },
    /// The network was saved in no format that can be read back.
    #[error("{} has neither model.safetensors nor model.pt: export it with one of them", folder.display())]
    NoFile {
        /// The folder.
        folder: PathBuf,
    },
    /// The recorded configuration is missing, of a newer program, or not valid.
    #[error("{origin}{problem}")]
    Configuration {
        /// File or folder that records it.
        origin: String,
        /// Rest of the sentence.
        problem: String,
    },
    /// The system could not read or write a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// Path of the file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// A file is not the one that was saved.
    #[error("{} is damaged: its checksum is not the one in model.json; copy or export it again", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
    },
    /// A file has no weights that can be read.
    #[error(transparent)]
    Weights(#[from] weights::Error),
    /// A `model.pt` is not one that an export writes.
    #[error(transparent)]
    TorchScript(#[from] export::Error),
    /// The weights are not those of the network in the description.
    #[error("{} is not of the network in model.json: {source}; export it again", path.display())]
    Mismatch {
        /// Path of the file.
        path: PathBuf,
        /// First difference.
        source: StateError,
    },
    /// An image cannot be read or brought to the network's size.
    #[error(transparent)]
    Image(#[from] data::Error),
    /// The network failed on an image.
    #[error(transparent)]
    Prediction(executors::Error),
    /// The network failed on a tile.
    #[error("predicting in tiles: {0}")]
    Tiles(#[source] contract::BoxError),
    /// The network returned something else than logits for each pixel.
    #[error("the network returned {found:?}, and its classes and size are {expected:?}: export it again")]
    Outputs {
        /// Number of classes, height and width.
        expected: Vec<i64>,
        /// Shape of its outputs.
        found: Vec<i64>,
    },
    /// libtorch reported an error.
    #[error(transparent)]
    Torch(#[from] TorchError),
}

impl From<TchError> for Error {
    fn from(error: TchError) -> Self {
        Self::Torch(error.into())
    }
}

impl From<executors::Error> for Error {
    /// Returns an error of the images as such, and any other with its place.
    fn from(error: executors::Error) -> Self {
        match error {
            executors::Error::Input { place, source } => match source.downcast() {
                Ok(error) => Self::Image(*error),
                Err(source) => Self::Prediction(executors::Error::Input { place, source }),
            },
            error => Self::Prediction(error),
        }
    }
}
