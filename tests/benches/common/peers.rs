//! Peers that do the same task: a Python process that answers requests, one line at a time.

use super::Outcome;
use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

pub struct Peers {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    /// Starts a script of this folder with the Python of `PYTHON`; returns `None` if that is not set.
    pub fn start(script: &str, arguments: &[&OsStr]) -> Outcome<Option<Self>> {
        let Ok(python) = std::env::var("PYTHON") else {
            eprintln!("SKIPPED: {script}: there is no Python with its packages (set PYTHON)");
            return Ok(None);
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches").join(script);
        let mut command = Command::new(python);
        let command = command.arg(script).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn()?;
        let requests = process.stdin.take().ok_or("Python has no stdin")?;
        let answers = BufReader::new(process.stdout.take().ok_or("Python has no stdout")?);
        let mut peers = Self { process, requests, answers };
        // The files that it reads may be gone later.
        peers.ask("ready")?;
        Ok(Some(peers))
    }

    /// Returns the number that answers a request.
    pub fn ask(&mut self, what: &str) -> Outcome<f64> {
        writeln!(self.requests, "{what}")?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer)?;
        answer.trim().parse().map_err(|_| format!("Python answered {answer:?} to {what}").into())
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
