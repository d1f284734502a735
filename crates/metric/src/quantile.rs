//! Quantiles of values.

/// Returns the quantile `q`, from 0 to 1, with linear interpolation between neighbours, as NumPy and PyTorch do by
/// default. Sorts the values; NaN without any.
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return f64::NAN };
    let place = q.clamp(0.0, 1.0) * last as f64;
    let (below, above) = (values[place.floor() as usize], values[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let mut values = [4.0, 1.0, 3.0, 2.0];
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|q| quantile(&mut values, q)), [1.0, 2.5, 3.0 + 0.95 * 3.0 - 2.0, 4.0]);
        assert_eq!(quantile(&mut [7.0], 0.3), 7.0);
        assert!(quantile(&mut [], 0.5).is_nan());
    }
}
