//! A curve with a bounded number of points, for runs of any length.

/// Maximum number of points of a curve.
const LIMIT: usize = 2000;

/// Neighbouring values, merged to one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Position of the first value.
    pub x: f64,
    /// Mean of the values.
    pub mean: f64,
    /// Smallest value.
    pub min: f64,
    /// Greatest value.
    pub max: f64,
    /// Number of values.
    pub count: u64,
}

impl Point {
    fn merge(&mut self, next: &Self) {
        let count = self.count + next.count;
        self.mean += (next.mean - self.mean) * (next.count as f64 / count as f64);
        self.min = self.min.min(next.min);
        self.max = self.max.max(next.max);
        self.count = count;
    }
}

/// Values in order of arrival. At the limit, neighbours are merged pair by pair, so that all points but the last stand
/// for the same number of values.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    points: Vec<Point>,
    /// Number of values per point.
    width: u64,
    last: Option<f64>,
}

impl Default for Curve {
    fn default() -> Self {
        Self { points: Vec::new(), width: 1, last: None }
    }
}

impl Curve {
    /// Appends a value. A value that is not finite is remembered as the last one, but is not part of the curve.
    pub fn push(&mut self, x: f64, value: f64) {
        self.last = Some(value);
        if !(x.is_finite() && value.is_finite()) {
            return;
        }
        let point = Point { x, mean: value, min: value, max: value, count: 1 };
        match self.points.last_mut() {
            Some(last) if last.count < self.width => last.merge(&point),
            _ => {
                if self.points.len() == LIMIT {
                    self.halve();
                }
                self.points.push(point);
            }
        }
    }

    fn halve(&mut self) {
        let merged = self.points.chunks(2).map(|pair| {
            let mut point = pair[0];
            pair[1..].iter().for_each(|next| point.merge(next));
            point
        });
        self.points = merged.collect();
        self.width *= 2;
    }

    /// Returns the points, at most 2,000.
    pub fn points(&self) -> &[Point] {
        &self.points
    }

    /// Returns the last value, NaN included; `None` before the first.
    pub fn last(&self) -> Option<f64> {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_not_finite_is_remembered_but_not_drawn() {
        let mut curve = Curve::default();
        assert_eq!(curve.last(), None);
        curve.push(0.0, 1.0);
        curve.push(1.0, f64::NAN);
        assert!(curve.last().is_some_and(f64::is_nan));
        assert_eq!(curve.points(), [Point { x: 0.0, mean: 1.0, min: 1.0, max: 1.0, count: 1 }]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn merging_keeps_number_order_mean_and_extremes(seed in any::<u32>(), length in 1usize..9000) {
            let value = |i: usize| f64::from((i as u32).wrapping_mul(2_654_435_761) ^ seed) / 1e6;
            let mut curve = Curve::default();
            (0..length).for_each(|i| curve.push(i as f64, value(i)));
            let points = curve.points();
            prop_assert!(points.len() <= LIMIT && (length <= LIMIT || points.len() >= LIMIT / 2));
            prop_assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), length as u64);
            let mut from = 0;
            for (place, point) in points.iter().enumerate() {
                let run: Vec<f64> = (from..from + point.count as usize).map(value).collect();
                prop_assert!(place + 1 == points.len() || point.count == points[0].count);
                prop_assert_eq!(point.x, from as f64);
                prop_assert_eq!(point.min, run.iter().copied().fold(f64::INFINITY, f64::min));
                prop_assert_eq!(point.max, run.iter().copied().fold(f64::NEG_INFINITY, f64::max));
                let mean = run.iter().sum::<f64>() / run.len() as f64;
                prop_assert!((point.mean - mean).abs() <= 1e-9 * mean.abs().max(1.0));
                from += run.len();
            }
        }
    }
}
