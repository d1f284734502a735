//! The outcome of every checkpoint is returned exactly once, whatever it is.

use super::{assert_same, names, same, snapshot, store};
use crate::{BackgroundWriter, Config, Error, Saved, Snapshot, load};
use contract::StateDict;
use std::{
    fs,
    sync::Mutex,
    thread::{self, Builder},
    time::{Duration, Instant},
};
use tch::{Device, Kind, Tensor};

type Outcome = Option<Result<Saved, Error>>;

fn step(outcome: Outcome) -> u64 {
    outcome.unwrap().unwrap().step
}

fn writer() -> (tempfile::TempDir, BackgroundWriter) {
    let (folder, store) = store(&Config::default());
    (folder, BackgroundWriter::new(store))
}

/// Returns a snapshot that takes a while to write: 32 MiB.
fn large(step: u64) -> Snapshot {
    let mut snapshot = snapshot(step, 0.5);
    snapshot
        .states
        .insert("average".into(), [("w".into(), Tensor::ones([8 << 20], (Kind::Float, Device::Cpu)))].into());
    snapshot
}

#[test]
fn outcomes_come_in_order_and_once() {
    let (_folder, mut writer) = writer();
    assert!(writer.poll().is_none() && writer.wait().is_none());
    assert!(writer.save(large(10)).is_none());
    assert_eq!(step(writer.save(snapshot(20, 0.5))), 10);
    assert_eq!(step(writer.save(large(30))), 20);
    let saved = writer.wait().unwrap().unwrap();
    assert_eq!((saved.step, saved.bytes), (30, large(30).bytes()));
    assert!(saved.seconds > 0.0 && saved.path.ends_with("step-0000000030"));
    assert!(writer.poll().is_none() && writer.wait().is_none());
    assert!(writer.save(snapshot(40, 0.5)).is_none());
    let start = Instant::now();
    let polled = loop {
        match writer.poll() {
            None if start.elapsed() < Duration::from_secs(60) => thread::sleep(Duration::from_millis(1)),
            polled => break polled,
        }
    };
    assert_eq!(step(polled), 40);
    assert!(writer.save(snapshot(50, 0.5)).is_none(), "step 40 was returned twice");
    assert_eq!(step(writer.wait()), 50);
    assert_eq!(writer.store().list().unwrap().len(), 4, "10 is the best, and outdated ones are removed");
    for path in writer.store().list().unwrap() {
        load(&path).unwrap();
    }
}

#[test]
fn asking_does_not_wait() {
    let (_folder, mut writer) = writer();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    writer.start(Builder::new(), 7, move || {
        // Not for ever: a poll that waits must fail, not hang.
        gate.recv_timeout(Duration::from_secs(10)).ok();
        Err(Error::Name { state: "late".into() })
    });
    assert!(writer.poll().is_none() && writer.poll().is_none());
    go.send(()).unwrap();
    assert!(writer.wait().unwrap().is_err());
}

#[test]
fn an_error_is_told_once_and_the_next_save_is_tried() {
    let (folder, mut writer) = writer();
    let at = folder.path().join("checkpoints");
    fs::write(&at, "a file").unwrap();
    assert!(writer.save(snapshot(10, 0.5)).is_none());
    let error = writer.save(snapshot(20, 0.5)).unwrap().unwrap_err().to_string();
    assert!(error.contains(&at.display().to_string()), "{error}");
    writer.wait().unwrap().unwrap_err();
    assert!(writer.wait().is_none());
    fs::remove_file(&at).unwrap();
    let mut spoilt = snapshot(30, 0.5);
    spoilt.states.get_mut("model").unwrap().insert("w".into(), Tensor::from(f32::NAN));
    assert!(writer.save(spoilt).is_none());
    assert!(matches!(writer.save(snapshot(40, 0.5)), Some(Err(Error::NotFinite { step: 30, .. }))));
    assert_eq!(step(writer.wait()), 40);
    assert_eq!(names(&at), ["step-0000000040"]);
}

#[test]
fn a_thread_that_panics_or_does_not_start_is_an_error() {
    let (_folder, mut writer) = writer();
    writer.start(Builder::new(), 7, || panic!("on purpose"));
    let text = writer.save(snapshot(8, 0.5)).unwrap().unwrap_err().to_string();
    assert!(text.contains("step 7") && text.contains("on purpose"), "{text}");
    assert_eq!(step(writer.wait()), 8);
    // No machine has room for this stack.
    writer.start(Builder::new().stack_size(1 << 60), 9, || unreachable!());
    let text = writer.poll().unwrap().unwrap_err().to_string();
    assert!(text.contains("step 9") && text.contains("could be started"), "{text}");
    assert!(writer.wait().is_none());
}

#[test]
fn dropping_waits() {
    let (_folder, store) = store(&Config::default());
    let mut writer = BackgroundWriter::new(store.clone());
    writer.save(large(10));
    drop(writer);
    assert_same(&store.newest().unwrap().0.unwrap().1, &large(10));
}

struct Log(Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }
    fn flush(&self) {}
}

#[test]
fn an_error_that_nobody_asks_for_is_logged() {
    static LOG: Log = Log(Mutex::new(Vec::new()));
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Error);
    let (folder, mut writer) = writer();
    let at = folder.path().join("checkpoints");
    fs::write(&at, "a file").unwrap();
    writer.save(snapshot(10, 0.5));
    drop(writer);
    let said = LOG.0.lock().unwrap();
    let ours = said.iter().filter(|line| line.starts_with("ERROR") && line.contains(&at.display().to_string()));
    assert_eq!(ours.count(), 1, "{said:?}");
}

#[test]
fn what_training_does_after_the_copy_does_not_reach_the_file() {
    let (_folder, mut writer) = writer();
    let mut state = StateDict::new();
    let plain = Tensor::arange(24, (Kind::Float, Device::Cpu));
    let weight = Tensor::ones([3], (Kind::Double, Device::Cpu)).set_requires_grad(true);
    let nhwc = plain.copy().reshape([1, 2, 3, 4]).permute([0, 3, 1, 2]);
    for (name, tensor) in [("plain", &plain), ("weight", &weight), ("nhwc", &nhwc), ("part", &plain.slice(0, 2, 20, 3))]
    {
        state.insert(name.into(), tensor.shallow_clone());
    }
    state.insert("empty".into(), Tensor::ones([0, 3], (Kind::Int64, Device::Cpu)));
    state.insert("flag".into(), Tensor::from(true));
    let running = Snapshot { states: [("model".into(), state)].into(), ..snapshot(10, 0.5) };
    assert_eq!(running.bytes(), 24 * 4 + 3 * 8 + 24 * 4 + 6 * 4 + 1);
    let copied = running.copied().unwrap();
    assert_eq!(copied.bytes(), running.bytes());
    assert_same(&copied, &running);
    let expected = copied.copied().unwrap();
    for (name, tensor) in &copied.states["model"] {
        assert!(tensor.is_contiguous() && !tensor.requires_grad() && tensor.device() == Device::Cpu, "{name}");
    }
    writer.save(copied);
    tch::no_grad(|| running.states["model"].values().for_each(|tensor| drop(tensor.shallow_clone().zero_())));
    let saved = writer.wait().unwrap().unwrap();
    let loaded = load(&saved.path).unwrap();
    assert_same(&loaded, &expected);
    assert!(!same(&loaded.states["model"]["nhwc"], &nhwc));
}

#[test]
fn a_tensor_that_is_none_cannot_be_copied() {
    let state = StateDict::from([("w".into(), Tensor::new())]);
    let running = Snapshot { states: [("metric".into(), state)].into(), ..snapshot(10, 0.5) };
    assert_eq!(running.bytes(), 0);
    let error = running.copied().unwrap_err().to_string();
    assert!(error.contains("state 'metric', tensor 'w': it is undefined"), "{error}");
}
