//! Writing a checkpoint must not start libtorch's threads: in the background they would be a second pool that competes
//! with the training's. The test has its own process, so that no other test's threads are counted.

#![cfg(target_os = "linux")]

use checkpoint::{Config, Snapshot, Store};
use contract::{Progress, StateDict};
use std::{fs, thread};
use tch::{Device, Kind, Tensor};

#[test]
fn a_background_save_needs_no_other_thread() {
    let threads = || fs::read_dir("/proc/self/task").unwrap().count();
    tch::set_num_threads(4);
    let folder = tempfile::tempdir().unwrap();
    let store = Store::new(folder.path(), &Config::default());
    let weights = Tensor::randn([64, 64, 32, 32], (Kind::Float, Device::Cpu)).permute([0, 2, 3, 1]);
    let model = StateDict::from([("w".into(), weights)]);
    let running = Snapshot {
        progress: Progress { epoch: 1, batch: 0, step: 10, samples: 80 },
        states: [("model".into(), model)].into(),
        scores: [].into(),
        about: serde_json::Value::Null,
    };
    let copied = running.copied().unwrap();
    let saving = thread::spawn(move || {
        let before = threads();
        store.save(&copied).unwrap();
        let saved = threads();
        // Saving the same step again compares it with the disk.
        store.save(&copied).unwrap();
        let compared = threads();
        // Parallel work does raise the count.
        let _ = copied.states["model"]["w"].isfinite().all();
        (before, saved, compared, threads())
    });
    let (before, saved, compared, parallel) = saving.join().unwrap();
    assert_eq!((saved, compared), (before, before), "libtorch started threads");
    assert!(parallel > before, "this libtorch starts no threads that could be counted");
}
