//! Every key has its place: defaults, errors with the key's path, the schema.

use super::*;
use serde_json::{Value, json};

fn parse(value: Value) -> Result<Config, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

#[test]
fn every_key_but_the_root_of_the_pets_has_a_default() {
    assert_eq!(parse(json!({"kind": "shapes"})).unwrap(), Config::default());
    let pets = parse(json!({"kind": "oxford_pets", "root": "pets"})).unwrap();
    assert_eq!((pets.size(), pets.classes().len(), pets.loader().batch_size), ([128, 128], 3, 16));
    assert!(parse(json!({"kind": "oxford_pets"})).unwrap_err().contains("missing field `root`"));
    for config in [Config::default(), pets] {
        config.check().unwrap();
        assert_eq!(parse(serde_json::to_value(&config).unwrap()).unwrap(), config);
    }
}

#[test]
fn class_ids_are_as_documented() {
    let pets = |target| parse(json!({"kind": "oxford_pets", "root": "", "target": target})).unwrap().classes();
    assert_eq!(pets("trimap"), ["pet", "background", "border"]);
    assert_eq!(pets("foreground"), ["background", "pet"]);
    assert_eq!(Config::default().classes(), ["background", "circle", "square", "triangle"]);
}

#[test]
fn unknown_keys_are_errors_wherever_they_are() {
    for (value, key) in [
        (json!({"kind": "shapes", "sizes": [8, 8]}), "sizes"),
        (json!({"kind": "shapes", "root": "pets"}), "root"),
        (json!({"kind": "shapes", "loader": {"batch": 3}}), "batch"),
        (
            json!({"kind": "oxford_pets", "root": "pets", "transforms": [{"kind": "horizontal_flip", "flip": true}]}),
            "flip",
        ),
        (json!({"kind": "circles"}), "circles"),
    ] {
        let error = parse(value).unwrap_err();
        assert!(error.contains(&format!("`{key}`")), "{error}");
    }
}

#[test]
fn impossible_values_name_their_key() {
    for (change, key, says) in [
        (json!({"size": [0, 64]}), "size", "height"),
        (json!({"size": [64, 9000]}), "size", "is 9000"),
        (json!({"size": [64, 8]}), "size", "is 8"),
        (json!({"train_samples": 0}), "train_samples", "is 0"),
        (json!({"validation_samples": 0}), "validation_samples", "is 0"),
        (json!({"loader": {"batch_size": 0}}), "loader.batch_size", "is 0"),
        (json!({"loader": {"workers": 1, "prefetch": 0}}), "loader.prefetch", "is 0"),
        (json!({"loader": {"workers": 1000}}), "loader.workers", "is 1000"),
    ] {
        let mut value = change;
        value["kind"] = "shapes".into();
        let config = parse(value).unwrap();
        let invalid = config.check().unwrap_err();
        assert_eq!(invalid.key, key);
        assert!(invalid.problem.contains(says), "{invalid}");
        assert!(matches!(config.open(Split::Train), Err(Error::Config(_))));
    }
    let without_workers = json!({"kind": "shapes", "loader": {"workers": 0, "prefetch": 0}});
    parse(without_workers).unwrap().check().unwrap();
}

#[test]
fn the_schema_describes_both_kinds() {
    let schema = serde_json::to_string(&schemars::schema_for!(Config)).unwrap();
    for word in ["shapes", "oxford_pets", "trimap", "horizontal_flip", "\"root\"", "Samples in a batch"] {
        assert!(schema.contains(word), "{word} is missing in {schema}");
    }
}

mod shipped;
