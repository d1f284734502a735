//! Tests changes to a run's folder during training or between two processes: move, remove, replace, truncate.

#![cfg(unix)]

use super::life::{End, Life, assert_same, published};
use super::support::Place;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// Many epochs, so that a test can intervene.
const LONG: &str = "train --config tiny.json --set train.epochs=100000 --set checkpoint.keep_last=1 \
                    --set summary.per_step=true --set checkpoint.every_steps=3";

/// Starts a run and waits until it is in its third epoch.
fn under_way(place: &Place, run: &str) -> Life {
    let mut life = Life::start(place, &format!("{LONG} --run {run}"));
    assert!(life.until_said("Epoch 2/", 1), "{}", life.said());
    life
}

/// Returns all files below a folder with their contents.
fn contents(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(contents(&path)) } else { all.push((path.clone(), fs::read(&path).unwrap())) }
    }
    all.sort();
    all
}

/// Asserts that it stopped with this error and no other.
fn stopped(end: End, says: &str) {
    assert_eq!(end.status, Some(1), "{}", end.said);
    assert!(end.said.contains(says) && end.said.contains("Training ended at step "), "{}", end.said);
    assert_eq!(end.said.matches(" ERROR] ").count(), 1, "{}", end.said);
}

#[test]
fn a_run_that_is_moved_stops_and_goes_on_where_it_is_now() {
    let place = Place::new();
    let life = under_way(&place, "run");
    fs::rename(place.path("run"), place.path("my moved run")).unwrap();
    let end = life.end();
    let moved = fs::canonicalize(place.path("my moved run")).unwrap();
    let hint = format!("To go on: app train --run '{}'", moved.display());
    assert!(end.said.contains(&hint), "{}", end.said);
    stopped(end, "the run folder run was moved to ");
    assert!(!place.path("run").exists(), "it is never made again");
    let step = published(&place, "my moved run").pop().and_then(|path| checkpoint::step_of(&path)).unwrap();
    let mut again = place.command("train --run");
    let output = again.arg(&moved).args(["--until-step", &(step + 1).to_string()]).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_run_that_is_started_in_the_place_of_a_moved_one_is_left_alone() {
    let place = Place::new();
    place.train("--run other --set checkpoint.keep_last=100").ok();
    let life = under_way(&place, "run");
    fs::rename(place.path("run"), place.path("moved")).unwrap();
    fs::rename(place.path("other"), place.path("run")).unwrap();
    let before = contents(&place.path("run"));
    stopped(life.end(), "the run folder run was moved to ");
    assert_eq!(contents(&place.path("run")), before);
}

#[test]
fn a_run_that_is_removed_or_replaced_by_a_link_or_whose_parent_is_renamed_stops() {
    let place = Place::new();
    let life = under_way(&place, "removed");
    // The run may be creating files in it at this moment.
    while place.path("removed").exists() {
        fs::remove_dir_all(place.path("removed")).ok();
    }
    stopped(life.end(), "the run folder removed");
    assert!(!place.path("removed").exists());

    place.train("--run other").ok();
    let life = under_way(&place, "linked");
    fs::rename(place.path("linked"), place.path("aside")).unwrap();
    let before = contents(&place.path("other"));
    symlink(place.path("other"), place.path("linked")).unwrap();
    stopped(life.end(), "the run folder linked was moved to ");
    assert_eq!(contents(&place.path("other")), before);

    let life = under_way(&place, "group/run");
    fs::rename(place.path("group"), place.path("club")).unwrap();
    stopped(life.end(), "the run folder group/run was moved to ");
    assert!(!place.path("group").exists());
}

#[test]
fn a_run_that_is_moved_and_linked_to_goes_on() {
    let place = Place::new();
    let mut life = under_way(&place, "run");
    fs::rename(place.path("run"), place.path("elsewhere")).unwrap();
    // It may have noticed between the two.
    symlink(place.path("elsewhere"), place.path("run")).unwrap();
    if life.until_said("Epoch 4/", 1) {
        life.send("TERM");
        assert_eq!(life.end().status, Some(75));
    }
}

#[test]
fn what_is_done_to_the_lines_costs_only_those() {
    let place = Place::new();
    place.train("--run straight").ok();
    place.train("--run run --until-step 7").refused(75, "To go on");
    let lines = place.path("run/metrics.jsonl");
    // A user adds a note, and leaves NUL bytes.
    let whole = fs::read_to_string(&lines).unwrap();
    fs::write(&lines, format!("a note\n\0\0\0{whole}")).unwrap();
    place.app("report --run run").ok();
    let listed = place.app("runs run").ok();
    assert!(listed.stdout.contains("resumable"), "{}", listed.stdout);
    assert!(listed.stderr.contains("metrics.jsonl, line 1") && listed.stderr.contains("skipped"), "{}", listed.stderr);
    let resumed = place.train("--run run").ok();
    assert!(resumed.stderr.contains("removed 1 broken lines"), "{}", resumed.stderr);
    assert_same(&place, "straight", "run");
    // Missing files are no error.
    place.train("--run gone --until-step 7").refused(75, "To go on");
    fs::remove_file(place.path("gone/metrics.jsonl")).unwrap();
    fs::remove_file(place.path("gone/environment.json")).unwrap();
    fs::remove_file(place.path("gone/config.json")).unwrap();
    fs::remove_dir_all(place.path("gone/logs")).unwrap();
    place.train("--run gone").ok();
    assert!(place.path("gone/report.html").exists() && place.path("gone/config.json").exists());
    assert_eq!(place.last("gone", "model.safetensors"), place.last("straight", "model.safetensors"));
}

#[test]
fn files_that_are_cut_replaced_or_removed_while_a_run_trains_go_on() {
    let place = Place::new();
    let options = "train --config tiny.json --set data.train_samples=300 --set train.epochs=4 \
                   --set summary.per_step=true \
                   --set summary.flush_seconds=0 --run run";
    let mut life = Life::start(&place, options);
    assert!(life.until_said("Epoch 1/", 1));
    let lines = place.path("run/metrics.jsonl");
    OpenOptions::new().write(true).truncate(true).open(&lines).unwrap();
    fs::remove_file(place.path("run/config.json")).unwrap();
    fs::remove_dir_all(place.path("run/logs")).ok();
    assert!(life.until_said("Epoch 2/", 1));
    let other = place.path("run/editor");
    fs::write(&other, "# mine").unwrap();
    fs::rename(&other, &lines).unwrap();
    let end = life.end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    assert_eq!(end.said.matches("by somebody else: what comes is written at its end").count(), 1, "{}", end.said);
    let text = fs::read_to_string(&lines).unwrap();
    assert!(text.starts_with("# mine\n{") && !text.contains('\0'), "{}", &text[..200]);
    assert!(text.contains(r#""stage":"validation","epoch":4,"#), "{text}");
    assert!(place.path("run/report.html").exists() && place.path("run/config.json").exists());
    assert!(place.path("run/logs/validation").exists(), "{}", end.said);
}

#[test]
fn a_finished_run_makes_what_it_lacks() {
    let place = Place::new();
    let saved = place.path("saved_models/run/1");
    let train = "train --config tiny.json --run run --set export.at_end=true --set export.formats=[\"safetensors\"]";
    // A full stdout prevents neither the report nor the network.
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = place.command(train).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(place.path("run/report.html").exists() && saved.exists());
    let says_finished = || fs::read_to_string(place.path("run/report.html")).unwrap().contains(">finished<");
    assert!(says_finished(), "the lock is still held");
    let again = place.app(train).ok();
    assert!(again.stderr.contains("is finished") && !again.stderr.contains("Wrote") && !again.stderr.contains("Saved"));

    // As if it had been killed before either, or between them.
    fs::remove_file(place.path("run/report.html")).unwrap();
    fs::remove_dir_all(place.path("saved_models")).unwrap();
    place.app(train).ok();
    assert!(saved.exists());
    assert!(says_finished());
    fs::remove_dir_all(&saved).unwrap();
    place.app(train).ok();
    assert!(saved.exists());

    // A report that cannot be written does not prevent the network.
    fs::remove_dir_all(&saved).unwrap();
    fs::remove_file(place.path("run/report.html")).unwrap();
    fs::create_dir_all(place.path("run/report.html/in the way")).unwrap();
    place.app(train).refused(1, "its page was not written");
    assert!(saved.exists());
    // Both errors are reported.
    fs::remove_dir_all(place.path("saved_models")).unwrap();
    fs::write(place.path("saved_models"), "").unwrap();
    place.app(train).refused(1, "its page was not written").refused(1, "its network was not saved");
    fs::remove_dir_all(place.path("run/report.html")).unwrap();
    place.app(train).refused(1, "its network was not saved");
    assert!(place.path("run/report.html").exists());
}

#[test]
fn a_run_folder_is_the_same_however_it_is_named() {
    let place = Place::new();
    place.train("--run runs/x/ --until-step 3").refused(75, "app train --run runs/x\n");
    let begun =
        place.train("--run runs/./x/. --resume never --until-step 2").refused(75, "Moved the old run to runs/x.1\n");
    assert!(begun.stderr.contains("Stopped at step 2."), "{}", begun.stderr);
    let mut inside = place.command("train --run . --resume never --until-step 1 --config");
    let output = inside.arg(place.path("tiny.json")).current_dir(place.path("runs/x")).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", String::from_utf8_lossy(&output.stderr));
    for (run, step) in [("runs/x.1", 3), ("runs/x.2", 2), ("runs/x", 1)] {
        let last = published(&place, run).pop().unwrap();
        assert_eq!(checkpoint::step_of(&last), Some(step), "{run}");
    }
    let mut named = place.command("train --config tiny.json --until-step 1 --run");
    let output = named.arg("my run").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("app train --run 'my run'\n"), "{said}");
    // From within its own folders.
    let mut inside = place.command("train --resume step-0000000003 --until-step 4");
    let output = inside.current_dir(place.path("runs/x.1/checkpoints")).output().unwrap();
    assert_eq!(output.status.code(), Some(75), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(published(&place, "runs/x.1").len(), 2);
}

#[test]
fn an_unreadable_validation_image_costs_no_epoch() {
    let place = Place::new();
    super::data::small(&place.path("pets"));
    let config = r#"{"data": {"kind": "oxford_pets", "root": "pets", "size": [16, 24]},
                     "model": {"kind": "unet", "width": 2, "depth": 1}, "train": {"device": "cpu", "threads": 1},
                     "checkpoint": {"every_epochs": 1000000}, "export": {"at_end": false}}"#;
    fs::write(place.path("pets.json"), config).unwrap();
    let train = |epochs: u64| format!("train --config pets.json --run run --set train.epochs={epochs}");
    let mut life = Life::start(&place, &train(100_000));
    assert!(life.until_said("Epoch 3/", 1), "{}", life.said());
    let file = place.path("pets/images/d.jpg");
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let End { status, said, .. } = life.end();
    assert_eq!(status, Some(1), "{said}");
    // Each epoch has one step.
    let epoch =
        said.split_once("ERROR] validation after epoch ").unwrap().1.split_once(", batch 1: no batch: ").unwrap();
    assert!(epoch.1.contains("d.jpg"), "{said}");
    let epoch: u64 = epoch.0.parse().unwrap();
    assert!(
        said.contains(&format!("What was learnt up to step {epoch} is saved. To go on: app train --run run\n")),
        "{said}"
    );
    assert!(said.contains("data.loader.max_skipped"), "{said}");
    let saved = || published(&place, "run").pop().and_then(|path| checkpoint::step_of(&path));
    assert_eq!(saved(), Some(epoch));
    fs::write(&file, whole).unwrap();
    let resumed = place.app(&train(epoch)).ok();
    let from = format!("Continuing from run/checkpoints/step-{epoch:010} ({} of {epoch} epochs done)", epoch - 1);
    assert!(resumed.stderr.contains(&from), "{}", resumed.stderr);
}
