use super::*;
use crate::dataset::{Sample, Source};
use crate::{Config, Shapes, Split};
use std::collections::HashSet;

/// Names and sizes, and nothing to load.
struct Listed(Vec<(&'static str, u64)>);

impl Dataset for Listed {
    fn len(&self) -> u64 {
        self.0.len() as u64
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some([1, 1])
    }
    fn name(&self, index: u64) -> String {
        self.0[index as usize].0.into()
    }
    fn load(&self, index: u64, _: &mut Sample) -> Result<(), Error> {
        panic!("sample {index} was loaded")
    }
    fn source(&self, index: u64) -> Result<Source, Error> {
        Ok(Source { bytes: self.0[index as usize].1, modified: 0 })
    }
}

fn of(list: &[(&'static str, u64)]) -> Fingerprint {
    fingerprint(&Listed(list.to_vec())).unwrap()
}

#[test]
fn the_hash_is_what_another_implementation_computes() {
    // The numbers are those of reference/fingerprint.py.
    let samples = [("cat_1", 4097), ("Käthe", 0), ("", 1 << 40)];
    assert_eq!(of(&samples).hash, "0a740c7beafc0e7afe224ef52d916eeba68a9a158079403978ad17412f0bf6aa");
    assert_eq!(of(&[]).hash, "71e0a99173564931c0b8acc52d2685a8e39c64dc52e3d02390fdac2a12b155cb");
}

#[test]
fn whatever_is_otherwise_shows() {
    let lists: [&[(&str, u64)]; 14] = [
        &[("cat", 10), ("dog", 20)],
        // Renamed, of another size, in another order, one more, one less.
        &[("cat", 10), ("hen", 20)],
        &[("cat", 10), ("dog", 21)],
        &[("dog", 20), ("cat", 10)],
        &[("dog", 10), ("cat", 20)],
        &[("cat", 10), ("dog", 20), ("hen", 0)],
        &[("cat", 10)],
        &[],
        // The same letters and the same bytes in total, divided differently.
        &[("ca", 10), ("tdog", 20)],
        &[("cat", 20), ("dog", 10)],
        &[("catdog", 30)],
        &[("", 0), ("catdog", 30)],
        // These two would be the same bytes without the lengths of the names.
        &[("a", u64::from_le_bytes(*b"AAAAAAAA")), ("BBBBBBBB", 5)],
        &[("aAAAAAAAA", u64::from_le_bytes(*b"BBBBBBBB")), ("", 5)],
    ];
    let hashes: HashSet<String> = lists.iter().map(|list| of(list).hash).collect();
    assert_eq!(hashes.len(), lists.len());
    assert_eq!(of(lists[0]), of(lists[0]));
}

#[test]
fn people_see_the_number_of_samples_and_the_hash_in_short() {
    let one = of(&[("cat", 10)]);
    assert_eq!(one.to_string(), format!("1 sample, {}…", &one.hash[..12]));
    assert!(of(&[("cat", 10), ("dog", 20)]).to_string().starts_with("2 samples, "));
    let text = serde_json::to_string(&one).unwrap();
    assert_eq!(text, format!(r#"{{"samples":1,"hash":"{}"}}"#, one.hash));
    assert_eq!(serde_json::from_str::<Fingerprint>(&text).unwrap(), one);
}

#[test]
fn generated_splits_differ_and_so_do_numbers_of_samples() {
    let of = |samples, split| {
        let shapes = Shapes { train_samples: samples, validation_samples: 5, ..Shapes::default() };
        fingerprint(Config::Shapes(shapes).open(split).unwrap().as_ref()).unwrap()
    };
    assert_eq!(of(5, Split::Train).samples, 5);
    assert_ne!(of(5, Split::Train), of(5, Split::Validation));
    assert_ne!(of(5, Split::Train), of(6, Split::Train));
    assert_eq!(of(5, Split::Validation), of(6, Split::Validation));
}
