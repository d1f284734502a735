//! The gradients of an update, for whoever asked for them before it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::{TchError, Tensor};

/// A question to an optimizer, and its answer. Gradients live only from a backward pass to the update, which clears them: who wants
/// to see them asks first. Clones share the question.
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
    /// Asks for the gradients of the next update. An answer that nobody has taken yet stays.
    pub fn ask(&self) {
        let mut asked = self.lock();
        if let Asked::Not = *asked {
            *asked = Asked::Yes;
        }
    }

    /// The gradients of the update after [`ask`](Self::ask), by the names of the parameters: averaged over accumulated batches,
    /// before clipping. Empty where there was no update since. The question is forgotten.
    pub fn take(&self) -> Vec<(String, Tensor)> {
        match std::mem::take(&mut *self.lock()) {
            Asked::Answered(gradients) => gradients,
            Asked::Not | Asked::Yes => Vec::new(),
        }
    }

    /// Keeps the gradients, which are `multiple` (scalar) times too large, if they were asked for.
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
