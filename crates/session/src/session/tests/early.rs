//! Tests of the end of a training whose score has stopped improving.

use super::*;
use crate::EarlyStopping;

/// A training of which no epoch but the first counts as better, so that it ends after epoch 3 of 9.
fn stubborn() -> Run {
    let mut run = Run::new(4, 9);
    let rule = EarlyStopping { min_delta: 1e9, patience: 2, ..EarlyStopping::default() };
    run.settings.early_stopping = Some(rule);
    run.settings.save.every_epochs = 100;
    run
}

fn newest(folder: &Path) -> checkpoint::Snapshot {
    let all = Folder::at(folder).store(&checkpoint::Config::default()).list().unwrap();
    checkpoint::load(all.last().unwrap()).unwrap()
}

#[test]
fn a_training_ends_with_a_checkpoint_and_its_reason_and_goes_on_with_more_patience() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let ended = stubborn().train(&folder, Fails::Never).unwrap();
    let written = lines(&folder);
    let last = written.last().unwrap();
    let [stage, epoch, step, waited] = ["stage", "epoch", "step", "stopped_early"].map(|key| last[key].clone());
    assert_eq!((stage, epoch, step, waited), ("run".into(), 3.into(), 12.into(), 2.0.into()));
    let first = written.iter().find(|line| line["stage"] == "validation").unwrap();
    assert_eq!(last["best/loss"], first["loss"]);
    let snapshot = newest(&folder);
    assert_eq!((snapshot.progress.epoch, snapshot.progress.step), (3, 12));
    let rule = stubborn().settings.early_stopping.unwrap();
    assert!(rule.is_over(&snapshot.states).unwrap());

    // It stays at its end.
    assert_same(&stubborn().train(&folder, Fails::Never).unwrap(), &ended, "again");
    assert_eq!(newest(&folder).progress.epoch, 3);
    let mut patient = stubborn();
    patient.settings.early_stopping = Some(EarlyStopping { patience: 4, ..rule });
    patient.train(&folder, Fails::Never).unwrap();
    assert_eq!(newest(&folder).progress.epoch, 5);
    let mut without = stubborn();
    without.settings.early_stopping = None;
    without.train(&folder, Fails::Never).unwrap();
    assert_eq!(newest(&folder).progress.epoch, 9);
}

#[test]
fn it_ends_after_the_same_epoch_wherever_it_is_cut() {
    let root = tempfile::tempdir().unwrap();
    let folder = |name: &str| root.path().join(name);
    let straight = stubborn().train(&folder("straight"), Fails::Never).unwrap();
    let expected = without_norms(lines(&folder("straight")));
    let resumed = |name: &str| {
        assert_same(&stubborn().train(&folder(name), Fails::Never).unwrap(), &straight, name);
        assert_eq!(without_norms(lines(&folder(name))), expected, "{name}");
    };
    for step in 1..12 {
        let name = format!("stopped at {step}");
        let mut run = stubborn();
        run.settings.until_step = Some(step);
        run.train(&folder(&name), Fails::Never).unwrap();
        resumed(&name);
    }
    for epoch in 1..=3 {
        for fails in [Fails::AfterValidation(epoch), Fails::AfterEpoch(epoch)] {
            let name = format!("{fails:?}");
            assert_eq!(stubborn().train(&folder(&name), fails).unwrap_err().to_string(), "the caller failed");
            resumed(&name);
        }
    }
}

#[test]
fn a_score_that_is_missing_is_an_error_and_the_schedule_is_not_given_the_others() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let mut run = following();
    run.settings.early_stopping = Some(EarlyStopping { score: "iou".into(), patience: 99, ..EarlyStopping::default() });
    let said = run.train(&folder, Fails::Never).unwrap_err().to_string();
    assert!(said.contains("early_stopping.score: there is no score \"iou\", only loss"), "{said}");
    let straight = following().train(&root.path().join("straight"), Fails::Never).unwrap();
    assert_same(&following().train(&folder, Fails::Never).unwrap(), &straight, "without it");
}
