//! `data.normalize` of a run that starts from published weights: unless it is named, theirs, which checkpoints and
//! `config.json` record.

use crate::common::config::Config;
use crate::common::origin;
use anyhow::Result;
use checkpoint::Snapshot;
use data::Split;
use serde_json::json;
use std::path::PathBuf;

/// Largest difference of means and standard deviations that are the same but for rounding.
const ROUNDING: f64 = 5e-4;

/// Adds to the configuration what inputs are normalised with if it names published weights and nothing else: what they
/// were trained with, or what the checkpoint `from` was which the run resumes. Warns once if it names something else.
///
/// # Errors
///
/// Fails if the configuration of the checkpoint cannot be read.
pub fn chosen(config: Config, from: Option<&(PathBuf, Snapshot)>) -> Result<Config> {
    let Ok(Some(published)) = config.model.published() else { return Ok(config) };
    if config.data.layout().standardize {
        return Ok(config);
    }
    let normalize = |config: &Config| config.data.pipeline(Split::Validation).normalize;
    let [mean, std] = published.normalize(config.data.channels());
    match (normalize(&config), from) {
        (Some(_), Some(_)) => Ok(config),
        (None, Some((path, snapshot))) => match normalize(&origin::config(snapshot, &path.display().to_string())?) {
            Some(before) => config.with(&[format!("data.normalize={}", serde_json::to_string(&before)?)]),
            None => Ok(config),
        },
        (Some(own), None) => {
            let close = |own: &[f64], theirs: &[f64]| own.iter().zip(theirs).all(|(a, b)| (a - b).abs() <= ROUNDING);
            if !close(&own.mean, &mean) || !close(&own.std, &std) {
                log::warn!(
                    "data.normalize: the weights '{}' of {} were trained with mean {mean:?} and std {std:?}, not with \
                     mean {:?} and std {:?}: they will do worse. Leave the key out to have theirs",
                    published.name,
                    published.encoder,
                    own.mean,
                    own.std
                );
            }
            Ok(config)
        }
        (None, None) => {
            log::info!("Normalising with mean {mean:?} and std {std:?}, as the weights were trained");
            config.with(&[format!("data.normalize={}", json!({ "mean": mean, "std": std }))])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Progress;
    use serde_json::Value;

    const NAMED: &str = "model={\"kind\":\"resnet_unet\",\"weights\":\"imagenet\"}";
    const OWN: &str = "data.normalize={\"mean\":[0.1,0.2,0.3],\"std\":[1,1,1]}";

    fn config(changes: &[&str]) -> Config {
        Config::default().with(&changes.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    fn normalize(config: &Config) -> Value {
        config.saved().unwrap()["data"]["normalize"].clone()
    }

    fn resumed(config: Config, before: &Config) -> Value {
        let about = json!({ "config": before.saved().unwrap() });
        let (progress, states, scores) = (Progress::default(), Default::default(), Default::default());
        let from = (PathBuf::from("step-5"), Snapshot { about, progress, states, scores });
        normalize(&chosen(config, Some(&from)).unwrap())
    }

    #[test]
    fn preprocessing_follows_the_weights_unless_it_is_named() {
        let theirs = json!({ "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225] });
        assert_eq!(normalize(&chosen(config(&[NAMED]), None).unwrap()), theirs);
        assert_eq!(normalize(&chosen(config(&[]), None).unwrap()), Value::Null);
        let own = config(&[NAMED, OWN]);
        assert_eq!(normalize(&chosen(own.clone(), None).unwrap()), normalize(&own));
    }

    #[test]
    fn a_run_that_resumes_keeps_its_own() {
        let began = chosen(config(&[NAMED]), None).unwrap();
        assert_eq!(resumed(config(&[NAMED]), &began), normalize(&began));
        assert_eq!(resumed(config(&[NAMED]), &config(&[OWN])), normalize(&config(&[OWN])));
        // One that began without them has weights of its own by now.
        assert_eq!(resumed(config(&[NAMED]), &config(&[])), Value::Null);
        assert_eq!(resumed(config(&[NAMED, OWN]), &began), normalize(&config(&[OWN])), "it was named");
    }

    #[test]
    fn grey_images_have_the_average() {
        let folders = json!({ "kind": "folders", "root": "r", "classes": ["a", "b"], "channels": 1 });
        let grey = chosen(config(&[&format!("data={folders}"), NAMED]), None).unwrap();
        let found = normalize(&grey);
        assert!((found["mean"][0].as_f64().unwrap() - 0.449).abs() < 1e-9, "{found}");
        assert_eq!(found["std"].as_array().unwrap().len(), 1);
    }
}
