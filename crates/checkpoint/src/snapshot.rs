//! What a checkpoint holds, and reading it: all or nothing.

use crate::{Error, files, manifest::Manifest, manifest::state_of, tensors};
use contract::{Progress, StateDict};
use std::{collections::BTreeMap, path::Path};

/// What a checkpoint holds: all that a run needs to go on as if it had never stopped.
#[derive(Debug)]
pub struct Snapshot {
    /// How far training had come.
    pub progress: Progress,
    /// The states of the parts by name, e.g. `model`, `optimizer`, `metric`, `generator`. Loaded ones are on the CPU.
    pub states: BTreeMap<String, StateDict>,
    /// The validation scores by name. One that is not finite comes back as NaN and is never the best.
    pub scores: BTreeMap<String, f64>,
    /// Whatever else the program wants to know again: resolved configuration, fingerprint of the data, versions.
    pub about: serde_json::Value,
}

/// Loads the checkpoint in `folder`. The sizes and checksums of all its files are verified before the first is parsed.
pub fn load(folder: &Path) -> Result<Snapshot, Error> {
    let manifest = Manifest::read(folder)?;
    let mut verified = Vec::with_capacity(manifest.files.len());
    for (name, record) in &manifest.files {
        let path = folder.join(name);
        let file = files::open_verified(&path, record)?;
        verified.push((name, path, file, record.bytes));
    }
    let mut states = BTreeMap::new();
    for (name, path, file, bytes) in verified {
        let tensors = tensors::read(&path, &files::read(&path, file, bytes)?)?;
        states.extend(state_of(name).map(|state| (state.to_owned(), tensors)));
    }
    let scores = manifest.scores();
    Ok(Snapshot { progress: manifest.progress, states, scores, about: manifest.about })
}
