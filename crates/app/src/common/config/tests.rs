//! Tests that a configuration is right, or refused with the name of the key.

use super::*;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

fn refused(text: &str) -> String {
    let error = Config::parse(text, "my.json").unwrap_err();
    assert!(error.is::<crate::common::usage::Usage>(), "{error:#} must end with status 2");
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
        (r#"{"model": {"kind": "unet", "precision": "fp8"}}"#, "my.json: model.precision: unknown variant `fp8`"),
        (r#"{"train": {"epochs": 1.5}}"#, "my.json: train.epochs: invalid type: floating point"),
        (r#"{"train": {"epochs": 0}}"#, "my.json: train.epochs: must be at least 1"),
        (r#"{"train": {"memory_fraction": 0}}"#, "my.json: train.memory_fraction: must be above 0 and at most 1, is 0"),
        (r#"{"train": {"memory_fraction": 1.5}}"#, "my.json: train.memory_fraction: must be above 0 and at most 1"),
        (r#"{"distributed": {"timeout_seconds": 0}}"#, "my.json: distributed.timeout_seconds: must be from 1 to 86400"),
        (r#"{"distributed": {"interface": " "}}"#, "my.json: distributed.interface: must be the name of a network"),
        (r#"{"distributed": {"backend": "mpi"}}"#, "my.json: distributed.backend: unknown variant `mpi`"),
        (r#"{"train": {"deterministic": "yes"}}"#, "my.json: train.deterministic: unknown variant `yes`"),
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

/// Returns the error about a data set in folders with these keys.
fn folders_refused(keys: &str) -> String {
    let text = format!(r#"{{"data": {{"kind": "folders", "root": "r", {keys}}}}}"#);
    refused(&text).trim_start_matches("my.json: ").to_owned()
}

#[test]
fn errors_in_lists_and_maps_name_the_item() {
    let flip = r#"{"kind": "horizontal_flip"}"#;
    let classes = r##""classes": ["a", {"name": "b", "color": "#ff0000"}]"##;
    for (keys, expected) in [
        (
            r#""transforms": [FLIP, {"kind": "horizontal_flip", "probabilty": 1}], CLASSES"#,
            "data.transforms[1].probabilty: unknown field `probabilty`",
        ),
        (
            r#""transforms": [FLIP, {"kind": "horizontal_flop"}, {"kind": "horizontal_flop"}], CLASSES"#,
            "data.transforms[1].kind: unknown variant `horizontal_flop`",
        ),
        (r#""transforms": [FLIP, {"probability": 1}], CLASSES"#, "data.transforms[1]: missing field `kind`"),
        (
            r#""transforms": [FLIP, ["horizontal_flip", 1]], CLASSES"#,
            "data.transforms[1]: expected a section in braces, found [\"horizontal_flip\",1]",
        ),
        (
            r#""transforms": [FLIP, {"kind": "horizontal_flip", "probability": 2}], CLASSES"#,
            "data.transforms[1].probability: must be 0 to 1, is 2",
        ),
        (
            r#""transforms": [{"kind": "horizontal_flip", "probability": "x"}, {"kind": "horizontal_flip", "probability": "x"}], CLASSES"#,
            "data.transforms[0].probability: invalid type: string \"x\"",
        ),
        (r#""size": [64, "x"], CLASSES"#, "data.size[1]: invalid type: string \"x\""),
        (r#""size": [64], CLASSES"#, "data.size: invalid length 1"),
        (r#""images": 5, "masks": 5, CLASSES"#, "data.images: invalid type: integer `5`"),
        (r##""classes": ["a", {"name": "b", "colour": "#ff0000"}]"##, "data.classes[1].colour: unknown field `colour`"),
        (r##""classes": ["a", {"color": "#ff0000"}]"##, "data.classes[1]: missing field `name`"),
        (r#""classes": ["a", 5]"#, "data.classes[1]: invalid type: integer `5`"),
        (r#""classes": ["a", ["b"]]"#, "data.classes[1]: invalid type: sequence"),
        (r#""split": {"fold": "1/5"}"#, "data: missing field `classes`"),
        (r#""split": {"fold": 5}, CLASSES"#, "data.split.fold: invalid type: integer `5`"),
        (r#""split": {"folds": "1/5"}, CLASSES"#, "data.split.folds: unknown field `folds`"),
        (r#""split": {"fold": "6/5"}, CLASSES"#, "data.split.fold: must be 'i/k'"),
        (r#""split": [0.5, null, null, null], CLASSES"#, "data.split: expected a section in braces"),
        (r#""labels": {"map": {"0": 0, "7": 1.5}}, CLASSES"#, "data.labels.map.7: expected the id or the name"),
        (r#""labels": {"map": {"0": 0, "7": 3}}, CLASSES"#, "data.labels.map.7: there is no class 3"),
        (r##""labels": {"colors": {"#80000": "a"}}, CLASSES"##, "data.labels.colors.#80000: a colour is"),
        (r#""labels": {"ignore": [255, "white"]}, CLASSES"#, "data.labels.ignore[1]: expected a value"),
        (r#""labels": {"map": [1, 2]}, CLASSES"#, "data.labels.map: expected a section in braces"),
        (r#""root": 5, CLASSES"#, "the key \"root\" is there twice"),
    ] {
        let keys = keys.replace("FLIP", flip).replace("CLASSES", classes);
        let error = folders_refused(&keys);
        assert!(error.starts_with(expected), "{keys}\n  gave     {error}\n  expected {expected}");
    }
    let change = r#"data.transforms=[{"kind":"horizontal_flip","probability":2}]"#;
    assert_eq!(
        changed(&[change]).unwrap_err(),
        "--set data.transforms: data.transforms[0].probability: must be 0 to 1, is 2"
    );
    let change = r#"data.transforms=[{"kind":"horizontal_flip","often":2}]"#;
    let error = changed(&[change]).unwrap_err();
    assert!(error.starts_with("--set data.transforms: data.transforms[0].often: unknown field `often`"), "{error}");
}

#[test]
fn classes_and_labels_may_be_written_in_each_of_their_ways() {
    let data = r##"{"kind": "list", "root": "r", "list": "all.csv", "classes": ["a", {"name": "b"}, {"name": "c", "color": "#FF0000"}],
        "labels": {"map": {"7": 0, "8": "b", "9": 2}, "ignore": [255, 0], "unlisted": "ignore"}}"##;
    let config = Config::parse(&format!(r#"{{"data": {data}}}"#), "my.json").unwrap();
    assert_eq!(Config::parse(&config.resolved().unwrap(), "").unwrap().data, config.data);
    assert_eq!(config.data.classes(), ["a", "b", "c"]);
    assert_eq!(config.data.colors()[2], data::Color([255, 0, 0]));
}

#[test]
fn a_change_is_typed_checked_and_named() {
    let config = changed(&["optimizer.learning_rate=3e-4", "model.precision=bf16", "optimizer.clip_norm=1"]).unwrap();
    assert_eq!((config.optimizer.learning_rate, config.optimizer.clip_norm), (3e-4, Some(1.0)));
    assert_eq!(config.model.common().precision, model::Precision::Bf16);
    for (change, expected) in [
        (
            "optimizer.learning_rate=fast",
            "--set optimizer.learning_rate: invalid type: string \"fast\", expected a number",
        ),
        ("optimizer.learning_rate=-1", "--set optimizer.learning_rate: must be above 0, is -1"),
        ("optimizer.lr=1", "--set optimizer.lr: unknown field `lr`"),
        ("optimiser.learning_rate=1", "--set optimiser.learning_rate: optimiser: unknown field `optimiser`"),
        ("model.width.x=1", "--set model.width.x: model.width is no section, but 32"),
        ("data.transforms[0].kind=x", "--set data.transforms[0].kind: an item of a list cannot be set alone"),
        ("=5", "--set =5: expected KEY=VALUE"),
        ("format=1", "--set format: this program alone writes it"),
        ("train.epochs", "--set train.epochs: expected KEY=VALUE"),
    ] {
        let error = changed(&[change]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

/// Returns the configuration of a file's text, with changes.
fn of_file(text: &str, changes: &[&str]) -> Result<Config, String> {
    let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
    Config::built(read::value(text, "my.json").unwrap(), &changes, "my.json").map_err(|error| error.to_string())
}

const LISTED: &str = r#"{"data": {"kind": "folders", "root": "r", "classes": ["a", "b", "c"]}}"#;

#[test]
fn changes_are_checked_together_and_their_order_is_nothing() {
    let cached = r#"{"data": {"kind": "shapes", "loader": {"cache": "disk", "cache_folder": "c"}}}"#;
    for (file, changes) in [
        (LISTED, ["loss.cross_entropy=0", "loss.dice=1"]),
        (LISTED, [r#"data.classes=["a","b"]"#, "loss.class_weights=[1,2]"]),
        (LISTED, ["data.channels=1", r#"data.normalize={"mean":[0.5],"std":[0.2]}"#]),
        (LISTED, ["data.normalize.mean=[0.5,0.5,0.5]", "data.normalize.std=[0.2,0.2,0.2]"]),
        (LISTED, ["data.split.train=a.txt", "data.split.validation=b.txt"]),
        (LISTED, ["optimizer.rule.momentum=0.9", "optimizer.rule.kind=sgd"]),
        (LISTED, ["optimizer.rule.beta1=0.5", "optimizer.rule.kind=adamw"]),
        (LISTED, ["schedule.decay.floor=0.1", "schedule.decay.kind=cosine"]),
        (LISTED, ["data.loader.batch_size=3", r#"data.loader={"workers":0}"#]),
        (LISTED, ["optimizer.ema=0.9", "optimizer.ema=0.9"]),
        (cached, ["data.loader.cache=none", "data.loader.cache_folder=null"]),
        // The file alone lacks required keys.
        (r#"{"data": {"kind": "folders"}}"#, [r#"data.classes=["a","b"]"#, "data.root=r"]),
    ] {
        let [one, two] = changes;
        let config = of_file(file, &[one, two]).unwrap_or_else(|error| panic!("{changes:?}: {error}"));
        assert_eq!(of_file(file, &[two, one]), Ok(config), "{changes:?}");
    }
    let config = of_file(LISTED, &["data.loader.batch_size=3", r#"data.loader={"workers":0}"#]).unwrap();
    assert_eq!((config.data.loader().batch_size, config.data.loader().workers), (3, 0));
    for order in [["train.epochs=2", "train.epochs=3"], ["train.epochs=3", "train.epochs=2"]] {
        let error = changed(&order).unwrap_err();
        assert!(error.starts_with("--set train.epochs is there twice, with "), "{error}");
    }
}

#[test]
fn a_change_means_what_it_would_in_the_file() {
    // A default that the file does not name does not conflict with a change.
    let config = of_file(LISTED, &["data.split.fold=1/5"]).unwrap();
    let said = LISTED.replace("\"root\"", "\"split\": {\"fold\": \"1/5\"}, \"root\"");
    assert_eq!(Config::parse(&said, "").unwrap(), config);
    let error = of_file(&said, &["data.split.validation_fraction=0.3"]).unwrap_err();
    assert!(error.starts_with("--set data.split.validation_fraction: data.split: must say one way"), "{error}");
    assert_eq!(of_file("{}", &["optimizer.rule.beta1=0.5"]), changed(&["optimizer.rule.beta1=0.5"]));
}

#[test]
fn what_is_wrong_is_blamed_on_the_words_that_say_it() {
    let weighted = LISTED.replace("}}", "}, \"loss\": {\"class_weights\": [1, 2, 3]}}");
    for (file, changes, expected) in [
        (LISTED, &["train.epochs=2", "train.seed=x"][..], "--set train.seed: invalid type: string \"x\""),
        (LISTED, &["data.size=[64,true]", "train.seed=1"], "--set data.size: data.size[1]: invalid type: boolean"),
        (&weighted, &["data.classes=[\"a\",\"b\"]"], "--set data.classes: loss.class_weights: must hold one weight"),
        (
            &weighted,
            &["data.classes=[\"a\",\"b\"]", "train.seed=1"],
            "--set data.classes with --set train.seed: loss.class_weights: must hold one weight",
        ),
        (r#"{"train": {"epochs": 0}}"#, &["train.seed=1"], "my.json: train.epochs: must be at least 1"),
        (r#"{"train": {"epoch": 1}}"#, &["train.seed=1"], "my.json: train.epoch: unknown field"),
    ] {
        let error = of_file(file, changes).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_slip_is_answered_with_what_to_write() {
    for (change, expected) in [
        (
            "data.root=2024",
            r#"--set data.root: invalid type: integer `2024`, expected text in quotes; quote it: --set 'data.root="2024"'"#,
        ),
        ("data.root=1e5", r#"; quote it: --set 'data.root="1e5"'"#),
        ("data.images=null", "--set data.images: invalid type: null, expected text in quotes"),
        ("data.root=~/pets", "only a shell knows what ~ is"),
        ("optimizer.learning_rate=.001", "expected a number; write 0.001"),
        ("optimizer.learning_rate=0,001", "expected a number; write 0.001"),
        ("train.epochs=2.0", "expected a whole number; write 2"),
        ("train.epochs=1e1", "expected a whole number; write 10"),
        ("train.epochs=\"3\"", "expected a whole number; write 3"),
        ("train.epochs=many", "expected a whole number"),
        ("summary.report=False", "expected true or false; write false"),
        ("summary.report=no", "expected true or false; write false"),
        ("summary.report=1", "expected true or false; write true"),
        ("optimizer.lr=1", "did you mean learning_rate?"),
        ("train.learning_rate=1", "did you mean optimizer.learning_rate?"),
        ("train.epoch=1", "did you mean epochs?"),
        ("optimiser.ema=0.9", "did you mean optimizer?"),
        ("optimizer.rule.kind=Adam", "did you mean adam?"),
        ("data.loader.cache=ram", "unknown variant `ram`, expected"),
        ("train=5", "--set train: invalid type: integer `5`, expected a section in braces"),
        ("data=x", "expected a section in braces"),
        ("data.normalize={mean:[0.5]}", "--set data.normalize: key must be a string at line 1 column 2"),
        (r#"train={"seed":1,"seed":2}"#, "--set train: the key \"seed\" is there twice"),
        ("data.size=64", "expected a list of 2; write [64, 64]"),
    ] {
        let error = of_file(LISTED, &[change]).unwrap_err();
        assert!(error.contains(expected), "{change} gave\n  {error}\n  expected {expected}");
        assert!(!error.contains("struct ") && !error.contains("u64") && !error.contains("f64"), "{error}");
    }
    for (text, expected) in [
        ("5", "my.json: invalid type: integer `5`, expected a section in braces"),
        ("", "my.json: EOF while parsing a value at line 1 column 0; the file is empty"),
        ("// mine\n{}", "; JSON has no comments: remove them"),
        ("{\n# mine\n}", "; JSON has no comments: remove them"),
        ("{\"summary\": {\"report\": False}}", "; JSON writes false"),
        ("{\"optimizer\": {\"ema\": None}}", "; JSON writes null"),
        ("{\"train\": {\"epochs\": NaN}}", "; JSON has no NaN"),
        ("{'train': 1}", "; JSON has double quotes only"),
        ("{\"train\": {\"epochs\": 1,}}", "my.json: trailing comma at line 1 column 24; remove the comma before it"),
        ("{\"train\": {\"epochs\": 1", "; the file ends too early, or a bracket or a quote is not closed"),
        (
            "{\"train\": {\"epochs\": \"1\"}}",
            "my.json: train.epochs: invalid type: string \"1\", expected a whole number; write 1",
        ),
    ] {
        let error = refused(text);
        assert!(error.contains(expected), "{text} gave\n  {error}\n  expected {expected}");
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
    for key in ["/data/loader/workers", "/optimizer/rule/epsilon", "/schedule/decay/min_rate", "/checkpoint/keep_last"]
    {
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
    let all = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs")).unwrap();
    let all = all.map(|entry| entry.unwrap().path()).filter(|file| !file.ends_with("schema.json"));
    let all: Vec<_> = all.collect();
    assert!(all.len() > 12, "{all:?}");
    for file in all {
        let config = Config::given(Some(&file), &[], None).unwrap();
        assert_eq!(config.schema.as_deref(), Some("schema.json"));
        assert!(fs::read_to_string(file).unwrap().lines().count() < 50);
    }
}

#[test]
fn the_schema_in_the_repository_is_the_one_that_is_printed() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs/schema.json");
    let written: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let printed = serde_json::to_value(schemars::schema_for!(Config)).unwrap();
    assert!(written == printed, "write it anew: cargo run -p app -- schema > configs/schema.json");
    assert_eq!(
        printed.pointer("/properties/train/description"),
        Some(&json!("Length, device and seed of the training."))
    );
}

#[test]
fn each_rank_of_a_machine_takes_its_own_gpu() {
    assert_eq!((gpu(None, 8), gpu(Some(0), 8), gpu(Some(5), 8)), (0, 0, 5));
    // Slurm shows a rank its own GPU only.
    assert_eq!(gpu(Some(5), 1), 0);
    // Where there are more ranks than GPUs, each GPU has about as many.
    assert_eq!([0, 1, 2, 3, 4].map(|rank| gpu(Some(rank), 2)), [0, 1, 0, 1, 0]);
}
