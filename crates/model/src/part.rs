//! Parts of a network whose activations training need not keep.

use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tch::Tensor;
use torch_ext as ext;

/// What a part of a network changes by itself in training.
pub(crate) trait Buffers {
    /// The running statistics of all BatchNorms within.
    fn buffers(&self) -> Vec<Tensor>;
}

/// A part of a network that a backward pass may run once more: until then the graph owns it too. (It is never run by two threads at
/// once; the lock is what makes that safe to say.)
#[derive(Debug)]
pub(crate) struct Part<T>(Arc<Mutex<T>>);

impl<T: Buffers + Debug + Send + 'static> Part<T> {
    pub(crate) fn new(part: T) -> Self {
        Self(Arc::new(Mutex::new(part)))
    }

    /// What `run` makes of the part and of `inputs`. With `recompute` only these are kept for the backward pass, else all that is
    /// computed on the way.
    ///
    /// # Panics
    ///
    /// Where libtorch reports an error, as every tch module does.
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

    /// A panic half-way leaves nothing half-done in a part: what it holds is tensors.
    fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
