//! Origin of a checkpoint (configuration, data, programs), and the check that a run may resume from it.

use crate::common::config::{self, Config, Rule};
use crate::common::kernels;
use crate::common::network::Network;
use crate::common::origin;
use crate::common::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use data::{Fingerprint, Split};
use model::Weights;
use serde_json::{Value, json};
use std::path::Path;

/// Parts of a checkpoint's record, beside its configuration, that may change freely.
const SAFE: [&str; 2] = ["oxiseg", "libtorch"];

fn rule(key: &str) -> Rule {
    if SAFE.contains(&key) { Rule::Safe } else { config::rule(key) }
}

/// Returns a checkpoint's record of its origin; `data` are the fingerprints of the training and the validation data.
pub fn about(config: &Config, data: &[Fingerprint; 2], network: &Network) -> Result<Value> {
    Ok(json!({
        "oxiseg": env!("CARGO_PKG_VERSION"),
        "libtorch": torch_ext::libtorch_version(),
        "classes": config.data.classes(),
        "colors": config.data.colors(),
        "data": { "train": data[0], "validation": data[1] },
        (kernels::RECORD): kernels::record(network.kernels, network.device),
        "config": config.saved()?,
    }))
}

/// Returns the configuration for using a network of the folder `run`: that of its checkpoint. Keys that affect neither
/// the weights nor the network's input (location of the data, device, cache, export) are taken from the present
/// `config.json` of the run.
pub fn used(snapshot: &Snapshot, origin: &str, run: &Config) -> Result<Config> {
    let (mut own, run) = (origin::config(snapshot, origin)?.saved()?, run.saved()?);
    for key in config::may_change() {
        let at = format!("/{}", key.replace('.', "/"));
        if let (Some(own), Some(run)) = (own.pointer_mut(&at), run.pointer(&at)) {
            *own = run.clone();
        }
    }
    Config::parse_saved(&own.to_string(), origin)
}

/// Warns if the weights at `path`, which a new training starts from, were trained for other classes or with another
/// normalisation.
pub fn compare_start(path: &Path, snapshot: &Snapshot, config: &Config) {
    // Checkpoints of other programs have no such record.
    let Ok(before) = origin::config(snapshot, &path.display().to_string()) else { return };
    let (path, classes) = (path.display(), [&before, config].map(|config| config.data.classes()));
    let head = config.model.common().weights.as_ref().is_none_or(Weights::has_head);
    if head && classes[0] != classes[1] {
        let [before, now] = classes.map(|classes| classes.join(", "));
        log::warn!(
            "model.weights: {path} was trained for the classes {before}, and here they are {now}: its last layer \
             stands for the former, in that order (model.weights.skip_head leaves it out)"
        );
    }
    let [was, is] = [&before, config].map(|config| config.data.pipeline(Split::Validation).normalize);
    if was != is {
        log::warn!(
            "model.weights: {path} was trained with another data.normalize than here, so it starts worse than it ended"
        );
    }
}

/// A changed value: `(key, before, after)`.
type Difference = (String, String, String);

/// A permitted difference in words, after its reason.
pub type Passed = (&'static str, String);

/// Refuses to resume from the checkpoint at `path` with a configuration that differs in a key that matters, unless
/// `allow` names it (a key, or a section with all its keys). Returns the differences that pass.
pub fn compare_config(path: &Path, snapshot: &Snapshot, config: &Config, allow: &[String]) -> Result<Vec<Passed>> {
    let before = origin::config(snapshot, &path.display().to_string())?;
    let mut differences = config::differences(&before, config);
    // Class names are compared by `compare_about`, for every kind of data; colours do not affect the weights.
    differences.retain(|(key, ..)| key != "data.classes");
    admit(path, differences, allow)
}

/// Does the same as [`compare_config`] for what is known once data and network are built: data sets, classes, versions.
pub fn compare_about(path: &Path, snapshot: &Snapshot, about: &Value, allow: &[String]) -> Result<Vec<Passed>> {
    let pointers = [
        ("data.train", "/data/train"),
        ("data.validation", "/data/validation"),
        ("data.classes", "/classes"),
        ("oxiseg", "/oxiseg"),
        ("libtorch", "/libtorch"),
    ];
    let pairs = pointers.map(|(key, at)| (key, snapshot.about.pointer(at), about.pointer(at)));
    let differs = pairs.into_iter().filter(|(_, before, after)| before != after);
    let shown = |value: Option<&Value>| match value.cloned().map(serde_json::from_value::<Fingerprint>) {
        Some(Ok(fingerprint)) => fingerprint.to_string(),
        _ => value.map_or("unknown".into(), Value::to_string),
    };
    admit(path, differs.map(|(key, before, after)| (key.into(), shown(before), shown(after))).collect(), allow)
}

/// Does the same as [`compare_about`] for the data sets alone, without decoding a sample.
pub fn compare_data(path: &Path, snapshot: &Snapshot, config: &Config, allow: &[String]) -> Result<Vec<Passed>> {
    let found = |split| -> Result<Fingerprint, data::Error> { data::fingerprint(config.data.open(split)?.as_ref()) };
    let mut about = snapshot.about.clone();
    if let Some(about) = about.as_object_mut() {
        let data = json!({ "train": found(Split::Train)?, "validation": found(Split::Validation)? });
        about.insert("data".into(), data);
    }
    compare_about(path, snapshot, &about, allow)
}

fn admit(path: &Path, differences: Vec<Difference>, allow: &[String]) -> Result<Vec<Passed>> {
    let allowed = |key: &str| allow.iter().any(|name| key == name || key.starts_with(&format!("{name}.")));
    let (mut complaints, mut passed) = (Vec::new(), Vec::new());
    for (key, before, after) in &differences {
        let change = format!("{key}: {before} -> {after}");
        match rule(key) {
            Rule::Safe => passed.push(("Changed (safe)", change)),
            Rule::Ask if allowed(key) => passed.push(("Allowed", change)),
            Rule::Ask => complaints.push(format!("{change} (if it is meant: --allow {key})")),
            Rule::Refuse => {
                complaints.push(format!("{change} (the weights would not fit or would mean something else)"));
            }
        }
    }
    if complaints.is_empty() {
        return Ok(passed);
    }
    Err(usage(format!(
        "{} was trained with a different configuration or data:\n  {}\n\
         Name another folder with --run, or start over with --resume never",
        path.display(),
        complaints.join("\n  ")
    )))
}

/// Refuses an `--allow` that names no known key, a slip that would otherwise go unnoticed, or only keys that may not
/// change.
pub fn check_allowed(config: &Config, allow: &[String]) -> Result<()> {
    let known: Vec<String> =
        config::keys(config).into_iter().chain(["data.train", "data.validation"].map(String::from)).collect();
    for name in allow {
        let section = format!("{name}.");
        let mut of_it = known.iter().filter(|key| *key == name || key.starts_with(&section)).peekable();
        if of_it.peek().is_none() {
            let meant = config::nearest_key(name, &known).map_or(String::new(), |key| format!("; did you mean {key}?"));
            return Err(usage(format!("--allow {name}: there is no such key{meant}")));
        }
        if of_it.all(|key| rule(key) == Rule::Refuse) {
            return Err(usage(format!(
                "--allow {name}: this cannot be allowed: the weights would mean something else"
            )));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(differences: &[(&str, &str, &str)], allow: &[&str]) -> Option<String> {
        let differences = differences.iter().map(|(a, b, c)| (a.to_string(), b.to_string(), c.to_string())).collect();
        let allow: Vec<String> = allow.iter().map(ToString::to_string).collect();
        admit(Path::new("runs/x/checkpoints/step-5"), differences, &allow).err().map(|error| error.to_string())
    }

    #[test]
    fn a_checkpoint_is_used_with_its_own_configuration_and_the_runs_places() {
        let config = |data: Value, samples: u64| {
            let config = json!({ "data": data, "export": { "samples": samples } });
            Config::parse(&config.to_string(), "x").unwrap()
        };
        let folders = |root: &str, classes: &[&str], size: u32, cache: &str| {
            let loader = json!({ "cache": cache });
            json!({ "kind": "folders", "root": root, "classes": classes, "size": [size, size], "loader": loader })
        };
        let own = config(folders("data", &["sky", "cat"], 8, "none"), 1);
        let about = json!({ "config": own.saved().unwrap() });
        let (progress, states, scores) = Default::default();
        let snapshot = Snapshot { progress, states, scores, about };
        let run = config(folders("moved", &["cat", "sky", "dog"], 16, "disk"), 3);
        let found = used(&snapshot, "x", &run).unwrap();
        assert_eq!((found.data.classes(), found.data.size()), (own.data.classes(), [8, 8]));
        let saved = found.saved().unwrap();
        assert_eq!((&saved["data"]["root"], &saved["data"]["loader"]["cache"]), (&json!("moved"), &json!("disk")));
        assert_eq!(found.export.samples, 3);
        // Other data have no such key.
        let found = used(&snapshot, "x", &config(json!({ "kind": "shapes" }), 4)).unwrap();
        assert_eq!((found.export.samples, found.data.size()), (4, [8, 8]));
        assert_eq!(found.saved().unwrap()["data"]["root"], "data");
        let error = origin::recorded(&json!({}), "x").unwrap_err().to_string();
        assert!(error.contains("does not say with which configuration"), "{error}");
    }

    #[test]
    fn versions_may_change_and_data_sets_are_asked_about() {
        for key in SAFE {
            assert_eq!(rule(key), Rule::Safe, "{key}");
        }
        assert_eq!(rule("data.train"), Rule::Ask);
    }

    #[test]
    fn the_refusal_is_a_readable_list_with_what_to_type() {
        let differences =
            [("train.epochs", "2", "3"), ("optimizer.learning_rate", "0.1", "0.2"), ("model.width", "4", "8")];
        let said = refusal(&differences, &[]).unwrap();
        assert!(
            said.starts_with("runs/x/checkpoints/step-5 was trained with a different configuration or data:\n"),
            "{said}"
        );
        assert!(
            said.contains(
                "\n  optimizer.learning_rate: 0.1 -> 0.2 (if it is meant: --allow optimizer.learning_rate)\n"
            )
        );
        assert!(said.contains("\n  model.width: 4 -> 8 (the weights") && !said.contains("train.epochs"), "{said}");
    }

    #[test]
    fn what_is_allowed_passes_by_key_or_section_but_never_what_is_refused() {
        let rate = ("optimizer.learning_rate", "0.1", "0.2");
        assert_eq!(refusal(&[rate], &["optimizer.learning_rate"]), None);
        assert_eq!(refusal(&[rate], &["optimizer"]), None);
        assert!(refusal(&[rate], &["optimizer.learning", "schedule"]).is_some());
        assert!(refusal(&[("model.width", "4", "8")], &["model.width", "model"]).is_some());
    }

    #[test]
    fn an_allowance_of_nothing_is_a_slip() {
        let check = |name: &str| check_allowed(&Config::default(), &[name.into()]).map_err(|error| error.to_string());
        for name in ["optimizer", "optimizer.learning_rate", "data.train", "model.precision", "model"] {
            check(name).unwrap();
        }
        let meant = "--allow optimizer.lr: there is no such key; did you mean optimizer.learning_rate?";
        assert_eq!(check("optimizer.lr").unwrap_err(), meant);
        assert!(check("model.width").unwrap_err().contains("cannot be allowed"));
    }
}
