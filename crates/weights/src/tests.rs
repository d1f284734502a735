//! Files as PyTorch writes them (`reference/make.py`), whole, damaged and hostile.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// Returns the names, shapes and values of the tensors under `which` in `expected.json`.
fn expected(which: &str) -> Vec<(String, Vec<i64>, Vec<f64>)> {
    let text = fs::read_to_string(file("expected.json")).unwrap();
    let all: serde_json::Value = serde_json::from_str(&text).unwrap();
    let numbers = |value: &serde_json::Value| value.as_array().unwrap().clone();
    let tensor = |(name, tensor): (&String, &serde_json::Value)| {
        let shape = numbers(&tensor["shape"]).iter().map(|side| side.as_i64().unwrap()).collect();
        let values = numbers(&tensor["values"]).iter().map(|value| value.as_f64().unwrap()).collect();
        (name.clone(), shape, values)
    };
    all[which].as_object().unwrap().iter().map(tensor).collect()
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/files").join(name)
}

fn assert_expected(name: &str, which: &str, prefix: &str) {
    let found = read(&file(name)).unwrap();
    let expected = expected(which);
    assert_eq!(found.len(), expected.len(), "{name}");
    for (tensor, shape, values) in expected {
        let found = &found[&format!("{prefix}{tensor}")];
        assert_eq!(found.size(), shape, "{name}: {tensor}");
        let found = Vec::<f64>::try_from(found.to_kind(Kind::Double).contiguous().view(-1)).unwrap();
        assert_eq!(found, values, "{name}: {tensor}");
    }
}

#[test]
fn state_dicts_of_every_format_are_read() {
    for name in ["state.zip.pt", "state.legacy.pt", "state.protocol4.pt", "state.safetensors"] {
        assert_expected(name, "state", "");
    }
    for name in ["training.zip.pt", "training.legacy.pt"] {
        assert_expected(name, "state", "");
    }
    for name in ["parallel.zip.pt", "parallel.legacy.pt"] {
        assert_expected(name, "state", "module.");
    }
}

#[test]
fn kinds_and_views_are_what_they_were() {
    for name in ["kinds.zip.pt", "kinds.legacy.pt"] {
        assert_expected(name, "kinds", "");
        let kinds = read(&file(name)).unwrap();
        let kind = |name: &str| kinds[name].kind();
        assert_eq!(
            ["half", "bfloat16", "long", "char", "byte", "bool"].map(kind),
            [Kind::Half, Kind::BFloat16, Kind::Int64, Kind::Int8, Kind::Uint8, Kind::Bool]
        );
    }
}

#[test]
fn what_is_no_state_dict_is_refused_with_a_list_and_never_executed() {
    for format in ["zip", "legacy"] {
        for (name, says) in [
            ("evil", "holds what is no tensor: bias (posix.system)"),
            ("number", "holds what is no tensor: the number 5"),
        ] {
            let error = read(&file(&format!("{name}.{format}.pt"))).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
            assert!(error.contains(&format!("{name}.{format}.pt")), "{error}");
        }
    }
    let error = read(&file("module.zip.pt")).unwrap_err().to_string();
    assert!(error.contains("holds what is no tensor: torch.nn.modules.container.Sequential; save"), "{error}");
    assert!(!Path::new("evil-was-here").exists());
    let folder = tempfile::tempdir().unwrap();
    for (content, says) in [
        (&b""[..], "it is no file of weights"),
        (b"PK\x03\x04", "it is no archive of torch.save"),
        (b"\x80\x02K\x01.", "it is a pickle, but not one of torch.save"),
        (b"\x80\x02", "ends too early"),
    ] {
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    assert!(matches!(read(&folder.path().join("none")), Err(Error::Io { .. })));
}

#[test]
fn every_truncated_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["state.zip.pt", "state.legacy.pt", "state.safetensors"] {
        let whole = fs::read(file(name)).unwrap();
        for length in (0..whole.len()).step_by(7) {
            let path = folder.path().join("file");
            fs::write(&path, &whole[..length]).unwrap();
            assert!(read(&path).is_err(), "{name} cut to {length} of {}", whole.len());
        }
    }
}

/// Returns a pickle of `start` and `count` times `code`.
fn repeated(start: &[u8], code: &[u8], count: usize) -> Vec<u8> {
    [start, &code.repeat(count), b"."].concat()
}

#[test]
fn hostile_pickles_end_in_an_error_and_not_in_a_full_stack_or_memory() {
    for (bytes, says) in [
        (repeated(b"N", b"\x85", 1_000_000), "nested more than 64 deep"),
        (repeated(b"K\x01", b"Q", 1_000_000), "nested more than 64 deep"),
        (repeated(b"", b"s", 1), "what it did not put there"),
        (repeated(b"", b"(", 5), "what it did not put there"),
        (repeated(b"N", b"u", 1), "what it did not put there"),
        (repeated(b"](K\x01", b"u", 1), "fills a list as a dict"),
        (repeated(b"}(K\x01", b"u", 1), "a key without a value"),
        (repeated(b"N", b"r\xff\xff\xff\xff", 1), "remembers too much"),
        (repeated(b"", b"h\x05", 1), "what it never saw"),
        (b"X\xff\xff\xff\xff".to_vec(), "ends too early"),
        (repeated(b"", b"\xfe", 1), "the code 0xfe"),
    ] {
        let problem = pickle::read(&bytes).err().unwrap_or_default();
        assert!(problem.contains(says), "expected {says}, found {problem:?}");
    }
    // A tuple that doubles at every step, all of it shared.
    let (doubled, _) = pickle::read(&repeated(b"Nq\x00", b"h\x00h\x00\x86q\x00", 60)).unwrap();
    assert!(matches!(doubled, pickle::Value::Tuple(_)));
}

/// Returns an archive as `torch.jit.save` writes it, with the pickle of its constants and their f32 records.
fn script(constants: &[u8], records: &[(&str, &[f32])]) -> Vec<u8> {
    use std::io::Write;
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let stored = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut add = |name: &str, content: &[u8]| {
        archive.start_file(format!("archive/{name}"), stored).unwrap();
        archive.write_all(content).unwrap();
    };
    add("data.pkl", b"\x80\x02N.");
    add("constants.pkl", constants);
    for (key, numbers) in records {
        let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        add(&format!("constants/{key}"), &bytes);
    }
    archive.finish().unwrap().into_inner()
}

/// Returns a pickle's opcodes for a vector of `count` numbers in the record `key`, which is one letter.
fn vector(key: &str, count: u8) -> Vec<u8> {
    let head = b"ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0";
    let tail = b"tQK\0(K\x00t(K\x01t\x89ccollections\nOrderedDict\n)RtR";
    let mut tail = tail.to_vec();
    tail[6] = count;
    [&head[..], key.as_bytes(), b"X\x03\0\0\0cpuK", &[count], &tail].concat()
}

fn tuple(items: &[Vec<u8>]) -> Vec<u8> {
    [b"\x80\x02(", &*items.concat(), b"t."].concat()
}

#[test]
fn constants_of_a_script_come_in_order_and_only_as_tensors_that_are_there() {
    let read = |constants: &[u8], records: &[(&str, &[f32])]| {
        constants_of(&script(constants, records)).map_err(|error| error.to_string())
    };
    let records: [(&str, &[f32]); 2] = [("0", &[1.0, 2.0]), ("1", &[3.0])];
    assert_eq!(read(&tuple(&[vector("1", 1), vector("0", 2)]), &records).unwrap(), [vec![3.0], vec![1.0, 2.0]]);
    assert_eq!(read(&tuple(&[]), &[]).unwrap(), [[0f32; 0]; 0]);
    for (constants, says) in [
        (tuple(&[vector("0", 2), b"K\x05".to_vec()]), "constant 1 is no tensor but the number 5"),
        (tuple(&[b"cposix\nsystem\n(X\x02\0\0\0lstR".to_vec()]), "constant 0 is no tensor but posix.system"),
        (b"\x80\x02K\x05.".to_vec(), "its constants are no tuple but the number 5"),
        (tuple(&[vector("0", 200)]), "archive/constants/0 is 8 bytes long, expected 800 bytes"),
        (tuple(&[vector("9", 2)]), "archive/constants/9"),
    ] {
        let error = read(&constants, &records).unwrap_err();
        assert!(error.starts_with("x.pt: ") && error.contains(says), "{error}");
    }
    assert!(constants_of(&fs::read(file("state.zip.pt")).unwrap()).unwrap_err().to_string().contains("constants.pkl"));
}

#[test]
fn records_that_share_their_bytes_fill_no_memory() {
    let keys: Vec<String> = ('a'..='z').map(String::from).collect();
    let numbers = [1f32; 60];
    let whole = script(&tuple(&keys.iter().map(|key| vector(key, 60)).collect::<Vec<_>>()), &[("a", &numbers)]);
    // The directory's entry of the only record, repeated for each key.
    let entry = whole.windows(4).rposition(|found| found == b"PK\x01\x02").unwrap();
    let end = whole.windows(4).rposition(|found| found == b"PK\x05\x06").unwrap();
    let (mut bytes, mut tail) = (whole[..entry].to_vec(), whole[end..].to_vec());
    for key in &keys {
        let at = bytes.len() + 46 + "archive/constants/".len();
        bytes.extend(&whole[entry..end]);
        bytes[at] = key.as_bytes()[0];
    }
    let directory = u32::from_le_bytes(*tail[16..].first_chunk().unwrap()) as usize;
    let count = 2 + keys.len() as u16;
    tail[8..10].copy_from_slice(&count.to_le_bytes());
    tail[10..12].copy_from_slice(&count.to_le_bytes());
    tail[12..16].copy_from_slice(&((bytes.len() - directory) as u32).to_le_bytes());
    bytes.extend(tail);
    let error = constants_of(&bytes).unwrap_err().to_string();
    assert!(error.contains("is 240 bytes long"), "{error}");
}

fn constants_of(bytes: &[u8]) -> Result<Vec<Vec<f32>>, Error> {
    Ok(constants(Path::new("x.pt"), bytes)?.into_iter().map(|tensor| Vec::try_from(tensor).unwrap()).collect())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]
    #[test]
    fn flipped_bits_never_panic(which in 0usize..5, flips in prop::collection::vec((any::<prop::sample::Index>(), 0u8..8), 1..6)) {
        let names = ["state.zip.pt", "state.legacy.pt", "kinds.legacy.pt", "evil.legacy.pt", "state.safetensors"];
        let mut bytes = fs::read(file(names[which])).unwrap();
        for (place, bit) in flips {
            let place = place.index(bytes.len());
            bytes[place] ^= 1 << bit;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, bytes).unwrap();
        if let Ok(tensors) = read(&path) {
            for tensor in tensors.values() {
                prop_assert!(tensor.numel() < 100);
            }
        }
    }
}

#[test]
fn the_length_of_a_header_is_not_taken_for_another_format() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights");
    let weight = Tensor::from_slice(&[1f32, 2.0]);
    let mut seen = BTreeSet::new();
    // The length of a header is a multiple of 8. One of 128 begins like a pickle, one of 19280 like a zip.
    for length in (1..400).chain(19_000..19_400).step_by(3) {
        Tensor::write_safetensors(&[("x".repeat(length), &weight)], &path).unwrap();
        seen.insert(fs::read(&path).unwrap()[..2].to_vec());
        assert!(read(&path).unwrap()[&"x".repeat(length)].equal(&weight), "{length}");
    }
    assert!(seen.contains(&vec![0x80, 0]) && seen.contains(b"PK".as_slice()), "{seen:?}");
}
