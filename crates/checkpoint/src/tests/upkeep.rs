//! Retention, removal, and the leftovers of a killed run.

use super::{assert_same, copy, names, snapshot, store};
use crate::{Config, Error, Mode, Store, files, load};
use std::{fs, path::Path};
use tch::{Device, Kind, Tensor};

fn steps(store: &Store) -> Vec<u64> {
    store.list().unwrap().iter().map(|path| load(path).unwrap().progress.step).collect()
}

fn best(store: &Store) -> Option<u64> {
    store.best().unwrap().0.map(|(_, snapshot)| snapshot.progress.step)
}

#[test]
fn the_newest_and_the_best_are_kept() {
    let (_folder, store) = store(&Config { keep_last: 2, ..Config::default() });
    for (step, score) in [(10, 0.4), (20, 0.9), (30, 0.9), (40, 0.5), (50, f64::NAN), (60, 0.6)] {
        store.save(&snapshot(step, score)).unwrap();
    }
    assert_eq!(steps(&store), [20, 50, 60]);
    assert_eq!(best(&store), Some(20), "of equal scores the earlier one is the best");
}

#[test]
fn the_best_may_be_the_lowest_or_nobodys_business() {
    let (_folder, lowest) = store(&Config { keep_last: 1, mode: Mode::Min, ..Config::default() });
    let (_folder2, newest) = store(&Config { keep_last: 1, keep_best: false, ..Config::default() });
    let (_folder3, other) = store(&Config { keep_last: 1, best: "accuracy".into(), ..Config::default() });
    for (step, score) in [(1, 0.4), (2, 0.2), (3, 0.9)] {
        for store in [&lowest, &newest, &other] {
            store.save(&snapshot(step, score)).unwrap();
        }
    }
    assert_eq!((steps(&lowest), best(&lowest)), (vec![2, 3], Some(2)));
    assert_eq!((steps(&newest), best(&newest)), (vec![3], Some(3)));
    assert_eq!((steps(&other), best(&other)), (vec![3], None));
}

#[test]
fn every_so_many_epochs_one_is_kept_for_good() {
    let (_folder, store) = store(&Config { keep_last: 1, keep_best: false, keep_every: Some(2), ..Config::default() });
    // Epoch 0 is never kept for good, and neither is a checkpoint within an epoch.
    for step in [0, 5, 10, 20, 25, 30, 40, 41, 50, 60, 65] {
        store.save(&snapshot(step, 0.5)).unwrap();
    }
    assert_eq!(steps(&store), [20, 40, 60, 65]);
}

#[test]
fn for_good_takes_no_place_of_the_newest_and_the_best() {
    let (_folder, store) = store(&Config { keep_last: 2, keep_every: Some(2), ..Config::default() });
    for (step, score) in [(10, 0.9), (20, 0.1), (30, 0.1), (40, 0.1), (50, 0.1), (70, 0.1)] {
        store.save(&snapshot(step, score)).unwrap();
    }
    assert_eq!(steps(&store), [10, 20, 40, 50, 70]);
}

#[test]
fn nothing_is_removed_before_the_next_one_is_published() {
    let (_folder, store) = store(&Config { keep_last: 1, keep_best: false, ..Config::default() });
    store.save(&snapshot(10, 0.5)).unwrap();
    store.write(&snapshot(20, 0.5)).unwrap();
    assert_eq!(steps(&store), [10, 20]);
    let mut spoilt = snapshot(30, 0.5);
    spoilt.states.get_mut("model").unwrap().insert("w".into(), Tensor::from(f32::NAN));
    store.save(&spoilt).unwrap_err();
    assert_eq!(steps(&store), [10, 20], "a save that failed removed something");
}

#[test]
fn damaged_checkpoints_take_no_place_and_stay() {
    let (_folder, store) = store(&Config { keep_last: 2, keep_best: false, ..Config::default() });
    for step in 1..=3 {
        let path = store.save(&snapshot(step, 0.5)).unwrap();
        if step > 1 {
            fs::write(path.join("model.safetensors"), "x").unwrap();
        }
    }
    assert_eq!(store.list().unwrap().len(), 3, "step 1 is the only valid one");
    store.save(&snapshot(4, 0.5)).unwrap();
    store.save(&snapshot(5, 0.5)).unwrap();
    assert_eq!(store.list().unwrap().iter().filter(|path| load(path).is_ok()).count(), 2);
    assert_eq!(store.list().unwrap().len(), 4);
}

/// Returns the number of files that `run` opens for reading.
fn opened(run: impl FnOnce()) -> usize {
    let before = files::OPENED.get();
    run();
    files::OPENED.get() - before
}

#[test]
fn a_save_opens_no_file_of_an_older_checkpoint() {
    let config = Config { keep_last: 2, keep_every: Some(1), ..Config::default() };
    let (folder, store) = store(&config);
    for step in 1..=30 {
        assert_eq!(opened(|| drop(store.save(&snapshot(10 * step, 0.5)).unwrap())), 0, "with {step}");
    }
    assert_eq!(store.list().unwrap().len(), 30);
    // A resuming process reads each manifest once, before its first step.
    let next = Store::new(folder.path().join("checkpoints"), &config);
    let room = opened(|| assert!(next.prepare(1000, 0, 10).unwrap().free > 0));
    assert_eq!(room, 30);
    for step in 31..=33 {
        assert_eq!(opened(|| drop(next.save(&snapshot(10 * step, 0.5)).unwrap())), 0, "with {step}");
    }
    assert_eq!(steps(&next), (1..=33).map(|step| 10 * step).collect::<Vec<_>>());
}

#[test]
fn what_is_remembered_is_found_damaged_when_it_is_loaded_and_never_takes_a_place() {
    let (_folder, store) = store(&Config { keep_last: 1, ..Config::default() });
    let best = store.save(&snapshot(10, 0.9)).unwrap();
    store.save(&snapshot(20, 0.8)).unwrap();
    // The best is truncated: the next best is kept in its place, and it stays for inspection.
    fs::write(best.join("model.safetensors"), "x").unwrap();
    store.save(&snapshot(30, 0.1)).unwrap();
    assert_eq!(store.list().unwrap().len(), 3);
    let (found, damaged) = store.best().unwrap();
    assert_eq!((found.unwrap().1.progress.step, damaged.len()), (20, 1));
    // One bit of another is flipped, which a save does not notice and a load does.
    let path = store.list().unwrap().remove(1);
    let mut bytes = fs::read(path.join("model.safetensors")).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(path.join("model.safetensors"), bytes).unwrap();
    assert_eq!(store.newest().unwrap().0.unwrap().1.progress.step, 30);
    assert!(matches!(load(&path).unwrap_err(), Error::Damaged { .. }));
    // A step that is saved again counts with its new score.
    store.save(&snapshot(30, 0.95)).unwrap();
    assert_eq!(self::best(&store), Some(30));
}

#[test]
fn what_was_just_saved_is_kept_even_if_it_is_older() {
    let (_folder, store) = store(&Config { keep_last: 1, keep_best: false, ..Config::default() });
    store.save(&snapshot(30, 0.5)).unwrap();
    store.save(&snapshot(10, 0.5)).unwrap();
    assert_eq!(steps(&store), [10, 30]);
}

#[test]
fn not_a_number_is_refused() {
    let (folder, store) = store(&Config::default());
    store.save(&snapshot(1, 0.5)).unwrap();
    for kind in [Kind::Float, Kind::Double, Kind::Half, Kind::BFloat16] {
        for (state, value) in [
            ("model", f64::NAN),
            ("optimizer", f64::INFINITY),
            ("average", f64::NEG_INFINITY),
            ("somebody_elses", f64::NAN),
        ] {
            let mut spoilt = snapshot(2, 0.5);
            let tensor = Tensor::from_slice(&[0.0, value, 1.0]).to_kind(kind);
            spoilt.states.entry(state.into()).or_default().insert("conv.spoilt".into(), tensor);
            let error = store.save(&spoilt).unwrap_err();
            let text = error.to_string();
            assert!(matches!(error, Error::NotFinite { step: 2, .. }), "{text}");
            assert!(text.contains(&format!("state '{state}', tensor 'conv.spoilt'")), "{text}");
            assert_eq!(names(&folder.path().join("checkpoints")), ["step-0000000001"], "{text}");
        }
    }
    // What was measured may be anything, and so may a single value of another program's.
    let mut spoilt = snapshot(3, 0.5);
    spoilt.states.insert("metric".into(), [("loss".into(), Tensor::from_slice(&[f64::NAN; 2]))].into());
    spoilt.states.insert("patience".into(), [("best_loss".into(), Tensor::from(f64::INFINITY))].into());
    store.save(&spoilt).unwrap();
    assert_eq!(steps(&store), [1, 3]);
}

#[test]
fn one_not_a_number_is_found_anywhere_in_a_large_tensor() {
    let (_folder, store) = store(&Config::default());
    // 2.4 MB: more than one buffer.
    let values = Tensor::ones([600, 1000], (Kind::Float, Device::Cpu));
    for at in [0, 262_143, 262_144, 599_999] {
        let mut spoilt = snapshot(1, 0.5);
        let mut tensor = values.copy();
        let _ = tensor.view(-1).get(at).fill_(f64::NAN);
        // Half of them in another order in memory, as channels-last weights are.
        if at % 2 == 0 {
            tensor = tensor.transpose(0, 1);
        }
        spoilt.states.get_mut("model").unwrap().insert("conv.spoilt".into(), tensor);
        let error = store.save(&spoilt).unwrap_err();
        assert!(matches!(error, Error::NotFinite { step: 1, .. }), "{at}: {error}");
    }
    let mut sound = snapshot(1, 0.5);
    sound.states.get_mut("model").unwrap().insert("conv.large".into(), values.copy());
    assert_same(&load(&store.save(&sound).unwrap()).unwrap(), &sound);
}

#[test]
fn leftovers_are_ignored_and_cleaned() {
    let (folder, store) = store(&Config::default());
    let path = store.save(&snapshot(10, 0.5)).unwrap();
    for name in [".step-0000000020.partial", ".step-0000000010.partial", ".step-0000000005.removed"] {
        copy(&path, path.with_file_name(name));
    }
    fs::write(path.with_file_name(".step-0000000020.partial").join("manifest.json"), "{").unwrap();
    for foreign in ["notes.txt", "step-12", "step-x"] {
        fs::write(path.with_file_name(foreign), "mine").unwrap();
    }
    assert_eq!(store.list().unwrap(), [path]);
    store.save(&snapshot(20, 0.5)).unwrap();
    let left = names(&folder.path().join("checkpoints"));
    assert_eq!(left, ["notes.txt", "step-0000000010", "step-0000000020", "step-12", "step-x"]);
}

#[test]
fn saving_a_step_again_keeps_what_is_equal_and_replaces_what_is_not() {
    let (folder, store) = store(&Config::default());
    let path = store.save(&snapshot(10, 0.5)).unwrap();
    let written = |path: &Path| fs::metadata(path.join("manifest.json")).unwrap().modified().unwrap();
    let first = written(&path);
    assert_eq!(store.save(&snapshot(10, 0.5)).unwrap(), path);
    assert_eq!(written(&path), first, "an equal checkpoint was written again");
    store.save(&snapshot(10, 0.7)).unwrap();
    assert_same(&load(&path).unwrap(), &snapshot(10, 0.7));
    fs::write(path.join("model.safetensors"), "x").unwrap();
    store.save(&snapshot(10, 0.7)).unwrap();
    assert_same(&load(&path).unwrap(), &snapshot(10, 0.7));
    assert_eq!(names(&folder.path().join("checkpoints")), ["step-0000000010"]);
}

#[test]
fn a_run_killed_while_replacing_still_has_the_old_one() {
    let (_folder, store) = store(&Config::default());
    let path = store.save(&snapshot(10, 0.5)).unwrap();
    let replaced = path.with_file_name(".step-0000000010.replaced");
    fs::rename(&path, &replaced).unwrap();
    assert_eq!(store.list().unwrap(), [replaced]);
    assert_same(&store.newest().unwrap().0.unwrap().1, &snapshot(10, 0.5));
    store.save(&snapshot(20, 0.5)).unwrap();
    assert_eq!(steps(&store), [10, 20]);
    assert!(path.is_dir());
}

#[test]
fn a_folder_that_is_not_there_holds_nothing_and_one_that_cannot_be_is_an_error() {
    let (folder, store) = store(&Config::default());
    assert!(store.list().unwrap().is_empty());
    assert!(store.newest().unwrap().0.is_none() && store.best().unwrap().0.is_none());
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Store::new(file.join("checkpoints"), &Config::default()).save(&snapshot(1, 0.5)).unwrap_err();
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
}

#[test]
fn the_configuration_is_checked() {
    Config::default().check().unwrap();
    let key = |config: Config| config.check().unwrap_err().key;
    assert_eq!(key(Config { keep_last: 0, ..Config::default() }), "keep_last");
    assert_eq!(key(Config { keep_every: Some(0), ..Config::default() }), "keep_every");
    Config { keep_every: Some(1), ..Config::default() }.check().unwrap();
    assert_eq!(key(Config { best: String::new(), ..Config::default() }), "best");
    let read: Config = serde_json::from_str(r#"{"mode": "min", "keep_every": 20}"#).unwrap();
    assert_eq!(read, Config { mode: Mode::Min, keep_every: Some(20), ..Config::default() });
    assert!(serde_json::from_str::<Config>(r#"{"keep": 1}"#).is_err());
}
