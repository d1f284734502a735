//! Numbers in a state.

use contract::{StateDict, StateError};
use tch::{Kind, Tensor};

/// Returns a count that was saved as a scalar i64.
pub fn count(state: &StateDict, name: &str) -> Result<u64, StateError> {
    let tensor = state.get(name).ok_or_else(|| missing(name))?;
    let value =
        if tensor.size().is_empty() && tensor.kind() == Kind::Int64 { tensor.f_int64_value(&[]).ok() } else { None };
    value
        .and_then(|value| u64::try_from(value).ok())
        .ok_or_else(|| unexpected(name, "count (scalar Int64, 0 or more)", tensor))
}

/// Returns a number that was saved as a scalar f64.
pub fn number(state: &StateDict, name: &str) -> Result<f64, StateError> {
    let tensor = state.get(name).ok_or_else(|| missing(name))?;
    let is_one = tensor.size().is_empty() && tensor.kind() == Kind::Double;
    let value = if is_one { tensor.f_double_value(&[]).ok() } else { None };
    value.ok_or_else(|| unexpected(name, "number (scalar Double)", tensor))
}

fn missing(name: &str) -> StateError {
    StateError::Names { missing: vec![name.into()], unexpected: vec![] }
}

fn unexpected(name: &str, expected: &str, found: &Tensor) -> StateError {
    let problem = format!("expected a {expected}, found {:?} {:?}", found.size(), found.kind());
    StateError::Value { name: name.into(), problem }
}
