//! A run folder that is moved, removed or replaced while checkpoints are written.

use super::{names, snapshot, store};
use crate::{BackgroundWriter, Config, Permit, Store, load};
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

fn steps(store: &Store) -> Vec<u64> {
    store.list().unwrap().iter().map(|path| load(path).unwrap().progress.step).collect()
}

/// Returns a store in `run` that may change files as long as the folder holds its lock.
fn permitted(run: &Path) -> Store {
    let lock = run.join("lock");
    fs::write(&lock, "mine").unwrap();
    let mine = move || match fs::read_to_string(&lock) {
        Ok(holder) if holder == "mine" => Ok(()),
        _ => Err("the run was moved".into()),
    };
    let config = Config { keep_last: 1, keep_best: false, ..Config::default() };
    Store::new(run.join("checkpoints"), &config).permitted(&Permit::new(mine))
}

#[test]
fn a_run_that_was_moved_is_not_made_again_and_what_lies_in_its_place_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let store = permitted(&run);
    store.save(&snapshot(10, 0.5)).unwrap();
    let moved = folder.path().join("moved");
    fs::rename(&run, &moved).unwrap();
    for refused in [store.save(&snapshot(20, 0.5)).map(drop), store.prepare(1, 0, 1).map(drop)] {
        assert_eq!(refused.unwrap_err().to_string(), "the run was moved");
        assert!(!run.exists());
    }
    // Another run: this store would keep only one of its checkpoints and remove the half-written one.
    fs::create_dir_all(run.join("checkpoints/.step-0000000050.partial")).unwrap();
    let other = Store::new(run.join("checkpoints"), &Config::default());
    fs::rename(moved.join("checkpoints/step-0000000010"), run.join("checkpoints/step-0000000010")).unwrap();
    fs::write(run.join("lock"), "theirs").unwrap();
    let before = names(&run.join("checkpoints"));
    assert_eq!(store.save(&snapshot(20, 0.5)).unwrap_err().to_string(), "the run was moved");
    store.tidy(&run.join("checkpoints/step-0000000099"));
    assert_eq!(names(&run.join("checkpoints")), before);
    assert_eq!(steps(&other), [10]);
    let mut writer = BackgroundWriter::new(store);
    writer.save(snapshot(30, 0.5));
    assert_eq!(writer.wait().unwrap().unwrap_err().to_string(), "the run was moved");
    assert_eq!(names(&run.join("checkpoints")), before);
}

#[test]
fn without_a_permit_no_parent_is_made_either() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let error = Store::new(run.join("checkpoints"), &Config::default()).save(&snapshot(10, 0.5)).unwrap_err();
    assert!(error.to_string().starts_with("cannot create"), "{error}");
    assert!(!run.exists());
}

#[test]
fn a_folder_that_changes_hands_while_a_checkpoint_is_written_gets_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    fs::create_dir(&run).unwrap();
    let config = Config { keep_last: 1, keep_best: false, ..Config::default() };
    Store::new(run.join("checkpoints"), &config).save(&snapshot(10, 0.5)).unwrap();
    // The permit is refused from each of a save's questions on.
    for allowed in 0..3 {
        let asked = AtomicU64::new(0);
        let permit = Permit::new(move || match asked.fetch_add(1, Ordering::Relaxed) {
            before if before < allowed => Ok(()),
            _ => Err("gone".into()),
        });
        let store = Store::new(run.join("checkpoints"), &config).permitted(&permit);
        let saved = store.save(&snapshot(20, 0.5));
        assert_eq!(saved.is_ok(), allowed == 2, "published, and then nothing is removed: {saved:?}");
        let expected: &[u64] = if allowed == 2 { &[10, 20] } else { &[10] };
        assert_eq!(steps(&store), expected);
    }
}

#[test]
fn a_save_that_keeps_all_removes_nothing() {
    let (_folder, store) = store(&Config { keep_last: 1, keep_best: false, ..Config::default() });
    store.save(&snapshot(10, 0.5)).unwrap();
    store.clone().keeping_all().save(&snapshot(20, 0.5)).unwrap();
    assert_eq!(steps(&store), [10, 20]);
    store.save(&snapshot(30, 0.5)).unwrap();
    assert_eq!(steps(&store), [30]);
}
