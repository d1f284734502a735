//! Record of a step: the memory that it uses, and its operators.

use crate::ffi;
use contract::TorchError;
use std::ffi::CStr;
use std::marker::PhantomData;
use std::ptr::NonNull;
use tch::Tensor;

/// Watch on the runs of one step. Memory that a run uses and did not make stays allocated as long as this lives: a
/// replay uses it again.
#[derive(Debug)]
pub(crate) struct Trace(NonNull<ffi::CTrace>);

impl Trace {
    pub(crate) fn new() -> Result<Self, TorchError> {
        // SAFETY: the shim writes a trace that we own, or fails.
        ffi::owned(|out| unsafe { ffi::oxiseg_new_trace(out) }).map(Self)
    }

    /// Watches the operators of this thread, and those of the backward passes that it asks for, while the guard lives.
    /// `lines` are kept if they are wanted. One watch at a time in a process.
    pub(crate) fn watch(&self, lines: bool) -> Result<Watch<'_>, TorchError> {
        let mut handle = 0;
        // SAFETY: a live trace and a pointer to a live integer.
        ffi::checked(unsafe { ffi::oxiseg_start_trace(self.0.as_ptr(), lines.into(), &mut handle) })?;
        Ok(Watch { trace: PhantomData, handle, this_thread: PhantomData })
    }

    /// Returns a line for each operator of the last run: its name and arguments. Memory that was there before the run
    /// has its address.
    pub(crate) fn lines(&self) -> Vec<String> {
        // SAFETY: a NUL-terminated string of the trace, which changes only while it is watched.
        let text = unsafe { CStr::from_ptr(ffi::oxiseg_trace_lines(self.0.as_ptr())) }.to_string_lossy();
        text.lines().map(String::from).collect()
    }

    /// Returns true if the memory of `tensor` was there before the step and has been used by it.
    pub(crate) fn was_outside(&self, tensor: &Tensor) -> bool {
        // SAFETY: a live trace and tensor.
        unsafe { ffi::oxiseg_was_outside(self.0.as_ptr(), tensor.as_ptr()) != 0 }
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        // SAFETY: made by the shim, and no watch outlives it.
        unsafe { ffi::oxiseg_free_trace(self.0.as_ptr()) };
    }
}

/// Guard of a watch.
pub(crate) struct Watch<'t> {
    trace: PhantomData<&'t Trace>,
    handle: u64,
    /// libtorch keeps the observer per thread.
    this_thread: PhantomData<*const ()>,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        // SAFETY: removes what `watch` has added, on the same thread.
        unsafe { ffi::oxiseg_stop_trace(self.handle) };
    }
}

/// Makes tests run one after another that watch a step, draw, or recompute, which sets the random generator back: a
/// process has one watch and one generator.
#[cfg(test)]
pub(crate) fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_line_has_the_arguments_and_the_address_of_what_was_there() {
        let _alone = alone();
        let x = Tensor::ones([2, 3], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let trace = Trace::new().unwrap();
        let watch = trace.watch(true).unwrap();
        assert!(trace.watch(false).is_err(), "one at a time");
        let y = &x * 0.1f64;
        let z = Tensor::cat(&[&y, &x], 0);
        z.sum(Kind::Float).backward();
        drop(watch);
        let lines = trace.lines();
        let of_x = format!("Float[2, 3]@{:?}", x.data_ptr());
        assert_eq!(lines[0], format!("aten::mul({of_x}, 0.10000000000000001)"));
        let of_cat = format!("aten::cat([Float[2, 3] {of_x} ], 0)");
        assert!(lines.contains(&of_cat), "{lines:?}");
        assert!(lines.iter().any(|line| line.starts_with("aten::expand(Float[]")), "the backward pass: {lines:?}");
        assert!(trace.was_outside(&x) && trace.was_outside(&x.narrow(0, 0, 1)) && !trace.was_outside(&y));
    }

    #[test]
    fn memory_that_was_used_stays_as_long_as_the_trace() {
        let _alone = alone();
        let trace = Trace::new().unwrap();
        let x = Tensor::full([4096], 5.0, (Kind::Float, Device::Cpu));
        let at = x.data_ptr();
        let watch = trace.watch(false).unwrap();
        let _ = x.relu();
        drop((watch, x));
        let others: Vec<Tensor> = (0..64).map(|_| Tensor::zeros([4096], (Kind::Float, Device::Cpu))).collect();
        assert!(others.iter().all(|other| other.data_ptr() != at));
        assert!(trace.lines().is_empty());
        drop(trace);
    }

    #[test]
    fn what_an_operator_keeps_inside_another_for_the_backward_pass_is_of_the_step() {
        let _alone = alone();
        let x = (Tensor::arange(24, (Kind::Float, Device::Cpu)).reshape([2, 3, 2, 2]) / 9.0).set_requires_grad(true);
        let targets = Tensor::ones([2, 2, 2], (Kind::Int64, Device::Cpu));
        let trace = Trace::new().unwrap();
        let lines = [(); 2].map(|()| {
            let watch = trace.watch(true).unwrap();
            // It calls log_softmax and nll_loss.
            x.cross_entropy_loss::<Tensor>(&targets, None, tch::Reduction::Mean, 255, 0.0).backward();
            x.shallow_clone().zero_grad();
            drop(watch);
            trace.lines()
        });
        let [first, second] =
            lines.map(|lines| lines.into_iter().find(|line| line.starts_with("aten::nll_loss2d_backward(")).unwrap());
        assert!(first.contains("Float[2, 3, 2, 2], Long[2, 2, 2]@"), "{first}");
        assert_eq!(first, second);
    }
}
