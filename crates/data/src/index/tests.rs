//! An index is what the masks hold, survives damage and death, and is made once.

use super::*;
use crate::error::Error;
use crate::load::IGNORE;
use crate::load::dataset::Source;
use std::sync::Mutex;
use std::sync::atomic::AtomicU64;
use std::thread;

/// Masks of several sizes with a few pixels of rare classes; that of sample 3 cannot be loaded.
struct Masks {
    reads: AtomicU64,
    bytes: u64,
}

fn masks() -> Arc<Masks> {
    Arc::new(Masks { reads: AtomicU64::new(0), bytes: 1 })
}

impl Dataset for Masks {
    fn len(&self) -> u64 {
        6
    }
    fn size(&self) -> Option<[u32; 2]> {
        None
    }
    fn name(&self, index: u64) -> String {
        format!("mask-{index}")
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        if index == 3 || index >= 6 {
            return Err(Error::Index { index, len: 6 });
        }
        let size = [50 + index as u32, 40];
        let mut ids = vec![0; pixels(size)];
        ids[..40].fill(IGNORE);
        (ids[100 + index as usize], ids[300]) = (index as u8, 7);
        *sample = Sample { size, image: vec![0u8; pixels(size) * 3].into(), target: Target::Classes(ids) };
        Ok(())
    }
    fn left_out(&self) -> &[String] {
        static LEFT_OUT: [String; 1] = [String::new()];
        &LEFT_OUT
    }
    fn source(&self, _: u64) -> Result<Source, Error> {
        Ok(Source { bytes: self.bytes, modified: 5 })
    }
}

type Heard = Arc<Mutex<Vec<String>>>;

fn opened(source: &Arc<Masks>, folder: &Path, workers: u64) -> (Indexed, Vec<String>) {
    let heard = Heard::default();
    let into = Arc::clone(&heard);
    let tell: Tell = Arc::new(move |told| into.lock().unwrap().push(format!("{told:?}")));
    let index = open(Arc::clone(source) as Arc<dyn Dataset>, folder, "kind-train-0", "how", workers, &tell).unwrap();
    let said = heard.lock().unwrap().clone();
    (index, said)
}

fn check(index: &Indexed) {
    assert_eq!(index.left_out().len(), 1, "what the source says of itself");
    for (at, rows) in [(0u64, 50u64), (1, 51), (2, 52), (4, 54), (5, 55)] {
        let rare = Present { class: at as u8, pixels: 1, listed: 1 };
        let ground = Present { class: 0, pixels: rows * 40 - 42 + u64::from(at == 0), listed: 1000 };
        let last = Present { class: 7, pixels: 1, listed: 1 };
        let expected = if at == 0 { vec![ground, last] } else { vec![ground, rare, last] };
        assert_eq!(index.present(at), expected);
        assert_eq!(index.pixel(at, 7, 0).unwrap(), Some([7, 20]));
        if at > 0 {
            assert_eq!(index.pixel(at, at as u8, 0).unwrap(), Some([2, 20 + at as u32]));
        }
        for (class, place) in [(7, 1), (0, 1000), (9, 0)] {
            assert_eq!(index.pixel(at, class, place).unwrap(), None);
        }
        let [first, last] = [0, 999].map(|place| index.pixel(at, 0, place).unwrap().unwrap());
        assert!((1..3).contains(&first[0]) && last[0] + 2 >= rows as u32 && last[1] < 40, "{first:?}, {last:?}");
    }
    assert!(index.present(3).is_empty() && index.present(6).is_empty());
    assert_eq!(index.pixel(3, 0, 0).unwrap(), None);
}

fn reads(source: &Masks) -> u64 {
    source.reads.swap(0, Ordering::SeqCst)
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn an_index_is_made_once_and_is_the_same_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (source, path) = (masks(), folder.path().join("deep/er"));
    let (index, said) = opened(&source, &path, 3);
    check(&index);
    assert_eq!(reads(&source), 6);
    assert!(said[0] == "Indexing { done: 1, total: 6 }" && said[6].starts_with("Indexed("), "{said:?}");
    let (again, said) = opened(&source, &path, 0);
    check(&again);
    assert!(reads(&source) == 0 && said.len() == 1 && again.rows == index.rows);
    assert_eq!(files(&path), ["kind-train-0.classes", "kind-train-0.lock"]);
    for workers in [0, 1, 4] {
        let kept: Tell = Arc::new(|_| ());
        check(&in_memory(Arc::clone(&source) as Arc<dyn Dataset>, head_of([0; 32], 0), workers, &kept).unwrap());
    }
    let public = indexed(source, 2).unwrap();
    assert_eq!(public.class_index().unwrap().present(2).len(), 3);
    assert_eq!(public.mask(1).unwrap().0, [51, 40]);
}

#[test]
fn other_files_make_it_anew_and_a_damaged_one_is_not_used() {
    let folder = tempfile::tempdir().unwrap();
    let source = masks();
    drop(opened(&source, folder.path(), 1));
    let path = folder.path().join("kind-train-0.classes");
    let sound = fs::read(&path).unwrap();
    let table = sound.len() - 4;
    let with = |at: usize, byte: u8| {
        let mut bytes = sound.clone();
        bytes[at] ^= byte;
        bytes
    };
    let cases = [
        (Vec::new(), "it has only 0 bytes"),
        (sound[..100].to_vec(), "it has only 100 bytes"),
        (sound[..sound.len() - 1].to_vec(), "its header or its length is damaged"),
        ([&sound[..], &[0]].concat(), "its header or its length is damaged"),
        (with(0, 1), "it is no index"),
        (with(8, 1), "another version"),
        (with(16, 1), "its header or its length is damaged"),
        (with(40, 1), "the files or the settings are not those that it was made from"),
        (with(71, 128), "its header or its length is damaged"),
        (with(80, 1), "its table is damaged"),
        (with(table, 1), "its table is damaged"),
    ];
    for (bytes, says) in cases {
        fs::write(&path, bytes).unwrap();
        let (index, said) = opened(&source, folder.path(), 1);
        assert!(said[0].contains(says), "expected \"{says}\" in {said:?}");
        check(&index);
        assert_eq!(fs::read(&path).unwrap(), sound);
    }
    reads(&source);
    let other = Arc::new(Masks { reads: AtomicU64::new(0), bytes: 2 });
    let (_, said) = opened(&other, folder.path(), 1);
    assert!(said[0].contains("the files or the settings") && reads(&other) == 6, "{said:?}");
}

#[test]
fn damaged_positions_are_read_from_the_masks_and_reported_once() {
    let folder = tempfile::tempdir().unwrap();
    let source = masks();
    drop(opened(&source, folder.path(), 1));
    let path = folder.path().join("kind-train-0.classes");
    let mut bytes = fs::read(&path).unwrap();
    // Positions of the first and of the third sample.
    for place in [HEADER_END, HEADER_END + 4 * 2500] {
        bytes[place] ^= 1;
    }
    fs::write(&path, bytes).unwrap();
    let heard = Heard::default();
    let into = Arc::clone(&heard);
    let tell: Tell = Arc::new(move |told| into.lock().unwrap().push(format!("{told:?}")));
    let index = open(Arc::clone(&source) as Arc<dyn Dataset>, folder.path(), "kind-train-0", "how", 1, &tell).unwrap();
    check(&index);
    let heard = heard.lock().unwrap();
    let damaged: Vec<_> = heard.iter().filter(|told| told.starts_with("Damaged")).collect();
    assert!(damaged.len() == 1 && damaged[0].contains("mask-0"), "{heard:?}");
    assert!(!path.exists());
}

/// End of the header, where positions begin.
const HEADER_END: usize = 128;

#[test]
fn leftovers_of_killed_processes_are_removed_and_an_unwritable_folder_is_no_end() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kind-train-0.classes.4242.partial"), "half").unwrap();
    let source = masks();
    check(&opened(&source, folder.path(), 1).0);
    assert_eq!(files(folder.path()), ["kind-train-0.classes", "kind-train-0.lock"]);
    let file = folder.path().join("file");
    fs::write(&file, "x").unwrap();
    let (index, said) = opened(&source, &file.join("below"), 2);
    check(&index);
    assert!(said[0].starts_with("Unkept") && said[0].contains("cannot make it"), "{said:?}");
}

#[test]
fn of_many_processes_one_makes_it() {
    let folder = tempfile::tempdir().unwrap();
    let source = masks();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| check(&opened(&source, folder.path(), 2).0));
        }
    });
    assert_eq!(reads(&source), 6);
}
