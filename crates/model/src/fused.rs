//! Choice of the kernels that a network computes with on a CPU.

use crate::Precision;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use torch_ext::{self as ext, Kernels};

/// Kernels that a network computes with on a CPU, as a configuration asks for them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", from = "Said")]
pub enum Fused {
    /// Ours where they are faster on this processor than libtorch's.
    #[default]
    Auto,
    /// Ours wherever the processor has the instructions for them.
    On,
    /// Only libtorch's.
    Off,
}

/// Value in a configuration: older ones have a boolean.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected \"auto\", \"on\" or \"off\"")]
enum Said {
    Flag(bool),
    Name(Name),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Name {
    Auto,
    On,
    Off,
}

impl From<Said> for Fused {
    fn from(said: Said) -> Self {
        match said {
            Said::Flag(true) | Said::Name(Name::Auto) => Self::Auto,
            Said::Name(Name::On) => Self::On,
            Said::Flag(false) | Said::Name(Name::Off) => Self::Off,
        }
    }
}

impl JsonSchema for Fused {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Fused".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "`true` and `false` of older configurations read as `auto` and `off`.",
            "enum": ["auto", "on", "off", true, false],
            "errorMessage": "expected \"auto\", \"on\" or \"off\"",
        })
    }
}

impl Fused {
    /// Returns the kernels that this choice means on this processor, in this precision. With AMX, libtorch's
    /// convolutions in bf16 are more than twice as fast as ours.
    pub fn kernels(self, precision: Precision) -> Kernels {
        let left_to_libtorch = precision == Precision::Bf16 && ext::has_amx();
        match self {
            Self::Off => Kernels::Libtorch,
            Self::Auto if left_to_libtorch => Kernels::Own,
            _ if is_here(Kernels::Winograd, precision) => Kernels::Winograd,
            _ => Kernels::Own,
        }
    }
}

/// Returns true if this processor can compute with these `kernels` in this precision.
pub fn is_here(kernels: Kernels, precision: Precision) -> bool {
    match (kernels, precision) {
        (Kernels::Libtorch | Kernels::Own, _) => true,
        (Kernels::Winograd, Precision::Bf16) => ext::has_avx512_bf16(),
        (Kernels::Winograd, _) => ext::has_avx512(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn truth_values_of_older_configurations_are_read_and_others_refused() {
        let read = |value: serde_json::Value| serde_json::from_value::<Fused>(value);
        for (said, meant) in [
            (json!(true), Fused::Auto),
            (json!("auto"), Fused::Auto),
            (json!("on"), Fused::On),
            (json!("off"), Fused::Off),
            (json!(false), Fused::Off),
        ] {
            assert_eq!(read(said).unwrap(), meant);
        }
        for wrong in [json!("yes"), json!(1), json!(null)] {
            assert_eq!(read(wrong).unwrap_err().to_string(), "expected \"auto\", \"on\" or \"off\"");
        }
        assert_eq!(serde_json::to_value(Fused::Auto).unwrap(), json!("auto"));
    }

    #[test]
    fn convolutions_in_bf16_are_libtorchs_where_it_has_amx_and_f32_stays_ours() {
        for precision in [Precision::Fp32, Precision::Tf32, Precision::Bf16, Precision::Fp16] {
            assert_eq!(Fused::Off.kernels(precision), Kernels::Libtorch);
            let ours = if is_here(Kernels::Winograd, precision) { Kernels::Winograd } else { Kernels::Own };
            assert_eq!(Fused::On.kernels(precision), ours);
            let expected = if precision == Precision::Bf16 && ext::has_amx() { Kernels::Own } else { ours };
            assert_eq!(Fused::Auto.kernels(precision), expected, "{precision:?}");
        }
    }
}
