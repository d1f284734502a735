use super::*;
use crate::frame::unframe;
use serde_json::Value as Json;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
};

fn lines(run: &Path) -> Vec<Json> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the bytes of all records in the event files of `folder`, file by file, without their times.
fn records(folder: &Path) -> Vec<Vec<Vec<u8>>> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
    files.sort();
    let timeless = |path: &PathBuf| unframe(&fs::read(path).unwrap()).iter().map(|r| r[9..].to_vec()).collect();
    files.iter().map(timeless).collect()
}

#[test]
fn epochs_go_to_the_lines_and_to_the_events_of_their_stage() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("runs/shapes");
    let mut summary = Summary::open(&run, &Config::default()).unwrap();
    summary.epoch(Stage::Train, 1, 40, &[("loss", 0.5), ("accuracy", f64::NAN)]).unwrap();
    summary.epoch(Stage::Validation, 1, 40, &[("loss".to_string(), 0.25)]).unwrap();
    summary.step(1, 41, &[("loss", 0.4)]).unwrap();
    summary.flush().unwrap();
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert!(text.starts_with("{\"stage\":\"train\",\"epoch\":1,\"step\":40,\"time\":"), "{text}");
    assert!(text.lines().next().unwrap().ends_with(",\"loss\":0.5,\"accuracy\":null}"), "{text}");
    let stages: Vec<_> = lines(&run).iter().map(|line| line["stage"].clone()).collect();
    assert_eq!(stages, ["train", "validation"], "no steps unless asked for");
    assert_eq!(records(&run.join("logs/train"))[0].len(), 2);
    let validation = records(&run.join("logs/validation"));
    assert_eq!(
        validation[0][1],
        [b"\x10\x01\x2a\x0d\x0a\x0b\x0a\x04loss\x15".as_slice(), &0.25f32.to_le_bytes()].concat()
    );
    assert!(!run.join("logs/train/steps").exists());
}

#[test]
fn without_tensorboard_there_are_lines_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut summary =
        Summary::open(folder.path(), &Config { tensorboard: false, per_step: true, ..Config::default() }).unwrap();
    summary.step(0, 1, &[("loss", 0.5)]).unwrap();
    summary.epoch(Stage::Train, 1, 1, &[("loss", 0.5)]).unwrap();
    assert_eq!(lines(folder.path()).len(), 2);
    assert!(!folder.path().join("logs").exists());
}

#[test]
fn a_scalar_cannot_have_the_name_of_a_key() {
    let folder = tempfile::tempdir().unwrap();
    let mut summary = Summary::open(folder.path(), &Config::default()).unwrap();
    let error = summary.epoch(Stage::Train, 1, 1, &[("step", 0.5)]).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl") && error.contains("'step'"), "{error}");
    assert!(lines(folder.path()).is_empty());
}

/// Configuration that logs each step, and flushes to TensorBoard only on request.
const EACH_STEP: Config =
    Config { tensorboard: true, per_step: true, images: 1, histograms: 2, flush_seconds: 3600, report: false };

/// Writes a run with two steps per epoch up to step `steps`.
fn written(run: &Path, steps: u64) {
    let mut summary = Summary::open(run, &EACH_STEP).unwrap();
    for step in 1..=steps {
        go_on(&mut summary, step);
    }
}

fn go_on(summary: &mut Summary, step: u64) {
    summary.step((step - 1) / 2, step, &[("loss", 1.0 / step as f64)]).unwrap();
    if step.is_multiple_of(2) {
        for stage in [Stage::Train, Stage::Validation] {
            summary.epoch(stage, step / 2, step, &[("loss", 0.5)]).unwrap();
        }
    }
}

/// Returns the mark of each line: `step 1`, or `train 1` for epoch 1.
fn marks(run: &Path) -> Vec<String> {
    let mark = |line: &Json| match line["stage"].as_str().unwrap() {
        "step" => format!("step {}", line["step"]),
        stage => format!("{stage} {}", line["epoch"]),
    };
    lines(run).iter().map(mark).collect()
}

/// Returns the restart in the newest event file of each folder: its second record, which the third repeats.
fn restarts(run: &Path) -> [Vec<u8>; 3] {
    ["train", "validation", "train/steps"].map(|folder| {
        let newest = records(&run.join("logs").join(folder)).pop().unwrap();
        assert_eq!(newest[1], newest[2]);
        newest[1].clone()
    })
}

/// Returns `SessionLog { status: START }` at `step`, 1 to 127, by the field numbers of event.proto.
fn start_at(step: u8) -> Vec<u8> {
    vec![0x10, step, 0x3a, 2, 8, 1]
}

const TWO_EPOCHS: [&str; 8] =
    ["step 1", "step 2", "train 1", "validation 1", "step 3", "step 4", "train 2", "validation 2"];

#[test]
fn a_run_that_goes_on_within_an_epoch_repeats_what_came_after() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 6);
    let mut summary = Summary::resume(folder.path(), &EACH_STEP, 1, 3).unwrap();
    assert_eq!(marks(folder.path()), TWO_EPOCHS[..5]);
    assert_eq!(restarts(folder.path()), [start_at(2), start_at(2), start_at(4)]);
    go_on(&mut summary, 4);
    assert_eq!(marks(folder.path()), TWO_EPOCHS);
}

#[test]
fn a_run_that_goes_on_after_an_epoch_keeps_its_lines() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 6);
    Summary::resume(folder.path(), &EACH_STEP, 2, 4).unwrap();
    assert_eq!(marks(folder.path()), TWO_EPOCHS);
    assert_eq!(restarts(folder.path()), [start_at(3), start_at(3), start_at(5)]);
}

#[test]
fn a_run_that_goes_on_before_the_validation_of_an_epoch_writes_its_lines_once() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 4);
    let mut summary = Summary::resume(folder.path(), &EACH_STEP, 1, 4).unwrap();
    assert_eq!(marks(folder.path()), TWO_EPOCHS[..6]);
    assert_eq!(restarts(folder.path()), [start_at(2), start_at(2), start_at(5)]);
    for stage in [Stage::Train, Stage::Validation] {
        summary.epoch(stage, 2, 4, &[("loss", 0.5)]).unwrap();
    }
    assert_eq!(marks(folder.path()), TWO_EPOCHS);
    // A run that never finished an epoch.
    Summary::resume(folder.path(), &EACH_STEP, 0, 2).unwrap();
    assert_eq!(marks(folder.path()), TWO_EPOCHS[..2]);
    assert_eq!(restarts(folder.path()), [start_at(1), start_at(1), start_at(3)]);
}

#[test]
fn torn_last_lines_are_removed() {
    for torn in ["{\"stage\":\"train\",\"epo", "{\"stage\":\"step\",\"epoch\":0,\"step\":9,\"time\":0.0}", "{}\n", "\n"]
    {
        let folder = tempfile::tempdir().unwrap();
        written(folder.path(), 4);
        let path = folder.path().join("metrics.jsonl");
        fs::write(&path, fs::read_to_string(&path).unwrap() + torn).unwrap();
        let mut summary = Summary::resume(folder.path(), &EACH_STEP, 2, 4).unwrap();
        assert_eq!(marks(folder.path()), TWO_EPOCHS, "{torn:?}");
        go_on(&mut summary, 5);
        assert_eq!(marks(folder.path()).last().unwrap(), "step 5");
    }
}

#[test]
fn what_tensorboard_has_stays_where_the_lines_were_lost() {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), 4);
    fs::remove_file(folder.path().join("metrics.jsonl")).unwrap();
    let mut summary = Summary::resume(folder.path(), &EACH_STEP, 1, 3).unwrap();
    assert_eq!(restarts(folder.path()), [start_at(2), start_at(2), start_at(4)]);
    go_on(&mut summary, 4);
    assert_eq!(marks(folder.path()), TWO_EPOCHS[5..]);
}

#[test]
fn flushing_leaves_nothing_in_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    let mut summary = Summary::open(run, &EACH_STEP).unwrap();
    go_on(&mut summary, 1);
    let steps = run.join("logs/train/steps");
    assert_eq!((steps.exists(), marks(run).len()), (false, 1), "events are buffered, lines are not");
    let of_steps = || records(&steps)[0].len();
    summary.flush().unwrap();
    // Whatever another process sees while this one holds everything open survives if it is killed.
    assert_eq!(of_steps(), 2);
    go_on(&mut summary, 2);
    go_on(&mut summary, 3);
    summary.flush().unwrap();
    assert_eq!((of_steps(), marks(run).len()), (4, 5));
    for stage in ["train", "validation"] {
        assert_eq!(records(&run.join("logs").join(stage))[0].len(), 2);
    }
    go_on(&mut summary, 4);
    drop(summary);
    assert_eq!((of_steps(), marks(run).len()), (5, 8), "dropping it hands over the rest");
}

#[test]
fn tensorboard_that_cannot_be_written_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path();
    fs::write(run.join("logs"), "in the way").unwrap();
    let mut summary = Summary::resume(run, &EACH_STEP, 0, 0).unwrap();
    go_on(&mut summary, 1);
    summary.flush().unwrap();
    fs::remove_file(run.join("logs")).unwrap();
    go_on(&mut summary, 2);
    summary.flush().unwrap();
    assert_eq!(marks(run), TWO_EPOCHS[..4]);
    assert_eq!(restarts(run), [start_at(1), start_at(1), start_at(1)], "nobody could tell whether there was anything");
    assert_eq!(records(&run.join("logs/train/steps"))[0].len(), 5);
}

#[test]
fn metrics_that_cannot_be_written_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("metrics.jsonl")).unwrap();
    let error = Summary::open(folder.path(), &EACH_STEP).unwrap_err().to_string();
    assert!(error.contains("metrics.jsonl"), "{error}");
}

/// Keeps all records, and fails at epoch 2.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<Record>>>);

impl Writer for Kept {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        self.0.lock().unwrap().push(record.clone());
        if record.epoch == 2 { Err(Error::encode(Path::new("kept"), "epoch 2")) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn another_writer_gets_everything_and_its_errors_are_returned() {
    let folder = tempfile::tempdir().unwrap();
    let (mut summary, kept) = (Summary::resume(folder.path(), &EACH_STEP, 0, 0).unwrap(), Kept::default());
    summary.add(Box::new(kept.clone())).unwrap();
    go_on(&mut summary, 1);
    summary.text("notes", "*none*").unwrap();
    assert!(summary.epoch(Stage::Train, 2, 4, &[("loss", 0.5)]).unwrap_err().to_string().contains("kept"));
    let last = Kept::default();
    summary.add(Box::new(last.clone())).unwrap();
    summary.layout(&["cat".into()]).unwrap();
    let values = |kept: &Kept| kept.0.lock().unwrap().iter().map(|record| record.value.clone()).collect::<Vec<_>>();
    let layout = Value::Layout { classes: vec!["cat".into()] };
    assert_eq!(values(&last), [Value::Restart, layout.clone()]);
    let loss = |loss| Value::Scalars(vec![("loss".into(), loss)]);
    let text = Value::Text { name: "notes".into(), markdown: "*none*".into() };
    assert_eq!(values(&kept), [Value::Restart, loss(1.0), text, loss(0.5), layout]);
    assert_eq!(marks(folder.path()), ["step 1", "train 2"]);
}

#[test]
fn what_nobody_takes_need_not_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let none = Config { tensorboard: false, ..EACH_STEP };
    let mut summary = Summary::open(folder.path(), &none).unwrap();
    assert_eq!((summary.samples(), summary.histograms_due(2)), (0, false));
    summary.graph(Graph::default()).unwrap();
    summary.add(Box::new(Kept::default())).unwrap();
    assert_eq!((summary.samples(), summary.histograms_due(2), summary.histograms_due(3)), (1, true, false));
    let never = Config { histograms: 0, ..EACH_STEP };
    assert!(!Summary::open(folder.path(), &never).unwrap().histograms_due(2));
}

#[test]
fn what_is_said_of_the_run_is_said_anew_by_who_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let logs = folder.path().join("logs");
    fs::create_dir(&logs).unwrap();
    fs::write(logs.join("events.out.tfevents.1.another"), "not ours").unwrap();
    fs::write(logs.join("notes.about"), "not ours").unwrap();
    let names = || {
        let names = fs::read_dir(&logs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with("events.") && name.ends_with(".about")).collect::<Vec<_>>()
    };
    let mut summary = Summary::open(folder.path(), &EACH_STEP).unwrap();
    summary.outcome(1, 2, Status::Failure, &[("loss", 0.5)]).unwrap();
    drop(summary);
    let before = names();
    let mut summary = Summary::resume(folder.path(), &EACH_STEP, 1, 2).unwrap();
    summary.text("notes", "").unwrap();
    summary.flush().unwrap();
    assert_eq!((before.len(), names().len()), (1, 1));
    assert_ne!(before, names());
    assert!(logs.join("notes.about").exists() && logs.join("events.out.tfevents.1.another").exists());
    // The same if this very process restarts.
    summary.write(&Record::new(Stage::Run, 1, 2, Value::Restart)).unwrap();
    summary.text("notes", "again").unwrap();
    summary.flush().unwrap();
    let [name] = names().try_into().unwrap();
    let events = unframe(&fs::read(logs.join(name)).unwrap());
    assert_eq!(events.len(), 4, "a version, twice a start, a text");
    assert!(events[3].ends_with(b"again"));
}
