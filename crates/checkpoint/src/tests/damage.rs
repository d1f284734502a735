//! A damaged or hostile checkpoint is never loaded, always named, and the one before it is used.

use super::{assert_same, copy, names, snapshot, store};
use crate::{Config, Error, Store, load, manifest};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Returns a store with steps 10 and 20, and the folder of step 20.
fn two() -> (tempfile::TempDir, Store, PathBuf) {
    let (folder, store) = store(&Config::default());
    store.save(&snapshot(10, 0.5)).unwrap();
    let path = store.save(&snapshot(20, 0.6)).unwrap();
    (folder, store, path)
}

/// Checks that step 20 is refused with an error that names `file`, and that step 10 is found instead.
fn passed_over(store: &Store, path: &Path, file: &str) -> String {
    let error = load(path).unwrap_err().to_string();
    assert!(error.contains(&path.join(file).display().to_string()), "{error}");
    for (found, damaged) in [store.newest().unwrap(), store.best().unwrap()] {
        assert_same(&found.unwrap().1, &snapshot(10, 0.5));
        let [damaged] = damaged.as_slice() else { panic!("{damaged:?}") };
        assert_eq!(damaged.path, path);
        assert_eq!(damaged.reason.to_string(), error);
    }
    error
}

#[test]
fn a_truncated_file_is_noticed() {
    let (_folder, store, path) = two();
    for name in names(&path) {
        let whole = fs::read(path.join(&name)).unwrap();
        let places = (0..20).map(|part| whole.len() * part / 20);
        for length in places.chain([whole.len() - 1]) {
            fs::write(path.join(&name), &whole[..length]).unwrap();
            passed_over(&store, &path, &name);
        }
        fs::write(path.join(&name), [whole.as_slice(), b"x"].concat()).unwrap();
        passed_over(&store, &path, &name);
        fs::write(path.join(&name), whole).unwrap();
    }
    load(&path).unwrap();
}

#[test]
fn a_flipped_bit_is_noticed() {
    let (_folder, store, path) = two();
    for name in names(&path) {
        let whole = fs::read(path.join(&name)).unwrap();
        for place in 0..200 {
            let mut bytes = whole.clone();
            bytes[whole.len() * place / 200] ^= 1 << (place % 8);
            fs::write(path.join(&name), bytes).unwrap();
            passed_over(&store, &path, &name);
        }
        fs::write(path.join(&name), whole).unwrap();
    }
    load(&path).unwrap();
}

#[test]
fn a_missing_file_is_noticed() {
    let (folder, store, path) = two();
    let whole = copy(&path, folder.path().join("whole"));
    for name in names(&path) {
        fs::remove_file(path.join(&name)).unwrap();
        assert!(passed_over(&store, &path, &name).contains("it is missing"));
        fs::create_dir(path.join(&name)).unwrap();
        assert!(passed_over(&store, &path, &name).contains("not a regular file"));
        fs::remove_dir(path.join(&name)).unwrap();
        fs::copy(whole.join(&name), path.join(&name)).unwrap();
    }
    load(&path).unwrap();
}

#[cfg(unix)]
#[test]
fn a_file_that_cannot_be_read_is_passed_over() {
    use std::os::unix::fs::{PermissionsExt, symlink};
    let (_folder, store, path) = two();
    for name in names(&path) {
        let (file, aside) = (path.join(&name), path.with_file_name("aside"));
        fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).unwrap();
        // Root may read everything.
        if fs::File::open(&file).is_err() {
            assert!(passed_over(&store, &path, &name).contains("its files readable"));
        }
        fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
        // A link to itself, which root cannot read either.
        fs::rename(&file, &aside).unwrap();
        symlink(&file, &file).unwrap();
        assert!(passed_over(&store, &path, &name).starts_with("cannot read"));
        assert!(matches!(load(&path).unwrap_err(), Error::Io { .. }));
        fs::rename(&aside, &file).unwrap();
    }
    load(&path).unwrap();
}

#[test]
fn a_checkpoint_under_the_name_of_another_step_is_noticed() {
    let (_folder, store, path) = two();
    fs::rename(store.list().unwrap()[0].as_path(), path.with_file_name("step-0000000030")).unwrap();
    let (found, damaged) = store.newest().unwrap();
    assert_eq!(found.unwrap().0, path);
    assert!(damaged[0].to_string().contains("it is that of step 10"), "{}", damaged[0]);
    let elsewhere = copy(&path, path.with_file_name("any-other-name"));
    load(&elsewhere).unwrap();
}

/// Writes `manifest` with a correct checksum, as only a deliberate attacker would.
fn write_sealed(folder: &Path, manifest: &Value) {
    write_sealed_text(folder, &manifest.to_string());
}

fn write_sealed_text(folder: &Path, manifest: &str) {
    let rest = manifest.strip_prefix('{').unwrap();
    let mut bytes = format!("{{\n  \"blake3\": \"{}\",{rest}", "0".repeat(64)).into_bytes();
    manifest::seal(&mut bytes);
    fs::write(folder.join("manifest.json"), bytes).unwrap();
}

/// Returns the manifest of `folder` without its checksum, ready for [`write_sealed`].
fn manifest_of(folder: &Path) -> Value {
    let mut manifest: Value = serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap();
    manifest.as_object_mut().unwrap().remove("blake3");
    manifest
}

#[test]
fn a_hostile_manifest_is_refused() {
    let (_folder, store, path) = two();
    let good = manifest_of(&path);
    write_sealed(&path, &good);
    load(&path).unwrap();
    let record = good["files"]["model.safetensors"].clone();
    let with = |pointer: &str, value: Value| {
        let mut manifest = good.clone();
        *manifest.pointer_mut(pointer).unwrap() = value;
        manifest
    };
    let model = |key: &str, value: Value| with(&format!("/files/model.safetensors/{key}"), value);
    for name in
        ["../step-0000000010/model.safetensors", "/etc/passwd", "", ".safetensors", "a\\b.safetensors", "é.safetensors"]
    {
        write_sealed(&path, &with("/files", json!({name: record})));
        assert!(passed_over(&store, &path, "manifest.json").contains(&format!("{name:?}")));
    }
    for (manifest, file) in [
        (model("bytes", json!(u64::MAX)), "model.safetensors"),
        (model("bytes", json!(1u64 << 62)), "model.safetensors"),
        (model("blake3", json!("")), "model.safetensors"),
        (model("blake3", json!(7)), "manifest.json"),
        (model("bytes", json!(-1)), "manifest.json"),
        (model("bytes", json!("many")), "manifest.json"),
        (with("/progress", json!({"epoch": 1})), "manifest.json"),
        (with("/progress/step", json!(1e300)), "manifest.json"),
        (with("/scores", json!([1, 2])), "manifest.json"),
        (with("/files", json!(null)), "manifest.json"),
        (with("/format", json!("1")), "manifest.json"),
    ] {
        write_sealed(&path, &manifest);
        passed_over(&store, &path, file);
    }
    write_sealed(&path, &with("/format", json!(2)));
    assert!(matches!(load(&path).unwrap_err(), Error::Format { found: 2, known: 1, .. }));

    let nested = format!("{}{}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    write_sealed_text(&path, &with("/about", json!("here")).to_string().replace("\"here\"", &nested));
    assert!(passed_over(&store, &path, "manifest.json").contains("recursion limit"));
    // A sparse file of a terabyte: its size alone must be enough to refuse it.
    fs::File::options().write(true).open(path.join("manifest.json")).unwrap().set_len(1 << 40).unwrap();
    passed_over(&store, &path, "manifest.json");
}

#[test]
fn hostile_tensors_are_refused() {
    let (_folder, store, path) = two();
    let good = manifest_of(&path);
    let tensor = |dtype: &str, shape: Value, end: usize| {
        json!({"t": {"dtype": dtype, "shape": shape, "data_offsets": [0, end]}}).to_string()
    };
    let far = json!({"t": {"dtype": "U8", "shape": [4], "data_offsets": [4, 8]}}).to_string();
    let headers = [
        (tensor("F32", json!([1]), 4), 4, None),
        (tensor("F32", json!([2]), 4), 4, Some("invalid shape")),
        (tensor("F32", json!([1]), 1 << 60), 4, Some("invalid shape")),
        (tensor("U8", json!([1usize << 40]), 1 << 40), 4, Some("not fully covered")),
        (tensor("F32", json!([1usize << 62, 1usize << 62]), 4), 4, Some("overflow")),
        (tensor("F32", json!([0, 1usize << 62, 1usize << 62]), 0), 0, Some("cannot have 3 dimensions")),
        (tensor("F32", json!([u64::MAX, 0]), 0), 0, Some("cannot have 2 dimensions")),
        (tensor("U8", json!(vec![1; 100_000]), 1), 1, Some("cannot have 100000 dimensions")),
        (tensor("F32", json!([-1]), 4), 4, Some("invalid JSON")),
        (tensor("F8_E4M3", json!([4]), 4), 4, Some("kind F8_E4M3")),
        (tensor("U64", json!([1]), 8), 8, Some("kind U64")),
        (tensor("X", json!([1]), 8), 8, Some("invalid JSON")),
        (tensor("BOOL", json!([4]), 4), 4, Some("neither 0 nor 1")),
        (far, 8, Some("invalid offset")),
        ("[".repeat(100_000), 4, Some("invalid JSON")),
        (String::new(), 0, Some("invalid JSON")),
    ];
    let files = headers.into_iter().map(|(header, data, problem)| {
        let length = (header.len() as u64).to_le_bytes();
        ([&length, header.as_bytes(), &vec![2; data]].concat(), problem)
    });
    let lengths = [u64::MAX, 1 << 40, 100].map(|length| (length.to_le_bytes().to_vec(), Some("header")));
    for (bytes, problem) in files.chain(lengths).chain([(vec![], Some("header"))]) {
        fs::write(path.join("model.safetensors"), &bytes).unwrap();
        let mut manifest = good.clone();
        manifest["files"]["model.safetensors"] =
            json!({"bytes": bytes.len(), "blake3": blake3::hash(&bytes).to_hex().as_str()});
        write_sealed(&path, &manifest);
        match problem {
            None => drop(load(&path).unwrap()),
            Some(problem) => {
                let error = passed_over(&store, &path, "model.safetensors");
                assert!(error.contains(problem), "{problem}: {error}");
            }
        }
    }
}
