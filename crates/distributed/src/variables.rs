//! Reading of variables.

use crate::Error;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Variables of the environment.
pub(crate) type Variables = BTreeMap<String, String>;

/// Returns a variable that is set and not empty.
pub(crate) fn set<'v>(variables: &'v Variables, name: &str) -> Option<&'v str> {
    variables.get(name).map(|value| value.trim()).filter(|value| !value.is_empty())
}

/// Returns a variable's number, if it is set.
pub(crate) fn number<T: FromStr>(variables: &Variables, name: &str) -> Result<Option<T>, Error> {
    let parse = |value: &str| value.parse().map_err(|_| malformed(name, value, "a number"));
    set(variables, name).map(parse).transpose()
}

pub(crate) fn below(name: &str, number: usize, of: &str, count: usize) -> Result<(), Error> {
    if number < count { Ok(()) } else { Err(Error::Environment(format!("{name}={number} must be below {of}={count}"))) }
}

pub(crate) fn missing(name: &str, why: &str) -> Error {
    Error::Environment(format!("{name} is not set, but {why}"))
}

pub(crate) fn malformed(name: &str, value: &str, expected: &str) -> Error {
    Error::Environment(format!("{name}='{value}' must be {expected}"))
}
