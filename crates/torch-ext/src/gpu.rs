//! Properties of a GPU, and its memory.

use crate::{cuda_index, ffi};
use contract::TorchError;
use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use tch::Device;

/// A GPU and the software that drives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// Its name, such as `NVIDIA H100 80GB HBM3`.
    pub name: Option<String>,
    /// Version of the driver, such as `580.65.06`.
    pub driver: Option<String>,
    /// Newest version of CUDA that the driver knows, such as `13.0`.
    pub cuda: Option<String>,
    /// Version of cuDNN, such as `9.19.0`.
    pub cudnn: Option<String>,
    /// Compute capability, such as `9.0`.
    pub capability: Option<String>,
    /// Memory in bytes.
    pub memory: u64,
    /// Memory that no process has taken, in bytes.
    pub free: u64,
}

impl Gpu {
    /// Returns the properties of `device`, or `None` if it is not a GPU.
    ///
    /// # Errors
    ///
    /// Fails if there is no such GPU.
    pub fn of(device: Device) -> Result<Option<Self>, TorchError> {
        if !device.is_cuda() {
            return Ok(None);
        }
        // SAFETY: numbers and arrays of numbers may be zero.
        let mut found: ffi::CGpu = unsafe { MaybeUninit::zeroed().assume_init() };
        // SAFETY: a pointer to a live struct of the shim's layout.
        ffi::checked(unsafe { ffi::oxiseg_gpu(cuda_index(device), &mut found) })?;
        let dotted =
            |known: bool, parts: &[i64]| known.then(|| parts.iter().map(i64::to_string).collect::<Vec<_>>().join("."));
        let (cuda, cudnn) = (i64::from(found.cuda), found.cudnn);
        Ok(Some(Self {
            name: text(&found.name),
            driver: text(&found.driver),
            cuda: dotted(cuda > 0, &[cuda / 1000, cuda % 1000 / 10]),
            cudnn: dotted(cudnn > 0, &cudnn_version(cudnn)),
            capability: dotted(found.major > 0, &[found.major.into(), found.minor.into()]),
            memory: found.total,
            free: found.free,
        }))
    }
}

/// Limits the memory that this process takes of each GPU to a `fraction` of all that the GPU has. To be called before
/// the first tensor is on a GPU, and before [`Gpu::of`].
///
/// # Errors
///
/// Fails if there is no GPU, if one has been used, or if `fraction` is not above 0 and at most 1.
pub fn memory_fraction(fraction: f64) -> Result<(), TorchError> {
    // SAFETY: changes a setting of libtorch's allocator.
    ffi::checked(unsafe { ffi::oxiseg_memory_fraction(fraction) })
}

/// Splits cuDNN's number: 91900 is 9.19.0, and until version 9 8907 was 8.9.7.
fn cudnn_version(number: i64) -> [i64; 3] {
    let major = if number >= 90_000 { 10_000 } else { 1000 };
    [number / major, number % major / 100, number % 100]
}

fn text(chars: &[c_char]) -> Option<String> {
    let bytes: Vec<u8> = chars.iter().map(|char| char.to_ne_bytes()[0]).collect();
    let text = CStr::from_bytes_until_nul(&bytes).ok()?.to_string_lossy().into_owned();
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cpu_is_no_gpu_and_a_missing_gpu_is_an_error() {
        assert_eq!(Gpu::of(Device::Cpu).unwrap(), None);
        let error = Gpu::of(Device::Cuda(120)).unwrap_err();
        assert_eq!(error.to_string(), "libtorch: there is no GPU 120");
    }

    #[test]
    fn a_share_of_memory_needs_a_gpu_and_a_share() {
        for (fraction, said) in [(0.0, "must be above 0"), (1.5, "is 1.5"), (f64::NAN, "must be above 0")] {
            let error = memory_fraction(fraction).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
        assert!(tch::Cuda::is_available() || memory_fraction(0.5).is_err());
    }

    #[test]
    fn versions_and_texts_are_read() {
        assert_eq!([cudnn_version(91_900), cudnn_version(8907)], [[9, 19, 0], [8, 9, 7]]);
        let chars = |text: &[u8]| text.iter().map(|byte| c_char::from_ne_bytes([*byte])).collect::<Vec<_>>();
        assert_eq!(text(&chars(b"NVIDIA\0rest")), Some("NVIDIA".into()));
        assert_eq!((text(&chars(b"\0")), text(&chars(b"endless"))), (None, None));
    }
}
