//! The program, built once and run in temporary folders.

use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;
use tempfile::TempDir;

/// Path of the binary, built in the profile of the tests.
pub static APP: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    build.args(["build", "--quiet", "--package", "app"]);
    if !cfg!(debug_assertions) {
        build.arg("--release");
    }
    assert!(build.current_dir(root()).status().unwrap().success());
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("app")
});

/// A configuration that trains in a second: 24 images of 16×16, a UNet of width 4.
pub const TINY: &str = r#"{
    "data": {"kind": "shapes", "size": [16, 16], "train_samples": 24, "validation_samples": 12,
             "loader": {"batch_size": 5}},
    "model": {"kind": "unet", "width": 4, "depth": 2},
    "train": {"epochs": 2, "threads": 1, "device": "cpu"},
    "export": {"at_end": false}
}"#;

/// Returns the root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// Prints that something was not tested, past the test harness.
pub fn skip(what: &str) {
    let _ = writeln!(std::io::stderr(), "SKIPPED: {what}");
}

/// Returns python3 with the packages of `scripts/python`, if they are installed.
pub fn python() -> Option<Command> {
    let packages = root().join(".python");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", &packages);
    packages.join("installed.txt").exists().then_some(python)
}

/// Returns ONNX Runtime's library among the packages of `scripts/python`, if they are installed.
pub fn onnx_runtime() -> Option<PathBuf> {
    let mut files =
        fs::read_dir(root().join(".python/onnxruntime/capi")).ok()?.filter_map(|entry| Some(entry.ok()?.path()));
    files.find(|path| path.to_string_lossy().contains("libonnxruntime.so"))
}

/// Outcome of a command.
pub struct Ran {
    /// Exit status; the negative number of the signal that ended it, if one did.
    pub status: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            status: output.status.code().unwrap_or_else(|| -output.status.signal().unwrap_or(0)),
            stdout: text(output.stdout),
            stderr: text(output.stderr),
        }
    }

    /// Asserts success.
    pub fn ok(self) -> Self {
        assert_eq!(self.status, 0, "{}", self.stderr);
        self
    }

    /// Asserts that it ended with `status` and says `says`, without a trace of the program's inside.
    pub fn refused(self, status: i32, says: &str) -> Self {
        assert_eq!(self.status, status, "{}\n{}", self.stdout, self.stderr);
        assert!(self.stderr.contains(says), "expected \"{says}\" in:\n{}", self.stderr);
        for inside in ["panicked", "backtrace", "Exception raised", "TchError", ".rs:"] {
            assert!(!self.stderr.contains(inside), "\"{inside}\" in:\n{}", self.stderr);
        }
        self
    }
}

/// A temporary folder in which the program is run.
pub struct Place {
    folder: TempDir,
}

impl Place {
    /// Makes a folder that is empty but for `tiny.json`.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tiny.json"), TINY).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the program with these arguments, separated by blanks.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(&*APP);
        command.args(arguments.split_whitespace()).current_dir(self.folder.path()).env_remove("RUST_LOG");
        command
    }

    pub fn app(&self, arguments: &str) -> Ran {
        Ran::new(self.command(arguments).output().unwrap())
    }

    /// Trains `tiny.json` with more arguments.
    pub fn train(&self, arguments: &str) -> Ran {
        self.app(&format!("train --config tiny.json {arguments}"))
    }

    /// Returns the lines of a run's `metrics.jsonl`, without times.
    pub fn metrics(&self, run: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path(run).join("metrics.jsonl")).unwrap();
        let line = |line: &str| {
            let mut value: Value = serde_json::from_str(line).unwrap();
            let object = value.as_object_mut().unwrap();
            assert!(object.remove("time").unwrap().is_number());
            // Speed and memory may differ where the results are the same.
            object.retain(|key, _| {
                !key.starts_with("seconds/")
                    && !["images_per_second", "memory_mb", "gradient_norm"].contains(&key.as_str())
            });
            value
        };
        text.lines().map(line).collect()
    }

    /// Returns the published checkpoints of a run, oldest first.
    pub fn checkpoints(&self, run: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.path(run).join("checkpoints")).unwrap();
        let mut all: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        all.sort();
        all
    }

    /// Returns the bytes of a file in the last checkpoint of a run.
    pub fn last(&self, run: &str, file: &str) -> Vec<u8> {
        fs::read(self.checkpoints(run).last().unwrap().join(file)).unwrap()
    }
}
