//! Permission to change files, asked before each change.

use crate::Error;
use std::{fmt, sync::Arc};

/// Reason of a refusal.
pub type Refusal = Box<dyn std::error::Error + Send + Sync>;

/// Check before every change of a file or folder; a refusal prevents the change. The default allows all.
///
/// A run checks that its folder is still the one it was started in: after someone moved that, another run may lie
/// there.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<dyn Fn() -> Result<(), Refusal> + Send + Sync>>);

impl Permit {
    /// Calls `allowed` before each change, from any thread.
    pub fn new(allowed: impl Fn() -> Result<(), Refusal> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(allowed)))
    }

    pub(crate) fn ask(&self) -> Result<(), Error> {
        self.0.as_ref().map_or(Ok(()), |allowed| allowed()).map_err(|source| Error::Refused { source })
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Permit").finish_non_exhaustive()
    }
}
