//! Values of tensors, as ONNX takes them.

use tch::{Kind, TchError, Tensor};

/// Returns the values of a tensor as f32, in order.
pub fn numbers(tensor: &Tensor) -> Result<Vec<f32>, TchError> {
    let flat = tensor.f_to_kind(Kind::Float)?.f_contiguous()?.f_view(-1)?;
    Vec::try_from(flat)
}
