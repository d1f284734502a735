//! Saved networks of strangers: nothing is executed, waited for, or read without end.

use super::{Place, data};
use export::Format;
use saved::{Error, Image};
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use tch::Kind;

fn place() -> Place {
    Place::new(&data(json!({})), &[Format::Safetensors], Kind::Float)
}

/// Sets a value in the recorded configuration.
fn set(place: &Place, pointer: &str, value: Value) {
    place.edit(|description| {
        let config = &mut description["run"]["about"]["config"];
        *config.pointer_mut(pointer).unwrap() = value;
    });
}

#[test]
fn a_damaged_file_is_refused() {
    for (format, name) in [(Format::Safetensors, "model.safetensors"), (Format::TorchScript, "model.pt")] {
        let place = Place::new(&data(json!({})), &[format], Kind::Float);
        let whole = fs::read(place.path(name)).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for bytes in [&whole[..whole.len() / 2], &flipped, b"", &[&whole[..], b"x"].concat()] {
            fs::write(place.path(name), bytes).unwrap();
            assert!(matches!(place.open(), Err(Error::Damaged { .. })));
        }
        assert!(place.refused().contains(&format!("{name} is damaged: its checksum is not the one in model.json")));
        fs::remove_file(place.path(name)).unwrap();
        assert!(place.refused().contains(&format!("{name}: No such file")));
        fs::create_dir(place.path(name)).unwrap();
        assert!(place.refused().contains("it is a folder, and only regular files are read"));
    }
}

#[cfg(unix)]
#[test]
fn pipes_devices_and_files_without_end_are_not_waited_for() {
    let pipe = |place: &Place, name: &str| {
        let _ = fs::remove_file(place.path(name));
        assert!(Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
    };
    let link = |place: &Place, name: &str, to: &str| {
        let _ = fs::remove_file(place.path(name));
        std::os::unix::fs::symlink(to, place.path(name)).unwrap();
    };
    for name in ["model.json", "model.safetensors"] {
        let one = place();
        pipe(&one, name);
        assert!(one.refused().contains("only regular files are read"));
        for target in ["/dev/zero", "/dev/null", "."] {
            link(&one, name, target);
            assert!(one.refused().contains("only regular files are read"), "{target}");
        }
        link(&one, name, name);
        assert!(one.refused().contains("symbolic links"), "{}", one.refused());
    }
    // A sparse file takes no room on the disk, and any in memory.
    let one = place();
    fs::File::create(one.path("model.safetensors")).unwrap().set_len(1 << 40).unwrap();
    assert!(matches!(one.open(), Err(Error::Damaged { .. })));
    let one = place();
    fs::File::create(one.path("model.json")).unwrap().set_len(1 << 40).unwrap();
    assert!(one.refused().contains("is no saved network: model.json: it has 1099511627776 bytes"));
}

#[test]
fn a_description_that_no_export_writes_is_refused() {
    let one = place();
    let text = fs::read_to_string(one.path("model.json")).unwrap();
    let deep = "[".repeat(100_000);
    for (text, says) in [
        ("", "EOF"),
        ("{", "EOF"),
        ("[]", "format"),
        ("{\"format\": 1}", "missing field `files`"),
        (&deep, "recursion limit"),
        (&text.replacen("\"format\": 1", "\"format\": 1e400", 1), "out of range"),
        (&text.replacen("\"epoch\": 3", "\"epoch\": -3", 1), "-3"),
        (&text.replacen("\"epoch\": 3", "\"epoch\": 99999999999999999999", 1), "epoch"),
        ("\u{feff}{}", "expected value"),
    ] {
        fs::write(one.path("model.json"), text).unwrap();
        assert!(matches!(one.open(), Err(Error::Description { .. })), "{says}: {:?}", one.open());
    }
    fs::write(one.path("model.json"), text).unwrap();
    one.edit(|description| description["format"] = 2.into());
    assert!(one.refused().contains("model.json has format 2, which this program does not read: use the oxiseg"));
    one.edit(|description| {
        description["format"] = 1.into();
        description["files"]["model.safetensors"]["bytes"] = u64::MAX.into();
    });
    assert!(matches!(one.open(), Err(Error::Damaged { .. })));
}

#[test]
fn a_configuration_that_cannot_be_is_refused_by_its_key() {
    for (pointer, value, says) in [
        ("/format", json!(4), "has format 4, and this program reads formats up to 3"),
        ("/format", json!("two"), "format: expected a number from 1 to 3, found \"two\""),
        (
            "/data/size",
            json!([4_000_000_000u32, 16]),
            "run.about.config.data.size: the height must be 1 to 8192 pixels",
        ),
        ("/data/size", json!([0, 16]), "run.about.config.data.size"),
        ("/data/size", json!([1e300, 16]), "run.about.config: "),
        ("/data/kind", json!("web"), "unknown variant `web`"),
        ("/data/classes", json!([]), "run.about.config.data.classes"),
        ("/data/normalize/std", json!([0.0, 1.0, 1.0]), "run.about.config.data.normalize.std"),
        ("/data/loader/batch_size", json!(0), "run.about.config.data.loader.batch_size"),
        ("/model/width", json!(1i64 << 40), "run.about.config.model.width: must be from 1 to 1024"),
        ("/model/depth", json!(-1), "run.about.config.model.depth"),
        ("/model", json!("unet"), "run.about.config: "),
        ("/model/kind", json!("program"), "unknown variant `program`"),
    ] {
        let one = place();
        set(&one, pointer, value);
        assert!(matches!(one.open(), Err(Error::Configuration { .. })), "{pointer}");
        let said = one.refused();
        assert!(said.contains("model.json") && said.contains(says), "{pointer}: {said}");
    }
    let one = place();
    one.edit(|description| description["run"]["about"] = json!({}));
    assert!(one.refused().contains("does not say with which configuration it was trained"));
    one.edit(|description| description["run"]["about"] = json!({"config": [1, 2]}));
    assert!(matches!(one.open(), Err(Error::Configuration { .. })));
}

#[test]
fn weights_of_another_network_are_refused() {
    let one = place();
    set(&one, "/model/width", json!(8));
    let said = one.refused();
    assert!(said.contains("model.safetensors is not of the network in model.json: tensor '"), "{said}");
    set(&one, "/model", json!({"kind": "resnet_unet", "layers": 18}));
    assert!(one.refused().contains("the tensors are not the same: missing ["), "{}", one.refused());
    one.plant("model.safetensors", b"no weights");
    assert!(matches!(one.open(), Err(Error::Weights(_))));
    // A header that claims more than there is.
    one.plant("model.safetensors", &[&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    assert!(matches!(one.open(), Err(Error::Weights(_))));
}

#[test]
fn a_program_in_the_place_of_a_network_is_refused() {
    let one = Place::new(&data(json!({})), &[Format::TorchScript], Kind::Float);
    let whole = fs::read(one.path("model.pt")).unwrap();
    // The smallest change of its code, which lies in the archive as it is or deflated: either way it is not ours.
    one.plant("model.pt", b"import os");
    assert!(matches!(one.open(), Err(Error::Weights(_) | Error::TorchScript(_))));
    one.plant("model.pt", &whole[..whole.len() - 100]);
    assert!(matches!(one.open(), Err(Error::Weights(_) | Error::TorchScript(_))));
    one.plant("model.pt", &whole);
    one.open().unwrap();
}

#[test]
fn a_network_of_other_classes_than_described_is_refused_when_it_is_used() {
    for resize in ["stretch", "shorter_side"] {
        let data = data(json!({"resize": {"kind": resize}}));
        let one = Place::new(&data, &[Format::TorchScript], Kind::Float);
        set(&one, "/data/classes", json!(["sky", "cat"]));
        let model = one.open().unwrap();
        let error = model.predict(Image::pixels([16, 16, 3], [0; 768]).unwrap()).unwrap_err();
        assert!(matches!(error, Error::Outputs { .. }), "{error}");
        assert!(
            error.to_string().contains("returned [3, 16, 16], and its classes and size are [2, 16, 16]"),
            "{error}"
        );
    }
}
