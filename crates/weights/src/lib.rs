//! Reads weights from foreign files: `.safetensors`, and state dicts written by `torch.save`.
//!
//! The format is detected from the content, not from the file's name. [`read`] returns all tensors by name.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("resnet18.safetensors");
//! # let (kind, device) = (tch::Kind::Float, tch::Device::Cpu);
//! # tch::Tensor::write_safetensors(&[("conv1.weight", tch::Tensor::zeros([64, 3, 7, 7], (kind, device)))], &path)?;
//! let tensors = weights::read(&path)?;
//! assert_eq!(tensors["conv1.weight"].size(), [64, 3, 7, 7]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Invariant:** nothing in a file is executed. A pickle is parsed as data: only the names that make up a tensor are
//! recognised; everything else is ignored, or the reason why a file is refused.
//!
//! # What it does not do
//!
//! It downloads nothing and writes nothing. Mapping names in a file to its own is up to the network (`model::adopt`).
//! Tensors of quantised, complex or 8-bit float numbers are not read.

mod dict;
mod error;
mod pickle;
mod storage;

pub use error::Error;

use contract::StateDict;
use dict::Archive;
use error::{torch, unfit};
use safetensors::{Dtype, SafeTensors};
use std::io::Read;
use std::path::Path;
use tch::{Kind, Tensor};

/// Reads the tensors of the file at `path`, by name, onto the CPU. If a training checkpoint holds more than a state
/// dict, reads those under `state_dict`, `model_state_dict` or `model`.
///
/// # Errors
///
/// [`Error::Io`] if the file cannot be read, [`Error::Unfit`] if it is no file of weights or damaged,
/// [`Error::NoTensors`] with a list of the other values if it holds any.
pub fn read(path: &Path) -> Result<StateDict, Error> {
    let mut bytes = Vec::new();
    let read = regular::open(path).and_then(|mut file| file.read_to_end(&mut bytes));
    read.map_err(|source| Error::Io { path: path.into(), source })?;
    parse(path, &bytes)
}

/// Reads the tensors from the `bytes` of a file, like [`read`]; `path` names it in errors.
///
/// # Errors
///
/// Those of [`read`] except [`Error::Io`].
pub fn parse(path: &Path, bytes: &[u8]) -> Result<StateDict, Error> {
    match bytes {
        // First, because the header length at its start may look like the start of the other formats.
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
/// [`Error::Unfit`] if it is no TorchScript, is damaged, or has a constant that is not a tensor.
pub fn constants(path: &Path, bytes: &[u8]) -> Result<Vec<Tensor>, Error> {
    Archive::open(path, bytes)?.constants()
}

/// Returns true if `bytes` begin with a header length that fits and a JSON header.
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

#[cfg(test)]
mod tests;
