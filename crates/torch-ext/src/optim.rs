//! Update rules of optimizers: one call updates every parameter, on CPU and GPU alike.
//!
//! All of them divide the gradients by `grad_scale` (scalar f32, on the device) before they use them, and leave
//! parameters and state alone where `found_inf` (scalar f32, on the device) is 1: clipping, averaging and the check for
//! infinities need no trip to the host.

use crate::ffi;
use crate::lists::same_length;
use contract::TorchError;
use tch::Tensor;

/// Settings of an Adam update.
#[derive(Debug, Clone, Copy)]
pub struct Adam<'t> {
    /// Step size; see [`Sgd`].
    pub learning_rate: &'t Tensor,
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay: added to the gradient, or subtracted from the weights if `decoupled`.
    pub weight_decay: f64,
    /// Selects AdamW.
    pub decoupled: bool,
}

/// Settings of an SGD update.
#[derive(Debug, Clone, Copy)]
pub struct Sgd<'t> {
    /// Step size: a scalar f32 on the parameters' device, or f64 on a CPU. The kernel of a GPU reads it where it lies,
    /// so that a replay finds that of its own step.
    pub learning_rate: &'t Tensor,
    /// Decay of the velocity; 0 for none.
    pub momentum: f64,
    /// Weight decay, added to the gradient.
    pub weight_decay: f64,
    /// Enables Nesterov's look-ahead.
    pub nesterov: bool,
}

/// Settings of a Lion update.
#[derive(Debug, Clone, Copy)]
pub struct Lion<'t> {
    /// Step size; see [`Sgd`].
    pub learning_rate: &'t Tensor,
    /// Share of the momentum in the sign of the update.
    pub beta1: f64,
    /// Decay of the momentum.
    pub beta2: f64,
    /// Weight decay, subtracted from the weights.
    pub weight_decay: f64,
}

/// Kernel of Adam's form: that of Adam itself, or RAdam's.
type AdamKernel = unsafe extern "C" fn(
    *const ffi::Ptr,
    *const ffi::Ptr,
    *const ffi::Ptr,
    *const ffi::Ptr,
    usize,
    ffi::Ptr,
    std::ffi::c_int,
    ffi::Ptr,
    f64,
    f64,
    f64,
    f64,
    ffi::Ptr,
    ffi::Ptr,
) -> std::ffi::c_int;

/// Calls a kernel of the shim that takes the arguments of Adam.
fn adam_step(
    kernel: AdamKernel,
    params: &[Tensor],
    grads: &[Tensor],
    [first, second]: [&[Tensor]; 2],
    step: &Tensor,
    adam: Adam<'_>,
    [grad_scale, found_inf]: [Option<&Tensor>; 2],
) -> Result<(), TorchError> {
    same_length(params, &[grads, first, second])?;
    let [p, g, m, v] = [params, grads, first, second].map(ffi::pointers);
    // SAFETY: the kernel is one of the shim's. Four arrays of `params.len()` live tensors each, two live
    // tensors, and two live tensors or nulls.
    ffi::checked(unsafe {
        kernel(
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            v.as_ptr(),
            params.len(),
            step.as_ptr(),
            adam.decoupled.into(),
            adam.learning_rate.as_ptr(),
            adam.beta1,
            adam.beta2,
            adam.weight_decay,
            adam.epsilon,
            ffi::maybe(grad_scale),
            ffi::maybe(found_inf),
        )
    })
}

/// Makes one step of Adam or AdamW (libtorch's `_fused_adam_`, `_fused_adamw_`). `step` (scalar f32) counts from 1.
#[expect(clippy::too_many_arguments, reason = "the kernel's own list")]
pub fn fused_adam(
    params: &[Tensor],
    grads: &[Tensor],
    first: &[Tensor],
    second: &[Tensor],
    step: &Tensor,
    adam: Adam<'_>,
    grad_scale: Option<&Tensor>,
    found_inf: Option<&Tensor>,
) -> Result<(), TorchError> {
    adam_step(ffi::oxiseg_fused_adam, params, grads, [first, second], step, adam, [grad_scale, found_inf])
}

/// Makes one step of SGD (libtorch's `_fused_sgd_`). Velocities start at zero; they are ignored where `momentum` is 0.
pub fn fused_sgd(
    params: &[Tensor],
    grads: &[Tensor],
    velocities: &[Tensor],
    sgd: Sgd<'_>,
    grad_scale: Option<&Tensor>,
    found_inf: Option<&Tensor>,
) -> Result<(), TorchError> {
    same_length(params, &[grads])?;
    let [p, g, v] = [params, grads, velocities].map(ffi::pointers);
    let velocities = if sgd.momentum == 0.0 {
        std::ptr::null()
    } else {
        same_length(params, &[velocities])?;
        v.as_ptr()
    };
    // SAFETY: arrays of `params.len()` live tensors each, or null, a live tensor, and two live tensors or nulls.
    ffi::checked(unsafe {
        ffi::oxiseg_fused_sgd(
            p.as_ptr(),
            g.as_ptr(),
            velocities,
            params.len(),
            sgd.learning_rate.as_ptr(),
            sgd.momentum,
            sgd.weight_decay,
            sgd.nesterov.into(),
            ffi::maybe(grad_scale),
            ffi::maybe(found_inf),
        )
    })
}

/// Makes one step of RAdam (Liu et al., 2020) with the numbers of `torch.optim.RAdam`, over libtorch's operators for
/// lists of tensors. `step` (scalar f32) counts from 1.
#[expect(clippy::too_many_arguments, reason = "the list of a fused kernel")]
pub fn radam(
    params: &[Tensor],
    grads: &[Tensor],
    first: &[Tensor],
    second: &[Tensor],
    step: &Tensor,
    adam: Adam<'_>,
    grad_scale: Option<&Tensor>,
    found_inf: Option<&Tensor>,
) -> Result<(), TorchError> {
    adam_step(ffi::oxiseg_radam, params, grads, [first, second], step, adam, [grad_scale, found_inf])
}

/// Makes one step of Lion (Chen et al., 2023), over libtorch's operators for lists of tensors. Momenta start at zero.
pub fn lion(
    params: &[Tensor],
    grads: &[Tensor],
    momenta: &[Tensor],
    lion: Lion<'_>,
    grad_scale: Option<&Tensor>,
    found_inf: Option<&Tensor>,
) -> Result<(), TorchError> {
    same_length(params, &[grads, momenta])?;
    let [p, g, m] = [params, grads, momenta].map(ffi::pointers);
    // SAFETY: three arrays of `params.len()` live tensors each, a live tensor, and two live tensors or nulls.
    ffi::checked(unsafe {
        ffi::oxiseg_lion(
            p.as_ptr(),
            g.as_ptr(),
            m.as_ptr(),
            params.len(),
            lion.learning_rate.as_ptr(),
            lion.beta1,
            lion.beta2,
            lion.weight_decay,
            ffi::maybe(grad_scale),
            ffi::maybe(found_inf),
        )
    })
}

/// Sets the gradient of `tensor` to `grad`.
pub fn set_grad(tensor: &Tensor, grad: &Tensor) -> Result<(), TorchError> {
    // SAFETY: two live tensors.
    ffi::checked(unsafe { ffi::oxiseg_set_grad(tensor.as_ptr(), grad.as_ptr()) })
}

/// Removes the gradient of `tensor`, so that the next backward pass writes it instead of adding to it.
pub fn clear_grad(tensor: &Tensor) -> Result<(), TorchError> {
    // SAFETY: a live tensor; null stands for no gradient.
    ffi::checked(unsafe { ffi::oxiseg_set_grad(tensor.as_ptr(), std::ptr::null()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn gradients_are_set_and_cleared() {
        let x = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        set_grad(&x, &Tensor::from_slice(&[1f32, 2.0])).unwrap();
        (&x * 10.0).sum(Kind::Float).backward();
        assert_eq!(Vec::<f32>::try_from(x.grad()).unwrap(), [11.0, 12.0]);
        clear_grad(&x).unwrap();
        assert!(!x.grad().defined());
    }

    #[test]
    fn lists_of_different_length_are_refused_before_the_kernel_sees_them() {
        let one = [Tensor::from(1f32)];
        let sgd = Sgd { learning_rate: &Tensor::from(0.1f64), momentum: 0.9, weight_decay: 0.0, nesterov: false };
        let error = fused_sgd(&one, &one, &[], sgd, None, None).unwrap_err();
        assert_eq!(error.to_string(), "libtorch: 1 parameters, but 0 beside them");
    }

    #[test]
    fn rules_over_lists_refuse_what_does_not_fit_and_wait_for_no_device() {
        let rate = Tensor::from(0.1f64);
        let kernel = Lion { learning_rate: &rate, beta1: 0.9, beta2: 0.99, weight_decay: 0.1 };
        let ones = |size: i64| [Tensor::ones([size], (Kind::Float, Device::Cpu))];
        for (gradients, momenta, says) in [
            (ones(3), ones(2), "a gradient must have the size"),
            (ones(2), ones(3), "an optimizer's state must have the size"),
        ] {
            let said = lion(&ones(2), &gradients, &momenta, kernel, None, None).unwrap_err().to_string();
            assert!(said.contains(says), "{said}");
        }
        let half = Tensor::from(0.5f64);
        let said = lion(&ones(2), &ones(2), &ones(2), kernel, Some(&half), None).unwrap_err().to_string();
        assert!(said.contains("the scale must be one f32"), "{said}");

        let adam =
            Adam { learning_rate: &rate, beta1: 0.9, beta2: 0.9, epsilon: 1e-8, weight_decay: 0.1, decoupled: false };
        let (step, scale, found) = (Tensor::from(1f32), Tensor::from(2f32), Tensor::from(0f32));
        let reads = crate::Reads::watch().unwrap();
        let [p, g, m, v] = [(); 4].map(|()| ones(2));
        radam(&p, &g, &m, &v, &step, adam, Some(&scale), Some(&found)).unwrap();
        lion(&p, &g, &m, kernel, Some(&scale), Some(&found)).unwrap();
        assert_eq!(reads.count(), 0);
    }
}
