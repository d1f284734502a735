//! What a checkpoint comes from (configuration, data, programs), and whether a run may go on from it.

use crate::config::{self, Config};
use crate::kernels;
use crate::parts::Network;
use crate::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use data::Fingerprint;
use serde_json::{Value, json};
use std::path::Path;

/// What a key may do between the runs that a checkpoint connects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Changes no weight that is already there, and nothing of what the network is fed.
    TakenOver,
    /// Makes another training of it: somebody has to say that this is meant.
    Asked,
    /// The weights, or the optimizer's state, would mean something else, or not fit.
    Refused,
}

/// Keys, or sections where they end in a dot, that are taken over.
const TAKEN_OVER: [&str; 17] = [
    "train.epochs",
    "train.device",
    "train.threads",
    "train.non_finite.",
    "data.root",
    "data.loader.workers",
    "data.loader.prefetch",
    "data.loader.cache",
    "data.loader.cache_folder",
    "data.loader.max_skipped",
    "model.weights",
    "model.weights.",
    "checkpoint.",
    "summary.",
    "export.",
    "oxiseg",
    "libtorch",
];

/// Keys that are refused. All others are asked about.
const REFUSED: [&str; 13] = [
    "data.kind",
    "data.target",
    "data.channels",
    "data.classes",
    "model.kind",
    "model.width",
    "model.depth",
    "model.upsampling",
    "model.block",
    "model.attention",
    "model.width_multiplier",
    "model.layers",
    "optimizer.rule.kind",
];

fn rule(key: &str) -> Rule {
    let listed =
        |keys: &[&str]| keys.iter().any(|known| key == *known || known.ends_with('.') && key.starts_with(known));
    match (listed(&TAKEN_OVER), listed(&REFUSED)) {
        (true, _) => Rule::TakenOver,
        (_, true) => Rule::Refused,
        _ => Rule::Asked,
    }
}

/// What a checkpoint says it comes from; `data` are the fingerprints of the training and the validation data.
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

/// The configuration that a checkpoint was trained with.
pub fn config(snapshot: &Snapshot, origin: &str) -> Result<Config> {
    Config::parse_saved(&snapshot.about["config"].to_string(), origin)
}

/// A value that is not what it was: `(key, before, after)`.
type Difference = (String, String, String);

/// Refuses to go on from the checkpoint at `path` with a configuration that makes something else of it, unless it is
/// among the keys that `allow` names (a key, or a section with all its keys).
pub fn compare_config(path: &Path, snapshot: &Snapshot, config: &Config, allow: &[String]) -> Result<()> {
    let before = self::config(snapshot, &path.display().to_string())?;
    let mut differences = config::differences(&before, config);
    // By their names, which `compare_about` compares for every kind of data: a colour is nobody's weight.
    differences.retain(|(key, ..)| key != "data.classes");
    admit(path, differences, allow)
}

/// The same for what is known once data and network are built: data sets, classes, versions.
pub fn compare_about(path: &Path, snapshot: &Snapshot, about: &Value, allow: &[String]) -> Result<()> {
    let shown = |value: &Value| match serde_json::from_value::<Fingerprint>(value.clone()) {
        Ok(fingerprint) => fingerprint.to_string(),
        Err(_) => value.to_string(),
    };
    let pointers = [
        ("data.train", "/data/train"),
        ("data.validation", "/data/validation"),
        ("data.classes", "/classes"),
        ("oxiseg", "/oxiseg"),
        ("libtorch", "/libtorch"),
    ];
    let pairs = pointers.map(|(key, at)| (key, snapshot.about.pointer(at), about.pointer(at)));
    let differs = pairs.into_iter().filter(|(_, before, after)| before != after);
    let shown = |value: Option<&Value>| value.map_or("unknown".into(), shown);
    admit(path, differs.map(|(key, before, after)| (key.into(), shown(before), shown(after))).collect(), allow)
}

fn admit(path: &Path, differences: Vec<Difference>, allow: &[String]) -> Result<()> {
    let allowed = |key: &str| allow.iter().any(|name| key == name || key.starts_with(&format!("{name}.")));
    let (mut complaints, mut passed) = (Vec::new(), Vec::new());
    for (key, before, after) in &differences {
        let change = format!("{key}: {before} -> {after}");
        match rule(key) {
            Rule::TakenOver => passed.push(format!("Taken over: {change}")),
            Rule::Asked if allowed(key) => passed.push(format!("Allowed: {change}")),
            Rule::Asked => complaints.push(format!("{change} (if it is meant: --allow {key})")),
            Rule::Refused => {
                complaints.push(format!("{change} (the weights would not fit or would mean something else)"));
            }
        }
    }
    if complaints.is_empty() {
        passed.iter().for_each(|change| log::info!("{change}"));
        return Ok(());
    }
    Err(usage(format!(
        "{} was trained with something else:\n  {}\nName another folder with --run, or start over with --resume never",
        path.display(),
        complaints.join("\n  ")
    )))
}

/// Refuses an `--allow` that names nothing, which would otherwise be a slip that nobody sees.
pub fn check_allowed(config: &Config, allow: &[String]) -> Result<()> {
    let known: Vec<String> =
        config::keys(config).into_iter().chain(["data.train", "data.validation"].map(String::from)).collect();
    for name in allow {
        let section = format!("{name}.");
        let mut of_it = known.iter().filter(|key| *key == name || key.starts_with(&section)).peekable();
        if of_it.peek().is_none() {
            return Err(usage(format!("--allow {name}: there is no such key")));
        }
        if of_it.all(|key| rule(key) == Rule::Refused) {
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
    fn each_key_has_its_rule() {
        for (key, expected) in [
            ("train.epochs", Rule::TakenOver),
            ("checkpoint.keep_last", Rule::TakenOver),
            ("train.non_finite.policy", Rule::TakenOver),
            ("libtorch", Rule::TakenOver),
            ("model.width", Rule::Refused),
            ("model.weights.path", Rule::TakenOver),
            ("model.dropout", Rule::Asked),
            ("model.fused", Rule::Asked),
            ("data.loader.cache_folder", Rule::TakenOver),
            ("data.loader.max_skipped", Rule::TakenOver),
            ("data.loader.batch_size", Rule::Asked),
            ("data.transforms[0].probability", Rule::Asked),
            ("data.normalize.mean[0]", Rule::Asked),
            ("data.channels", Rule::Refused),
            ("data.classes", Rule::Refused),
            ("optimizer.rule.kind", Rule::Refused),
            ("optimizer.learning_rate", Rule::Asked),
            ("train.seed", Rule::Asked),
            ("data.train", Rule::Asked),
            ("a.key.of.tomorrow", Rule::Asked),
        ] {
            assert_eq!(rule(key), expected, "{key}");
        }
    }

    #[test]
    fn the_refusal_is_a_readable_list_with_what_to_type() {
        let differences =
            [("train.epochs", "2", "3"), ("optimizer.learning_rate", "0.1", "0.2"), ("model.width", "4", "8")];
        let said = refusal(&differences, &[]).unwrap();
        assert!(said.starts_with("runs/x/checkpoints/step-5 was trained with something else:\n"), "{said}");
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
        assert_eq!(check("optimizer.lr").unwrap_err(), "--allow optimizer.lr: there is no such key");
        assert!(check("model.width").unwrap_err().contains("cannot be allowed"));
    }
}
