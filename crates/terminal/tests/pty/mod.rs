//! The demo at a pseudo-terminal that a test can inspect.

use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};
use vt100::Parser;

/// Timeout of every wait.
const PATIENCE: Duration = Duration::from_secs(60);

/// Program at a pseudo-terminal.
pub struct Terminal {
    relay: Child,
    stdin: ChildStdin,
    said: Receiver<Value>,
    parser: Parser,
    /// Everything written so far.
    pub bytes: Vec<u8>,
}

/// End of a program.
#[derive(Debug, PartialEq)]
pub struct End {
    pub status: u64,
    /// True if the settings of the terminal are those of before.
    pub restored: bool,
}

/// Returns the path of the demo, which cargo builds with the tests.
pub fn demo() -> PathBuf {
    let tests = std::env::current_exe().unwrap();
    let demo = tests.parent().unwrap().parent().unwrap().join("examples").join("demo");
    assert!(demo.exists(), "{} is missing: run cargo test -p terminal --examples first", demo.display());
    demo
}

impl Terminal {
    /// Starts the demo at a terminal of `size` rows and columns. Prints `SKIPPED` and returns `None` if there is no
    /// Python.
    pub fn start(size: [u16; 2], arguments: &[&str], environment: &[(&str, &str)]) -> Option<Self> {
        let works = Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
        if !works || !cfg!(unix) {
            eprintln!("SKIPPED: no python3, or no Unix");
            return None;
        }
        let relay = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/relay.py");
        let mut command = Command::new("python3");
        command.arg(relay).args(size.map(|count| count.to_string())).arg(demo()).args(arguments);
        for name in ["NO_COLOR", "COLORTERM", "LC_ALL", "LC_CTYPE", "CI"] {
            command.env_remove(name);
        }
        command.envs([("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("RUST_BACKTRACE", "0")]);
        command.envs(environment.iter().copied()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut relay = command.spawn().unwrap();
        let (stdin, stdout) = (relay.stdin.take().unwrap(), relay.stdout.take().unwrap());
        let (sender, said) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let _ = sender.send(serde_json::from_str(&line.unwrap()).unwrap());
            }
        });
        let parser = Parser::new(size[0], size[1], 0);
        Some(Self { relay, stdin, said, parser, bytes: Vec::new() })
    }

    fn ask(&mut self, what: &Value) {
        writeln!(self.stdin, "{what}").unwrap();
    }

    pub fn send(&mut self, keys: &str) {
        self.ask(&json!({ "send": keys }));
    }

    pub fn signal(&mut self, name: &str) {
        self.ask(&json!({ "signal": name }));
    }

    /// Stops reading the terminal, and fills it.
    pub fn stall(&mut self) {
        self.ask(&json!({ "stall": true }));
    }

    /// Closes the terminal.
    pub fn hang_up(&mut self) {
        self.ask(&json!({ "hang up": true }));
    }

    /// Makes the terminal report this number of rows and columns.
    pub fn claim(&mut self, size: [u16; 2]) {
        self.ask(&json!({ "resize": size }));
    }

    pub fn resize(&mut self, size: [u16; 2]) {
        self.claim(size);
        self.parser.screen_mut().set_size(size[0], size[1]);
    }

    /// Returns the visible rows, without trailing blanks.
    pub fn rows(&self) -> Vec<String> {
        let (_, width) = self.parser.screen().size();
        self.parser.screen().rows(0, width).map(|row| row.trim_end().to_string()).collect()
    }

    /// Returns true if a dashboard is visible, and not the lines before it.
    pub fn covered(&self) -> bool {
        self.parser.screen().alternate_screen()
    }

    pub fn cursor_hidden(&self) -> bool {
        self.parser.screen().hide_cursor()
    }

    /// Waits until the visible screen is as `wanted`.
    pub fn until(&mut self, what: &str, wanted: impl Fn(&Self) -> bool) {
        let since = Instant::now();
        while !wanted(self) {
            match self.said.recv_timeout(PATIENCE.saturating_sub(since.elapsed())) {
                Ok(said) => assert_eq!(self.take(&said), None, "ended before {what}:\n{}", self.rows().join("\n")),
                Err(_) => panic!("waited for {what}; this is seen:\n{}", self.rows().join("\n")),
            }
        }
    }

    /// Waits until `text` is visible.
    pub fn until_seen(&mut self, text: &str) {
        self.until(text, |terminal| terminal.rows().iter().any(|row| row.contains(text)));
    }

    fn take(&mut self, said: &Value) -> Option<End> {
        if let Some(shown) = said["shown"].as_str() {
            let byte = |at: usize| u8::from_str_radix(&shown[at..at + 2], 16).unwrap();
            let bytes: Vec<u8> = (0..shown.len()).step_by(2).map(byte).collect();
            self.parser.process(&bytes);
            self.bytes.extend(bytes);
            return None;
        }
        Some(End { status: said["status"].as_u64().unwrap(), restored: said["restored"].as_bool().unwrap() })
    }

    /// Waits for the end of the program.
    pub fn end(&mut self) -> End {
        let since = Instant::now();
        loop {
            match self.said.recv_timeout(PATIENCE.saturating_sub(since.elapsed())) {
                Ok(said) => {
                    if let Some(end) = self.take(&said) {
                        return end;
                    }
                }
                Err(RecvTimeoutError::Timeout) => panic!("does not end; this is seen:\n{}", self.rows().join("\n")),
                Err(RecvTimeoutError::Disconnected) => panic!("the relay broke"),
            }
        }
    }

    /// Returns everything written, as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Returns what was written after the dashboard last left the terminal.
    pub fn after_leaving(&self) -> String {
        let text = self.text();
        let (_, after) = text.rsplit_once("\x1b[?1049l").expect("the dashboard left the terminal");
        after.to_string()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // After a failed test its program may still run; it dies with its terminal.
        let _ = self.relay.kill();
        let _ = self.relay.wait();
    }
}
