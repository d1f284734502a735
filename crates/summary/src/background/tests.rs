use super::*;
use crate::{Histogram, Stage, Value};
use std::{
    path::Path,
    sync::{Arc, Mutex},
};

/// Calls of a writer.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, what: impl ToString) {
        self.0.lock().unwrap().push(what.to_string());
    }

    fn all(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

/// Waits for a signal at each record, if it has a channel for that.
struct Slow {
    told: Told,
    go_on: Option<Receiver<()>>,
}

impl Writer for Slow {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        if let Some(go_on) = &self.go_on {
            self.told.tell("waiting");
            go_on.recv().ok();
        }
        assert!(record.epoch < 100, "a fault");
        self.told.tell(record.epoch);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.told.tell("flush");
        Ok(())
    }
}

fn scalars(epoch: u64) -> Record {
    Record::new(Stage::Train, epoch, 0, Value::Scalars(Vec::new()))
}

fn histograms(epoch: u64) -> Record {
    Record::new(Stage::Train, epoch, 0, Value::Histograms(vec![("weights".into(), Histogram::default())]))
}

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_flush_waits_for_all_before_it() {
    let told = Told::default();
    let slow = Slow { told: told.clone(), go_on: None };
    // Never flushes by itself.
    let mut background = Background::new("slow", slow, Duration::MAX).unwrap();
    for epoch in 0..1000 {
        background.write(&scalars(epoch % 10)).unwrap();
    }
    background.flush().unwrap();
    let all = told.all();
    assert_eq!((all.len(), all.last().unwrap().as_str()), (1001, "flush"));
    assert!((0..1000).all(|n| all[n] == (n % 10).to_string()), "in their order");
    background.write(&scalars(1)).unwrap();
    drop(background);
    assert_eq!(told.all()[1001..], ["1", "flush"], "what is left is written at the end");
}

#[test]
fn it_flushes_by_itself_in_time() {
    let told = Told::default();
    let slow = Slow { told: told.clone(), go_on: None };
    let mut background = Background::new("slow", slow, Duration::ZERO).unwrap();
    background.write(&scalars(1)).unwrap();
    while told.all() != ["1", "flush"] {
        thread::sleep(Duration::from_millis(1));
    }
    drop(background);
    assert_eq!(told.all(), ["1", "flush", "flush"]);
}

#[test]
fn where_the_queue_is_full_bulky_records_are_dropped_and_others_wait() {
    let told = Told::default();
    let (go, go_on) = sync_channel(0);
    let slow = Slow { told: told.clone(), go_on: Some(go_on) };
    let mut background = Background::new("slow", slow, HOUR).unwrap();
    background.write(&scalars(1)).unwrap();
    while told.all().is_empty() {
        thread::sleep(Duration::from_millis(1));
    }
    // The thread holds one record, and the queue becomes full.
    for _ in 0..QUEUE {
        background.write(&histograms(2)).unwrap();
    }
    assert_eq!(background.dropped, 0);
    for _ in 0..3 {
        background.write(&histograms(3)).unwrap();
    }
    assert_eq!(background.dropped, 3);
    let writing = thread::spawn(move || {
        background.write(&scalars(4)).unwrap();
        background
    });
    drop(go);
    drop(writing.join().unwrap());
    let epochs: Vec<_> = told.all().into_iter().filter(|what| what != "waiting").collect();
    assert_eq!(epochs.iter().filter(|what| *what == "2").count(), QUEUE);
    assert!(!epochs.contains(&"3".into()));
    assert_eq!(epochs[QUEUE + 1..], ["4", "flush"]);
}

/// Keeps all log messages.
struct Heard(Mutex<Vec<String>>);

static HEARD: Heard = Heard(Mutex::new(Vec::new()));

impl log::Log for Heard {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        self.0.lock().unwrap().push(format!("{} {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

/// Fails from a record of epoch 1 until one of epoch 2, flushes included.
struct Moody {
    fails: bool,
}

impl Writer for Moody {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        self.fails = record.epoch == 1;
        if self.fails { Err(Error::encode(Path::new("there"), "no")) } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), Error> {
        if self.fails { Err(Error::encode(Path::new("there"), "still no")) } else { Ok(()) }
    }
}

#[test]
fn errors_stay_in_the_background_and_are_said_once() {
    log::set_logger(&HEARD).unwrap();
    log::set_max_level(log::LevelFilter::Info);
    let mut background = Background::new("moody", Moody { fails: false }, HOUR).unwrap();
    for epochs in [&[1, 1][..], &[1], &[2, 2], &[2], &[1], &[1]] {
        for epoch in epochs {
            background.write(&scalars(*epoch)).unwrap();
        }
        background.flush().unwrap();
    }
    drop(background);
    let heard = HEARD.0.lock().unwrap();
    let moody: Vec<&str> = heard.iter().filter_map(|line| line.split_once(" moody: ")).map(|(_, text)| text).collect();
    let [first, works, again, lost] = moody.as_slice() else { panic!("{moody:?}") };
    assert_eq!(first, again);
    assert!(first.starts_with("cannot write to there: no."), "{first}");
    assert!(works.contains("written now") && lost.contains("still no") && lost.ends_with("is lost"), "{works} {lost}");
    assert!(heard.iter().any(|line| line.starts_with("WARN moody")));
}

#[test]
fn a_writer_that_panics_ends_nothing_but_itself() {
    let told = Told::default();
    let slow = Slow { told: told.clone(), go_on: None };
    let mut background = Background::new("slow", slow, HOUR).unwrap();
    background.write(&scalars(100)).unwrap();
    background.flush().unwrap();
    background.write(&scalars(1)).unwrap();
    background.write(&histograms(1)).unwrap();
    background.flush().unwrap();
    assert!(told.all().is_empty());
}
