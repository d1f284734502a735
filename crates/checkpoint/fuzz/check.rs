//! What must hold for any bytes in a checkpoint: [`checkpoint::load`] gives an error or a snapshot, never panics, and a
//! snapshot that was loaded can be saved and loaded again and is the same.
//!
//! The fuzz targets and `tests/corpus.rs` both include this file, so they cannot come to mean different things.

use checkpoint::{Config, Error, Snapshot, Store, load};
use std::{fs, path::Path};
use tch::Tensor;
use tempfile::TempDir;

/// How a manifest begins; its checksum comes next. See `src/manifest.rs`.
pub const PREFIX: &[u8] = b"{\n  \"blake3\": \"";
const SEAL: std::ops::Range<usize> = PREFIX.len()..PREFIX.len() + 64;

/// A scalar and two truth values: the file that lies beside the manifest.
pub const MODEL: &[u8] = b"\x6b\0\0\0\0\0\0\0\
    {\"w\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]},\
    \"b\":{\"dtype\":\"BOOL\",\"shape\":[2],\"data_offsets\":[4,6]}}\
    \0\0\x80\x3f\x01\0";

/// Takes `bytes` for a manifest, as they are and with a checksum that is right. Whether the one and the other was
/// loaded.
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

/// Takes `bytes` for the file of a state, as they are and with a length of the header that may be right. The manifest
/// is right for it. Whether the one and the other was loaded.
pub fn tensors(bytes: &[u8]) -> [bool; 2] {
    [bytes.to_vec(), framed(bytes)].map(|file| {
        let folder = memory();
        let path = folder.path().join("any");
        fs::create_dir(&path).unwrap();
        // In a state by this name NaN is allowed, so it can be saved again whatever the values are.
        fs::write(path.join("metric.safetensors"), &file).unwrap();
        fs::write(path.join("manifest.json"), sealed(manifest_of(&[("metric", &file)]).as_bytes())).unwrap();
        loads(folder.path(), &path)
    })
}

/// The manifest of these files, without a right checksum.
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

/// The same with the checksum that is right; where `bytes` have no place for one, it goes before them.
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

/// The same with a header that ends at the last `}`, so that the length need not be guessed too.
pub fn framed(bytes: &[u8]) -> Vec<u8> {
    let mut framed = bytes.to_vec();
    if let Some(end) = bytes.iter().rposition(|byte| *byte == b'}').filter(|end| *end > 8) {
        framed[..8].copy_from_slice(&(end as u64 - 7).to_le_bytes());
    }
    framed
}

/// A folder in memory where the system has one, for the fuzzer makes thousands a second.
fn memory() -> TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared).unwrap() } else { tempfile::tempdir().unwrap() }
}

/// Whether the checkpoint `path` can be loaded. Then it must also be the same after one more way through the disk.
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
        // Nobody could have written these values, and nobody can again.
        Err(Error::NotFinite { .. }) => {}
        Err(error) => panic!("loaded, but cannot be saved: {error}"),
    }
    true
}

fn same(a: &Snapshot, b: &Snapshot) {
    assert_eq!((a.progress, &a.about), (b.progress, &b.about));
    // By their text, for NaN is not equal to itself.
    assert_eq!(format!("{:?}", a.scores), format!("{:?}", b.scores));
    assert!(a.states.keys().eq(b.states.keys()));
    for (state, tensors) in &a.states {
        assert!(tensors.keys().eq(b.states[state].keys()));
        for (name, tensor) in tensors {
            assert!(values(tensor) == values(&b.states[state][name]), "{state} {name:?}");
        }
    }
}

/// All there is to know of a tensor.
fn values(tensor: &Tensor) -> (tch::Kind, Vec<i64>, Vec<u8>) {
    let (kind, size) = (tensor.f_kind().unwrap(), tensor.size());
    let mut bytes = vec![0; tensor.numel() * kind.elt_size_in_bytes()];
    tensor.f_copy_data_u8(&mut bytes, tensor.numel()).unwrap();
    (kind, size, bytes)
}
