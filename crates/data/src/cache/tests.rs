//! Samples are the same with and without a cache; nothing is loaded twice; a damaged or outdated file is never used.

use super::format::{Head, encode, read};
use super::*;
use crate::load::dataset::Source;
use crate::load::{Sample, Target, pixels};
use crate::{Loader, LoaderConfig, Order, Pipeline, Transform};
use contract::Input;
use proptest::prelude::*;
use raster::Depth;
use std::env;
use std::fs;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;
use tch::Device;

/// Samples that count their loads; those in `broken` cannot be loaded.
struct Counted {
    len: u64,
    source: Source,
    broken: &'static [u64],
    loads: AtomicU64,
    pause: Duration,
}

const SIZE: [u32; 2] = [9, 7];

impl Dataset for Counted {
    fn len(&self) -> u64 {
        self.len
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some(SIZE)
    }
    fn name(&self, index: u64) -> String {
        format!("sample-{index}")
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.loads.fetch_add(1, Ordering::SeqCst);
        thread::sleep(self.pause);
        if self.broken.contains(&index) || index >= self.len {
            return Err(Error::Index { index, len: self.len });
        }
        let byte = |place: u64| (index * 31 + place * 7) as u8;
        let target = Target::Classes((0..63).map(|at| byte(at) % 3).collect());
        *sample = Sample { size: SIZE, image: (0..189).map(byte).collect(), target };
        Ok(())
    }
    fn source(&self, _: u64) -> Result<Source, Error> {
        Ok(self.source)
    }
}

fn counted(len: u64) -> Counted {
    let source = Source { bytes: 10, modified: 20 };
    Counted { len, source, broken: &[], loads: AtomicU64::new(0), pause: Duration::ZERO }
}

/// Reported events, without the progress of building.
type Heard = Arc<Mutex<Vec<String>>>;

fn hear() -> (Tell, Heard) {
    let heard = Heard::default();
    let into = Arc::clone(&heard);
    let tell: Tell = Arc::new(move |told| {
        if !matches!(told, Told::Building { .. }) {
            into.lock().unwrap().push(format!("{told:?}"));
        }
    });
    (tell, heard)
}

fn on_disk(source: Arc<dyn Dataset>, folder: &Path, tell: &Tell) -> Result<Cached<disk::OnDisk>, Error> {
    let store = disk::open(&source, folder, "kind-train-0", "how", 2, tell)?;
    Ok(Cached { source, store })
}

fn in_memory(source: Arc<dyn Dataset>) -> Result<Cached<memory::InMemory>, Error> {
    let store = memory::InMemory::new(source.as_ref(), 1)?;
    Ok(Cached { source, store })
}

fn open(dataset: Counted, folder: &Path) -> (Arc<Counted>, Result<Cached<disk::OnDisk>, Error>, String) {
    let (source, (tell, heard)) = (Arc::new(dataset), hear());
    let opened = on_disk(Arc::clone(&source) as Arc<dyn Dataset>, folder, &tell);
    let heard = heard.lock().unwrap().join("\n");
    (source, opened, heard)
}

fn check(dataset: &dyn Dataset) {
    let (plain, mut expected, mut sample) = (counted(dataset.len()), Sample::default(), Sample::default());
    for index in 0..dataset.len() {
        plain.load(index, &mut expected).unwrap();
        dataset.load(index, &mut sample).unwrap();
        assert_eq!((&sample, &dataset.target(index).unwrap()), (&expected, &expected.target));
    }
}

fn loads(dataset: &Counted) -> u64 {
    dataset.loads.load(Ordering::SeqCst)
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn memory_loads_each_sample_once_and_gives_errors_every_time() {
    let source = Arc::new(Counted { broken: &[3], ..counted(5) });
    let cached = in_memory(Arc::clone(&source) as Arc<dyn Dataset>).unwrap();
    for _ in 0..3 {
        for index in 0..6 {
            assert_eq!(cached.load(index, &mut Sample::default()).is_err(), index == 3 || index == 5);
        }
    }
    assert_eq!(loads(&source), 4 + 3 * 2);
    let source = Arc::new(counted(20));
    let cached = in_memory(source).unwrap();
    check(&cached);
    check(&cached);
    let error = in_memory(Arc::new(counted(1 << 60))).err().unwrap().to_string();
    assert!(error.contains("GB for 1152921504606846976 samples, but") && error.contains("take \"disk\""), "{error}");
    // What fits once need not fit in each of many processes.
    let in_each = |processes| memory::in_each(processes, Arc::new(counted(1 << 10))).map(drop);
    assert!(in_each(1).is_ok());
    let error = in_each(1 << 40).unwrap_err().to_string();
    assert!(error.contains("for 1024 samples in each of 1099511627776 processes, but"), "{error}");
}

#[test]
fn the_second_opening_loads_nothing_and_other_files_are_loaded_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (source, cached, _) = open(counted(50), folder);
    let first = cached.unwrap();
    check(&first);
    assert_eq!(loads(&source), 50);
    let (source, cached, heard) = open(counted(50), folder);
    check(&cached.unwrap());
    assert!(loads(&source) == 0 && heard.starts_with("Ready("), "{heard}");
    for changed in [Source { bytes: 11, modified: 20 }, Source { bytes: 11, modified: 21 }] {
        let (source, cached, heard) = open(Counted { source: changed, ..counted(50) }, folder);
        check(&cached.unwrap());
        assert!(loads(&source) == 50 && heard.contains("not those that it was made from"), "{heard}");
    }
    let (source, cached, _) = open(counted(49), folder);
    check(&cached.unwrap());
    assert_eq!(loads(&source), 49);
    // An open cache keeps its content.
    check(&first);
    assert_eq!(files(folder), ["kind-train-0.cache", "kind-train-0.lock"]);
}

#[test]
fn a_sample_that_cannot_be_loaded_is_asked_for_again() {
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..2 {
        let (source, cached, _) = open(Counted { broken: &[0, 4, 9], ..counted(10) }, folder.path());
        let (cached, before) = (cached.unwrap(), loads(&source));
        for index in 0..10 {
            assert_eq!(cached.load(index, &mut Sample::default()).is_err(), [0, 4, 9].contains(&index));
        }
        assert_eq!(loads(&source) - before, 3);
    }
}

#[test]
fn a_damaged_file_is_never_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("kind-train-0.cache");
    drop(open(counted(10), folder.path()).1.unwrap());
    let whole = fs::read(&path).unwrap();
    let mut spoilt: Vec<Vec<u8>> = [0, 50, 127, 128, 300, whole.len() - 1].map(|length| whole[..length].into()).into();
    spoilt.push([whole.as_slice(), b"x"].concat());
    for place in (0..96).chain(128..128 + 240).step_by(3) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        spoilt.push(bytes);
    }
    for bytes in spoilt {
        fs::write(&path, bytes).unwrap();
        let (source, cached, heard) = open(counted(10), folder.path());
        check(&cached.unwrap());
        // A child of another test may hold the lock between its fork and its start.
        assert!(loads(&source) == 10 && heard.contains("Unfit"), "{heard}");
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    // Of the samples themselves every bit is checked when they are read.
    for place in (384..whole.len()).step_by(97) {
        let mut bytes = whole.clone();
        bytes[place] ^= 8;
        fs::write(&path, bytes).unwrap();
        let (tell, heard) = hear();
        let source = Arc::new(counted(10));
        let cached = on_disk(Arc::clone(&source) as _, folder.path(), &tell).unwrap();
        check(&cached);
        let said = heard.lock().unwrap().join("\n");
        assert_eq!((loads(&source) > 0, path.exists()), (said.contains("Damaged"), !said.contains("Damaged")));
        assert!((place - 384) % 256 >= 252 || said.contains("Damaged"), "place {place}: {said}");
        if !path.exists() {
            fs::write(&path, &whole).unwrap();
        }
    }
}

#[test]
fn what_a_killed_process_left_is_removed_and_never_read() {
    let folder = tempfile::tempdir().unwrap();
    for stale in ["kind-train-0.77.partial", "kind-train-0.8.partial", "kind-train-01.9.partial"] {
        fs::write(folder.path().join(stale), "half").unwrap();
    }
    check(&open(counted(5), folder.path()).1.unwrap());
    assert_eq!(files(folder.path()), ["kind-train-0.cache", "kind-train-0.lock", "kind-train-01.9.partial"]);
}

/// Environment variable that makes a process of the next test build until it is killed.
const HELPER: &str = "OXISEG_TEST_BUILDS_IN";

#[test]
fn a_kill_at_any_moment_leaves_nothing_wrong() {
    let slow = || Counted { pause: Duration::from_micros(500), ..counted(200) };
    if let Some(folder) = env::var_os(HELPER) {
        drop(open(slow(), Path::new(&folder)).1.unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let name = "cache::tests::a_kill_at_any_moment_leaves_nothing_wrong";
    let start = || {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", name]).env(HELPER, folder.path()).stdout(Stdio::null()).spawn().unwrap()
    };
    for milliseconds in [20, 45, 70, 95, 120] {
        let mut child = start();
        thread::sleep(Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    // Two at once: one builds, the other waits or finds the file.
    let mut children = [start(), start()];
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let (source, cached, _) = open(slow(), folder.path());
    check(&cached.unwrap());
    assert_eq!(loads(&source), 0);
    assert_eq!(files(folder.path()), ["kind-train-0.cache", "kind-train-0.lock"]);
}

#[test]
fn ranks_that_open_it_at_once_build_it_once() {
    let folder = tempfile::tempdir().unwrap();
    let rank = || {
        let (source, cached, _) = open(Counted { pause: Duration::from_micros(300), ..counted(60) }, folder.path());
        check(&cached.unwrap());
        loads(&source)
    };
    let loaded: u64 = thread::scope(|scope| {
        let ranks: Vec<_> = (0..4).map(|_| scope.spawn(rank)).collect();
        ranks.into_iter().map(|rank| rank.join().unwrap()).sum()
    });
    assert_eq!((loaded, files(folder.path())), (60, vec!["kind-train-0.cache".into(), "kind-train-0.lock".into()]));
}

#[test]
fn a_disk_without_room_is_an_error_and_nothing_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let head = Head { depth: Depth::U8, channels: 3, samples: 1 << 50, key: [0; 32] };
    let (tell, path) = (hear().0, folder.path().join("x.cache"));
    let source: Arc<dyn Dataset> = Arc::new(counted(1 << 50));
    let error = build::build(&source, &path, &head, 0, &tell).unwrap_err();
    assert!(matches!(error, Error::NoRoom { .. }), "{error}");
    assert!(files(folder.path()).is_empty());
    let blocked = folder.path().join("file");
    fs::write(&blocked, "").unwrap();
    let error = open(counted(1), &blocked).1.err().unwrap().to_string();
    assert!(error.contains("cannot make") && error.contains("data.loader.cache_folder"), "{error}");
}

/// Samples that each have their own size and mask.
struct Sized;

impl Dataset for Sized {
    fn len(&self) -> u64 {
        40
    }
    fn size(&self) -> Option<[u32; 2]> {
        None
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let size = [1 + index as u32 % 7, 1 + index as u32 % 11];
        let bytes = |count: usize| (0..count).map(|at| (at as u64 * 31 + index) as u8).collect::<Vec<u8>>();
        *sample = Sample { size, image: bytes(pixels(size) * 3).into(), target: Target::Classes(bytes(pixels(size))) };
        Ok(())
    }
}

#[test]
fn samples_of_many_sizes_are_the_same_from_every_cache() {
    let folder = tempfile::tempdir().unwrap();
    let disk = || on_disk(Arc::new(Sized), folder.path(), &hear().0).unwrap();
    let memory = in_memory(Arc::new(Sized)).unwrap();
    let caches: [&dyn Dataset; 3] = [&disk(), &disk(), &memory];
    for cache in caches {
        let (mut expected, mut sample) = (Sample::default(), Sample::default());
        for index in (0..40).chain((0..40).rev()) {
            Sized.load(index, &mut expected).unwrap();
            cache.load(index, &mut sample).unwrap();
            assert_eq!(sample, expected);
            assert_eq!(cache.target(index).unwrap(), expected.target);
        }
    }
}

#[test]
fn a_header_says_what_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (path, head) = (folder.path().join("x"), Head { depth: Depth::U8, channels: 1, samples: 0, key: [7; 32] });
    assert_eq!(read(&path, &head), Err(None));
    fs::write(&path, encode(&head, &[], 128)).unwrap();
    assert_eq!(read(&path, &head), Ok((128, vec![])));
    assert!(read(&path, &Head { channels: 3, ..head }).unwrap_err().unwrap().contains("damaged"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]
    #[test]
    fn batches_are_the_same_for_any_workers_skip_and_cache_with_broken_samples_among_them(
        len in 1u64..70, batch_size in 1u64..9, skip in 0u64..8, epoch: u64, seed: u64,
    ) {
        let folder = tempfile::tempdir().unwrap();
        let source = || Counted { broken: &[0, 5, 6, 31], ..counted(len) };
        let batches = |dataset: Arc<dyn Dataset>, workers, skip: u64, [rank, count]: [usize; 2]| {
            let config = LoaderConfig { batch_size, workers, max_skipped: 4, ..LoaderConfig::default() };
            let transforms = vec![Transform::HorizontalFlip { probability: 0.5 }];
            let pipeline = Pipeline { transforms, ..Pipeline::plain([8, 8]) };
            let loader = Loader::new(dataset, pipeline, &config, Order::Shuffled, seed, Device::Cpu).unwrap();
            let loader = loader.of_rank(rank, count);
            let batches: Vec<_> = loader.epoch(epoch, skip).map(|batch| {
                let batch = batch.unwrap();
                let inputs = Vec::<f32>::try_from(batch.inputs.contiguous().view(-1)).unwrap();
                (batch.names, inputs, Vec::<i64>::try_from(batch.targets.view(-1)).unwrap())
            }).collect();
            batches
        };
        let expected = batches(Arc::new(source()), 0, 0, [0, 1]);
        prop_assert_eq!(expected.len() as u64, len.div_ceil(batch_size));
        let cached = [
            Arc::new(source()) as Arc<dyn Dataset>,
            Arc::new(in_memory(Arc::new(source())).unwrap()),
            Arc::new(open(source(), folder.path()).1.unwrap()),
        ];
        for dataset in cached {
            for workers in [0, 1, 2, 8] {
                let rest = &expected[expected.len().min(skip as usize)..];
                prop_assert_eq!(batches(Arc::clone(&dataset), workers, skip, [0, 1]), rest);
            }
            let shares = [0, 1].map(|rank| batches(Arc::clone(&dataset), 2, skip, [rank, 2]));
            for (number, (whole, ..)) in expected.iter().skip(skip as usize).enumerate() {
                let names = shares.iter().flat_map(|share| &share[number].0).filter(|name| !name.starts_with('('));
                prop_assert!(names.eq(whole.iter().filter(|name| !name.starts_with('('))));
            }
        }
    }
}
