//! The example, killed at random places: its last tensors and its log are those of a run that was left alone.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Returns the example's program, which `cargo test` builds next to the tests.
fn program() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/own_task");
    assert!(program.exists(), "{} is missing: run cargo test -p session", program.display());
    program
}

/// Runs the example in `folder` until it ends, or for as long as `life`. Returns true if it ended, with success.
fn run(folder: &Path, life: Option<Duration>) -> bool {
    let mut child = Command::new(program()).arg(folder).stderr(Stdio::null()).spawn().unwrap();
    let since = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return true;
        }
        if life.is_some_and(|life| since.elapsed() >= life) {
            child.kill().unwrap();
            child.wait().unwrap();
            return false;
        }
        sleep(Duration::from_millis(5));
    }
}

/// Returns the tensors of the last checkpoint as bytes, and the log without what differs from run to run.
fn end(folder: &Path) -> (Vec<(String, Vec<u8>)>, Vec<Value>) {
    let mut steps: Vec<PathBuf> =
        fs::read_dir(folder.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    steps.sort();
    let last = steps.pop().unwrap();
    assert!(last.ends_with("step-0000000180"), "{}", last.display());
    let mut files: Vec<(String, Vec<u8>)> = fs::read_dir(last)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().extension().is_some_and(|extension| extension == "safetensors"))
        .map(|entry| (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    let line = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let own =
            |key: &str| key == "time" || key == "memory_mb" || key == "images_per_second" || key == "gradient_norm";
        line.as_object_mut().unwrap().retain(|key, _| !own(key) && !key.starts_with("seconds/"));
        line
    };
    (files, fs::read_to_string(folder.join("metrics.jsonl")).unwrap().lines().map(line).collect())
}

fn killed(times: usize) {
    let root = tempfile::tempdir().unwrap();
    let (straight, killed) = (root.path().join("straight"), root.path().join("killed"));
    let since = Instant::now();
    assert!(run(&straight, None));
    let whole = since.elapsed();
    let expected = end(&straight);
    assert_eq!(expected.0.len(), 5, "model, optimizer, metric, generator, recovery");

    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_nanos();
    let mut random = u64::from(seed) | 1;
    let mut kills = 0;
    for _ in 0..10 * times {
        // xorshift64
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let life = whole.mul_f64((random % 1000) as f64 / 1000.0);
        if run(&killed, Some(life)) {
            assert_eq!(end(&killed), expected, "seed {seed}, after {kills} kills");
            fs::remove_dir_all(&killed).unwrap();
        } else {
            kills += 1;
        }
        if kills == times {
            break;
        }
    }
    assert!(kills == times, "it was too fast to be killed");
    run(&killed, None);
    assert_eq!(end(&killed), expected, "seed {seed}, after {kills} kills");
}

#[test]
fn killed_anywhere_it_ends_as_if_it_had_been_left_alone() {
    killed(3);
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn killed_anywhere_thirty_times() {
    killed(30);
}
