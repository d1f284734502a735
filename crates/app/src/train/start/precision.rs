//! `model.precision: auto`: chosen once for a run, whose checkpoints and `config.json` record the choice.

use crate::common::config::Config;
use crate::common::origin;
use anyhow::Result;
use checkpoint::Snapshot;
use model::Precision;
use std::path::PathBuf;

/// Replaces `auto` in the configuration: by the precision of the checkpoint `from` which the run resumes, or by that
/// which the device is best at.
pub fn chosen(config: Config, from: Option<&(PathBuf, Snapshot)>) -> Result<Config> {
    if config.model.common().precision != Precision::Auto {
        return Ok(config);
    }
    let before = match from {
        Some((path, snapshot)) => origin::config(snapshot, &path.display().to_string())?.model.common().precision,
        None => Precision::Auto,
    };
    let (precision, why) = match before {
        Precision::Auto => (Precision::Auto.on(config.train.device()?)?, "chosen for this device"),
        before => (before, "as before"),
    };
    log::info!("Precision: {precision}, {why}");
    config.with(&[format!("model.precision={precision}")])
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Progress;
    use serde_json::json;

    fn config(precision: &str) -> Config {
        Config::default().with(&[format!("model.precision={precision}"), "train.device=cpu".into()]).unwrap()
    }

    fn precision(asked: &str, before: Option<&str>) -> Precision {
        let from = before.map(|before| {
            let about = json!({ "config": config(before).saved().unwrap() });
            let (progress, states, scores) = (Progress::default(), Default::default(), Default::default());
            (PathBuf::from("step-5"), Snapshot { about, progress, states, scores })
        });
        chosen(config(asked), from.as_ref()).unwrap().model.common().precision
    }

    #[test]
    fn a_run_keeps_the_precision_that_was_chosen_for_it() {
        assert_eq!(precision("auto", None), Precision::Fp32);
        assert_eq!(precision("auto", Some("bf16")), Precision::Bf16);
        assert_eq!(precision("tf32", Some("bf16")), Precision::Tf32, "it was named");
        assert_eq!(precision("auto", Some("auto")), Precision::Fp32);
    }
}
