//! A configuration is right, or refused with the name of the key.

use super::*;
use serde_json::json;

fn refused(text: &str) -> String {
    let error = Config::parse(text, "my.json").unwrap_err();
    assert!(error.is::<crate::usage::Usage>(), "{error:#} must end with status 2");
    error.to_string()
}

fn changed(changes: &[&str]) -> Result<Config, String> {
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    Config::default().with(&changes).map_err(|error| error.to_string())
}

#[test]
fn errors_name_the_file_and_the_full_path_of_the_key() {
    for (text, expected) in [
        (r#"{"optimiser": {}}"#, "my.json: optimiser: unknown field `optimiser`"),
        (r#"{"optimizer": {"lr": 1}}"#, "my.json: optimizer.lr: unknown field `lr`"),
        (r#"{"optimizer": {"rule": {"kind": "adam", "momentum": 0.9}}}"#, "my.json: optimizer.rule.momentum: unknown"),
        (r#"{"optimizer": {"rule": {"kind": "adam", "beta1": "x"}}}"#, "my.json: optimizer.rule.beta1: invalid type"),
        (r#"{"optimizer": {"rule": {"kind": "adem"}}}"#, "my.json: optimizer.rule.kind: unknown variant `adem`"),
        (
            r#"{"schedule": {"decay": {"kind": "constant", "floor": 1}}}"#,
            "my.json: schedule.decay.floor: unknown field",
        ),
        (r#"{"schedule": {"decay": {"kind": "step"}}}"#, "my.json: schedule.decay: missing field `every`"),
        (r#"{"data": {"kind": "shapes", "loader": {"workers": -1}}}"#, "my.json: data.loader.workers: invalid value"),
        (
            r#"{"data": {"kind": "shapes", "loader": {"batch": 1}}}"#,
            "my.json: data.loader.batch: unknown field `batch`",
        ),
        (r#"{"data": {"kind": "oxford_pets"}}"#, "my.json: data: missing field `root`"),
        (r#"{"model": {"precision": "fp8"}}"#, "my.json: model.precision: unknown variant `fp8`"),
        (r#"{"train": {"epochs": 1.5}}"#, "my.json: train.epochs: invalid type: floating point"),
        (r#"{"train": {"epochs": 0}}"#, "my.json: train.epochs: must be at least 1"),
        (
            r#"{"loss": {"class_weights": [1, 2]}}"#,
            "my.json: loss.class_weights: must hold one weight for each of the 4",
        ),
        (r#"{"train": {"seed": 1, "seed": 2}}"#, "my.json: the key \"seed\" is there twice: remove one at line 1"),
        (r#"{"train": {"seed": 1,}}"#, "my.json: trailing comma at line 1"),
        ("", "my.json: EOF"),
        ("[]", "my.json: expected a section in braces, found []"),
        (r#"{"train": [5]}"#, "my.json: train: expected a section in braces, found [5]"),
    ] {
        let error = refused(text);
        assert!(error.starts_with(expected), "{text}\n  gave     {error}\n  expected {expected}");
    }
}

#[test]
fn a_change_is_typed_checked_and_named() {
    let config = changed(&["optimizer.learning_rate=3e-4", "model.precision=bf16", "optimizer.clip_norm=1"]).unwrap();
    assert_eq!((config.optimizer.learning_rate, config.optimizer.clip_norm), (3e-4, Some(1.0)));
    assert_eq!(config.model.precision, model::Precision::Bf16);
    for (change, expected) in [
        (
            "optimizer.learning_rate=fast",
            "--set optimizer.learning_rate: optimizer.learning_rate: invalid type: string",
        ),
        (
            "optimizer.learning_rate=-1",
            "--set optimizer.learning_rate: optimizer.learning_rate: must be above 0, is -1",
        ),
        ("optimizer.lr=1", "--set optimizer.lr: optimizer.lr: unknown field `lr`"),
        ("optimiser.learning_rate=1", "--set optimiser.learning_rate: there is no section \"optimiser\""),
        ("model.width.x=1", "--set model.width.x: not a section"),
        ("train.epochs", "--set train.epochs: expected KEY=VALUE"),
    ] {
        let error = changed(&[change]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn another_kind_starts_from_its_own_defaults() {
    let config = changed(&["optimizer.rule.kind=sgd", "optimizer.rule.momentum=0.9"]).unwrap();
    assert_eq!(config.optimizer.rule, optim::Rule::Sgd(optim::Sgd { momentum: 0.9, nesterov: false }));
    let same = changed(&["optimizer.rule.beta1=0.5", "optimizer.rule.kind=adam"]).unwrap();
    assert_eq!(same.optimizer.rule, optim::Rule::Adam(optim::Adam { beta1: 0.5, ..optim::Adam::default() }));
}

#[test]
fn the_resolved_configuration_has_every_key_and_reads_back() {
    let config = changed(&["optimizer.learning_rate=0.1", "schedule.decay={\"kind\":\"cosine\"}"]).unwrap();
    let text = config.resolved().unwrap();
    assert_eq!(Config::parse(&text, "").unwrap(), config);
    let value: Value = serde_json::from_str(&text).unwrap();
    for key in ["/data/loader/workers", "/optimizer/rule/epsilon", "/schedule/decay/floor", "/checkpoint/keep_last"] {
        assert!(value.pointer(key).is_some(), "{key} is missing");
    }
}

#[test]
fn differences_name_full_keys() {
    let other = changed(&["model.width=8", "optimizer.rule.kind=sgd"]).unwrap();
    let differing: Vec<_> = differences(&Config::default(), &other).into_iter().map(|(key, ..)| key).collect();
    let rule = ["beta1", "beta2", "epsilon", "kind", "momentum", "nesterov"].map(|key| format!("optimizer.rule.{key}"));
    assert_eq!(differing, [vec!["model.width".to_string()], rule.to_vec()].concat());
}

#[test]
fn the_shipped_configurations_are_right_and_small() {
    for name in ["shapes", "pets", "pets_foreground"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name).with_extension("json");
        let config = Config::read(&file).unwrap();
        assert_eq!(config.schema.as_deref(), Some("schema.json"));
        assert!(fs::read_to_string(file).unwrap().lines().count() < 30);
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_is_printed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/schema.json");
    let written: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let printed = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    assert!(written == printed, "write it anew: cargo run -p app -- schema > configs/schema.json");
    assert_eq!(printed.pointer("/properties/train/description"), Some(&json!("How long, on what, from which seed.")));
}
