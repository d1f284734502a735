//! Cost of a checkpoint. `scripts/bench checkpoint` builds and runs this, and lists the measurements.
//!
//! All contestants take turns in every round, each after the disk has come to rest. Every round begins with another
//! one. The first round warms up and does not count.

#[path = "../common/mod.rs"]
mod common;
mod disk;
mod training;

use checkpoint::{Config, Snapshot, Store};
use common::{Outcome, Peers, load, median, processor};
use contract::Progress;
use std::{collections::BTreeMap, path::Path, path::PathBuf, time::Instant};
use training::Training;

/// Minimum number of steps that are timed with and without a checkpoint being written; as many as the writing takes.
const STEPS: usize = 4;

/// A participant in the benchmark.
#[derive(Clone, Copy)]
enum Contestant {
    Writer,
    WriterWhileTraining,
    Loop,
    Cat,
    Dd,
    Peers,
}

use Contestant::*;
const CONTESTANTS: [Contestant; 6] = [Writer, WriterWhileTraining, Loop, Cat, Dd, Peers];

/// Measured values by their place in the table and their name.
#[derive(Default)]
struct Measured(BTreeMap<(usize, &'static str), Vec<f64>>);

impl Measured {
    fn add(&mut self, place: usize, what: &'static str, value: f64) {
        self.0.entry((place, what)).or_default().push(value);
    }

    fn median(&self, place: usize) -> Option<f64> {
        self.0.iter().find(|((at, _), _)| *at == place).map(|(_, values)| median(values))
    }
}

/// Places in the table.
const STALL: usize = 0;
const SLOWDOWN: usize = 1;
const STEP: usize = 2;
const WRITER: usize = 10;
const LOOP: usize = 11;
const CAT: usize = 12;
const DD: usize = 13;
const PEERS: usize = 20;

struct Bench {
    training: Training,
    writer: checkpoint::BackgroundWriter,
    step: u64,
    folder: PathBuf,
    newest: PathBuf,
    megabytes: f64,
    peers: Option<Peers>,
    measured: Measured,
}

impl Bench {
    fn new(folder: &Path) -> Outcome<Self> {
        let config = Config { keep_last: 1, keep_best: false, ..Config::default() };
        let writer = checkpoint::BackgroundWriter::new(Store::new(folder.join("checkpoints"), &config));
        let mut training = Training::new()?;
        training.step()?;
        let mut bench = Self {
            training,
            writer,
            step: 0,
            folder: folder.into(),
            newest: PathBuf::new(),
            megabytes: 0.0,
            peers: None,
            measured: Measured::default(),
        };
        bench.hand_over()?;
        bench.published()?;
        bench.megabytes = disk::bytes(&bench.newest)? as f64 / 1e6;
        Ok(bench)
    }

    /// Returns the seconds that training waits, from taking the states to the hand-over.
    fn hand_over(&mut self) -> Outcome<f64> {
        self.step += 1;
        let progress = Progress { epoch: 0, batch: self.step, step: self.step, samples: self.step };
        let start = Instant::now();
        let states = self.training.states();
        let about = serde_json::Value::Null;
        let snapshot = Snapshot { progress, states, scores: BTreeMap::new(), about }.copied()?;
        let before = self.writer.save(snapshot);
        let seconds = start.elapsed().as_secs_f64();
        before.map_or(Ok(seconds), |_| Err("the previous checkpoint was still being written".into()))
    }

    /// Returns the seconds from the hand-over to the publication.
    fn published(&mut self) -> Outcome<f64> {
        let saved = self.writer.wait().ok_or("nothing is being written")??;
        self.newest = saved.path;
        Ok(saved.seconds)
    }

    fn rate(&self, seconds: f64) -> f64 {
        self.megabytes / seconds
    }

    fn turn(&mut self, contestant: Contestant) -> Outcome<()> {
        disk::rest()?;
        let (newest, copies) = (self.newest.clone(), self.folder.join("copies"));
        match contestant {
            Writer => {
                let stall = self.hand_over()?;
                let seconds = self.published()?;
                self.measured.add(STALL, "the step waits for the copy", stall);
                self.measured.add(WRITER, "oxiseg, from the hand-over to the publication", self.rate(seconds));
            }
            WriterWhileTraining => {
                let stall = self.hand_over()?;
                let mut disturbed = Vec::new();
                let mut published = None;
                while published.is_none() || disturbed.len() < STEPS {
                    disturbed.push(self.training.step()?);
                    published = published.or(self.writer.poll().transpose()?);
                }
                self.newest = published.map(|saved| saved.path).ok_or("nothing was written")?;
                disk::rest()?;
                let undisturbed = self.training.steps(disturbed.len())?;
                self.measured.add(STALL, "the step waits for the copy", stall);
                let slowdown = disturbed.iter().sum::<f64>() - undisturbed.iter().sum::<f64>();
                self.measured.add(SLOWDOWN, "steps are slower while it is written", slowdown);
                self.measured.add(STEP, "(one step, undisturbed)", median(&undisturbed));
            }
            Loop => {
                let seconds = disk::written_from_memory(&newest, &copies)?;
                self.measured.add(LOOP, "the disk: blocks of 1 MiB from memory, flushed", self.rate(seconds));
            }
            Cat => {
                let seconds = disk::shell(r#"cat "$1" >"$2" && sync "$2""#, &newest, &copies)?;
                self.measured.add(CAT, "the disk: cat FILE >COPY && sync COPY", self.rate(seconds));
            }
            Dd => {
                let command = r#"dd if="$1" of="$2" bs=1M conv=fsync 2>/dev/null"#;
                self.measured.add(
                    DD,
                    "the disk: dd bs=1M conv=fsync",
                    self.rate(disk::shell(command, &newest, &copies)?),
                );
            }
            Peers => {
                let Some(peers) = &mut self.peers else { return Ok(()) };
                for (i, (request, what, megabytes)) in [
                    ("save", "torch.save, not flushed", true),
                    ("save_fsync", "torch.save and fsync", true),
                    ("async_stall", "torch async_save: the step waits, s", false),
                    ("async_total", "torch async_save, to its end", true),
                ]
                .into_iter()
                .enumerate()
                {
                    if request != "async_total" {
                        disk::rest()?;
                    }
                    let seconds = peers.ask(request)?;
                    self.measured.add(PEERS + i, what, if megabytes { self.megabytes / seconds } else { seconds });
                }
            }
        }
        Ok(())
    }

    fn print(&self) {
        let rounds = self.measured.0.values().map(Vec::len).min().unwrap_or(0);
        let (megabytes, threads) = (self.megabytes, tch::get_num_threads());
        let (machine, load) = (processor(), load());
        println!("{megabytes:.0} MB, {threads} threads of {machine}, {rounds} rounds, load {load}; median (range):");
        for ((place, what), values) in &self.measured.0 {
            let (low, high) = values.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            let unit = |value: f64| if value.abs() < 20.0 { format!("{value:.3}") } else { format!("{value:.0}") };
            let [mid, low, high] = [median(values), low, high].map(unit);
            let against = match (*place, self.measured.median(LOOP)) {
                (WRITER.., Some(disk)) if !what.ends_with(", s") => {
                    format!("{:.0} % of the disk", 100.0 * median(values) / disk)
                }
                (STALL | SLOWDOWN, _) => format!("{:.2} % of a minute", median(values) / 0.6),
                _ => String::new(),
            };
            let unit = if *place < WRITER || what.ends_with(", s") { "s" } else { "MB/s" };
            println!("{what:48} {mid:>6} {unit:4} ({low} to {high}), {against}");
        }
    }
}

fn main() -> Outcome<()> {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let folder = PathBuf::from(args.next().ok_or("usage: scripts/bench checkpoint [FOLDER]")?);
    let rounds: usize = args.next().map_or(Ok(7), |rounds| rounds.parse())?;
    let folder = tempfile::tempdir_in(folder)?;
    let mut bench = Bench::new(folder.path())?;
    let copies = folder.path().join("peers");
    std::fs::create_dir(&copies)?;
    bench.peers = Peers::start("checkpoint/peers.py", &[bench.newest.as_os_str(), copies.as_os_str()])?;
    for round in 0..=rounds {
        for i in 0..CONTESTANTS.len() {
            bench.turn(CONTESTANTS[(round + i) % CONTESTANTS.len()])?;
        }
        match round {
            0 => bench.measured = Measured::default(),
            _ => eprintln!("round {round} of {rounds}, load {}", load()),
        }
    }
    bench.print();
    Ok(())
}
