//! Errors that more than one crate speaks of.

use tch::TchError;

/// Whatever went wrong in a part that somebody else wrote.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// An error of libtorch, in one line. The C++ stack trace that comes with it goes to the log at debug level.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct TorchError(String);

impl TorchError {
    /// Takes libtorch's message apart: what a person can use stays, the stack trace is logged.
    pub fn new(message: &str) -> Self {
        let (said, trace) = message.split_once("Exception raised from").unwrap_or((message, ""));
        if !trace.is_empty() {
            log::debug!("libtorch raised an exception from{trace}");
        }
        // What tch's plain methods panic with is the Debug text of the error.
        let said =
            said.trim_start_matches("called `Result::unwrap()` on an `Err` value: Torch(\"").replace("\\n", "\n");
        let said = said.trim_start_matches("libtorch: ").trim_start_matches("Internal torch error: ");
        let said = said.lines().map(str::trim);
        Self(said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" "))
    }
}

impl From<TchError> for TorchError {
    fn from(error: TchError) -> Self {
        Self::new(&error.to_string())
    }
}

/// A value of a configuration that cannot work. Whoever reads the file adds its name and the section's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Invalid {
    /// The key, relative to the struct that was checked, with dots for nesting: `rule.beta1`.
    pub key: String,
    /// What is wrong, what was found, and what would be right.
    pub problem: String,
}

impl Invalid {
    /// Ok if `valid`; else the complaint `problem` about `key`.
    ///
    /// ```
    /// # let epochs = 3;
    /// contract::Invalid::unless(epochs > 0, "epochs", || format!("must be at least 1, is {epochs}"))?;
    /// # Ok::<(), contract::Invalid>(())
    /// ```
    pub fn unless(valid: bool, key: &str, problem: impl FnOnce() -> String) -> Result<(), Self> {
        if valid { Ok(()) } else { Err(Self { key: key.into(), problem: problem() }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    #[test]
    fn a_torch_error_is_one_line_without_the_stack_trace() {
        let failed = Tensor::zeros([2], (Kind::Float, tch::Device::Cpu)).f_reshape([3]).unwrap_err();
        assert!(failed.to_string().contains("Exception raised from"), "libtorch no longer sends a trace: {failed}");
        let short = TorchError::from(failed).to_string();
        assert_eq!(short, "libtorch: shape '[3]' is invalid for input of size 2");
    }
}
