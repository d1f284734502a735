//! Checkpoints by steps, by minutes, on demand; and the program's own proof of their worth.

use super::life::{assert_same, assert_same_state, last_state, published, state};
use super::support::Place;
use contract::Progress;

const KEEP_ALL: &str = "--set checkpoint.keep_last=100 --set optimizer.accumulate=2 --set optimizer.ema=0.9";

fn progress(place: &Place, run: &str) -> Vec<Progress> {
    published(place, run).iter().map(|path| checkpoint::load(path).unwrap().progress).collect()
}

fn steps(place: &Place, run: &str) -> Vec<u64> {
    progress(place, run).iter().map(|progress| progress.step).collect()
}

#[test]
fn each_of_the_checkpoints_by_steps_leads_to_the_same_end() {
    let place = Place::new();
    let options = format!("{KEEP_ALL} --set checkpoint.every_steps=3 --set train.epochs=3");
    place.train(&format!("--run straight {options}")).ok();
    assert_eq!(steps(&place, "straight"), [3, 5, 6, 9, 10, 12, 15]);
    let places: Vec<(u64, u64)> = progress(&place, "straight").iter().map(|at| (at.epoch, at.batch)).collect();
    assert_eq!(places, [(0, 3), (1, 0), (1, 1), (1, 4), (2, 0), (2, 2), (3, 0)]);
    let end = last_state(&place, "straight");
    for path in &published(&place, "straight")[..6] {
        let name = path.file_name().unwrap().to_str().unwrap();
        let resume = format!("--resume straight/checkpoints/{name}");
        let resumed = place.train(&format!("--run from-{name} {resume} {options}")).ok();
        assert!(resumed.stderr.contains(&format!("Continuing from straight/checkpoints/{name}")), "{}", resumed.stderr);
        assert_same_state(&end, &last_state(&place, &format!("from-{name}")), name);
    }
    assert_eq!(steps(&place, "straight").len(), 7, "the checkpoints of another run are left alone");
}

#[test]
fn a_run_goes_back_within_an_epoch_and_writes_down_the_same_once_more() {
    let place = Place::new();
    let options = format!("{KEEP_ALL} --set checkpoint.every_steps=1 --set summary.per_step=true");
    for run in ["straight", "back"] {
        place.train(&format!("--run {run} {options}")).ok();
    }
    for step in [7, 5, 3, 1] {
        place.app(&format!("train --resume back/checkpoints/step-{step:010}")).ok();
        assert_same(&place, "straight", "back");
    }
}

#[test]
fn checkpoints_come_by_minutes_too() {
    let place = Place::new();
    place.train(&format!("{KEEP_ALL} --set data.train_samples=600 --set checkpoint.every_minutes=0.001")).ok();
    let within = progress(&place, "runs/tiny").iter().filter(|progress| progress.batch > 0).count();
    assert!(within > 0, "{:?}", steps(&place, "runs/tiny"));
    place.train(&format!("--run seldom {KEEP_ALL} --set checkpoint.every_minutes=60")).ok();
    assert_eq!(steps(&place, "seldom"), [5, 10]);
    place.train(&format!("--run rare {KEEP_ALL} --set checkpoint.every_epochs=3 --set train.epochs=4")).ok();
    assert_eq!(steps(&place, "rare"), [15, 20], "the last epoch's is always there");
}

#[test]
fn a_run_that_stops_after_a_step_that_was_named_goes_on_to_the_same_end() {
    let place = Place::new();
    let options = "--set optimizer.accumulate=2 --set optimizer.ema=0.9 --set summary.per_step=true";
    place.train(&format!("--run straight {options}")).ok();
    // Within an epoch, before its end is done, and before the end of the last one.
    for step in [1, 4, 5, 6, 10] {
        let stopped = place.train(&format!("--run stopped {options} --until-step {step}")).refused(75, "To go on");
        assert!(stopped.stderr.contains(&format!("Stopped at step {step}.")), "{}", stopped.stderr);
        let last = published(&place, "stopped").pop().unwrap();
        assert_eq!(checkpoint::load(&last).unwrap().progress.step, step);
        let before = state(&last);
        place.train(&format!("--run stopped {options} --until-step {step}")).refused(75, "leaves nothing to do");
        assert_same_state(&before, &last_state(&place, "stopped"), "a run that had nothing to do");
    }
    place.train(&format!("--run stopped {options}")).ok();
    assert_same(&place, "straight", "stopped");
    place.train("--run stopped --until-step 0").refused(2, "--until-step");
}

#[test]
fn a_checkpoint_of_one_run_does_not_go_on_in_the_folder_of_another() {
    let place = Place::new();
    for run in ["a", "b"] {
        place.train(&format!("--run {run}")).ok();
    }
    let before = (place.checkpoints("b"), place.metrics("b"));
    let from = "--resume a/checkpoints/step-0000000005";
    place.train(&format!("--run b {from}")).refused(2, "does not belong to the run in b: name a new folder");
    assert_eq!(before, (place.checkpoints("b"), place.metrics("b")));
    place.train(&format!("--run c {from}")).ok();
    assert_same_state(&last_state(&place, "a"), &last_state(&place, "c"), "a and c");
    // A superseded checkpoint still belongs to the run.
    place.train(&format!("--run a {from} --until-step 7")).refused(75, "To go on: app train --run a");
    place.train("--run a --resume a/checkpoints/superseded-step-0000000010 --set train.epochs=3").ok();
}

#[test]
fn verify_resume_proves_it_and_tidies_up() {
    let place = Place::new();
    let options = "--config tiny.json --steps 8 --interrupts 3 --set optimizer.accumulate=2 --set optimizer.ema=0.9";
    let ran = place.app(&format!("verify-resume {options}")).ok();
    assert!(ran.stdout.contains("Killed 3 times and resumed: the same to the bit."), "{}", ran.stdout);
    for part in ["model", "optimizer", "metric", "generator", "average", "metrics"] {
        assert!(ran.stdout.contains(&format!("\n{part} ")), "{part} is not in\n{}", ran.stdout);
    }
    assert!(!place.path("runs/verify-resume").exists());

    std::fs::create_dir(place.path("mine")).unwrap();
    place.app(&format!("verify-resume {options} --folder mine")).refused(2, "mine is there already");
    assert!(place.path("mine").exists());
}
