//! Tests of the whole store, by the failure they guard against, and their shared helpers.

mod damage;
mod moved;
mod round_trip;
mod space;
mod upkeep;
mod writer;

use crate::{Config, Snapshot, Store};
use contract::{Progress, StateDict};
use std::path::{Path, PathBuf};
use tch::{Device, Kind, Tensor};

/// Returns an empty folder, and a store in a subfolder that does not exist yet.
fn store(config: &Config) -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path().join("checkpoints"), config);
    (folder, store)
}

/// Returns a small snapshot at `step` whose values depend on the step.
fn snapshot(step: u64, mean_iou: f64) -> Snapshot {
    let values = |n: i64| Tensor::arange(n, (Kind::Float, Device::Cpu)) + step as f64;
    let model = StateDict::from([("conv.weight".into(), values(12).reshape([3, 4])), ("conv.bias".into(), values(3))]);
    let optimizer = StateDict::from([("step".into(), Tensor::from(step as i64)), ("conv.bias/m".into(), values(3))]);
    Snapshot {
        progress: Progress { epoch: step / 10, batch: step % 10, step, samples: step * 8 },
        states: [("model".into(), model), ("optimizer".into(), optimizer)].into(),
        scores: [("mean_iou".into(), mean_iou)].into(),
        about: serde_json::json!({"config": {"learning_rate": 0.1 + 0.2}, "versions": ["a", "b"]}),
    }
}

fn same(a: &Tensor, b: &Tensor) -> bool {
    let bytes = |tensor: &Tensor| {
        let mut bytes = vec![0; tensor.numel() * tensor.kind().elt_size_in_bytes()];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel()).unwrap();
        bytes
    };
    a.kind() == b.kind() && a.size() == b.size() && bytes(a) == bytes(b)
}

fn assert_same(a: &Snapshot, b: &Snapshot) {
    assert_eq!(a.progress, b.progress);
    assert_eq!(a.about, b.about);
    assert_eq!(format!("{:?}", a.scores), format!("{:?}", b.scores));
    let names = |snapshot: &Snapshot| -> Vec<(String, String)> {
        let states = snapshot.states.iter();
        states.flat_map(|(state, tensors)| tensors.keys().map(|name| (state.clone(), name.clone()))).collect()
    };
    assert_eq!(names(a), names(b));
    for (state, tensors) in &a.states {
        for (name, tensor) in tensors {
            assert!(same(tensor, &b.states[state][name]), "{state} {name}");
        }
    }
}

/// Returns the names in a folder, sorted, hidden ones too.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        folder.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&to).unwrap();
    for name in names(from) {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    to
}
