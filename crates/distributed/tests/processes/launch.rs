//! Launcher of ranks on this machine, as torchrun is one.

use distributed::{Backend, Group, Options, World};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Variable with the role of a rank.
pub const ROLE: &str = "OXISEG_TEST_ROLE";
/// Start of the lines that a rank says to the test.
const MARK: &str = "=> ";
/// Time after which a rank that hangs is killed, and the test fails.
const PATIENCE: Duration = Duration::from_secs(120);
/// Exit status of a rank that met a fault.
pub const FAULT: i32 = 75;

/// A rank in a process of its own.
pub struct Rank {
    pub child: Child,
    lines: Receiver<String>,
    reader: JoinHandle<()>,
    said: Vec<String>,
}

/// End of a rank: what it said, and its exit status (None after a signal).
#[derive(Debug)]
pub struct End {
    pub said: Vec<String>,
    pub status: Option<i32>,
}

/// Returns a port that was free a moment ago.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Returns the command that becomes a rank.
pub fn command(role: &str, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["rank", "--exact", "--ignored", "--nocapture", "--test-threads=1"]).env(ROLE, role);
    command.env("OMP_NUM_THREADS", "1").envs(settings.iter().copied());
    command
}

/// Starts those of `count` ranks that `of` lists.
pub fn start(role: &str, count: usize, of: &[usize], settings: &[(&str, &str)]) -> Vec<Rank> {
    let port = free_port().to_string();
    let start = |rank: &usize| {
        let mut command = command(role, settings);
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", count.to_string());
        command.env("MASTER_ADDR", "127.0.0.1").env("MASTER_PORT", &port);
        Rank::new(command)
    };
    of.iter().map(start).collect()
}

/// Runs all of `count` ranks to their end, which must be a success.
pub fn run(role: &str, count: usize, settings: &[(&str, &str)]) -> Vec<Vec<String>> {
    let ranks = start(role, count, &(0..count).collect::<Vec<_>>(), settings);
    let ends: Vec<End> = ranks.into_iter().map(Rank::end).collect();
    assert!(ends.iter().all(|end| end.status == Some(0)), "{ends:#?}");
    ends.into_iter().map(|end| end.said).collect()
}

impl Rank {
    pub fn new(mut command: Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let (send, lines) = channel();
        let reader = thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                // The first line stands behind the harness's own words.
                match line.split_once(MARK) {
                    Some((_, said)) => drop(send.send(said.to_string())),
                    None => eprintln!("{line}"),
                }
            }
        });
        Self { child, lines, reader, said: Vec::new() }
    }

    /// Waits until the rank says `word`.
    pub fn wait_for(&mut self, word: &str) {
        while self.said.last().is_none_or(|said| said != word) {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(said) => self.said.push(said),
                Err(_) => {
                    let _ = self.child.kill();
                    panic!("a rank did not say '{word}', but {:?}", self.said);
                }
            }
        }
    }

    /// Sends a signal by name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for the end, and kills a rank that hangs.
    pub fn end(mut self) -> End {
        let since = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > PATIENCE {
                self.child.kill().unwrap();
                self.child.wait().unwrap();
                panic!("a rank hangs; it said {:?} and {:?}", self.said, self.lines.try_iter().collect::<Vec<_>>());
            }
            thread::sleep(Duration::from_millis(20));
        };
        self.reader.join().unwrap();
        self.said.extend(self.lines.try_iter());
        End { said: self.said, status: status.code() }
    }

    /// Kills the rank.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Says a line to the test.
pub fn say(line: &str) {
    println!("{MARK}{line}");
}

/// Returns a setting of the test, as a number.
pub fn setting(name: &str, default: f64) -> f64 {
    std::env::var(name).map_or(default, |value| value.parse().unwrap())
}

/// Joins the other ranks, or ends with [`FAULT`] and its description.
pub fn join() -> Group {
    let timeout = Duration::from_secs_f64(setting("TIMEOUT", 60.0));
    let options = Options { backend: Backend::Gloo, timeout, ..Options::default() };
    match Group::join(World::from_env().unwrap(), &options) {
        Ok(group) => group,
        Err(error) => {
            say(&error.to_string());
            std::process::exit(if error.can_resume() { FAULT } else { 1 });
        }
    }
}
