//! Rules 1 and 2 of the design under `kill -9`: at whatever moment a run dies, nothing published is damaged or lost,
//! and the final result is that of an uninterrupted run.

use super::life::{End, Life, Random, assert_same, assert_tidy, continued_from, published};
use super::support::Place;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::thread::{scope, sleep};
use std::time::Duration;

/// 80 steps in 16 epochs, with every kind of state in use, and a line for each step.
const OPTIONS: &str = "train --config tiny.json --set train.epochs=16 --set optimizer.accumulate=2 \
                       --set optimizer.ema=0.9 --set optimizer.clip_norm=0.5 --set summary.per_step=true \
                       --set checkpoint.keep_last=2";
const STEPS: u64 = 80;
const SIGKILL: i32 = 9;
/// Time from SIGTERM to SIGKILL on a system without patience.
const SHORT_GRACE: Duration = Duration::from_millis(60);

/// Figures of the kills: their number by phase, and the steps lost.
#[derive(Debug, Default)]
struct Figures {
    runs: u64,
    kills: u64,
    in_start_up: u64,
    in_training: u64,
    in_saving: u64,
    after_a_sigterm: u64,
    most_steps_lost: u64,
}

impl Figures {
    fn and(self, other: Self) -> Self {
        Self {
            runs: self.runs + other.runs,
            kills: self.kills + other.kills,
            in_start_up: self.in_start_up + other.in_start_up,
            in_training: self.in_training + other.in_training,
            in_saving: self.in_saving + other.in_saving,
            after_a_sigterm: self.after_a_sigterm + other.after_a_sigterm,
            most_steps_lost: self.most_steps_lost.max(other.most_steps_lost),
        }
    }
}

/// A run that is killed repeatedly.
struct Run<'p> {
    place: &'p Place,
    name: String,
    /// `checkpoint.every_steps`
    every: u64,
}

impl Run<'_> {
    fn arguments(&self) -> String {
        format!("{OPTIONS} --run {} --set checkpoint.every_steps={}", self.name, self.every)
    }

    fn newest(&self) -> Option<PathBuf> {
        published(self.place, &self.name).pop()
    }

    /// Returns the hidden entries that an interrupted save leaves behind.
    fn hidden(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.place.path(&self.name).join("checkpoints")) else { return Vec::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(".step-")).collect()
    }

    /// Returns the last step in `metrics.jsonl`.
    fn last_step(&self) -> u64 {
        let lines = fs::read_to_string(self.place.path(&self.name).join("metrics.jsonl")).unwrap_or_default();
        let step = |line: &str| serde_json::from_str::<Value>(line).ok()?["step"].as_u64();
        lines.lines().filter_map(step).max().unwrap_or(0)
    }

    /// Asserts that a process continued from the newest checkpoint that it found; one that was killed early has logged
    /// nothing.
    fn check_continuation(&self, end: &End, newest: Option<&PathBuf>) {
        let expected = newest.map(|path| path.file_name().unwrap().to_str().unwrap());
        let began = end.said.contains("Training on ");
        let from = continued_from(&end.said);
        assert!(from == expected || !began && from.is_none(), "{expected:?} is the newest, and it said:\n{}", end.said);
        assert!(!end.said.contains("damaged") && !end.said.contains("ERROR"), "{}", end.said);
    }

    /// Starts the run and kills it after a while; returns false if it ended before.
    fn killed(&self, random: &mut Random, whole: Duration, figures: &mut Figures) -> bool {
        let (before, left_behind) = (self.newest(), self.hidden());
        let life = Life::start(self.place, &self.arguments());
        sleep(random.part_of(whole));
        let warned = random.below(4) == 0;
        if warned {
            life.send("TERM");
            sleep(random.part_of(SHORT_GRACE));
        }
        let end = life.kill();
        self.check_continuation(&end, before.as_ref());
        if end.signal != Some(SIGKILL) {
            // It had ended, or had obeyed the SIGTERM already (or died of it before it could).
            assert!(end.status == Some(0) || warned && [None, Some(75)].contains(&end.status), "{end:?}");
            return end.status != Some(0);
        }
        figures.kills += 1;
        figures.after_a_sigterm += u64::from(warned);
        if !end.said.contains("Training on ") {
            figures.in_start_up += 1;
        } else if self.hidden().iter().any(|name| !left_behind.contains(name)) {
            figures.in_saving += 1;
        } else {
            figures.in_training += 1;
        }
        let step = |path: Option<PathBuf>| path.and_then(|path| checkpoint::step_of(&path)).unwrap_or(0);
        let (before, saved) = (step(before), step(self.newest()));
        assert!(saved >= before, "step {before} was published, and now {saved} is the newest");
        let lost = self.last_step().saturating_sub(saved);
        // One checkpoint may be in progress while training goes on to where the next is due.
        assert!(lost <= 2 * self.every, "{lost} steps are lost, with a checkpoint every {}", self.every);
        figures.most_steps_lost = figures.most_steps_lost.max(lost);
        true
    }
}

/// Kills `kills` times in all, run after run, and brings the last run to its end.
fn lane(kills: u64, seed: u64) -> Figures {
    let place = Place::new();
    let straight = Life::start(&place, &format!("{OPTIONS} --run straight")).end();
    assert_eq!(straight.status, Some(0), "{}", straight.said);
    assert_eq!(published(&place, "straight").last().and_then(|path| checkpoint::step_of(path)), Some(STEPS));
    let mut random = Random(seed);
    let mut figures = Figures::default();
    while figures.kills < kills {
        figures.runs += 1;
        let run = Run { place: &place, name: format!("run-{}", figures.runs), every: 1 + figures.runs % 3 };
        while figures.kills < kills && run.killed(&mut random, straight.lasted, &mut figures) {}
        let newest = run.newest();
        let end = Life::start(&place, &run.arguments()).end();
        assert_eq!(end.status, Some(0), "{}", end.said);
        if end.said.contains("Training on ") {
            run.check_continuation(&end, newest.as_ref());
            assert_tidy(&place, &run.name);
        }
        assert_same(&place, "straight", &run.name);
        fs::remove_dir_all(place.path(&run.name)).unwrap();
        println!("{figures:?}");
    }
    figures
}

/// Kills on two threads, since a run that is starting keeps no core busy.
fn kill(kills: u64, seed: u64) {
    let figures = scope(|scope| {
        let other = scope.spawn(|| lane(kills / 2, seed + 1));
        lane(kills - kills / 2, seed).and(other.join().unwrap())
    });
    println!("{figures:?}");
    assert_eq!(figures.kills, kills);
    for (phase, kills) in
        [("start-up", figures.in_start_up), ("training or saving", figures.in_training + figures.in_saving)]
    {
        assert!(kills > 0, "no kill fell into the {phase}: {figures:?}");
    }
}

#[test]
fn two_hundred_kills_at_random_moments_change_nothing() {
    kill(200, 1);
}

#[test]
#[ignore = "takes most of an hour: cargo test -p tests -- --ignored --nocapture soak"]
fn soak_two_thousand_kills_change_nothing() {
    kill(2000, 1000);
}
