//! Keeps a network's kernels from one checkpoint to the next, since kernels differ in rounding.

use crate::common::config::Config;
use crate::common::origin;
use anyhow::Result;
use checkpoint::Snapshot;
use model::{Fused, is_here};
use serde_json::Value;
use std::path::Path;
use tch::Device;
use torch_ext::Kernels;

/// The key of the kernels in a checkpoint's record.
pub const RECORD: &str = "kernels";

const NAMES: [(Kernels, &str); 3] =
    [(Kernels::Libtorch, "libtorch"), (Kernels::Own, "own"), (Kernels::Winograd, "winograd")];

/// Returns the value that a checkpoint records: the name of the kernels, or null on a GPU, where only libtorch's exist.
pub fn record(kernels: Kernels, device: Device) -> Value {
    let name = NAMES.iter().find(|(known, _)| *known == kernels).map(|(_, name)| *name);
    if device == Device::Cpu { name.into() } else { Value::Null }
}

/// Describes the kernels for people.
pub fn in_words(kernels: Kernels, device: Device) -> String {
    match kernels {
        _ if device != Device::Cpu => "libtorch's",
        Kernels::Libtorch => "libtorch's",
        Kernels::Own => "ours, with libtorch's convolutions (own)",
        Kernels::Winograd => "ours, with convolutions 3x3 by Winograd's filtering (winograd)",
    }
    .into()
}

/// Returns the kernels to resume with from the checkpoint at `path`: those it was trained with, if the configuration
/// asks for the same as before and this processor has them.
pub fn of_checkpoint(path: &Path, snapshot: &Snapshot, config: &Config) -> Result<Kernels> {
    let before = origin::config(snapshot, &path.display().to_string())?;
    let (before, now) = (before.model.common(), config.model.common());
    let chosen = now.fused.kernels(now.precision);
    if (before.fused, before.precision) != (now.fused, now.precision) {
        return Ok(chosen);
    }
    // Checkpoints of format 1 have no record: their program took its own kernels wherever the processor had the
    // instructions.
    let unrecorded = || if before.fused == Fused::Off { Kernels::Libtorch } else { Kernels::Winograd };
    let name = snapshot.about[RECORD].as_str();
    let recorded = match name {
        Some(name) => NAMES.iter().find(|(_, known)| *known == name).map(|(kernels, _)| *kernels),
        None => Some(unrecorded()),
    };
    match recorded {
        Some(recorded) if is_here(recorded, now.precision) => Ok(recorded),
        _ if name.is_none() => Ok(Kernels::Own),
        _ => {
            log::warn!(
                "{} was trained with the kernels '{}', which this processor lacks: going on with '{}', so results \
                 differ from those there in their last digits",
                path.display(),
                name.unwrap_or_default(),
                NAMES.iter().find(|(known, _)| *known == chosen).map_or("", |(_, name)| name)
            );
            Ok(chosen)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::Progress;
    use serde_json::json;

    fn snapshot(record: Option<&str>, changes: &[&str]) -> Snapshot {
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        let config = Config::default().with(&changes).unwrap().saved().unwrap();
        let mut about = json!({ "config": config });
        if let Some(record) = record {
            about[RECORD] = record.into();
        }
        Snapshot { about, progress: Progress::default(), scores: Default::default(), states: Default::default() }
    }

    fn chosen(snapshot: &Snapshot, changes: &[&str]) -> Kernels {
        let changes: Vec<String> = changes.iter().map(ToString::to_string).collect();
        of_checkpoint(Path::new("step-5"), snapshot, &Config::default().with(&changes).unwrap()).unwrap()
    }

    #[test]
    fn a_resumed_training_keeps_its_kernels_and_one_without_a_record_has_those_of_its_time() {
        for precision in ["fp32", "bf16"] {
            let precision = &*format!("model.precision={precision}");
            let (old, off) = (snapshot(None, &[precision]), snapshot(None, &[precision, "model.fused=false"]));
            let winograd = Fused::On.kernels(chosen_precision(precision));
            assert_eq!(chosen(&old, &[precision]), winograd, "also where AMX is there: they round differently");
            assert_eq!(chosen(&off, &[precision, "model.fused=off"]), Kernels::Libtorch);
            for (kernels, name) in [(Kernels::Libtorch, "libtorch"), (Kernels::Own, "own"), (winograd, "winograd")] {
                assert_eq!(chosen(&snapshot(Some(name), &[precision]), &[precision]), kernels);
            }
        }
    }

    fn chosen_precision(change: &str) -> model::Precision {
        if change.ends_with("bf16") { model::Precision::Bf16 } else { model::Precision::Fp32 }
    }

    #[test]
    fn what_was_changed_or_is_unknown_here_is_chosen_anew() {
        let own = snapshot(Some("own"), &[]);
        assert_eq!(chosen(&own, &["model.fused=off"]), Kernels::Libtorch);
        assert_eq!(chosen(&own, &["model.precision=bf16"]), Fused::Auto.kernels(model::Precision::Bf16));
        let of_tomorrow = snapshot(Some("quantum"), &[]);
        assert_eq!(chosen(&of_tomorrow, &[]), Fused::Auto.kernels(model::Precision::Fp32));
        assert_eq!(chosen(&of_tomorrow, &["model.fused=off"]), Kernels::Libtorch);
    }

    #[test]
    fn a_training_on_a_gpu_records_none() {
        assert_eq!(record(Kernels::Winograd, Device::Cpu), json!("winograd"));
        assert_eq!(record(Kernels::Winograd, Device::Cuda(0)), Value::Null);
    }
}
