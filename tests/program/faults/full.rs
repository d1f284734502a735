//! Disks that are really full or read-only, as far as a test can make them.

use super::{LAST, OPTIONS};
use crate::program::support::{APP, Place, Ran, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Makes a place with an undisturbed run; returns it with the size of the run's last checkpoint in bytes.
fn straight() -> (Place, u64) {
    let place = Place::new();
    place.train(&format!("--run straight {OPTIONS}")).ok();
    let files = fs::read_dir(place.checkpoints("straight").last().unwrap()).unwrap();
    let bytes = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
    (place, bytes)
}

/// Runs a script in which `"$@"` trains `run`.
fn sh(place: &Place, shell: &[&str], script: &str, run: &str) -> Ran {
    app_in(place, shell, script, &format!("train --config tiny.json --run {run} {OPTIONS}"))
}

/// Runs a script in which `"$@"` is the program with these arguments.
fn app_in(place: &Place, shell: &[&str], script: &str, args: &str) -> Ran {
    let mut command = Command::new(shell[0]);
    command.args(&shell[1..]).args(["-c", script, "sh"]).arg(&*APP).current_dir(place.path("")).env_remove("RUST_LOG");
    Ran::new(command.args(args.split_whitespace()).output().unwrap())
}

/// Resumes `run`, and compares its end with the undisturbed one.
fn go_on(place: &Place, run: &str) {
    place.train(&format!("--run {run} {OPTIONS}")).ok();
    for state in ["model", "optimizer", "metric", "generator"] {
        let file = format!("{state}.safetensors");
        assert!(place.last(run, &file) == place.last("straight", &file), "{file} differs");
    }
    assert_eq!(place.metrics(run), place.metrics("straight"));
}

#[test]
fn files_that_outgrow_their_limit_end_no_training() {
    let (place, _) = straight();
    // Blocks of 512 bytes or, as bash counts, of 1024: the trial file fits either way, the optimizer never.
    let blocks = place.last("straight", "optimizer.safetensors").len() / 1024 - 1;
    let ran = sh(&place, &["sh"], &format!("ulimit -f {blocks}; exec \"$@\""), "limited");
    let ran = ran.refused(1, "the last checkpoint was not written");
    assert!(ran.stderr.contains(".safetensors: File too large (os error 27)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("Epoch 2/2") && place.checkpoints("limited").is_empty(), "{}", ran.stderr);
    go_on(&place, "limited");

    let ran = sh(&place, &["sh"], "ulimit -f 1; exec \"$@\"", "tiny").refused(1, ".trial: File too large");
    assert!(!ran.stderr.contains("Epoch"), "{}", ran.stderr);
    go_on(&place, "tiny");
}

/// Runs `run` with its checkpoints on a file system of its own, which goes away with the process; the files are copied
/// out. Returns `None` where the system does not let us mount one.
fn mounted(place: &Place, options: &str, run: &str) -> Option<Ran> {
    let namespace = ["unshare", "--map-root-user", "--mount", "sh"];
    let script = |then: &str| {
        let folder = format!("{run}/checkpoints");
        format!("mkdir -p {folder} && mount -t tmpfs -o {options} tmpfs {folder} || exit 99; {then}")
    };
    let mut mount = Command::new(namespace[0]);
    mount.args(&namespace[1..]).args(["-c", &script("exit 0")]).current_dir(place.path(""));
    if !mount.output().is_ok_and(|output| output.status.success()) {
        skip(&format!("a disk with {options}: this system lets nobody mount one"));
        return None;
    }
    let then = format!("\"$@\"; status=$?; cp -R {run}/checkpoints {run}/kept; exit $status");
    let ran = sh(place, &namespace, &script(&then), run);
    fs::remove_dir(place.path(run).join("checkpoints")).unwrap();
    fs::rename(place.path(run).join("kept"), place.path(run).join("checkpoints")).unwrap();
    Some(ran)
}

#[test]
fn a_disk_that_runs_full_keeps_what_is_there() {
    let (place, bytes) = straight();
    let Some(ran) = mounted(&place, &format!("size={}", bytes * 5 / 2), "full") else { return };
    let ran = ran.refused(1, "the last checkpoint was not written");
    assert!(ran.stderr.contains("No space left on device") && ran.stderr.contains("free some space"), "{}", ran.stderr);
    assert!(ran.stderr.contains("WARN ] a checkpoint takes"), "it was foreseeable: {}", ran.stderr);
    let there = place.checkpoints("full");
    assert!(!there.is_empty() && !there.last().unwrap().ends_with(format!("step-{LAST:010}")), "{there:?}");
    for path in there {
        checkpoint::load(&path).unwrap();
    }
    go_on(&place, "full");
}

#[test]
fn a_disk_with_no_room_for_one_checkpoint_is_refused_before_the_first_step() {
    let (place, bytes) = straight();
    let Some(ran) = mounted(&place, &format!("size={}", bytes / 2), "small") else { return };
    let ran = ran.refused(1, "small/checkpoints: a checkpoint takes");
    assert!(ran.stderr.contains("take another folder for the run") && !ran.stderr.contains("Epoch"), "{}", ran.stderr);
    assert!(!place.path("small/metrics.jsonl").exists());
    go_on(&place, "small");
}

#[test]
fn a_disk_that_is_read_only_is_refused_before_the_first_step() {
    let (place, _) = straight();
    let Some(ran) = mounted(&place, "ro", "fixed") else { return };
    let ran = ran.refused(1, "fixed/checkpoints/.trial: Read-only file system");
    assert!(ran.stderr.contains("must be writable") && !ran.stderr.contains("Epoch"), "{}", ran.stderr);
    go_on(&place, "fixed");
}

#[test]
fn a_folder_that_forbids_writing_is_refused_before_the_first_step() {
    let (place, _) = straight();
    fs::create_dir(place.path("mine")).unwrap();
    for folder in ["mine/checkpoints", "mine"] {
        fs::create_dir_all(place.path(folder)).unwrap();
        fs::set_permissions(place.path(folder), fs::Permissions::from_mode(0o555)).unwrap();
        if fs::write(place.path(folder).join("x"), "").is_ok() {
            skip("a folder that forbids writing: nothing is forbidden to root");
            return;
        }
        let ran = place.train(&format!("--run mine {OPTIONS}")).refused(1, "Permission denied");
        assert!(ran.stderr.contains(folder) && !ran.stderr.contains("Epoch"), "{}", ran.stderr);
        fs::set_permissions(place.path(folder), fs::Permissions::from_mode(0o755)).unwrap();
    }
    go_on(&place, "mine");
}

#[test]
fn a_cache_that_cannot_be_written_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let cached = "--set data.loader.cache=disk --set data.loader.cache_folder=cache";
    let limited = |script: &str, run: &str| sh(&place, &["sh"], &format!("{script}; exec \"$@\" {cached}"), run);
    let left = || fs::read_dir(place.path("cache")).unwrap().map(|entry| entry.unwrap().path());
    // The samples take 24 kB, in one piece; blocks are of 512 or of 1024 bytes.
    let ran = limited("ulimit -f 8", "run").refused(1, "File too large (os error 27)");
    assert!(ran.stderr.contains("cache/shapes-train-") && !ran.stderr.contains("Epoch"), "{}", ran.stderr);
    assert!(left().all(|path| path.extension().is_some_and(|extension| extension == "lock")));
    limited("true", "run").ok();
    assert_eq!(left().filter(|path| path.extension().is_some_and(|extension| extension == "cache")).count(), 2);
    place.train(&format!("--run plain {OPTIONS}")).ok();
    assert_eq!(place.metrics("run"), place.metrics("plain"));
}

#[test]
fn an_export_without_room_is_an_error_and_leaves_no_version() {
    let (place, _) = straight();
    for (format, file) in [("torchscript", "model.pt"), ("onnx", "model.onnx"), ("safetensors", "model.safetensors")] {
        let args = format!("export --run straight --formats {format} --output saved/1");
        let ran = app_in(&place, &["sh"], "ulimit -f 4; exec \"$@\"", &args).refused(1, "File too large");
        assert!(ran.stderr.contains(file), "{}", ran.stderr);
        assert_eq!(fs::read_dir(place.path("saved")).unwrap().count(), 0);
    }
    app_in(&place, &["sh"], "exec \"$@\"", "export --run straight --output saved/1").ok();
}
