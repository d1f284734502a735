//! Tests the launcher with small shell scripts in the place of ranks.

use super::*;
use std::cell::RefCell;
use std::fs;
use std::path::Path;
use std::time::Instant;
use tempfile::TempDir;

const SIGTERM: i32 = 15;
const SIGHUP: i32 = 1;
const SIGUSR1: i32 = 10;
/// Longer than any rank of these tests lasts.
const LONG: Duration = Duration::from_secs(100);

/// Starts a shell script for each rank, in a folder of their own.
fn start(scripts: &[&str]) -> (TempDir, Ranks) {
    let folder = tempfile::tempdir().unwrap();
    let commands = scripts.iter().enumerate().map(|(rank, script)| {
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(folder.path());
        (rank, command)
    });
    let ranks = Ranks::start("Rank", commands, false).unwrap();
    (folder, ranks)
}

fn ended(scripts: &[&str]) -> u8 {
    start(scripts).1.wait(LONG, Vec::new)
}

/// Sends `signals` one by one, each when the file of its name exists.
fn told<'t>(folder: &'t Path, signals: &[(&'t str, i32)]) -> impl Fn() -> Vec<i32> + 't {
    let waiting = RefCell::new(signals.to_vec());
    move || {
        let mut waiting = waiting.borrow_mut();
        let is_due = waiting.first().is_some_and(|(file, _)| folder.join(file).exists());
        if is_due { vec![waiting.remove(0).1] } else { Vec::new() }
    }
}

#[test]
fn the_status_is_that_of_the_first_that_failed_unless_all_can_be_resumed() {
    assert_eq!(ended(&["exit 0", "exit 0"]), 0);
    assert_eq!(ended(&["exit 75", "exit 75"]), 75);
    assert_eq!(ended(&["exit 75", "exit 0"]), 75);
    assert_eq!(ended(&["exit 75", "exit 3"]), 3);
    assert_eq!(ended(&["while [ ! -e first ]; do sleep 0.01; done; sleep 0.2; exit 4", "echo > first; exit 2"]), 2);
    assert_eq!(ended(&["kill -9 $$", "exit 75"]), 137, "as in a shell");
}

#[test]
fn a_rank_that_does_not_end_after_another_failed_is_killed() {
    let (_folder, mut ranks) = start(&["exec sleep 1000", "exit 5"]);
    assert_eq!(ranks.wait(Duration::from_millis(100), Vec::new), 5);
    let (_folder, mut ranks) = start(&["exec sleep 1000", "exit 75"]);
    assert_eq!(ranks.wait(Duration::from_millis(100), Vec::new), 75);
}

#[test]
fn a_rank_that_is_done_gives_the_others_all_the_time_they_need() {
    let (_folder, mut ranks) = start(&["sleep 0.5", "exit 0"]);
    assert_eq!(ranks.wait(Duration::from_millis(10), Vec::new), 0);
}

#[test]
fn all_are_told_to_stop_and_the_first_alone_to_save() {
    let saves = "trap 'echo >> saved' USR1; trap 'exit 75' XCPU; echo > $RANK; while :; do sleep 0.01; done";
    let folder = tempfile::tempdir().unwrap();
    let commands = (0..2).map(|rank: usize| {
        let mut command = Command::new("sh");
        command.args(["-c", saves]).current_dir(folder.path()).env("RANK", rank.to_string());
        (rank, command)
    });
    let mut ranks = Ranks::start("Rank", commands, false).unwrap();
    let both = || folder.path().join("0").exists() && folder.path().join("1").exists();
    let next = told(folder.path(), &[("0", SIGUSR1), ("saved", SIGTERM)]);
    assert_eq!(ranks.wait(LONG, || if both() { next() } else { Vec::new() }), 75);
    assert_eq!(fs::read_to_string(folder.path().join("saved")).unwrap().lines().count(), 1);
}

#[test]
fn told_to_stop_again_it_kills_them() {
    let deaf = "trap '' XCPU TERM; echo > here; sleep 1; echo > later; while :; do sleep 0.01; done";
    let (folder, mut ranks) = start(&[deaf, deaf]);
    let since = Instant::now();
    // What comes within a second of the first is the same request; SIGHUP is never another one.
    let mut signals = vec![("here", SIGTERM), ("here", SIGTERM), ("later", SIGHUP)];
    signals.extend([("later", SIGTERM); 100]);
    assert_eq!(ranks.wait(LONG, told(folder.path(), &signals)), 128 + 15);
    assert!(since.elapsed() < LONG, "it waited for them");
    assert!(folder.path().join("later").exists(), "the repeat killed them");
}

#[test]
fn ranks_of_a_launcher_that_fails_are_killed() {
    let (folder, ranks) = start(&["echo $$ > pid; exec sleep 1000"]);
    let file = folder.path().join("pid");
    while fs::read_to_string(&file).map_or(0, |text| text.len()) == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    let pid = fs::read_to_string(&file).unwrap();
    drop(ranks);
    assert!(!Path::new(&format!("/proc/{}", pid.trim())).exists());
}

#[test]
fn a_rank_has_the_arguments_of_its_launcher_without() {
    let rest = |line: &str| {
        let words: Vec<OsString> = without(line.split_whitespace().map(OsString::from), &["--nproc"]).collect();
        words.iter().map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(rest("train --nproc 2 --run a"), "train --run a");
    assert_eq!(rest("train --run a --nproc=auto --tui"), "train --run a --tui");
    assert_eq!(rest("train --run a --nproc auto"), "train --run a");
}

#[test]
fn one_rank_for_each_gpu_needs_a_gpu() {
    assert_eq!(local(Processes::Count(3), 8).unwrap(), 3);
    assert_eq!(local(Processes::PerGpu, 8).unwrap(), 8);
    assert!(local(Processes::PerGpu, 0).unwrap_err().to_string().contains("--nproc 2"));
}

/// The values are those that `torchrun --nnodes 3 --node-rank 2 --nproc-per-node 4` sets for its second process.
#[test]
fn ranks_of_several_machines_are_numbered_machine_by_machine() {
    let of = |set: &[(&str, &str)]| {
        let find = |name: &str| set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Place::find(find)
    };
    let all = [("PET_NNODES", "3"), ("PET_NODE_RANK", "2"), ("PET_MASTER_ADDR", "first"), ("PET_MASTER_PORT", "29400")];
    let variables = of(&all).unwrap().variables(1, 4).map(|(name, value)| format!("{name}={value}"));
    let expected = "RANK=9 WORLD_SIZE=12 LOCAL_RANK=1 LOCAL_WORLD_SIZE=4 MASTER_ADDR=first MASTER_PORT=29400";
    assert_eq!(variables.join(" "), expected);

    let alone = of(&[]).unwrap();
    assert_eq!((alone.nodes, alone.node, alone.address.as_str()), (1, 0, "127.0.0.1"));
    assert!(alone.port > 0);
    for (without, says) in [
        (&all[..1], "PET_NODE_RANK is not"),
        (&all[..2], "PET_MASTER_ADDR is not"),
        (&[("PET_NNODES", "1:4")], "PET_NNODES must be a whole number, is \"1:4\""),
        (&[("PET_NNODES", "2"), ("PET_NODE_RANK", "2")], "must be below PET_NNODES (2), is 2"),
    ] {
        let said = of(without).unwrap_err().to_string();
        assert!(said.contains(says), "{said}");
    }
}
