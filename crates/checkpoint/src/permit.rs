//! Permission to write and remove checkpoints, asked before each change.

use crate::Error;
use contract::BoxError;
use std::{fmt, sync::Arc};

/// Callback before every change of a file or folder; a refusal prevents the change. The default allows all.
///
/// A run checks that its folder is still the one that it was started in: if a person has moved it, another run may lie
/// there, whose checkpoints retention would remove.
#[derive(Clone, Default)]
pub struct Permit(Option<Arc<dyn Fn() -> Result<(), BoxError> + Send + Sync>>);

impl Permit {
    /// Creates a permit that calls `allowed` before each change, from any thread.
    pub fn new(allowed: impl Fn() -> Result<(), BoxError> + Send + Sync + 'static) -> Self {
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
