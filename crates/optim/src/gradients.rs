//! Gradients of an update, on request.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::{TchError, Tensor};

/// One-shot request for the next update's gradients. Gradients exist only from the backward pass to the update, which
/// clears them, so they must be requested before. Clones share the request.
#[derive(Debug, Clone, Default)]
pub struct Gradients(Arc<Mutex<Asked>>);

#[derive(Debug, Default)]
enum Asked {
    #[default]
    Not,
    Yes,
    Answered(Vec<(String, Tensor)>),
}

impl Gradients {
    /// Requests the gradients of the next update. Gradients that were not taken yet are kept.
    pub fn ask(&self) {
        let mut asked = self.lock();
        if let Asked::Not = *asked {
            *asked = Asked::Yes;
        }
    }

    /// Takes the gradients of the update after [`ask`](Self::ask), by parameter name: averaged over accumulated
    /// batches, before clipping. Empty if there was no update since. Clears the request.
    pub fn take(&self) -> Vec<(String, Tensor)> {
        match std::mem::take(&mut *self.lock()) {
            Asked::Answered(gradients) => gradients,
            Asked::Not | Asked::Yes => Vec::new(),
        }
    }

    /// Returns true if the next update must answer.
    pub(crate) fn are_asked(&self) -> bool {
        matches!(*self.lock(), Asked::Yes)
    }

    /// Keeps the gradients, divided by `multiple` (scalar), if they were requested.
    pub(crate) fn answer(&self, names: &[String], gradients: &[Tensor], multiple: &Tensor) -> Result<(), TchError> {
        let mut asked = self.lock();
        if let Asked::Yes = *asked {
            let own = |(name, gradient): (&String, &Tensor)| Ok((name.clone(), gradient.f_div(multiple)?));
            *asked = Asked::Answered(names.iter().zip(gradients).map(own).collect::<Result<_, TchError>>()?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
