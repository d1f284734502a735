use super::*;
use session::Lock;
use std::fs::File;
use tempfile::TempDir;

/// Creates a run of 2 epochs of 5 steps, with `done` epochs in its log, and with checkpoints (epoch, step).
fn made(config: &str, done: u64, checkpoints: &[(u64, u64)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("config.json", config);
    let line = |epoch: u64| {
        let place = format!(r#""epoch":{epoch},"step":{},"time":1.0"#, 5 * epoch);
        format!("{{\"stage\":\"train\",{place}}}\n{{\"stage\":\"validation\",{place},\"loss\":0.{}}}\n", 6 - epoch)
    };
    write("metrics.jsonl", &(1..=done).map(line).collect::<String>());
    for (epoch, step) in checkpoints {
        let manifest = format!(r#"{{"progress": {{"epoch": {epoch}, "batch": 0, "step": {step}, "samples": 9}}}}"#);
        write(&format!("checkpoints/step-{step:010}/manifest.json"), &manifest);
    }
    folder
}

const CONFIG: &str = r#"{"train": {"epochs": 2}, "checkpoint": {"best": "loss", "mode": "min"}}"#;

fn stand(folder: &TempDir) -> (State, String) {
    let looked = look(folder.path(), "run".into());
    (looked.state, looked.problem.map(|problem| problem.to_string()).unwrap_or_default())
}

#[test]
fn a_run_is_finished_by_what_it_wrote_down_or_by_its_checkpoint() {
    let finished = (State::Finished, String::new());
    assert_eq!(stand(&made(CONFIG, 2, &[])), finished);
    assert_eq!(stand(&made(CONFIG, 1, &[(1, 5), (2, 10)])), finished);
    assert_eq!(stand(&made(CONFIG, 1, &[(1, 5)])), (State::Resumable, String::new()));
}

#[test]
fn a_run_without_a_checkpoint_failed_and_may_be_started_again() {
    let (state, why) = stand(&made(CONFIG, 1, &[]));
    assert!(state == State::Failed && why.contains("stopped before its first checkpoint"), "{why}");
    assert!(why.contains("app train --run /"), "{why}");
}

#[test]
fn damaged_checkpoints_are_passed_over() {
    let folder = made(CONFIG, 1, &[(0, 3), (1, 5), (1, 7)]);
    // One manifest is another checkpoint's, one is cut off.
    let manifest = |step: u64| folder.path().join(format!("checkpoints/step-{step:010}/manifest.json"));
    fs::copy(manifest(5), manifest(7)).unwrap();
    fs::write(manifest(5), "{").unwrap();
    assert_eq!(newest(folder.path()), (Some(Mark { epoch: 0, step: 3 }), 3));
    assert_eq!(stand(&folder).0, State::Resumable);
    fs::remove_file(manifest(3)).unwrap();
    let (state, why) = stand(&folder);
    assert!(state == State::Failed && why.contains("none of its 3 checkpoints"), "{why}");
}

#[test]
fn what_cannot_be_read_is_said_also_of_a_run_under_way() {
    for (config, says) in [("{", "config.json is not valid JSON"), ("[]", "config.json has no train.epochs")] {
        let folder = made(config, 1, &[(1, 5)]);
        let (state, why) = stand(&folder);
        assert!(state == State::Failed && why.contains(says), "{why}");
        let _lock = Lock::take(folder.path()).unwrap();
        let (state, why) = stand(&folder);
        assert!(state == State::Running && why.contains(says), "{why}");
    }
    let folder = made(CONFIG, 1, &[(1, 5)]);
    fs::write(folder.path().join("metrics.jsonl"), "noise\n").unwrap();
    assert_eq!(stand(&folder), (State::Resumable, String::new()), "a broken line is passed over");
}

#[test]
fn a_run_is_running_while_its_lock_is_held_and_looking_changes_nothing() {
    let folder = made(CONFIG, 2, &[(2, 10)]);
    assert_eq!(stand(&folder).0, State::Finished);
    assert!(!folder.path().join("lock").exists());
    let lock = Lock::take(folder.path()).unwrap();
    let holder = fs::read(folder.path().join("lock")).unwrap();
    assert_eq!(stand(&folder), (State::Running, String::new()));
    assert_eq!(fs::read(folder.path().join("lock")).unwrap(), holder);
    drop(lock);
    assert_eq!(stand(&folder).0, State::Finished);
    Lock::take(folder.path()).unwrap();
}

#[test]
fn numbers_are_those_of_the_files() {
    let folder = made(CONFIG, 1, &[(1, 7)]);
    fs::write(folder.path().join("checkpoints/step-0000000007/model.safetensors"), [0; 1000]).unwrap();
    let before = look(folder.path(), "run".into());
    assert_eq!((before.epoch, before.epochs, before.step), (1, Some(2), 7));
    let best = before.best.unwrap();
    assert_eq!((&*best.metric, best.greatest, best.score, best.epoch), ("loss", false, 0.5, 1));
    fs::write(folder.path().join("report.html"), [0; 234]).unwrap();
    let later = SystemTime::now() + std::time::Duration::from_secs(60);
    File::open(folder.path().join("report.html")).unwrap().set_modified(later).unwrap();
    let after = look(folder.path(), "run".into());
    assert!(before.bytes > 1000);
    assert_eq!((after.bytes, after.written), (before.bytes + 234, before.written), "a report is no sign of life");
    File::open(folder.path().join("metrics.jsonl")).unwrap().set_modified(later).unwrap();
    assert_eq!(look(folder.path(), "run".into()).written, Some(later));
}

#[test]
fn a_command_that_is_told_can_be_pasted() {
    let told = [Problem::NoCheckpoint("my run".into()), Problem::Damaged("my run".into(), 3)];
    let [start, over] = told.map(|problem| problem.to_string());
    assert!(start.ends_with(": app train --run 'my run'"), "{start}");
    assert!(over.ends_with(": app train --run 'my run' --resume never"), "{over}");
}
