//! Invariants for any bytes in a checkpoint: [`checkpoint::load`] returns an error or a snapshot and never panics, and
//! a loaded snapshot survives another save and load unchanged.
//!
//! The fuzz targets and `tests/corpus.rs` both include this file, so that they cannot diverge.

use checkpoint::{Config, Error, Snapshot, Store, load};
use std::{fs, path::Path};
use tch::Tensor;
use tempfile::TempDir;

/// Start of every manifest, up to its checksum. See `src/manifest.rs`.
pub const PREFIX: &[u8] = b"{\n  \"blake3\": \"";
const SEAL: std::ops::Range<usize> = PREFIX.len()..PREFIX.len() + 64;

/// Safetensors file of a scalar and two booleans, stored next to the manifest.
pub const MODEL: &[u8] = b"\x6b\0\0\0\0\0\0\0\
    {\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\
    \"b\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[4,6]}}\
    \0\0\x80\x3f\x01\0";

/// Loads `bytes` as a manifest, first unchanged, then with a correct checksum. Returns whether each of them loaded.
pub fn manifest(bytes: &[u8]) -> [bool; 2] {
    [bytes.to_vec(), sealed(bytes)].map(|manifest| {
        let folder = memory();
        let path = folder.path().join("any");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("model.safetensors"), MODEL).unwrap();
        fs::write(path.join("manifest.json"), manifest).unwrap();
        loads(folder.path(), &path)
    })
}

/// Loads `bytes` as the file of a state under a correct manifest, first unchanged, then with a plausible header length.
/// Returns whether each of them loaded.
pub fn tensors(bytes: &[u8]) -> [bool; 2] {
    [bytes.to_vec(), framed(bytes)].map(|file| {
        let folder = memory();
        let path = folder.path().join("any");
        fs::create_dir(&path).unwrap();
        // A state of this name may hold NaN, so it can be saved again whatever its values.
        fs::write(path.join("metric.safetensors"), &file).unwrap();
        fs::write(path.join("manifest.json"), sealed(manifest_of(&[("metric", &file)]).as_bytes())).unwrap();
        loads(folder.path(), &path)
    })
}

/// Returns the manifest of these files, with zeros for a checksum.
pub fn manifest_of(files: &[(&str, &[u8])]) -> String {
    let record = |(state, bytes): &(&str, &[u8])| {
        let (length, sum) = (bytes.len(), blake3::hash(bytes).to_hex());
        format!("\"{state}.safetensors\": {{\"bytes\": {length}, \"blake3\": \"{sum}\"}}")
    };
    let files: Vec<String> = files.iter().map(record).collect();
    format!(
        "{{\n  \"blake3\": \"{}\", \"format\": 1, \"created\": 1, \
         \"progress\": {{\"epoch\": 1, \"batch\": 2, \"step\": 7, \"samples\": 40}}, \
         \"scores\": {{\"mean_iou\": 0.5, \"loss\": null}}, \"files\": {{{}}}, \"about\": null}}\n",
        "0".repeat(64),
        files.join(", ")
    )
}

/// Returns `bytes` with a correct checksum, which goes before them if they have no place for one.
pub fn sealed(bytes: &[u8]) -> Vec<u8> {
    let mut sealed = bytes.to_vec();
    if !(bytes.starts_with(PREFIX) && bytes.len() >= SEAL.end) {
        sealed = [PREFIX, &[b'0'; 64], bytes].concat();
    }
    sealed[SEAL].fill(b'0');
    let sum = blake3::hash(&sealed).to_hex();
    sealed[SEAL].copy_from_slice(sum.as_bytes());
    sealed
}

/// Returns `bytes` with a header that ends at the last `}`, so that the fuzzer need not guess its length.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = bytes.to_vec();
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'}').filter(|end| *end > 8) {
        framed[..8].copy_from_slice(&(end as u64 - 7).to_le_bytes());
    }
    framed
}

/// Returns a temporary folder, in memory if the system has `/dev/shm`: the fuzzer makes thousands a second.
fn memory() -> TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Returns true if the checkpoint `path` loads. Asserts that it then survives another save and load unchanged.
fn loads(folder: &Path, path: &Path) -> bool {
    let first = match load(path) {
        Ok(snapshot) => snapshot,
        Err(error) => {
            assert!(error.to_string().contains(&path.display().to_string()), "which file? {error}");
            return false;
        }
    };
    match Store::new(folder.join("again"), &Config::default()).save(&first) {
        Ok(again) => same(&first, &load(&again).unwrap()),
        // `save` refuses these values, so no run can have written them.
        Err(Error::NotFinite { .. }) => {}
        Err(error) => panic!("loaded, but cannot be saved: {error}"),
    }
    true
}

fn same(a: &Snapshot, b: &Snapshot) {
    assert_eq!((a.progress, &a.about), (b.progress, &b.about));
    // Compared as text, because NaN is not equal to itself.
    assert_eq!(format!("{:?}", a.scores), format!("{:?}", b.scores));
    assert!(a.states.keys().eq(b.states.keys()));
    for (state, tensors) in &a.states {
        assert!(tensors.keys().eq(b.states[state].keys()));
        for (name, tensor) in tensors {
            assert!(values(tensor) == values(&b.states[state][name]), "{state} {name:?}");
        }
    }
}

/// Returns a tensor's kind, shape and bytes.
fn values(tensor: &Tensor) -> (tch::Kind, Vec<i64>, Vec<u8>) {
    let (kind, size) = (tensor.f_kind().unwrap(), tensor.size());
    let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel()).unwrap();
    (kind, size, bytes)
}
