//! Training processes for tests to start, watch, signal and kill, and checks of what they leave.

use super::support::Place;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Timeout of every wait: no process of a test lasts nearly as long.
pub const HANGS: Duration = Duration::from_secs(120);
/// Interval at which a process is polled.
const POLL: Duration = Duration::from_millis(1);

/// A running program. It is killed if a test forgets it or fails.
pub struct Life {
    child: Child,
    log: PathBuf,
    since: Instant,
}

/// End of a process.
#[derive(Debug)]
pub struct End {
    /// Exit status, if it ended by itself.
    pub status: Option<i32>,
    /// Signal that ended it.
    pub signal: Option<i32>,
    /// Its stderr.
    pub said: String,
    /// Its duration.
    pub lasted: Duration,
}

impl Life {
    /// Starts the program with these arguments, separated by blanks.
    pub fn start(place: &Place, arguments: &str) -> Self {
        Self::with_log(place, arguments, "info")
    }

    /// Like [`start`](Self::start), with the log at this level.
    pub fn with_log(place: &Place, arguments: &str, level: &str) -> Self {
        Self::of(place, place.command(arguments), level)
    }

    /// Starts a command that ends in the program, with its log at this level.
    pub fn of(place: &Place, mut command: Command, level: &str) -> Self {
        static LIVES: AtomicU64 = AtomicU64::new(0);
        let log = place.path(&format!("stderr-{}", LIVES.fetch_add(1, Ordering::Relaxed)));
        command.env("RUST_LOG", level).stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log).unwrap());
        Self { child: command.spawn().unwrap(), log, since: Instant::now() }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Returns its stderr so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for a condition; returns false if the process ended before.
    pub fn until(&mut self, mut come: impl FnMut(&Self) -> bool) -> bool {
        let since = Instant::now();
        while !come(self) {
            if self.is_over() {
                return false;
            }
            assert!(since.elapsed() < HANGS, "waited too long; it said:\n{}", self.said());
            sleep(POLL);
        }
        true
    }

    /// Waits until stderr contains `what` so many times; returns false if the process ended before.
    pub fn until_said(&mut self, what: &str, times: usize) -> bool {
        self.until(|life| life.said().matches(what).count() >= times)
    }

    /// Returns true if the program has installed its signal handlers, of which that for SIGUSR1 is the last.
    pub fn listens(&self) -> bool {
        const SIGUSR1: u32 = 10;
        let about = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let caught = about.lines().find_map(|line| line.strip_prefix("SigCgt:"));
        caught.is_some_and(|mask| u64::from_str_radix(mask.trim(), 16).unwrap() >> (SIGUSR1 - 1) & 1 == 1)
    }

    /// Sends a signal: `TERM`, `INT`, `USR1`. Has no effect after the end of the process: its number is ours until
    /// `end`.
    pub fn send(&self, signal: &str) {
        // The shell's own `kill` exists even where no other does.
        let line = format!("kill -{signal} {}", self.pid());
        Command::new("sh").args(["-c", &line]).stderr(Stdio::null()).status().unwrap();
    }

    /// Kills it in any state.
    pub fn kill(mut self) -> End {
        self.child.kill().unwrap();
        self.end()
    }

    /// Waits for its end.
    pub fn end(mut self) -> End {
        assert!(self.until_over(HANGS), "it does not end; it said:\n{}", self.said());
        let status: ExitStatus = self.child.wait().unwrap();
        End { status: status.code(), signal: status.signal(), said: self.said(), lasted: self.since.elapsed() }
    }

    /// Waits for its end until a timeout; returns true if it ended.
    pub fn until_over(&mut self, longest: Duration) -> bool {
        let since = Instant::now();
        while !self.is_over() {
            if since.elapsed() > longest {
                return false;
            }
            sleep(POLL);
        }
        true
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Returns true if /proc lists the signals that a process handles.
pub fn can_see_who_listens() -> bool {
    Path::new("/proc/self/status").exists()
}

/// Generator of random numbers that depend only on the seed: SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) % limit
    }

    /// Returns a part of `whole`, uniform from nothing to all of it.
    pub fn part_of(&mut self, whole: Duration) -> Duration {
        whole.mul_f64(self.below(1_000_000) as f64 / 1e6)
    }
}

/// Returns the published checkpoints of a run, oldest first, as the program itself finds them. Each must be complete.
pub fn published(place: &Place, run: &str) -> Vec<PathBuf> {
    let store = checkpoint::Store::new(place.path(run).join("checkpoints"), &checkpoint::Config::default());
    let list = store.list().unwrap();
    for path in &list {
        // One of a run that lives may be outdated and removed by now.
        if let Err(damage) = checkpoint::load(path)
            && path.exists()
        {
            panic!("a damaged checkpoint was published: {}: {damage}", path.display());
        }
    }
    list
}

/// Returns the step of the newest published checkpoint, 0 if there is none.
pub fn newest_step(place: &Place, run: &str) -> u64 {
    published(place, run).last().and_then(|path| checkpoint::step_of(path)).unwrap_or(0)
}

/// Returns the name of the checkpoint's folder that a log says it continues from.
pub fn continued_from(said: &str) -> Option<&str> {
    let path = said.split_once("Continuing from ")?.1.split_once(" (")?.0;
    path.rsplit('/').next()
}

/// Returns everything in the last checkpoint of a run that has to match another's: all tensors (the bytes of their
/// files), the progress, the scores.
pub fn last_state(place: &Place, run: &str) -> BTreeMap<String, Vec<u8>> {
    let path = published(place, run).pop().unwrap();
    state(&path)
}

pub fn state(checkpoint: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut state = BTreeMap::new();
    for entry in fs::read_dir(checkpoint).unwrap() {
        let (path, name) = { entry.map(|entry| (entry.path(), entry.file_name().into_string().unwrap())).unwrap() };
        if name != "manifest.json" {
            state.insert(name, fs::read(path).unwrap());
        }
    }
    let snapshot = checkpoint::load(checkpoint).unwrap();
    assert_eq!(state.len(), snapshot.states.len());
    state.insert("progress and scores".into(), format!("{:?} {:?}", snapshot.progress, snapshot.scores).into_bytes());
    state
}

/// Asserts that two runs logged the same and that their last checkpoints hold the same.
pub fn assert_same(place: &Place, left: &str, right: &str) {
    let (lines, others) = (place.metrics(left), place.metrics(right));
    for (line, other) in lines.iter().zip(&others) {
        assert_eq!(line, other, "metrics.jsonl of {left} and {right}");
    }
    assert_eq!(lines.len(), others.len(), "lines of metrics.jsonl of {left} and {right}");
    assert_same_state(&last_state(place, left), &last_state(place, right), &format!("{left} and {right}"));
}

/// Asserts that a run of ranks, of which some were lost, came to the same end as another run; `said` is its log. A
/// checkpoint that the first rank saved alone lacks the others' part of the training scores, and the log says so.
pub fn assert_same_end(place: &Place, straight: &str, run: &str, said: &str) {
    let lacking = said.contains("leave out what the other ranks saw");
    let lines = |run: &str| {
        let mut lines = place.metrics(run);
        lines.retain(|line| !lacking || line["stage"] != "train");
        lines
    };
    assert_eq!(lines(straight), lines(run), "{run}");
    assert_same_state(&last_state(place, straight), &last_state(place, run), run);
}

pub fn assert_same_state(left: &BTreeMap<String, Vec<u8>>, right: &BTreeMap<String, Vec<u8>>, whose: &str) {
    assert_eq!(left.keys().collect::<Vec<_>>(), right.keys().collect::<Vec<_>>(), "{whose}");
    let differing: Vec<&String> = left.keys().filter(|name| left[*name] != right[*name]).collect();
    assert!(differing.is_empty(), "{differing:?} of {whose} differ");
}

/// Asserts that a finished run has no partial files in its folder.
pub fn assert_tidy(place: &Place, run: &str) {
    for folder in [place.path(run), place.path(run).join("checkpoints")] {
        for entry in fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            let known =
                ["config.json", "environment.json", "metrics.jsonl", "lock", "logs", "checkpoints", "report.html"]
                    .contains(&&*name);
            assert!(known || name.starts_with("step-"), "{name} lies about in {run}");
        }
    }
}
