//! Rate of making batches, in images per second. `scripts/bench data` builds and runs this, and lists the measurements.
//!
//! All contestants take turns in every round, on the same files and for the same batches. Every round begins with
//! another one. The first round warms up and does not count.

#[path = "../common/mod.rs"]
mod common;

use common::{Outcome, Peers, load, median, processor};
use contract::Input;
use data::{Config, Loader, Order, Split, Tell};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// Height and width of the images, in pixels.
const SIZES: [u32; 2] = [128, 256];

/// Samples of a batch from files, as in the configuration of the pets, and from a cache.
const BATCHES: [u64; 2] = [16, 64];

/// Epochs of a turn, from files and from a cache: a second or two each.
const EPOCHS: [u64; 2] = [4, 60];

/// Source of oxiseg's samples, or a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Contestant {
    Files,
    Torchvision,
    TfData,
    TfDataAntialias,
    Memory,
    Disk,
    TfDataMemory,
}

use Contestant::*;
const CONTESTANTS: [Contestant; 7] = [Files, Torchvision, TfData, TfDataAntialias, Memory, Disk, TfDataMemory];

impl Contestant {
    fn name(self) -> &'static str {
        match self {
            Files => "oxiseg, from files",
            Torchvision => "torchvision, DataLoader",
            TfData => "tf.data",
            TfDataAntialias => "tf.data, antialias=True",
            Memory => "oxiseg, memory cache",
            Disk => "oxiseg, disk cache",
            TfDataMemory => "tf.data, cache()",
        }
    }

    /// 1 for a cache, else 0.
    fn cached(self) -> usize {
        usize::from(matches!(self, Memory | Disk | TfDataMemory))
    }
}

struct Bench {
    root: PathBuf,
    caches: PathBuf,
    torch: Option<Peers>,
    tensorflow: Option<Peers>,
    loaders: BTreeMap<(Contestant, u32), Loader>,
    /// Images per second.
    measured: BTreeMap<(u32, Contestant), Vec<f64>>,
}

impl Bench {
    /// Returns oxiseg's loader.
    fn loader(&mut self, contestant: Contestant, size: u32) -> Outcome<&Loader> {
        if !self.loaders.contains_key(&(contestant, size)) {
            let cache = match contestant {
                Memory => json!({ "cache": "memory" }),
                Disk => json!({ "cache": "disk", "cache_folder": self.caches }),
                _ => json!({}),
            };
            let mut config = json!({ "kind": "oxford_pets", "root": self.root, "size": [size, size], "loader": cache });
            config["loader"]["batch_size"] = BATCHES[contestant.cached()].into();
            let config: Config = serde_json::from_value(config)?;
            let silent: Tell = Arc::new(|_| ());
            let dataset = config.open_cached(Split::Train, 1, &silent)?;
            let pipeline = config.pipeline(Split::Train);
            let loader = Loader::new(dataset, pipeline, config.loader(), Order::Shuffled, 0, Device::Cpu)?;
            // A memory cache fills during the first epoch.
            loader.epoch(0, 0).try_for_each(|batch| batch.map(drop))?;
            self.loaders.insert((contestant, size), loader);
        }
        self.loaders.get(&(contestant, size)).ok_or_else(|| "no loader".into())
    }

    fn own(&mut self, contestant: Contestant, size: u32) -> Outcome<f64> {
        let loader = self.loader(contestant, size)?;
        let (start, mut images) = (Instant::now(), 0);
        for epoch in 0..EPOCHS[contestant.cached()] {
            for batch in loader.epoch(epoch, 0) {
                images += batch?.names.len();
            }
        }
        Ok(images as f64 / start.elapsed().as_secs_f64())
    }

    fn turn(&mut self, contestant: Contestant, size: u32) -> Outcome<()> {
        let (batch, epochs) = (BATCHES[contestant.cached()], EPOCHS[contestant.cached()]);
        let ask = |peers: &mut Option<Peers>, what: &str, epochs: u64| {
            peers.as_mut().map(|peers| peers.ask(&format!("{what} {size} {batch} {epochs}"))).transpose()
        };
        let rate = match contestant {
            Files | Memory | Disk => Some(self.own(contestant, size)?),
            Torchvision => ask(&mut self.torch, "files", epochs)?,
            TfData => ask(&mut self.tensorflow, "files", epochs)?,
            TfDataAntialias => ask(&mut self.tensorflow, "antialias", epochs)?,
            // It is slower, so fewer epochs take as long.
            TfDataMemory => ask(&mut self.tensorflow, "memory", epochs / 4)?,
        };
        if let Some(rate) = rate {
            self.measured.entry((size, contestant)).or_default().push(rate);
        }
        Ok(())
    }

    fn print(&self) {
        let rounds = self.measured.values().map(Vec::len).min().unwrap_or(0);
        println!("{}", processor());
        println!("images/s, {rounds} rounds, load {}; median (range), and oxiseg's to the peer's:", load());
        for ((size, contestant), rates) in &self.measured {
            let (low, high) = rates.iter().fold((f64::MAX, f64::MIN), |(l, h), &v| (l.min(v), h.max(v)));
            let own = if contestant.cached() == 1 { Memory } else { Files };
            let ratio = match self.measured.get(&(*size, own)) {
                // The median of the rounds' ratios: a disturbance of a round affects both.
                Some(own) if !matches!(contestant, Files | Memory | Disk) => {
                    let ratios: Vec<f64> = own.iter().zip(rates).map(|(own, peer)| own / peer).collect();
                    format!("{:.2}x", median(&ratios))
                }
                _ => String::new(),
            };
            println!("{size:>4} {:24} {:>7.0} ({low:.0} to {high:.0}) {ratio}", contestant.name(), median(rates));
        }
    }
}

fn main() -> Outcome<()> {
    // As `app` does.
    torch_ext::tune_allocator();
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    let root = PathBuf::from(args.next().ok_or("usage: scripts/bench data PETS [ROUNDS]")?);
    let rounds: usize = args.next().map_or(Ok(5), |rounds| rounds.parse())?;
    let caches = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR")))?;
    let peers = |who: &str| Peers::start("data/peers.py", &[who.as_ref(), root.as_os_str()]);
    let mut bench = Bench {
        torch: peers("torch")?,
        tensorflow: peers("tensorflow")?,
        root: root.clone(),
        caches: caches.path().into(),
        loaders: BTreeMap::new(),
        measured: BTreeMap::new(),
    };
    for round in 0..=rounds {
        for size in SIZES {
            for i in 0..CONTESTANTS.len() {
                bench.turn(CONTESTANTS[(round + i) % CONTESTANTS.len()], size)?;
            }
        }
        match round {
            0 => bench.measured.clear(),
            _ => eprintln!("round {round} of {rounds}, load {}", load()),
        }
    }
    bench.print();
    Ok(())
}
