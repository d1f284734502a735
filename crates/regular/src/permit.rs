//! Permission to change files, asked before each change.

use std::{error::Error, fmt, sync::Arc};

/// Reason of a refusal.
pub type Refusal = Box<dyn Error + Send + Sync>;

/// Check before every change of a file or folder; a refusal prevents the change. The default allows all.
///
/// A run checks that its folder is still the one it was started in: after someone moved that, another run may lie
/// there, whose files must stay.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<dyn Fn() -> Result<(), Refusal> + Send + Sync>>);

impl Permit {
    /// Creates a permit that calls `allowed` before each change, from any thread.
    pub fn new(allowed: impl Fn() -> Result<(), Refusal> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(allowed)))
    }

    /// Asks for permission.
    ///
    /// # Errors
    ///
    /// Returns the refusal.
    pub fn ask(&self) -> Result<(), Refusal> {
        self.0.as_ref().map_or(Ok(()), |allowed| allowed())
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Permit").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that panics has failed")]
mod tests {
    use super::Permit;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[test]
    fn each_copy_of_a_permit_asks_anew() {
        assert!(Permit::default().ask().is_ok());
        let asked = Arc::new(AtomicU32::new(0));
        let counter = Arc::clone(&asked);
        let permit = Permit::new(move || match counter.fetch_add(1, Ordering::Relaxed) {
            0 => Ok(()),
            _ => Err("the run was moved".into()),
        });
        assert!(permit.clone().ask().is_ok());
        assert_eq!(permit.ask().unwrap_err().to_string(), "the run was moved");
        assert_eq!(asked.load(Ordering::Relaxed), 2);
    }
}
