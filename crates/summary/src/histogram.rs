//! Histograms with TensorFlow's buckets.

use std::sync::LazyLock;
use tensorboard_proto::summary::HistogramProto;

/// TensorFlow's convention: the smallest and the largest limit above zero, and the ratio of successive limits.
const SMALLEST: f64 = 1e-12;
const LARGEST: f64 = 1e20;
const GROWTH: f64 = 1.1;

/// Upper limits of all buckets, ascending; a bucket begins at the limit of the one before it.
static LIMITS: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let above: Vec<f64> = std::iter::successors(Some(SMALLEST), |limit| Some(limit * GROWTH))
        .take_while(|limit| *limit < LARGEST)
        .chain([f64::MAX])
        .collect();
    let below = above.iter().rev().map(|limit| -limit);
    below.chain([0.0]).chain(above.iter().copied()).collect()
});

/// Distribution of many values, in a few hundred numbers.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Histogram {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
    /// Number of values.
    pub num: f64,
    /// Sum of the values.
    pub sum: f64,
    /// Sum of their squares.
    pub sum_squares: f64,
    /// Upper limit and number of values of each bucket, ascending. A value equal to a limit belongs to the next bucket.
    /// The last limit may be infinite.
    pub buckets: Vec<(f64, f64)>,
}

impl Histogram {
    /// Returns the histogram of the finite values among `values`. Each bucket limit is a tenth larger than the one
    /// before, so that small values are resolved as well as large ones.
    pub fn of(values: &[f32]) -> Self {
        let mut counts = vec![0u64; LIMITS.len()];
        let mut all = Self { min: f64::INFINITY, max: f64::NEG_INFINITY, ..Self::default() };
        for value in values.iter().filter(|value| value.is_finite()).map(|value| f64::from(*value)) {
            counts[LIMITS.partition_point(|limit| *limit <= value)] += 1;
            all.min = all.min.min(value);
            all.max = all.max.max(value);
            all.num += 1.0;
            all.sum += value;
            all.sum_squares += value * value;
        }
        if all.num == 0.0 {
            return Self::default();
        }
        let mut buckets: Vec<(f64, f64)> = Vec::new();
        for (limit, count) in LIMITS.iter().zip(counts) {
            match buckets.last_mut() {
                // Merge consecutive empty buckets.
                Some((last, 0.0)) if count == 0 => *last = *limit,
                None if count == 0 => (),
                _ => buckets.push((*limit, count as f64)),
            }
        }
        buckets.pop_if(|(_, count)| *count == 0.0);
        Self { buckets, ..all }
    }

    pub(crate) fn proto(&self) -> HistogramProto {
        let mut proto = HistogramProto::new();
        proto.set_min(self.min);
        proto.set_max(self.max);
        proto.set_num(self.num);
        proto.set_sum(self.sum);
        proto.set_sum_squares(self.sum_squares);
        proto.set_bucket_limit(self.buckets.iter().map(|(limit, _)| *limit).collect());
        proto.set_bucket(self.buckets.iter().map(|(_, count)| *count).collect());
        proto
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn limits_are_those_of_tensorflow() {
        // reference/buckets.py printed them.
        assert_eq!(LIMITS.len(), 1551);
        assert!(LIMITS.is_sorted());
        assert_eq!(LIMITS[774..=777], [-1e-12, 0.0, 1e-12, 1.100_000_000_000_000_2e-12]);
        assert_eq!(LIMITS[1549], 9.920_775_621_859_783e19);
    }

    #[test]
    fn nothing_finite_is_an_empty_histogram() {
        assert_eq!(Histogram::of(&[]), Histogram::default());
        assert_eq!(Histogram::of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]), Histogram::default());
    }

    #[test]
    fn empty_buckets_in_a_row_are_one_and_there_are_none_at_the_ends() {
        let histogram = Histogram::of(&[0.0, 1.0, f32::NAN, 1.0, -f32::MAX]);
        let counts: Vec<f64> = histogram.buckets.iter().map(|(_, count)| *count).collect();
        assert_eq!(counts, [1.0, 0.0, 1.0, 0.0, 2.0]);
        assert_eq!((histogram.num, histogram.min, histogram.max), (4.0, f64::from(-f32::MAX), 1.0));
        assert_eq!(histogram.buckets[2].0, 1e-12);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]
        #[test]
        fn every_value_is_in_the_bucket_of_its_limits(values in prop::collection::vec(any::<f32>(), 1..200)) {
            let finite: Vec<f64> = values.iter().filter(|v| v.is_finite()).map(|v| f64::from(*v)).collect();
            let histogram = Histogram::of(&values);
            prop_assert_eq!(histogram.num, finite.len() as f64);
            let mut from = f64::NEG_INFINITY;
            for (limit, count) in &histogram.buckets {
                let within = finite.iter().filter(|value| (from..*limit).contains(value)).count();
                prop_assert_eq!(within as f64, *count);
                from = *limit;
            }
        }
    }
}
