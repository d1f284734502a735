//! Operations on a whole list of tensors: one call, and few kernels on a GPU.

use crate::ffi;
use contract::TorchError;
use tch::Tensor;

pub(crate) fn same_length(tensors: &[Tensor], others: &[&[Tensor]]) -> Result<(), TorchError> {
    match others.iter().find(|other| other.len() != tensors.len()) {
        None => Ok(()),
        Some(other) => Err(TorchError::new(&format!("{} parameters, but {} beside them", tensors.len(), other.len()))),
    }
}

/// Returns the Euclidean norm of all `tensors` taken as one vector: a scalar on their device. Takes at least one
/// tensor.
pub fn global_norm(tensors: &[Tensor]) -> Result<Tensor, TorchError> {
    let pointers = ffi::pointers(tensors);
    // SAFETY: an array of `tensors.len()` live tensors.
    ffi::made(|out| unsafe { ffi::oxiseg_global_norm(pointers.as_ptr(), pointers.len(), out) })
}

/// Moves each tensor of `into` towards its partner in `towards`, of the same shape and kind, by the share `weight` of
/// the way (libtorch's `_foreach_lerp_`): `into += weight * (towards - into)`. No gradient flows.
pub fn lerp(into: &[Tensor], towards: &[Tensor], weight: f64) -> Result<(), TorchError> {
    same_length(into, &[towards])?;
    let [a, b] = [into, towards].map(ffi::pointers);
    // SAFETY: two arrays of `into.len()` live tensors each.
    ffi::checked(unsafe { ffi::oxiseg_lerp(a.as_ptr(), b.as_ptr(), a.len(), weight) })
}

/// Copies each tensor of `from` into its partner in `into`, of the same shape (libtorch's `_foreach_copy_`). No
/// gradient flows.
pub fn copy(into: &[Tensor], from: &[Tensor]) -> Result<(), TorchError> {
    same_length(into, &[from])?;
    let [a, b] = [into, from].map(ffi::pointers);
    // SAFETY: two arrays of `into.len()` live tensors each.
    ffi::checked(unsafe { ffi::oxiseg_copy(a.as_ptr(), b.as_ptr(), a.len()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_global_norm_is_that_of_the_concatenation() {
        let [a, b] = [Tensor::from_slice(&[3f32, 0.0]), Tensor::from_slice(&[[4f32], [12.0]].concat()).reshape([2, 1])];
        assert_eq!(global_norm(&[a, b]).unwrap().double_value(&[]), 13.0);
        assert!(global_norm(&[]).is_err());
    }

    fn two() -> [Tensor; 2] {
        [Tensor::from_slice(&[0f32, 8.0]), Tensor::from(4f32)]
    }

    fn values(tensors: &[Tensor]) -> Vec<f32> {
        tensors.iter().flat_map(|tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap()).collect()
    }

    #[test]
    fn a_list_moves_by_a_share_of_the_way() {
        let (into, towards) = (two(), two().map(|tensor| tensor + 4.0));
        lerp(&into, &towards, 0.25).unwrap();
        assert_eq!(values(&into), [1.0, 9.0, 5.0]);
        assert_eq!(values(&towards), [4.0, 12.0, 8.0]);
        lerp(&[], &[], 0.5).unwrap();
        assert!(lerp(&into, &towards[1..], 0.5).is_err());
    }

    #[test]
    fn a_list_is_copied_in_place_and_without_a_graph() {
        let into = two().map(|tensor| tensor.set_requires_grad(true));
        let shared = into[0].shallow_clone();
        copy(&into, &two().map(|tensor| tensor + 1.0)).unwrap();
        assert_eq!(values(&into), [1.0, 9.0, 5.0]);
        assert_eq!(values(&[shared]), [1.0, 9.0]);
        assert!(into.iter().all(Tensor::is_leaf));
        copy(&[], &[]).unwrap();
        assert!(copy(&into, &two()[1..]).is_err());
    }
}
