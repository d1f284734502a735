//! Errors that several crates share.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tch::TchError;

/// Error of any type, from a part that may be foreign code.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Error of libtorch, in one line. Its C++ stack trace goes to the log at debug level.
#[derive(Debug, thiserror::Error)]
#[error("libtorch: {0}")]
pub struct TorchError(String);

impl TorchError {
    /// Creates an error from libtorch's message without the stack trace, which is logged.
    pub fn new(message: &str) -> Self {
        let (said, trace) = message.split_once("Exception raised from").unwrap_or((message, ""));
        if !trace.is_empty() {
            log::debug!("libtorch raised an exception from{trace}");
        }
        // tch's plain methods panic with the Debug text of the error.
        let said =
            said.trim_start_matches("called `Result::unwrap()` on an `Err` value: Torch(\"").replace("\\n", "\n");
        let said = said.trim_start_matches("libtorch: ").trim_start_matches("Internal torch error: ");
        let said = said.lines().map(str::trim);
        let said = said.filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        Self(without_memory(&said).unwrap_or(said))
    }
}

/// Phrase that marks an out-of-memory error in its message.
pub const OUT_OF_MEMORY: &str = "out of memory";

/// Returns the message for a lack of memory, if libtorch's allocators or C++ report one.
fn without_memory(said: &str) -> Option<String> {
    let asked = |before: &str| {
        let number: String = said.split_once(before)?.1.chars().take_while(char::is_ascii_digit).collect();
        number.parse::<u64>().ok()
    };
    if said.contains("DefaultCPUAllocator") && said.contains("allocate memory") || said.contains("std::bad_alloc") {
        let asked =
            asked("tried to allocate ").map(|bytes| format!(" ({:.2} GB more were asked for)", bytes as f64 / 1e9));
        return Some(format!("{OUT_OF_MEMORY}{}", asked.unwrap_or_default()));
    }
    // oneDNN says no more than this when it gets no memory, and hardly ever for another reason.
    if said.contains("could not create a primitive") || said.contains("could not create a memory object") {
        return Some(format!("{said}, which usually means {OUT_OF_MEMORY}"));
    }
    // "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has …" continues with advice about allocators, which is
    // cut off.
    let cuda = said.find("CUDA out of memory")?;
    let of_device: String = said[cuda..].split_inclusive(". ").skip(1).take(2).collect();
    Some(format!("{OUT_OF_MEMORY} on the GPU: {}", of_device.trim_end().trim_end_matches('.')))
}

impl From<TchError> for TorchError {
    fn from(error: TchError) -> Self {
        Self::new(&error.to_string())
    }
}

/// Returns the result of `run`, or the message of its panic. Code of tch that cannot return an error (a module's
/// forward pass, the creation of a layer) reports a wrong shape or a lack of memory only by a panic.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str);
        let said = said.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it panicked");
        let of_torch = said.starts_with("called `Result::unwrap()`") || said.starts_with("libtorch: ");
        if of_torch { TorchError::new(said).to_string() } else { said.into() }
    })
}

/// Invalid value of a configuration. The reader of the file adds the file's name and the section's.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Invalid {
    /// Key, relative to the struct that was checked, with dots for nesting: `rule.beta1`.
    pub key: String,
    /// The problem, with the value found and a valid one.
    pub problem: String,
}

impl Invalid {
    /// Returns Ok if `valid`, else an error about `key` with the text of `problem`.
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

/// Lists the first `most` of `items`, separated by commas, and the number of the others: "a, b and 12,345 more". Keeps
/// messages about data short, however large the data is.
///
/// ```
/// assert_eq!(contract::listed(["a", "b"], 2), "a, b");
/// assert_eq!(contract::listed(0..12_347, 2), "0, 1 and 12,345 more");
/// ```
pub fn listed<T: fmt::Display>(items: impl IntoIterator<Item = T>, most: usize) -> String {
    let mut items = items.into_iter();
    let shown: Vec<String> = items.by_ref().take(most).map(|item| item.to_string()).collect();
    let (shown, more) = (shown.join(", "), items.count());
    if more == 0 { shown } else { format!("{shown} and {} more", counted(more)) }
}

/// Formats a number with commas between its thousands.
fn counted(number: usize) -> String {
    let digits = number.to_string();
    let comma = |(place, digit): (usize, char)| {
        let before = (place > 0 && (digits.len() - place).is_multiple_of(3)).then_some(',');
        before.into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(comma).collect()
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

    #[test]
    fn a_lack_of_memory_is_said_in_words() {
        let failed = Tensor::f_zeros([1 << 50], (Kind::Float, tch::Device::Cpu)).unwrap_err();
        let said = TorchError::from(failed).to_string();
        assert_eq!(said, "libtorch: out of memory (4503599.63 GB more were asked for)");
        assert_eq!(TorchError::new("std::bad_alloc").to_string(), "libtorch: out of memory");
        let primitive = TorchError::new("could not create a primitive").to_string();
        assert_eq!(primitive, "libtorch: could not create a primitive, which usually means out of memory");
        let cuda = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB of which \
                    1.04 GiB is free. Of the allocated memory 5 GiB is allocated by PyTorch. See documentation";
        assert_eq!(
            TorchError::new(cuda).to_string(),
            "libtorch: out of memory on the GPU: Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB of \
             which 1.04 GiB is free"
        );
    }

    #[test]
    fn what_panicked_says_so_in_one_line() {
        let tensor = Tensor::zeros([2], (Kind::Float, tch::Device::Cpu));
        let said = caught(|| tensor.reshape([3])).unwrap_err();
        assert_eq!(said, "libtorch: shape '[3]' is invalid for input of size 2");
        assert_eq!(
            caught(|| if tensor.numel() == 2 {
                panic!("{} is two", tensor.numel())
            }),
            Err("2 is two".into())
        );
        assert_eq!(caught(|| tensor.numel()), Ok(2));
    }
}
