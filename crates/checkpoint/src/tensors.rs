//! Writes a state as a safetensors file and reads it back, with the kinds, shapes and bits of all tensors unchanged.

use crate::{Error, finite, hashed::Hashed};
use contract::{StateDict, TorchError};
use safetensors::tensor::{Dtype, Metadata, SafeTensors, TensorInfo, TensorView};
use std::path::Path;
use tch::{Device, Kind, TchError, Tensor};

const KINDS: [(Kind, Dtype); 10] = [
    (Kind::Float, Dtype::F32),
    (Kind::Double, Dtype::F64),
    (Kind::Half, Dtype::F16),
    (Kind::BFloat16, Dtype::BF16),
    (Kind::Int64, Dtype::I64),
    (Kind::Int, Dtype::I32),
    (Kind::Int16, Dtype::I16),
    (Kind::Int8, Dtype::I8),
    (Kind::Uint8, Dtype::U8),
    (Kind::Bool, Dtype::BOOL),
];
/// Header key that the format reserves for its own entry, so no tensor can have this name.
const RESERVED: &str = "__metadata__";
/// Maximum number of dimensions in libtorch.
const MAX_DIMENSIONS: usize = 64;

/// A tensor and its description in the file.
struct Entry<'a> {
    name: &'a str,
    tensor: &'a Tensor,
    info: TensorInfo,
}

/// Writes the tensors of `state`, a small part of one in memory at a time. `step` is for the error if they must be
/// finite and are not.
///
/// If they are contiguous and on the CPU, libtorch only copies their bytes, on the calling thread alone. A second
/// thread that starts libtorch's parallel work gets its own thread pool, which competes with the training for the
/// processor.
pub fn write(state: &str, tensors: &StateDict, step: u64, to: &mut Hashed) -> Result<(), Error> {
    let mut entries = tensors.iter().map(|(name, tensor)| entry(state, name, tensor)).collect::<Result<Vec<_>, _>>()?;
    // The format wants wide kinds first, so that every tensor is aligned.
    entries.sort_by(|a, b| b.info.dtype.cmp(&a.info.dtype).then(a.name.cmp(b.name)));
    let mut end = 0;
    for Entry { info, .. } in &mut entries {
        info.data_offsets = (end, end + info.data_offsets.1);
        end = info.data_offsets.1;
    }
    to.write(&header(state, &entries)?)?;
    entries.iter().try_for_each(|entry| write_values(state, entry, step, to))
}

/// Writes the values of one tensor, a buffer at a time: each is checked and checksummed while it is still in the
/// processor's cache.
fn write_values(state: &str, entry: &Entry, step: u64, to: &mut Hashed) -> Result<(), Error> {
    let Entry { name, tensor, info } = entry;
    let (start, end) = info.data_offsets;
    let elements: usize = info.shape.iter().product();
    if elements == 0 {
        return Ok(());
    }
    let width = (end - start) / elements;
    let flat = || tensor.f_detach()?.f_to_device(Device::Cpu)?.f_contiguous()?.f_view([elements as i64]);
    let flat = flat().map_err(torch(state, name))?;
    let mut at = 0;
    while at < elements {
        // Every tensor begins at a multiple of its width, so at least one value fits.
        let length = (elements - at).min(to.room() / width);
        let part = flat.f_narrow(0, at as i64, length as i64).map_err(torch(state, name))?;
        to.fill(length * width, |bytes| {
            part.f_copy_data_u8(bytes, length).map_err(torch(state, name))?;
            if finite::required(state, elements) && !finite::all(info.dtype, bytes) {
                return Err(Error::NotFinite { state: state.into(), tensor: (*name).into(), step });
            }
            Ok(())
        })?;
        at += length;
    }
    Ok(())
}

/// Returns the entry of a tensor, as if it were the only one of its file.
fn entry<'a>(state: &str, name: &'a str, tensor: &'a Tensor) -> Result<Entry<'a>, Error> {
    let refuse = |problem: String| Error::Tensor { state: state.into(), tensor: name.into(), problem };
    if name == RESERVED {
        return Err(refuse("its name is reserved".into()));
    }
    require_defined(state, name, tensor)?;
    let kind = tensor.f_kind().map_err(torch(state, name))?;
    let dtype = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, dtype)| *dtype);
    let dtype = dtype.ok_or_else(|| refuse(format!("it is of kind {kind:?}")))?;
    let shape: Vec<usize> = tensor.size().iter().map(|&n| usize::try_from(n).unwrap_or(0)).collect();
    let bytes = shape.iter().product::<usize>() * kind.elt_size_in_bytes();
    Ok(Entry { name, tensor, info: TensorInfo { dtype, shape, data_offsets: (0, bytes) } })
}

/// Checks that `tensor` is defined: libtorch cannot query one that is not.
pub fn require_defined(state: &str, name: &str, tensor: &Tensor) -> Result<(), Error> {
    let undefined = || Error::Tensor { state: state.into(), tensor: name.into(), problem: "it is undefined".into() };
    tensor.defined().then_some(()).ok_or_else(undefined)
}

fn header(state: &str, entries: &[Entry]) -> Result<Vec<u8>, Error> {
    let refuse = |problem: String| Error::Tensor { state: state.into(), tensor: "(all)".into(), problem };
    let infos = entries.iter().map(|Entry { name, info, .. }| {
        let TensorInfo { dtype, shape, data_offsets } = info;
        (name.to_string(), TensorInfo { dtype: *dtype, shape: shape.clone(), data_offsets: *data_offsets })
    });
    let metadata = Metadata::new(None, infos.collect()).map_err(|error| refuse(error.to_string()))?;
    let mut json = serde_json::to_vec(&metadata).map_err(|error| refuse(error.to_string()))?;
    json.resize(json.len().next_multiple_of(8), b' ');
    Ok([&(json.len() as u64).to_le_bytes(), json.as_slice()].concat())
}

/// Reads the tensors of a safetensors file, on the CPU. Lengths, offsets, names and shapes may be anything.
pub fn read(path: &Path, bytes: &[u8]) -> Result<StateDict, Error> {
    let file = SafeTensors::deserialize(bytes).map_err(|error| Error::damaged(path, error.to_string()))?;
    let mut state = StateDict::new();
    for (name, view) in file.iter() {
        let tensor = tensor(&view).map_err(|problem| Error::damaged(path, format!("tensor {name:?}: {problem}")))?;
        state.insert(name.into(), tensor);
    }
    Ok(state)
}

fn tensor(view: &TensorView) -> Result<Tensor, String> {
    let (dtype, shape, data) = (view.dtype(), view.shape(), view.data());
    let kind = KINDS.iter().find(|(_, known)| *known == dtype).map(|(kind, _)| *kind);
    let kind = kind.ok_or_else(|| format!("kind {dtype:?} is not one that a checkpoint holds"))?;
    let size: Option<Vec<i64>> = shape.iter().map(|&n| i64::try_from(n).ok()).collect();
    // The crate has checked the number of bytes, but 0 × 2^62 × 4 elements are also 0, and their strides overflow.
    let fits = |size: &Vec<i64>| size.iter().try_fold(8i64, |bytes, &n| bytes.checked_mul(n.max(1))).is_some();
    let size = size.filter(|size| size.len() <= MAX_DIMENSIONS && fits(size));
    let size = size.ok_or_else(|| format!("a tensor cannot have {} dimensions of these sizes", shape.len()))?;
    if kind == Kind::Bool && data.iter().any(|&byte| byte > 1) {
        return Err("a truth value is neither 0 nor 1".into());
    }
    Tensor::f_from_data_size(data, &size, kind).map_err(|error| TorchError::from(error).to_string())
}

pub fn torch(state: &str, tensor: &str) -> impl FnOnce(TchError) -> Error {
    let (state, tensor) = (state.to_owned(), tensor.to_owned());
    move |error| Error::Torch { state, tensor, source: error.into() }
}
