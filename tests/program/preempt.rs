//! Signals from the system: SIGTERM and SIGINT to stop in order, SIGUSR1 to save.

use super::life::{End, Life, Random, assert_same, assert_tidy, can_see_who_listens, continued_from, newest_step};
use super::support::{Place, skip};
use std::thread::sleep;
use std::time::Duration;

const RESUMABLE: i32 = 75;
/// `checkpoint.grace_seconds`: time that a system leaves a run. A run that takes longer hangs.
const GRACE: Duration = Duration::from_secs(30);
/// Five epochs of 5 steps, each with a validation that lasts longer than its steps.
const OPTIONS: &str = "train --config tiny.json --set train.epochs=5 --set data.validation_samples=600 \
                       --set optimizer.accumulate=2 --set optimizer.ema=0.9 --set summary.per_step=true";
/// Log line right before a validation, at the level `debug`.
const VALIDATES: &str = "DEBUG] Training acc over epoch";

fn start(place: &Place, run: &str) -> Life {
    Life::with_log(place, &format!("{OPTIONS} --run {run}"), "debug")
}

/// Sends a signal and waits for the end, which must come soon.
fn stopped_by(signal: &str, mut life: Life) -> End {
    life.send(signal);
    assert!(life.until_over(GRACE), "it does not end within the grace; it said:\n{}", life.said());
    life.end()
}

/// Phase of a run that a signal hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    StartUp,
    Training,
    Validation,
}

/// Returns the phase in which a run ended with 75: an interrupted validation has no line of its epoch.
fn phase(end: &End) -> Phase {
    let validations = end.said.matches("Validated in").count();
    match (end.said.contains("Stopped at step "), end.said.matches(" | Training acc over epoch").count()) {
        (false, _) => Phase::StartUp,
        (true, epochs) if epochs < validations => Phase::Validation,
        _ => Phase::Training,
    }
}

/// Returns the step at which the log says that it stopped.
fn stopped_at(end: &End) -> Option<u64> {
    end.said.split_once("Stopped at step ")?.1.split_once('.')?.0.parse().ok()
}

/// Waits for a random moment: anywhere, or in one of the phases. Returns false if the run ended before.
fn wait(life: &mut Life, random: &mut Random, whole: Duration) -> bool {
    match random.below(4) {
        0 => {
            sleep(random.part_of(whole));
            !life.is_over()
        }
        1 => {
            let listens = life.until(Life::listens);
            sleep(random.part_of(whole / 100));
            listens
        }
        2 => {
            let steps = 1 + random.below(7) as usize;
            let trains = life.until_said("Loss at step", steps);
            sleep(random.part_of(Duration::from_millis(8)));
            trains
        }
        _ => {
            let validates = life.until_said(VALIDATES, 1);
            sleep(random.part_of(whole / 12));
            validates
        }
    }
}

#[test]
fn fifty_signals_at_random_moments_lose_no_step() {
    if !can_see_who_listens() {
        return skip("no /proc to see when the program listens to signals");
    }
    let place = Place::new();
    let straight = start(&place, "straight").end();
    assert_eq!(straight.status, Some(0), "{}", straight.said);
    let mut random = Random(50);
    let (mut stops, mut too_early, mut runs) = (Vec::new(), 0, 0);
    while stops.len() < 50 {
        runs += 1;
        let run = format!("run-{runs}");
        // The last run is also brought to its end.
        loop {
            let newest = newest_step(&place, &run);
            let mut life = start(&place, &run);
            if stops.len() == 50 || !wait(&mut life, &mut random, straight.lasted) {
                let end = life.end();
                assert_eq!(end.status, Some(0), "{}", end.said);
                break;
            }
            let listened = life.listens();
            let signal = if random.below(5) == 0 { "INT" } else { "TERM" };
            let end = stopped_by(signal, life);
            let from = continued_from(&end.said).and_then(|name| name.strip_prefix("step-")?.parse().ok());
            assert_eq!(from.unwrap_or(newest), newest, "{}", end.said);
            match end.status {
                // The signal came after the end of the work.
                Some(0) => {
                    assert!(end.said.contains("Epoch 5/5"), "{}", end.said);
                    break;
                }
                Some(RESUMABLE) => {
                    stops.push(phase(&end));
                    let saved = newest_step(&place, &run);
                    assert_eq!(stopped_at(&end).unwrap_or(newest), saved, "{}", end.said);
                }
                // There is no handler while the system still loads the program.
                _ => {
                    assert!(!listened && end.signal.is_some() && end.said.is_empty(), "{end:?}");
                    too_early += 1;
                }
            }
        }
        assert_same(&place, "straight", &run);
        assert_tidy(&place, &run);
    }
    let count = |phase| stops.iter().filter(|at| **at == phase).count();
    let counts = [Phase::StartUp, Phase::Training, Phase::Validation].map(|phase| (phase, count(phase)));
    println!("{counts:?} in {runs} runs; {too_early} signals came before the program listened");
    assert!(counts.iter().all(|(_, count)| *count >= 3), "{counts:?}");
}

#[test]
fn a_signal_in_the_last_validation_costs_no_line_and_doubles_none() {
    let place = Place::new();
    let options = "train --config tiny.json --set data.validation_samples=3000 --set summary.per_step=true";
    let started = |run: &str| Life::with_log(&place, &format!("{options} --run {run}"), "debug");
    assert_eq!(started("straight").end().status, Some(0));
    let mut life = started("stopped");
    assert!(life.until_said(VALIDATES, 2));
    let end = stopped_by("TERM", life);
    assert_eq!((end.status, phase(&end)), (Some(RESUMABLE), Phase::Validation), "{}", end.said);
    assert_eq!(place.metrics("stopped").last().unwrap()["stage"], "step", "of the epoch nothing is said yet");
    let resumed = started("stopped").end();
    assert_eq!(resumed.status, Some(0), "{}", resumed.said);
    assert!(resumed.said.contains("Continuing from stopped/checkpoints/step-0000000010 (1 of 2 epochs done)"));
    assert_same(&place, "straight", "stopped");
    assert_tidy(&place, "stopped");
    for stage in ["train", "validation"] {
        let lines = place.metrics("stopped").into_iter().filter(|line| line["stage"] == stage);
        assert_eq!(lines.map(|line| line["epoch"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2], "{stage}");
    }
}

#[test]
fn a_signal_during_the_start_leaves_nothing_to_stumble_over() {
    if !can_see_who_listens() {
        return skip("no /proc to see when the program listens to signals");
    }
    let place = Place::new();
    place.train("--run straight").ok();
    let mut random = Random(7);
    for attempt in 0..12 {
        let run = format!("run-{attempt}");
        let mut life = Life::start(&place, &format!("train --config tiny.json --run {run}"));
        assert!(life.until(Life::listens));
        sleep(random.part_of(Duration::from_millis(40)));
        let end = stopped_by(if attempt % 3 == 0 { "INT" } else { "TERM" }, life);
        assert_eq!(end.status, Some(RESUMABLE), "{end:?}");
        // A fresh start must not assume an earlier run either, unless there was one.
        let begun = place.path(&run).join("config.json").exists();
        let again = place.train(&format!("--run {run} {}", if attempt % 2 == 0 { "" } else { "--resume never" })).ok();
        assert!(begun || !again.stderr.contains("Moved"), "{}", again.stderr);
        assert_same(&place, "straight", &run);
        assert_tidy(&place, &run);
    }
}

#[test]
fn a_second_signal_ends_a_long_step_at_once() {
    let place = Place::new();
    // Steps of seconds: the first signal waits for the end of one.
    let large = "--set data.size=[64,64] --set data.train_samples=72 --set data.loader.batch_size=24 \
                 --set model.width=64 --set model.depth=3";
    for (first, second, status) in [("TERM", "TERM", 143), ("INT", "INT", 130), ("TERM", "INT", 130)] {
        let arguments = format!("train --config tiny.json --run run {large} --set summary.per_step=true");
        let mut life = Life::with_log(&place, &arguments, "debug");
        assert!(life.until_said("Loss at step 1:", 1));
        life.send(first);
        // Two signals of the same kind merge if they come together.
        sleep(Duration::from_millis(100));
        assert!(!life.is_over(), "it waits for the step: {}", life.said());
        // Within a second it counts as the same request.
        while !life.is_over() {
            life.send(second);
            sleep(Duration::from_millis(100));
        }
        let end = life.end();
        assert_eq!(end.status, Some(status), "{}", end.said);
        assert!(!end.said.contains("Stopped at step"), "{}", end.said);
        assert_eq!(newest_step(&place, "run"), 0);
    }
}

#[test]
fn a_signal_that_is_repeated_soon_is_one_request() {
    let place = Place::new();
    let mut life = Life::start(&place, "train --config tiny.json --run run --set train.epochs=100000");
    assert!(life.until(|_| newest_step(&place, "run") > 0));
    for signal in ["TERM", "TERM", "INT"] {
        life.send(signal);
        sleep(Duration::from_millis(2));
    }
    let end = life.end();
    assert_eq!(end.status, Some(RESUMABLE), "{}", end.said);
    assert!(end.said.contains("Stopped at step"), "{}", end.said);
}

#[test]
fn sigusr1_saves_within_the_epoch_and_changes_nothing() {
    let place = Place::new();
    let options = "train --config tiny.json --set data.train_samples=600 --set optimizer.accumulate=2 \
                   --set checkpoint.keep_last=100 --set summary.per_step=true";
    let started = |run: &str| Life::with_log(&place, &format!("{options} --run {run}"), "debug");
    assert_eq!(started("straight").end().status, Some(0));
    let mut life = started("asked");
    for epoch in 1..=2 {
        assert!(life.until_said(&format!("Start epoch {epoch}"), 1));
        assert!(life.until_said("Loss at step", (epoch - 1) * 120 + 10));
        life.send("USR1");
    }
    let end = life.end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    let within: Vec<u64> = super::life::published(&place, "asked")
        .iter()
        .map(|path| checkpoint::load(path).unwrap().progress)
        .filter(|progress| progress.batch > 0)
        .map(|progress| progress.step)
        .collect();
    assert_eq!(within.len(), 2, "one for each signal: {within:?}\n{}", end.said);
    assert_same(&place, "straight", "asked");

    let path = format!("asked/checkpoints/step-{:010}", within[0]);
    let resumed = Life::start(&place, &format!("{options} --run asked --resume {path}")).end();
    assert_eq!(resumed.status, Some(0), "{}", resumed.said);
    assert!(resumed.said.contains(&format!("Continuing from {path} (0 of 2 epochs done)")), "{}", resumed.said);
    super::life::assert_same_state(
        &super::life::last_state(&place, "straight"),
        &super::life::last_state(&place, "asked"),
        "straight and asked",
    );
}
