//! Faults of ranks that were started one by one: a rank is killed, stopped or cut off, or never starts. Every survivor
//! ends with an error that names it and can be resumed, and the resumed run ends like one without a fault.

#![cfg(target_os = "linux")]

mod network;

use super::life::{Life, Random, assert_same_end};
use super::ranks::send;
use super::support::{Place, skip};
use network::Network;
use std::fs;
use std::net::TcpListener;
use std::ops::Range;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

/// Number of ranks.
const COUNT: usize = 3;
const RESUMABLE: i32 = 75;
const SIGKILL: i32 = 9;
/// `distributed.timeout_seconds` where it comes before the end of the patience with a silent rank, which is 20 s.
const TIMEOUT: u64 = 8;
/// Time after both in which the survivors end. Signs of life are watched for 3 seconds, and the store stays for 6. A
/// rank that takes longer hangs.
const MORE: Duration = Duration::from_secs(60);
/// Three epochs of 5 steps, each with a validation that lasts longer than its steps.
const OPTIONS: &str = "train --config tiny.json --set train.epochs=3 --set data.validation_samples=150 \
                       --set optimizer.accumulate=2 --set optimizer.ema=0.9 --set summary.per_step=true \
                       --set checkpoint.every_steps=2";
/// Number of faults of each kind in the many-fold tests.
const MANY: u64 = 20;
/// Number of runs that have a fault at the same time: survivors wait 20 s for a rank that is silent, and do nothing.
const AT_ONCE: usize = 4;

/// Point of a run at which a rank fails. The last epoch has none: the run could end before.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After this step.
    Step(usize),
    /// In the validation of this epoch.
    Validation(usize),
    /// While the first checkpoint after this step is written.
    Save(usize),
}

impl Moment {
    fn random(random: &mut Random) -> Self {
        match random.below(3) {
            0 => Self::Step(1 + random.below(9) as usize),
            1 => Self::Validation(1 + random.below(2) as usize),
            _ => Self::Save(1 + random.below(7) as usize),
        }
    }

    /// Waits for the moment, by the log and the folder of the first rank.
    fn wait(self, place: &Place, run: &str, first: &mut Life) {
        let came = match self {
            Self::Step(step) => first.until_said("Loss at step", step),
            Self::Validation(epoch) => first.until_said("DEBUG] Training acc over epoch", epoch),
            Self::Save(step) => {
                let folder = place.path(run).join("checkpoints");
                let hidden = |name: &str| name.starts_with(".step-");
                let saves = || {
                    fs::read_dir(&folder).is_ok_and(|mut all| {
                        all.any(|entry| entry.is_ok_and(|entry| hidden(&entry.file_name().to_string_lossy())))
                    })
                };
                first.until_said("Loss at step", step) && first.until(|_| saves())
            }
        };
        assert!(came, "the run ended before {self:?}:\n{}", first.said());
    }
}

/// Place with an undisturbed run to compare with.
fn place() -> Place {
    let place = Place::new();
    place.app(&format!("{OPTIONS} --run straight --nproc {COUNT}")).ok();
    place
}

/// Starts the ranks `of` a run, each with the variables that torchrun sets; in a network if one is given.
fn start(place: &Place, run: &str, of: Range<usize>, timeout: Option<u64>, network: Option<&Network>) -> Vec<Life> {
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port().to_string();
    let timeout = timeout.map(|seconds| format!("--set distributed.timeout_seconds={seconds}"));
    let arguments = format!("{OPTIONS} --run {run} {}", timeout.unwrap_or_default());
    let rank = |rank: usize| {
        let mut command = place.command(&arguments);
        let mut address = "127.0.0.1";
        if let Some(network) = network {
            (command, address) = (network.inside(rank, &command), network::FIRST);
        }
        command.env("RANK", rank.to_string()).env("WORLD_SIZE", COUNT.to_string());
        command.env("MASTER_ADDR", address).env("MASTER_PORT", &port).env("OMP_NUM_THREADS", "1");
        Life::of(place, command, "debug")
    };
    of.map(rank).collect()
}

/// Asserts that the survivors end with an error that says one of `names`.
fn all_name(survivors: Vec<Life>, names: &[String], timeout: u64) {
    for mut life in survivors {
        let ends = life.until_over(Duration::from_secs(timeout) + MORE);
        assert!(ends, "a rank does not end; it said:\n{}", life.said());
        let end = life.end();
        assert_eq!(end.status, Some(RESUMABLE), "{}", end.said);
        let error = end.said.split_once("ERROR").map_or("", |(_, error)| error);
        assert!(names.iter().any(|name| error.contains(name)), "no {names:?} in:\n{}", end.said);
    }
}

fn silent(rank: usize) -> String {
    format!("rank {rank} gives no sign of life")
}

/// Starts all ranks again, and asserts that the run ends like the undisturbed one.
fn go_on(place: &Place, run: &str) {
    let ends: Vec<_> = start(place, run, 0..COUNT, None, None).into_iter().map(Life::end).collect();
    ends.iter().for_each(|end| assert_eq!(end.status, Some(0), "{}", end.said));
    assert!(!place.path(run).join("requeue").exists());
    assert_same_end(place, "straight", run, &ends[0].said);
}

/// Kills rank `victim` of a new run, and goes on.
fn kill(place: &Place, run: &str, victim: usize, moment: Moment) {
    let mut lives = start(place, run, 0..COUNT, None, None);
    moment.wait(place, run, &mut lives[0]);
    let end = lives.remove(victim).kill();
    assert_eq!(end.signal, Some(SIGKILL), "{end:?}");
    // Gloo does not always notice that a process has ended.
    all_name(lives, &[format!("rank {victim} died"), silent(victim)], 0);
    // The first rank alone can ask for it.
    assert_eq!(place.path(run).join("requeue").exists(), victim != 0);
    go_on(place, run);
}

/// Stops rank `victim` of a new run with SIGSTOP, and goes on once it has woken up and ended.
fn stop(place: &Place, run: &str, victim: usize, moment: Moment) {
    let mut lives = start(place, run, 0..COUNT, None, None);
    moment.wait(place, run, &mut lives[0]);
    let stopped = lives.remove(victim);
    send("STOP", stopped.pid());
    all_name(lives, &[silent(victim)], 0);
    send("CONT", stopped.pid());
    let end = stopped.end();
    assert!(end.status.is_some_and(|status| status != 0) && end.said.contains("ERROR"), "{end:?}");
    go_on(place, run);
}

/// Cuts the last rank of a new run off the network of the others, and goes on.
fn cut(place: &Place, run: &str, network: &Network, moment: Moment) {
    let mut lives = start(place, run, 0..COUNT, Some(TIMEOUT), Some(network));
    moment.wait(place, run, &mut lives[0]);
    network.cut();
    let last = lives.pop().unwrap();
    all_name(lives, &[silent(COUNT - 1)], TIMEOUT);
    all_name(vec![last], &[silent(0)], TIMEOUT);
    network.mend();
    go_on(place, run);
}

/// Calls `fault` at random moments with the name of a run and a random victim, from `at_once` threads.
fn many(seed: u64, at_once: usize, fault: impl Fn(&Place, &str, usize, Moment) + Sync) {
    let place = place();
    let mut random = Random(seed);
    let draw = |number| (number, random.below(COUNT as u64) as usize, Moment::random(&mut random));
    let faults = Mutex::new((1..=MANY).map(draw).collect::<Vec<_>>().into_iter());
    let next = || faults.lock().unwrap().next();
    let work = || {
        while let Some((number, victim, moment)) = next() {
            println!("{number}: rank {victim}, {moment:?}");
            fault(&place, &format!("run-{number}"), victim, moment);
        }
    };
    thread::scope(|scope| (0..at_once).for_each(|_| drop(scope.spawn(work))));
}

#[test]
fn a_killed_rank_is_named_by_all_and_the_run_goes_on() {
    kill(&place(), "run", 2, Moment::Step(4));
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn twenty_killed_ranks_change_nothing() {
    many(20, AT_ONCE, kill);
}

#[test]
fn a_stopped_rank_is_named_by_all_and_the_run_goes_on() {
    stop(&place(), "run", 1, Moment::Validation(1));
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn twenty_stopped_ranks_change_nothing() {
    many(21, AT_ONCE, stop);
}

#[test]
fn a_rank_without_network_is_named_by_all_and_the_run_goes_on() {
    let Some(network) = Network::new() else { return skip("ranks that are cut off: no network namespaces") };
    cut(&place(), "run", &network, Moment::Step(6));
}

#[test]
#[ignore = "many-fold: scripts/test --all"]
fn twenty_cuts_of_the_network_change_nothing() {
    let Some(network) = Network::new() else { return skip("ranks that are cut off: no network namespaces") };
    many(22, 1, |place, run, _, moment| cut(place, run, &network, moment));
}

#[test]
fn a_rank_that_never_starts_is_named_by_all() {
    let place = place();
    for (of, missing) in [(0..COUNT - 1, COUNT - 1), (1..COUNT, 0)] {
        all_name(start(&place, "run", of, Some(3), None), &[format!("rank {missing} never started")], 3);
    }
    go_on(&place, "run");
}
