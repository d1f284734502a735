//! Counts in a saved state.

use contract::{StateDict, StateError};
use tch::Kind;

/// Returns a count that was saved as a scalar i64.
pub fn count(state: &StateDict, name: &str) -> Result<u64, StateError> {
    let missing = || StateError::Names { missing: vec![name.into()], unexpected: vec![] };
    let tensor = state.get(name).ok_or_else(missing)?;
    let value =
        if tensor.size().is_empty() && tensor.kind() == Kind::Int64 { tensor.f_int64_value(&[]).ok() } else { None };
    value.and_then(|value| u64::try_from(value).ok()).ok_or_else(|| StateError::Value {
        name: name.into(),
        problem: format!("expected a count (scalar Int64, 0 or more), found {:?} {:?}", tensor.size(), tensor.kind()),
    })
}
