//! The content of a checkpoint, and loading it: all or nothing.

use crate::{Error, files, manifest::Manifest, manifest::state_of, tensors};
use contract::{Progress, StateDict, Stateful};
use std::{collections::BTreeMap, fs::File, path::Path};
use tch::{Device, Tensor};

/// The content of a checkpoint: all that a run needs to resume as if it had never stopped.
#[derive(Debug)]
pub struct Snapshot {
    /// Progress of training.
    pub progress: Progress,
    /// States of the parts by name, e.g. `model`, `optimizer`, `metric`, `generator`. Loaded ones are on the CPU.
    pub states: BTreeMap<String, StateDict>,
    /// Validation scores by name. One that is not finite is loaded as NaN and is never the best.
    pub scores: BTreeMap<String, f64>,
    /// Further information of the program: resolved configuration, fingerprint of the data, versions.
    pub about: serde_json::Value,
}

impl Snapshot {
    /// Makes a snapshot without states or scores.
    pub fn new(progress: Progress) -> Self {
        Self { progress, states: BTreeMap::new(), scores: BTreeMap::new(), about: serde_json::Value::Null }
    }

    /// Adds the state of a part under a name, which becomes a file's. The tensors are those of the part: take
    /// [`copied`](Self::copied) before the part goes on changing.
    #[must_use]
    pub fn with(mut self, name: &str, part: &dyn Stateful) -> Self {
        self.states.insert(name.into(), part.state());
        self
    }

    /// Puts the state of this name back into a part.
    ///
    /// # Errors
    ///
    /// Fails, and changes nothing of the part, where there is no such state or it does not fit.
    pub fn restore(&self, name: &str, part: &mut dyn Stateful) -> Result<(), Error> {
        let state = self.states.get(name).ok_or_else(|| Error::Missing { state: name.into() })?;
        part.load_state(state).map_err(|source| Error::State { state: name.into(), source })
    }

    /// The bytes of all tensors: what the files of the checkpoint take, but for names and shapes.
    pub fn bytes(&self) -> u64 {
        let of =
            |tensor: &Tensor| tensor.numel() as u64 * tensor.f_kind().map_or(0, |kind| kind.elt_size_in_bytes()) as u64;
        self.states.values().flat_map(StateDict::values).filter(|tensor| tensor.defined()).map(of).sum()
    }

    /// Returns a copy with its own tensors: contiguous, on the CPU, without gradients. Training may continue while they
    /// are written. Takes as much memory again, and waits for the device.
    pub fn copied(&self) -> Result<Self, Error> {
        let mut states = BTreeMap::new();
        for (state, tensors) in &self.states {
            let copies = tensors.iter().map(|(name, tensor)| Ok((name.clone(), copy(state, name, tensor)?)));
            states.insert(state.clone(), copies.collect::<Result<_, Error>>()?);
        }
        Ok(Self { progress: self.progress, states, scores: self.scores.clone(), about: self.about.clone() })
    }
}

fn copy(state: &str, name: &str, tensor: &Tensor) -> Result<Tensor, Error> {
    tensors::require_defined(state, name, tensor)?;
    let copy = || {
        // Empty, so that its memory is first touched by the copy itself, which is multi-threaded.
        let mut copy = Tensor::f_empty(tensor.size(), (tensor.f_kind()?, Device::Cpu))?;
        copy.f_copy_(&tensor.f_detach()?)?;
        Ok(copy)
    };
    copy().map_err(tensors::torch(state, name))
}

/// Loads the checkpoint in `folder`. The sizes and checksums of all its files are verified before the first is parsed.
pub fn load(folder: &Path) -> Result<Snapshot, Error> {
    let (manifest, verified) = verify(folder)?;
    let mut states = BTreeMap::new();
    for ((name, record), file) in manifest.files.iter().zip(verified) {
        let path = folder.join(name);
        let tensors = tensors::read(&path, &files::read(&path, file, record.bytes)?)?;
        states.extend(state_of(name).map(|state| (state.to_owned(), tensors)));
    }
    let scores = manifest.scores();
    Ok(Snapshot { progress: manifest.progress, states, scores, about: manifest.about })
}

/// Verifies the sizes and checksums of all files of the checkpoint in `folder`, without libtorch. Returns the manifest
/// and the open files, in the manifest's order.
pub(crate) fn verify(folder: &Path) -> Result<(Manifest, Vec<File>), Error> {
    let manifest = Manifest::read(folder)?;
    let files = manifest.files.iter().map(|(name, record)| files::open_verified(&folder.join(name), record));
    let files = files.collect::<Result<_, _>>()?;
    Ok((manifest, files))
}
