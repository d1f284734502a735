//! Reads files of `torch.save`: a zip archive since 2020 (PyTorch 1.6), before that pickles followed by the raw
//! numbers.

use crate::error::{Error, torch, unfit};
use crate::pickle::{self, Value};
use crate::storage::{Storage, View};
use contract::StateDict;
use std::collections::HashMap;
use std::io::{Cursor, Read};
use std::path::Path;
use tch::Tensor;
use zip::ZipArchive;

/// Magic number at the start of files from before 2020, as a pickle, and the version after it.
const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const VERSION: i128 = 1001;

/// Keys under which training scripts save the state dict.
const KEYS: [&str; 3] = ["state_dict", "model_state_dict", "model"];

/// Maximum number of non-tensors listed in an error.
const NAMED: usize = 10;

/// An archive of `torch.save` or `torch.jit.save`. The bytes read from it are in total no more than its own.
pub(crate) struct Archive<'b> {
    path: &'b Path,
    zip: ZipArchive<Cursor<&'b [u8]>>,
    folder: String,
    left: usize,
}

impl<'b> Archive<'b> {
    pub(crate) fn open(path: &'b Path, bytes: &'b [u8]) -> Result<Self, Error> {
        let damaged = |error: zip::result::ZipError| {
            unfit(path, format!("it is no archive of torch.save, or a damaged one: {error}"))
        };
        let zip = ZipArchive::new(Cursor::new(bytes)).map_err(damaged)?;
        let folder = zip.file_names().find_map(|name| name.strip_suffix("/data.pkl")).map(String::from);
        let folder =
            folder.ok_or_else(|| unfit(path, "it is an archive, but not one of torch.save: it holds no data.pkl"))?;
        let mut archive = Self { path, zip, folder, left: bytes.len() };
        if archive.entry("byteorder", None).is_ok_and(|order| order != b"little") {
            return Err(unfit(path, "its numbers are big-endian"));
        }
        Ok(archive)
    }

    fn entry(&mut self, name: &str, expected: Option<usize>) -> Result<Vec<u8>, Error> {
        let (path, name) = (self.path, format!("{}/{name}", self.folder));
        let mut file = self.zip.by_name(&name).map_err(|error| unfit(path, format!("{name}: {error}")))?;
        // A compressed entry may claim any size, and several may share their bytes; torch.save does neither.
        let size = usize::try_from(file.size()).unwrap_or(usize::MAX);
        if size > self.left || expected.is_some_and(|expected| expected != size) {
            let expected = expected.map_or("no more than the file".into(), |expected| format!("{expected} bytes"));
            return Err(unfit(path, format!("{name} is {size} bytes long, expected {expected}")));
        }
        self.left -= size;
        let mut content = Vec::with_capacity(size);
        let read = (&mut file).take(size as u64).read_to_end(&mut content);
        read.map_err(|source| unfit(path, format!("{name}: {source}")))?;
        Ok(content)
    }

    /// Reads the state dict.
    pub(crate) fn state_dict(mut self) -> Result<StateDict, Error> {
        let pickled = self.entry("data.pkl", None)?;
        let (value, _) = pickle::read(&pickled).map_err(|problem| unfit(self.path, problem))?;
        let views = views(self.path, &value)?;
        Ok(self.tensors(&views, "data")?.into_iter().collect())
    }

    /// Reads the constants of a TorchScript, in order.
    pub(crate) fn constants(mut self) -> Result<Vec<Tensor>, Error> {
        let pickled = self.entry("constants.pkl", None)?;
        let (value, _) = pickle::read(&pickled).map_err(|problem| unfit(self.path, problem))?;
        let Value::Tuple(values) = &value else {
            return Err(unfit(self.path, format!("its constants are no tuple but {}", shown(&value))));
        };
        let view = |(number, value): (usize, &Value)| {
            let view = View::parse(value)
                .ok_or_else(|| unfit(self.path, format!("constant {number} is no tensor but {}", shown(value))))?;
            Ok((number.to_string(), view))
        };
        let views = values.iter().enumerate().map(view).collect::<Result<Vec<_>, Error>>()?;
        Ok(self.tensors(&views, "constants")?.into_iter().map(|(_, tensor)| tensor).collect())
    }

    /// Reads the tensors of `views`, whose numbers are in the folder `numbers_in`.
    fn tensors(&mut self, views: &[(String, View)], numbers_in: &str) -> Result<Vec<(String, Tensor)>, Error> {
        let mut storages = HashMap::new();
        for storage in views.iter().map(|(_, view)| &view.storage) {
            if !storages.contains_key(&storage.key) {
                let content = self.entry(&format!("{numbers_in}/{}", storage.key), Some(size(self.path, storage)?))?;
                storages.insert(storage.key.clone(), numbers(self.path, storage, &content)?);
            }
        }
        tensors(self.path, views, &storages)
    }
}

/// Reads the tensors of a file from before 2020.
pub(crate) fn legacy(path: &Path, bytes: &[u8]) -> Result<StateDict, Error> {
    let mut rest = bytes;
    let mut next = || -> Result<Value, Error> {
        let (value, after) = pickle::read(rest).map_err(|problem| unfit(path, problem))?;
        rest = after;
        Ok(value)
    };
    if next()? != Value::Int(MAGIC) || next()? != Value::Int(VERSION) {
        return Err(unfit(path, "it is a pickle, but not one of torch.save"));
    }
    let (_system, value, keys) = (next()?, next()?, next()?);
    let views = views(path, &value)?;
    let known: HashMap<&str, &Storage> = views.iter().map(|(_, view)| (&*view.storage.key, &view.storage)).collect();
    let Value::List(keys) = keys else { return Err(unfit(path, "it does not say where its numbers are")) };
    let mut storages = HashMap::new();
    for key in keys.iter() {
        let storage = match key {
            Value::Text(key) => known.get(&**key),
            _ => None,
        };
        // Its size is given nowhere else, so the storages after it cannot be found.
        let storage =
            storage.ok_or_else(|| unfit(path, "it holds numbers that belong to no tensor of the state dict"))?;
        let ended = || unfit(path, format!("it ends before the numbers of storage {}", storage.key));
        let (count, after) = rest.split_first_chunk::<8>().ok_or_else(ended)?;
        if u64::from_le_bytes(*count) != storage.count as u64 {
            return Err(unfit(path, format!("storage {} gives a count other than {}", storage.key, storage.count)));
        }
        let (content, after) = after.split_at_checked(size(path, storage)?).ok_or_else(ended)?;
        storages.insert(storage.key.clone(), numbers(path, storage, content)?);
        rest = after;
    }
    Ok(tensors(path, &views, &storages)?.into_iter().collect())
}

fn size(path: &Path, storage: &Storage) -> Result<usize, Error> {
    storage.bytes().ok_or_else(|| unfit(path, format!("storage {} is larger than any memory", storage.key)))
}

fn numbers(path: &Path, storage: &Storage, content: &[u8]) -> Result<Tensor, Error> {
    let numbers = Tensor::f_from_data_size(content, &[storage.count as i64], storage.kind);
    numbers.map_err(|error| torch(path, &storage.key, &error))
}

fn tensors(
    path: &Path,
    views: &[(String, View)],
    storages: &HashMap<String, Tensor>,
) -> Result<Vec<(String, Tensor)>, Error> {
    let tensor = |(name, view): &(String, View)| {
        let numbers = storages.get(&view.storage.key);
        let numbers = numbers.ok_or_else(|| unfit(path, format!("the numbers of tensor '{name}' are not in it")))?;
        if numbers.kind() != view.storage.kind || numbers.numel() != view.storage.count {
            return Err(unfit(path, format!("tensor '{name}' disagrees with another on its storage's kind or size")));
        }
        let tensor = view.of(numbers).map_err(|problem| unfit(path, format!("tensor '{name}': {problem}")))?;
        Ok((name.clone(), tensor))
    };
    views.iter().map(tensor).collect()
}

/// Returns the tensors of a state dict, or of a dict that holds one, by name.
fn views(path: &Path, value: &Value) -> Result<Vec<(String, View)>, Error> {
    let dict = match value {
        Value::Dict(items) => items,
        other => return Err(Error::NoTensors { path: path.into(), what: vec![shown(other)] }),
    };
    let pairs = || dict.as_chunks::<2>().0.iter();
    let inner = |key: &str| pairs().find(|[name, _]| *name == Value::Text(key.into())).map(|[_, value]| value);
    if let Some(value @ Value::Dict(_)) = KEYS.into_iter().find_map(inner) {
        return views(path, value);
    }
    let (mut views, mut what) = (Vec::new(), Vec::new());
    for [name, value] in pairs() {
        match (name, View::parse(value)) {
            (Value::Text(name), Some(view)) => views.push((name.to_string(), view)),
            (Value::Text(name), None) => what.push(format!("{name} ({})", shown(value))),
            (name, _) => what.push(format!("a key that is {}", shown(name))),
        }
    }
    if what.is_empty() && !views.is_empty() {
        return Ok(views);
    }
    let more = what.len().saturating_sub(NAMED);
    what.truncate(NAMED);
    if more > 0 {
        what.push(format!("and {more} more"));
    }
    if views.is_empty() && what.is_empty() {
        what.push("an empty dict".into());
    }
    Err(Error::NoTensors { path: path.into(), what })
}

/// Describes a value in a few words.
fn shown(value: &Value) -> String {
    match value {
        Value::Int(number) => format!("the number {number}"),
        Value::Text(_) => "a text".into(),
        Value::Tuple(_) => "a tuple".into(),
        Value::List(_) => "a list".into(),
        Value::Dict(_) => "a dict".into(),
        Value::Name(name) => name.to_string(),
        Value::Call(call) => match &call.0 {
            Value::Name(name) => name.to_string(),
            _ => "a call".into(),
        },
        Value::Outside(_) => "a storage".into(),
        Value::Other(what) => what.to_string(),
    }
}
