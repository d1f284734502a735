//! Errors that the user can fix: a wrong argument or configuration.

/// A wrong argument or configuration: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Creates an error of type [`Usage`].
pub fn usage(problem: impl Into<String>) -> anyhow::Error {
    Usage(problem.into()).into()
}
