//! The rate below which a schedule does not fall.

use contract::Invalid;

/// Returns true for 0, which is not written down.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
pub(crate) fn is_zero(value: &f64) -> bool {
    *value == 0.0
}

/// Returns the factor on `learning_rate` below which it does not fall.
pub(crate) fn lowest(min_rate: f64, floor: f64, learning_rate: f64) -> f64 {
    if floor > 0.0 { floor } else { min_rate / learning_rate }
}

/// Checks what [`lowest`] takes.
pub(crate) fn check_lowest(min_rate: f64, floor: f64, learning_rate: f64) -> Result<(), Invalid> {
    Invalid::unless((0.0..=1.0).contains(&floor), "floor", || format!("must be in [0, 1], is {floor}"))?;
    Invalid::unless((0.0..=learning_rate).contains(&min_rate), "min_rate", || {
        format!("must be in [0, {learning_rate}], up to optimizer.learning_rate, is {min_rate}")
    })?;
    Invalid::unless(min_rate == 0.0 || floor == 0.0, "floor", || {
        "is the former form of min_rate, which is set too: leave it out".into()
    })
}
