//! Parts of a network that the backward pass can recompute.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::Tensor;
use torch_ext as ext;

/// State that a part of a network changes by itself in training.
pub(crate) trait Buffers {
    /// Returns the running statistics of all BatchNorms within.
    fn buffers(&self) -> Vec<Tensor>;
}

/// A part of a network that a backward pass may run once more; until then the graph owns it too. (Two threads never run
/// it at once; the lock makes that safe to claim.)
#[derive(Debug)]
pub(crate) struct Part<T>(Arc<Mutex<T>>);

impl<T: Buffers + Debug + Send + 'static> Part<T> {
    pub(crate) fn new(part: T) -> Self {
        Self(Arc::new(Mutex::new(part)))
    }

    /// Calls `run` with the part and the `inputs`. With `recompute` only the inputs are kept for the backward pass,
    /// otherwise all intermediate activations.
    ///
    /// # Panics
    ///
    /// Panics if libtorch reports an error, as every tch module does.
    pub(crate) fn run<const N: usize>(
        &self,
        recompute: bool,
        inputs: [&Tensor; N],
        run: impl Fn(&T, [&Tensor; N]) -> Tensor + Send + 'static,
    ) -> Tensor {
        if !recompute {
            return run(&self.lock(), inputs);
        }
        let (again, buffers) = (Self(Arc::clone(&self.0)), self.lock().buffers());
        let y = ext::recomputed(&inputs.map(Tensor::shallow_clone), &buffers, move |inputs| {
            run(&again.lock(), std::array::from_fn(|number| &inputs[number]))
        });
        y.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns what `look` sees of the part.
    pub(crate) fn look<R>(&self, look: impl FnOnce(&T) -> R) -> R {
        look(&self.lock())
    }

    /// Locks the part, also after a panic: a part holds only tensors, so a panic leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
