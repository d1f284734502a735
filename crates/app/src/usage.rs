//! Errors that the person at the keyboard mends: a wrong argument, a wrong configuration.

/// A wrong argument or configuration: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// An error that [`Usage`] describes.
pub fn usage(problem: impl Into<String>) -> anyhow::Error {
    Usage(problem.into()).into()
}
