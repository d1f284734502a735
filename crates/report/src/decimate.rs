//! Decimation of curves for drawing.

/// Returns the indices of at most `most` of the `values` (but at least five) that preserve the shape of the curve: the
/// first, the last, and from each of equally long stretches its minimum, its maximum and one missing value.
pub(crate) fn places(values: &[Option<f64>], most: usize) -> Vec<usize> {
    if values.len() <= most.max(5) {
        return (0..values.len()).collect();
    }
    let stretches = (most.max(5) - 2) / 3;
    let inner = values.len() - 2;
    let mut places = vec![0];
    for stretch in 0..stretches {
        let range = 1 + stretch * inner / stretches..1 + (stretch + 1) * inner / stretches;
        let known = || range.clone().filter_map(|place| Some((place, values[place]?)));
        let least = known().min_by(|a, b| a.1.total_cmp(&b.1));
        let most = known().max_by(|a, b| a.1.total_cmp(&b.1));
        let missing = range.clone().find(|place| values[*place].is_none());
        let mut found: Vec<usize> = least.into_iter().chain(most).map(|(place, _)| place).chain(missing).collect();
        found.sort_unstable();
        found.dedup();
        places.extend(found);
    }
    places.push(values.len() - 1);
    places
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_single_spike_and_a_single_gap_among_100_000_steps_stay() {
        let mut values: Vec<Option<f64>> = (0..100_000).map(|step| Some((step as f64).recip())).collect();
        values[0] = Some(1.0);
        values[77_777] = Some(50.0);
        values[33_333] = Some(-50.0);
        values[55_555] = None;
        let kept = places(&values, 2000);
        assert!(kept.len() <= 2000 && kept.len() > 1000, "{}", kept.len());
        for place in [0, 33_333, 55_555, 77_777, 99_999] {
            assert!(kept.contains(&place), "{place}");
        }
    }

    proptest! {
        #[test]
        fn the_extremes_stay_in_order_and_there_are_never_too_many(
            values in prop::collection::vec(prop::option::weighted(0.9, -1e6..1e6f64), 0..600),
            most in 5..100usize,
        ) {
            let kept = places(&values, most);
            prop_assert!(kept.len() <= most);
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            prop_assert_eq!(kept.first(), (!values.is_empty()).then_some(&0));
            prop_assert_eq!(kept.last().map(|last| last + 1), (!values.is_empty()).then_some(values.len()));
            let extremes = |values: &mut dyn Iterator<Item = Option<f64>>| {
                values.fold((f64::INFINITY, f64::NEG_INFINITY, false), |(least, most, gap), value| match value {
                    Some(value) => (value.min(least), value.max(most), gap),
                    None => (least, most, true),
                })
            };
            let of_kept = extremes(&mut kept.iter().map(|place| values[*place]));
            prop_assert_eq!(of_kept, extremes(&mut values.iter().copied()));
        }
    }
}
