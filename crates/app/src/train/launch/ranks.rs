//! Processes of a launcher: started, signalled, awaited, and none left behind.

use crate::common::ranked::LAUNCHER;
use anyhow::{Context, Result};
use session::{REPEATS, RESUMABLE};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::io::{BufRead, BufReader, IsTerminal, PipeReader, Read, pipe, stderr};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle, sleep};
use std::time::{Duration, Instant};
use std::{env, mem};

/// Interval at which processes and signals are looked at.
const POLL: Duration = Duration::from_millis(50);
/// Longest line of a rank that is shown whole.
const LONGEST: u64 = 64 << 10;
/// Number of lines that are kept while a dashboard covers the terminal.
const KEPT: usize = 10_000;
#[cfg(unix)]
const SIGUSR1: i32 = signal_hook::consts::SIGUSR1;
#[cfg(not(unix))]
const SIGUSR1: i32 = -1;

/// Signals to the launcher.
#[derive(Debug)]
pub struct Told(Mutex<signal_hook::iterator::Signals>);

impl Told {
    /// Listens to the signals that a training listens to.
    pub fn listen() -> Result<Self> {
        let mut signals = vec![SIGTERM, SIGINT];
        #[cfg(unix)]
        {
            use signal_hook::consts::{SIGHUP, SIGXCPU};
            signals.extend([SIGHUP, SIGXCPU].into_iter().filter(|signal| !terminal::is_ignored(*signal)));
            signals.push(SIGUSR1);
        }
        let listening = signal_hook::iterator::Signals::new(signals).context("listening to signals")?;
        Ok(Self(Mutex::new(listening)))
    }

    /// Returns the signals that came since the last call.
    pub fn since_last(&self) -> Vec<i32> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pending().collect()
    }
}

/// Ties this process to its launcher, if it is a rank of one: when the launcher dies, the rank saves and stops. Returns
/// false if the launcher is gone already. Only Linux has such a tie.
pub fn outlives_no_launcher() -> bool {
    #[cfg(target_os = "linux")]
    if let Some(launcher) = env::var(LAUNCHER).ok().and_then(|id| id.parse::<i32>().ok()) {
        use rustix::process::{Signal, getppid, set_parent_process_death_signal};
        // Linux may send it for several threads of the launcher, and a second SIGTERM would end the rank at once.
        if let Err(error) = set_parent_process_death_signal(Some(Signal::XCPU)) {
            log::debug!("This rank would outlive its launcher: {error}");
        }
        return getppid().is_some_and(|parent| parent.as_raw_nonzero().get() == launcher);
    }
    true
}

/// Processes that train together. They are killed when this is dropped.
pub struct Ranks {
    /// Name of a process in messages, before its number.
    noun: &'static str,
    all: Vec<Rank>,
    /// Lines that wait for the end of a dashboard.
    held: Option<Arc<Mutex<Vec<String>>>>,
}

struct Rank {
    number: usize,
    process: Child,
    status: Option<ExitStatus>,
    output: Option<JoinHandle<()>>,
}

impl Ranks {
    /// Starts processes, each with its number as `noun`. The first has the terminal, where it draws a dashboard if
    /// `covered`; the others' lines are shown on stderr with their rank, if `covered` after the end of the first.
    pub fn start(noun: &'static str, commands: impl Iterator<Item = (usize, Command)>, covered: bool) -> Result<Self> {
        let mut ranks = Self { noun, all: Vec::new(), held: covered.then(Arc::default) };
        for (number, mut command) in commands {
            let output = (!ranks.all.is_empty()).then(pipe).transpose().context("making a pipe for a rank")?;
            if let Some((_, end)) = &output {
                let again = end.try_clone().context("making a pipe for a rank")?;
                command.stdin(Stdio::null()).stdout(again).stderr(end.try_clone()?);
                // Ctrl-C reaches the first rank by the terminal, and the others by the launcher alone.
                #[cfg(unix)]
                std::os::unix::process::CommandExt::process_group(&mut command, 0);
            }
            let process = command.spawn().with_context(|| format!("starting rank {number}"))?;
            // Its copies of the pipe's end must be closed for the pipe to end with the rank.
            drop(command);
            let held = ranks.held.clone();
            let output = output.map(|(lines, _)| thread::spawn(move || show(number, lines, held.as_deref())));
            ranks.all.push(Rank { number, process, status: None, output });
        }
        Ok(ranks)
    }

    /// Waits until all have ended, and forwards the signals that `told` returns; returns the status of them all. Once
    /// one has failed, the others get `grace`, and are killed then. A second SIGTERM or SIGINT kills all at once,
    /// unless it comes within [`REPEATS`].
    pub fn wait(&mut self, grace: Duration, told: impl Fn() -> Vec<i32>) -> u8 {
        let (mut stopping, mut failed, mut first) = (None::<Instant>, None, None);
        loop {
            for signal in told() {
                if signal == SIGUSR1 {
                    // The ranks agree on it, so one is enough; told at different steps, they would save twice.
                    self.all.iter().take(1).for_each(|rank| rank.send(Ask::Save));
                } else if stopping.is_some_and(|since| since.elapsed() > REPEATS && [SIGTERM, SIGINT].contains(&signal))
                {
                    log::warn!("Told to stop again: the ranks are killed");
                    self.kill();
                    self.end_output();
                    return status(128 + signal);
                } else {
                    stopping.get_or_insert_with(Instant::now);
                    self.all.iter().for_each(|rank| rank.send(Ask::Stop));
                }
            }
            for rank in self.all.iter_mut().filter(|rank| rank.status.is_none()) {
                let Some(code) = rank.ended() else { continue };
                if code != 0 {
                    failed = failed.or_else(|| Some(Instant::now()));
                }
                if code != 0 && code != RESUMABLE {
                    first = first.or(Some(code));
                    log::error!("{} {} ended with status {code}", self.noun, rank.number);
                }
            }
            if self.all.iter().all(|rank| rank.status.is_some()) {
                self.end_output();
                return first.unwrap_or(if failed.is_some() { RESUMABLE } else { 0 });
            }
            if failed.is_some_and(|since: Instant| since.elapsed() >= grace) {
                let late = self.all.iter().filter(|rank| rank.status.is_none());
                let late: Vec<String> = late.map(|rank| rank.number.to_string()).collect();
                let seconds = grace.as_secs();
                log::error!("Rank {} did not end within {seconds} s after another: killed", late.join(", "));
                self.kill();
                self.end_output();
                return first.unwrap_or(RESUMABLE);
            }
            sleep(POLL);
        }
    }

    fn kill(&mut self) {
        for rank in self.all.iter_mut().filter(|rank| rank.status.is_none()) {
            // Fails only if it has ended.
            rank.process.kill().ok();
            rank.status = rank.process.wait().ok();
        }
    }

    /// Waits for the last lines, and shows those that were held back.
    fn end_output(&mut self) {
        self.all.iter_mut().filter_map(|rank| rank.output.take()).for_each(|output| drop(output.join()));
        let held = self.held.take().map(|held| mem::take(&mut *held.lock().unwrap_or_else(PoisonError::into_inner)));
        held.into_iter().flatten().for_each(|line| terminal::say(&line));
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Request to a rank.
#[derive(Debug, Clone, Copy)]
enum Ask {
    Stop,
    Save,
}

impl Rank {
    /// Returns the status if it has ended; that of a signal is 128 and its number, as in a shell.
    fn ended(&mut self) -> Option<u8> {
        self.status = self.process.try_wait().ok().flatten();
        let ended = self.status?;
        #[cfg(unix)]
        let by_signal = std::os::unix::process::ExitStatusExt::signal(&ended);
        #[cfg(not(unix))]
        let by_signal: Option<i32> = None;
        Some(status(ended.code().or(by_signal.map(|signal| 128 + signal)).unwrap_or(1)))
    }

    #[cfg(unix)]
    fn send(&self, ask: Ask) {
        use rustix::process::{Pid, Signal, kill_process};
        let signal = match ask {
            // As SIGTERM does, but any number of times: a system that signals all processes of a job has told the ranks
            // already, and a second SIGTERM would end them at once.
            Ask::Stop => Signal::XCPU,
            Ask::Save => Signal::USR1,
        };
        // An ended process keeps its number until it was awaited.
        let id = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).filter(|_| self.status.is_none());
        if let Some(Err(error)) = id.map(|id| kill_process(id, signal)) {
            log::debug!("Rank {} was not signalled: {error}", self.number);
        }
    }

    #[cfg(not(unix))]
    fn send(&self, _: Ask) {}
}

fn status(code: i32) -> u8 {
    u8::try_from(code).unwrap_or(1)
}

/// Shows the lines of a rank on stderr, or holds them back.
fn show(rank: usize, lines: PipeReader, held: Option<&Mutex<Vec<String>>>) {
    let own = format!("[rank {rank}] ");
    // A progress bar of the first rank may stand there.
    let clear = if stderr().is_terminal() { "\r\x1b[2K" } else { "" };
    let mut lines = BufReader::new(lines);
    let mut line = Vec::new();
    while lines.by_ref().take(LONGEST).read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let text = String::from_utf8_lossy(&line);
        let text = terminal::clean_line(text.trim_end());
        // Its log names the rank by itself, since a rank may have another launcher.
        let name = if text.contains(&own) { "" } else { &own };
        match held.map(|held| held.lock().unwrap_or_else(PoisonError::into_inner)) {
            Some(mut held) if held.len() < KEPT => held.push(format!("{name}{text}")),
            Some(_) => {}
            None => terminal::say(&format!("{clear}{name}{text}")),
        }
        line.clear();
    }
}
