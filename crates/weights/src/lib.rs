//! Weights from files of others: `.safetensors`, and what `torch.save` makes of a state dict.
//!
//! A file is known by its content, not by its name. [`read`] gives all its tensors by name; what they are called in a
//! network is the network's to say.
//!
//! **Invariant:** nothing that a file says is executed. A pickle is read as data: of what it names only the parts of a
//! tensor are known here, and everything else is passed over, or is the reason why a file is refused.

mod dict;
mod error;
mod pickle;
mod storage;

pub use error::Error;

use contract::{StateDict, TorchError};
use dict::Archive;
use error::unfit;
use safetensors::{Dtype, SafeTensors};
use std::io::Read;
use std::path::Path;
use tch::{Kind, Tensor};

/// The tensors of the file at `path`, by name, on the CPU. Of a training checkpoint that holds more than a state dict, those
/// under `state_dict`, `model_state_dict` or `model`.
///
/// # Errors
///
/// [`Error::Io`] where it cannot be read, [`Error::Unfit`] where it is no such file or a damaged one, [`Error::NoTensors`] with
/// a list of what there is in the place of tensors.
pub fn read(path: &Path) -> Result<StateDict, Error> {
    let mut bytes = Vec::new();
    let read = regular::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|source| Error::Io { path: path.into(), source })?;
    parse(path, &bytes)
}

/// [`read`] for the `bytes` of a file; `path` names it in errors.
///
/// # Errors
///
/// Those of [`read`] but [`Error::Io`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<StateDict, Error> {
    match bytes {
        // First, because the length that it begins with may look like the beginning of the others.
        bytes if is_safetensors(bytes) => safetensors(path, bytes),
        [b'P', b'K', ..] => Archive::open(path, bytes)?.state_dict(),
        [pickle::PROTO, ..] => dict::legacy(path, bytes),
        _ => safetensors(path, bytes),
    }
}

/// Returns the constants of a TorchScript (`CONSTANTS.c0` and so on in its code) from the `bytes` of its file, on the
/// CPU. `path` names it in errors.
///
/// # Errors
///
/// [`Error::Unfit`] where it is no such file, a damaged one, or one with a constant that is no tensor.
pub fn constants(path: &Path, bytes: &[u8]) -> Result<Vec<Tensor>, Error> {
    Archive::open(path, bytes)?.constants()
}

/// Whether there is a header of JSON, of the length that stands before it.
fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| length < bytes.len() as u64) && bytes.get(8) == Some(&b'{')
}

fn safetensors(path: &Path, bytes: &[u8]) -> Result<StateDict, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| {
        let known = "known are .safetensors and what torch.save makes of a state dict";
        unfit(path, format!("it is no file of weights, or a damaged one ({known}): {error}"))
    })?;
    let mut tensors = StateDict::new();
    for (name, view) in file.iter() {
        let kind =
            kind(view.dtype()).ok_or_else(|| unfit(path, format!("tensor '{name}' is of {:?}", view.dtype())))?;
        let shape: Result<Vec<i64>, _> = view.shape().iter().map(|side| i64::try_from(*side)).collect();
        let shape = shape.map_err(|_| unfit(path, format!("tensor '{name}' is larger than any memory")))?;
        let tensor = Tensor::f_from_data_size(view.data(), &shape, kind);
        tensors.insert(name.into(), tensor.map_err(|error| torch(path, name, &error))?);
    }
    Ok(tensors)
}

fn kind(dtype: Dtype) -> Option<Kind> {
    Some(match dtype {
        Dtype::F32 => Kind::Float,
        Dtype::F64 => Kind::Double,
        Dtype::F16 => Kind::Half,
        Dtype::BF16 => Kind::BFloat16,
        Dtype::I64 => Kind::Int64,
        Dtype::I32 => Kind::Int,
        Dtype::I16 => Kind::Int16,
        Dtype::I8 => Kind::Int8,
        Dtype::U8 => Kind::Uint8,
        Dtype::BOOL => Kind::Bool,
        _ => return None,
    })
}

/// What libtorch said of a tensor of the file.
fn torch(path: &Path, name: &str, error: &tch::TchError) -> Error {
    unfit(path, format!("tensor '{name}': {}", TorchError::new(&error.to_string())))
}

#[cfg(test)]
mod tests;
