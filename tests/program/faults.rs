//! Rule 3 of the design on a disk that fails: whichever call on the folder of the checkpoints fails, published
//! checkpoints stay, the run reports the error and goes on or stops as configured, and the next start makes up for the
//! rest.
//!
//! `tests/faults/shim.c` makes single calls fail. Then the real thing: a limit on the size of files, and small and
//! read-only file systems where the system lets a test mount them.

#![cfg(target_os = "linux")]

mod full;

use super::support::{Place, Ran, skip};
use checkpoint::{Config, Store};
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::thread;

/// Checkpoints at steps 4, 5, 8 and 10, of which two stay.
const OPTIONS: &str = "--set checkpoint.every_steps=4 --set checkpoint.keep_last=2 --set checkpoint.keep_best=false";
const LAST: u64 = 10;
const FULL: Errno = Errno(28, "No space left on device");
const BROKEN: Errno = Errno(5, "Input/output error");

/// An error number of the system and its message.
#[derive(Debug, Clone, Copy)]
struct Errno(i32, &'static str);

#[derive(Debug, Clone, Copy, PartialEq)]
enum Mode {
    Once,
    /// This call and all after it.
    Onward,
    /// A write that takes half of its bytes, and then fails.
    Short,
}

/// Fault of a run: the number of the failing call, from 1, and how it fails.
#[derive(Debug, Clone, Copy)]
struct Fault {
    call: usize,
    mode: Mode,
    errno: Errno,
    /// checkpoint.on_error=stop
    stop: bool,
}

/// A call that the shim saw.
struct Call {
    name: String,
    path: String,
    failed: bool,
}

/// Part of a run in which a call is made.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Part {
    BeforeTraining,
    Save(u64),
    /// Tidying up after the save of this step.
    After(u64),
}

/// The program under the shim, in a place with an undisturbed run to compare with.
struct Disk {
    place: Place,
    shim: PathBuf,
    /// A run to continue, if it is not a new one.
    begun: Option<PathBuf>,
    /// The folder of a run below which calls fail.
    below: &'static str,
}

impl Disk {
    fn new(below: &'static str) -> Option<Self> {
        let place = Place::new();
        let shim = place.path("shim.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("faults/shim.c");
        let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".into()));
        compiler.args(["-shared", "-fPIC", "-O1", "-U_FORTIFY_SOURCE", "-Wall", "-Wextra", "-Werror", "-o"]);
        match compiler.arg(&shim).arg(&source).arg("-ldl").output() {
            Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
            Err(error) => {
                skip(&format!("failing disks: no C compiler: {error}"));
                return None;
            }
        }
        place.train(&format!("--run straight {OPTIONS}")).ok();
        Some(Self { place, shim, begun: None, below })
    }

    /// Trains `run` with a fault, or without one to count the calls; returns the outcome and the calls.
    fn train(&self, run: &str, fault: Option<Fault>) -> (Ran, Vec<Call>) {
        if let Some(begun) = &self.begun {
            copy(begun, &self.place.path(run));
        }
        let at = fs::canonicalize(self.place.path("")).unwrap();
        let trace = at.join(format!("{run}.trace"));
        let options = if fault.is_some_and(|fault| fault.stop) { "--set checkpoint.on_error=stop" } else { "" };
        let mut command = self.place.command(&format!("train --config tiny.json --run {run} {OPTIONS} {options}"));
        command.env("LD_PRELOAD", &self.shim).env("OXISEG_FAULT_TRACE", &trace).env("OXISEG_FAULT_MODE", "once");
        command.env("OXISEG_FAULT_UNDER", format!("{}/{run}{}", at.display(), self.below));
        if let Some(Fault { call, mode, errno, .. }) = fault {
            command.env("OXISEG_FAULT_MODE", format!("{mode:?}").to_lowercase());
            command.env("OXISEG_FAULT_CALL", call.to_string()).env("OXISEG_FAULT_ERRNO", errno.0.to_string());
        }
        let ran = Ran::new(command.output().unwrap());
        let text = fs::read_to_string(&trace);
        let text = text.unwrap_or_else(|error| panic!("no call was traced ({error}):\n{}", ran.stderr));
        let call = |line: &str| {
            let (line, failed) = line.strip_suffix(" FAILED").map_or((line, false), |line| (line, true));
            let mut words = line.splitn(3, ' ').skip(1).map(str::to_owned);
            Call { name: words.next().unwrap(), path: words.next().unwrap(), failed }
        };
        (ran, text.lines().map(call).collect())
    }

    fn store(&self, run: &str) -> Store {
        Store::new(self.place.path(run).join("checkpoints"), &Config::default())
    }

    /// Asserts that every published checkpoint can be loaded, and returns their steps.
    fn sound(&self, run: &str) -> Vec<u64> {
        let load = |path: PathBuf| checkpoint::load(&path).unwrap().progress.step;
        self.store(run).list().unwrap().into_iter().map(load).collect()
    }

    /// Asserts that the run has come to the same end as the undisturbed one.
    fn same_end(&self, run: &str) {
        for entry in fs::read_dir(self.place.checkpoints("straight").last().unwrap()).unwrap() {
            let file = entry.unwrap().file_name().into_string().unwrap();
            if file != "manifest.json" {
                assert!(self.place.last(run, &file) == self.place.last("straight", &file), "{file} differs");
            }
        }
        assert_eq!(self.place.metrics(run), self.place.metrics("straight"));
    }

    /// Resumes without faults.
    fn go_on(&self, run: &str, options: &str) {
        self.place.train(&format!("--run {run} {OPTIONS} {options}")).ok();
        assert!(self.sound(run).len() <= 3, "what is outdated stays");
        self.same_end(run);
    }

    /// Asserts all that must hold where one call of a run fails. `part` is the part of the run that makes the call, if
    /// it is known.
    fn survives(&self, run: &str, fault: Fault, part: Option<Part>) {
        let (ran, calls) = self.train(run, Some(fault));
        let log = &ran.stderr;
        for inside in ["panicked", "internal error", "fault of the program", "backtrace", ".rs:"] {
            assert!(!log.contains(inside), "{log}");
        }
        let at = calls.iter().position(|call| call.failed).expect("nothing failed");
        let Call { name, path, .. } = &calls[at];

        // Nothing is lost that was there before the fault.
        let mut before = self.begun.as_ref().map(|begun| begun.file_name().unwrap().to_string_lossy().into_owned());
        let before = before.take().map_or(0, |begun| *self.sound(&begun).last().unwrap());
        let published = calls[..at].iter().filter_map(published).fold(before, u64::max);
        let now = self.sound(run);
        assert!(published == 0 || now.last() >= Some(&published), "{published} was there, now {now:?}");

        // The log names the path and the reason, except for replaced files, which only take space until the next save.
        if !(path.contains(".replaced") && name.starts_with("unlink")) {
            let line = log.lines().find(|line| line.contains(fault.errno.1) && line.contains(run));
            assert!(line.is_some_and(|line| !line.contains("INFO")), "{name} {path}:\n{log}");
        }

        // The run goes on or stops, depending on the part.
        if let Some(part) = part {
            assert_eq!(ran.status, status(fault, part), "{part:?}\n{log}");
            let (trained, ended) = (log.contains("Epoch 1/2"), log.contains("Epoch 2/2"));
            if part == Part::BeforeTraining {
                assert!(!trained && !ended, "{log}");
                assert_eq!(now, if before == 0 { vec![] } else { self.sound("begun") });
            } else if !fault.stop {
                assert!(ended, "{log}");
            }
        }
        assert!([0, 1].contains(&ran.status), "{log}");
        match ran.status {
            0 => self.same_end(run),
            _ => self.go_on(run, if fault.stop { "--set checkpoint.on_error=stop" } else { "" }),
        }
    }

    /// Runs with each of the faults, on two threads, each in a folder of its own.
    fn survives_all(&self, faults: &[(Fault, Option<Part>)]) {
        let (next, failures) = (Mutex::new(faults.iter().enumerate()), Mutex::new(Vec::<String>::new()));
        let lane = || {
            loop {
                let taken = next.lock().unwrap().next();
                // A few failures are as informative as hundreds.
                let enough = failures.lock().unwrap().len() >= 4;
                let Some((i, (fault, part))) = taken.filter(|_| !enough) else { break };
                let run = format!("run{i}");
                if let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.survives(&run, *fault, *part))) {
                    let text = panic.downcast_ref::<String>().cloned();
                    let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                    let text = text.unwrap_or_default();
                    failures.lock().unwrap().push(format!("{fault:?} {part:?}: {text}"));
                }
                fs::remove_dir_all(self.place.path(&run)).unwrap();
            }
        };
        thread::scope(|scope| {
            scope.spawn(lane);
            lane();
        });
        let failures = failures.into_inner().unwrap();
        assert!(failures.is_empty(), "{} of {} faults:\n{}", failures.len(), faults.len(), failures.join("\n\n"));
    }
}

/// Returns the step that a call publishes.
fn published(call: &Call) -> Option<u64> {
    (call.name == "rename").then(|| call.path.split(".step-").nth(1)?.strip_suffix(".partial")?.parse().ok())?
}

/// Returns the expected exit status of a run.
fn status(Fault { mode, stop, .. }: Fault, part: Part) -> i32 {
    let fails = match (mode, part) {
        (_, Part::BeforeTraining) => true,
        (Mode::Once | Mode::Short, Part::Save(step)) => stop || step == LAST,
        (Mode::Onward, Part::Save(_)) => true,
        (Mode::Once | Mode::Short, Part::After(_)) => false,
        (Mode::Onward, Part::After(step)) => step != LAST,
    };
    i32::from(fails)
}

/// Returns the part of an undisturbed run in which each of its calls is made.
fn parts(calls: &[Call]) -> Vec<Part> {
    let mut part = Part::BeforeTraining;
    let mut ended = false;
    let of = |call: &Call| {
        let step = |text: &str| text.strip_suffix(".partial")?.parse().ok();
        if ended && let Part::Save(step) = part {
            part = Part::After(step);
        }
        if let ("mkdir", Some(step)) = (call.name.as_str(), call.path.split(".step-").nth(1).and_then(step)) {
            part = Part::Save(step);
        }
        // The flush of the folder ends a publication.
        ended = call.name == "fsync" && call.path.ends_with("/checkpoints");
        part
    };
    calls.iter().map(of).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, to).unwrap();
        }
    }
}

/// Returns the faults to try: each call fails once, every third (from `third` on) also for another reason, and some in
/// the other ways.
fn all(calls: &[Call], third: usize) -> Vec<(Fault, Option<Part>)> {
    let fault = |call, mode, errno, stop| Fault { call, mode, errno, stop };
    let parts = parts(calls);
    let mut faults = Vec::new();
    let mut writes = 0;
    for (i, part) in parts.iter().enumerate() {
        let (call, part) = (i + 1, Some(*part));
        faults.push((fault(call, Mode::Once, FULL, false), part));
        if i % 3 == third {
            faults.push((fault(call, Mode::Once, BROKEN, false), part));
        }
        if i % 10 == 2 {
            faults.push((fault(call, Mode::Onward, FULL, false), part));
        }
        if i % 10 == 5 {
            faults.push((fault(call, Mode::Once, BROKEN, true), part));
        }
        if calls[i].name == "write" {
            writes += 1;
            if writes % 3 == 0 {
                faults.push((fault(call, Mode::Short, FULL, false), part));
            }
        }
    }
    faults
}

#[test]
fn a_new_run_survives_every_call_that_fails() {
    let Some(disk) = Disk::new("/checkpoints") else { return };
    let (ran, calls) = disk.train("counted", None);
    ran.ok();
    disk.same_end("counted");
    let faults = all(&calls, 0);
    println!("{} calls, {} faults", calls.len(), faults.len());
    let steps: Vec<u64> = calls.iter().filter_map(published).collect();
    // The end of the first epoch is saved before its validation and after it.
    assert_eq!(steps, [4, 5, 5, 8, 10]);
    for what in [".trial", ".removed"] {
        assert!(calls.iter().any(|call| call.path.contains(what)), "{what}");
    }
    disk.survives_all(&faults);
}

#[test]
fn a_continued_run_that_replaces_a_checkpoint_survives_every_call_that_fails() {
    let Some(mut disk) = Disk::new("/checkpoints") else { return };
    // The end of the epoch is still to come, and then has a checkpoint of the same step.
    let begun = disk.place.train(&format!("--run begun --until-step 5 {OPTIONS}"));
    assert_eq!(begun.status, 75, "{}", begun.stderr);
    disk.begun = Some(disk.place.path("begun"));
    let (ran, calls) = disk.train("counted", None);
    ran.ok();
    disk.same_end("counted");
    let faults = all(&calls, 1);
    println!("{} calls, {} faults", calls.len(), faults.len());
    assert!(calls.iter().any(|call| call.path.contains(".step-0000000005.replaced")));
    disk.survives_all(&faults);
}

#[test]
fn a_file_is_flushed_before_it_takes_its_name_and_its_folder_after_that() {
    let Some(disk) = Disk::new("") else { return };
    let (ran, calls) = disk.train("run", None);
    ran.ok();
    let is_fsync = |call: &Call, path: &str| call.name == "fsync" && call.path == path;
    let mut renamed = 0;
    for (at, Call { path, .. }) in calls.iter().enumerate().filter(|(_, call)| call.name == "rename") {
        let Some((folder, _)) = path.split_once("/.oxiseg-") else { continue };
        renamed += 1;
        let last = calls[..at].iter().rfind(|call| call.path == *path).unwrap();
        assert!(is_fsync(last, path), "{} {path}", last.name);
        assert!(calls[at..].iter().any(|call| is_fsync(call, folder)), "{folder}");
    }
    assert!(renamed >= 3, "config.json, environment.json and report.html, but {renamed}");
}

#[test]
fn a_run_survives_that_nothing_of_it_can_be_written() {
    let Some(disk) = Disk::new("") else { return };
    let (ran, calls) = disk.train("counted", None);
    ran.ok();
    let fault = |call, mode| (Fault { call, mode, errno: FULL, stop: false }, None);
    let outside: Vec<usize> = (1..=calls.len()).filter(|i| !calls[i - 1].path.contains("/checkpoints")).collect();
    let mut faults: Vec<_> = outside.iter().map(|&call| fault(call, Mode::Once)).collect();
    faults.extend((1..=calls.len()).step_by(12).map(|call| fault(call, Mode::Onward)));
    println!("{} calls, {} faults", calls.len(), faults.len());
    disk.survives_all(&faults);
}
