//! The example, killed at random places, ends with the tensors of a run that was left alone.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Returns the example, which `cargo test` builds next to the tests.
fn example() -> Command {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/own_loop");
    assert!(program.exists(), "{} is missing: run cargo test -p checkpoint", program.display());
    Command::new(program)
}

/// Returns the files of the last checkpoint that hold tensors.
fn end(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let last = folder.join("checkpoints/step-0000000400");
    let files = ["model", "optimizer"].map(|name| PathBuf::from(format!("{name}.safetensors")));
    files.map(|file| (file.clone(), fs::read(last.join(file)).unwrap())).into()
}

#[test]
fn killed_anywhere_it_ends_as_if_it_had_been_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let (straight, killed) = (root.path().join("straight"), root.path().join("killed"));
    let since = Instant::now();
    let output = example().arg(&straight).output().unwrap();
    let whole = since.elapsed();
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).unwrap();
    let losses: Vec<f64> = said.lines().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert_eq!(losses.len(), 20);
    assert!(losses[19] < losses[0] / 4.0, "nothing was learnt: {losses:?}");

    let mut random = u64::from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos()) | 1;
    let seed = random;
    for _ in 0..3 {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut child = example().arg(&killed).stdout(Stdio::null()).spawn().unwrap();
        sleep(whole.mul_f64((random % 1000) as f64 / 1000.0).max(Duration::from_millis(5)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = example().arg(&killed).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert!(end(&killed) == end(&straight), "other tensors than those of a run that was left alone; seed {seed}");
}

#[test]
fn what_was_saved_is_not_done_again() {
    let root = tempfile::tempdir().unwrap();
    assert!(example().arg(root.path()).stdout(Stdio::null()).status().unwrap().success());
    let newest = root.path().join("checkpoints/step-0000000400");
    let damaged = newest.join("optimizer.safetensors");
    fs::write(&damaged, b"").unwrap();
    let output = example().arg(root.path()).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.lines().next().unwrap().ends_with("step-0000000380"), "{said}");
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(String::from_utf8(output.stderr).unwrap().contains(damaged.to_str().unwrap()));
    assert!(fs::metadata(damaged).unwrap().len() > 0, "it was not saved again");
}
