//! Checks of the disk before the first step.

use super::{copy, names, snapshot, store};
use crate::{Config, Error, Space, Store, readable};
use std::fs;

#[test]
fn what_is_needed_is_what_will_be_kept_less_what_is_there() {
    let (folder, store) = store(&Config { keep_last: 3, keep_every: Some(1), ..Config::default() });
    let room = store.prepare(1000, 5, u64::MAX).unwrap();
    assert_eq!((room.checkpoint, room.needed), (1000, (3 + 1 + 5 + 1) * 1000));
    assert!(room.free > 0);
    assert!(names(&folder.path().join("checkpoints")).is_empty(), "the trial file is still there");

    let paths = [10, 20].map(|step| store.save(&snapshot(step, 0.5)).unwrap());
    let held = |path: &std::path::PathBuf| -> u64 {
        let states = names(path).into_iter().filter(|name| name != "manifest.json");
        states.map(|name| fs::metadata(path.join(name)).unwrap().len()).sum()
    };
    let both = held(&paths[0]) + held(&paths[1]);
    assert_eq!(store.prepare(1000, 5, u64::MAX).unwrap().needed, 10_000 - both);
    // A damaged one stays, and later ones cannot take its place.
    fs::write(paths[0].join("model.safetensors"), "x").unwrap();
    assert_eq!(store.prepare(1000, 5, u64::MAX).unwrap().needed, 10_000 - held(&paths[1]));
    assert_eq!(store.prepare(1, 0, u64::MAX).unwrap().needed, 0, "more is there than will be needed");

    assert_eq!(
        store.prepare(1000, 5, 2).unwrap().needed,
        3000 - held(&paths[1]),
        "two more, and nothing to be removed"
    );

    let newest = Store::new(folder.path(), &Config { keep_last: 1, keep_best: false, ..Config::default() });
    assert_eq!(newest.prepare(1000, 0, u64::MAX).unwrap().needed, 2000);
    let all = Store::new(folder.path(), &Config { keep_last: u64::MAX, ..Config::default() });
    assert_eq!(all.prepare(1000, u64::MAX, u64::MAX).unwrap().needed, u64::MAX);
}

#[test]
fn leftovers_are_no_obstacle() {
    let (folder, store) = store(&Config::default());
    let path = store.save(&snapshot(10, 0.5)).unwrap();
    copy(&path, path.with_file_name(".step-0000000020.partial"));
    fs::write(path.with_file_name(".trial"), "left by a run that was killed").unwrap();
    assert_eq!(store.list().unwrap(), [path]);
    store.save(&snapshot(20, 0.5)).unwrap();
    assert_eq!(store.list().unwrap().len(), 2);
    store.prepare(1000, 0, u64::MAX).unwrap();
    assert_eq!(names(&folder.path().join("checkpoints")), ["step-0000000010", "step-0000000020"]);
}

#[test]
fn a_checkpoint_that_does_not_fit_is_refused() {
    let (folder, store) = store(&Config::default());
    let error = store.prepare(1 << 60, 0, u64::MAX).unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::NoRoom { needed, .. } if needed == 1 << 60), "{text}");
    assert!(text.contains("takes 1.2 EB") && text.contains("free some space"), "{text}");
    assert!(text.contains(&folder.path().display().to_string()), "{text}");
}

#[test]
fn a_folder_that_cannot_be_written_is_refused() {
    let (folder, store) = store(&Config::default());
    let at = folder.path().join("checkpoints");
    // Neither a file that can be removed nor a place to write to, even for root.
    fs::create_dir_all(at.join(".trial/inside")).unwrap();
    let text = store.prepare(1, 0, u64::MAX).unwrap_err().to_string();
    assert!(text.contains(&at.join(".trial").display().to_string()), "{text}");
    fs::remove_dir_all(&at).unwrap();
    fs::write(&at, "a file").unwrap();
    let error = store.prepare(1, 0, u64::MAX).unwrap_err();
    assert!(matches!(error, Error::Io { .. }) && error.to_string().contains(&at.display().to_string()), "{error}");
    fs::remove_file(&at).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::create_dir(&at).unwrap();
        fs::set_permissions(&at, fs::Permissions::from_mode(0o555)).unwrap();
        // Root may write everywhere.
        if fs::write(at.join("x"), "").is_err() {
            assert!(store.prepare(1, 0, u64::MAX).unwrap_err().to_string().contains("must be writable"));
        }
    }
}

#[test]
fn sizes_are_readable() {
    let sizes = [0, 999, 1000, 1234, 999_949, 999_950, 370_200_000, 1_500_000_000, u64::MAX];
    let read = ["0 B", "999 B", "1.0 kB", "1.2 kB", "999.9 kB", "1.0 MB", "370.2 MB", "1.5 GB", "18.4 EB"];
    assert_eq!(sizes.map(readable), read);
    let room = Space { checkpoint: 370_200_000, free: 60_000_000_000, needed: 1_850_000_000 };
    let text = "a checkpoint takes 370.2 MB, the run needs 1.9 GB more for them, the disk has 60.0 GB left";
    assert_eq!(room.to_string(), text);
}
