//! Checks in the raw bytes that floats are finite: a few instructions on the way to the file, without libtorch.

use safetensors::tensor::Dtype;

/// States that hold what was measured or refused, and may hold NaN. In all others one NaN spoils all that comes after.
const MEASURED: [&str; 2] = ["metric", "batch"];

/// The states of oxiseg itself that must be finite to the last value.
const LEARNT: [&str; 3] = ["model", "optimizer", "average"];

/// Returns whether all floats of a tensor of `state` with so many values must be finite. A single value of somebody
/// else's state may be a bound that nothing has reached yet, such as the best loss so far.
pub fn required(state: &str, values: usize) -> bool {
    LEARNT.contains(&state) || !MEASURED.contains(&state) && values > 1
}

/// A float is NaN or infinity if and only if all bits of its exponent are 1 (IEEE 754, section 3.4; bfloat16 alike).
/// Then, and only then, adding 1 to the exponent carries into the sign bit. The carries are OR-ed over all values
/// without a branch, which a compiler can vectorise.
macro_rules! all {
    ($bytes:expr, $bits:ty, $exponent:expr) => {{
        const EXPONENT: $bits = $exponent;
        const ONE: $bits = 1 << EXPONENT.trailing_zeros();
        let carry = |value: &[u8; size_of::<$bits>()]| (<$bits>::from_ne_bytes(*value) & EXPONENT) + ONE;
        let (values, _) = $bytes.as_chunks::<{ size_of::<$bits>() }>();
        values.iter().fold(0, |gathered, value| gathered | carry(value)).leading_zeros() > 0
    }};
}

/// Returns true if all values of `bytes` are finite. Integers always are.
pub fn all(dtype: Dtype, bytes: &[u8]) -> bool {
    match dtype {
        Dtype::F64 => all!(bytes, u64, 0x7ff0_0000_0000_0000),
        Dtype::F32 => all!(bytes, u32, 0x7f80_0000),
        Dtype::F16 => all!(bytes, u16, 0x7c00),
        Dtype::BF16 => all!(bytes, u16, 0x7f80),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns 100 values, `bits` at `place` and `one` elsewhere, as little-endian bytes cut to `width`.
    fn among_ones(one: u64, bits: u64, width: usize, place: usize) -> Vec<u8> {
        let value = |i| if i == place { bits } else { one };
        (0..100).flat_map(|i| u64::to_le_bytes(value(i))[..width].to_vec()).collect()
    }

    #[test]
    fn the_edges_of_every_kind_are_told_apart() {
        // The kind, its width, and the bits of one, of the largest finite value and of infinity.
        let kinds = [
            (Dtype::F64, 8, 1f64.to_bits(), f64::MAX.to_bits(), f64::INFINITY.to_bits()),
            (Dtype::F32, 4, 1f32.to_bits().into(), f32::MAX.to_bits().into(), f32::INFINITY.to_bits().into()),
            (Dtype::F16, 2, 0x3c00, 0x7bff, 0x7c00),
            (Dtype::BF16, 2, 0x3f80, 0x7f7f, 0x7f80),
        ];
        for (dtype, width, one, largest, infinity) in kinds {
            let sign = 1 << (8 * width - 1);
            let finite = [0, sign, 1, sign | 1, largest, sign | largest];
            // Both infinities, and NaNs with the smallest and the largest mantissa.
            let not = [infinity, sign | infinity, infinity | 1, sign - 1, sign | (sign - 1)];
            for place in [0, 1, 50, 99] {
                for bits in finite {
                    assert!(all(dtype, &among_ones(one, bits, width, place)), "{dtype:?} {bits:#x} at {place}");
                }
                for bits in not {
                    assert!(!all(dtype, &among_ones(one, bits, width, place)), "{dtype:?} {bits:#x} at {place}");
                }
            }
            assert!(all(dtype, &[]));
        }
        assert!(all(Dtype::I64, &[255; 16]));
    }

    #[test]
    fn every_half_float_is_judged_as_its_value_is() {
        for bits in 0..=u16::MAX {
            let value = f32::from_bits(u32::from(bits) << 16);
            assert_eq!(all(Dtype::BF16, &bits.to_ne_bytes()), value.is_finite(), "{bits:#x}");
        }
    }
}
