//! Scores of a confusion matrix.

use contract::Scores;

/// Confusion matrix in pixels: `K` rows of targets, `K` columns of predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Confusion {
    classes: usize,
    counts: Vec<i64>,
}

impl Confusion {
    /// Creates a matrix from its rows in order: `classes * classes` counts; missing ones are 0.
    pub fn new(classes: usize, counts: &[i64]) -> Self {
        let mut counts = counts.to_vec();
        counts.resize(classes * classes, 0);
        Self { classes, counts }
    }

    /// Returns the number of pixels of class `target` that were predicted as class `predicted`.
    pub fn count(&self, target: usize, predicted: usize) -> i64 {
        self.counts[target * self.classes + predicted]
    }

    /// Returns the number of all counted pixels.
    pub fn pixels(&self) -> i64 {
        self.counts.iter().sum()
    }

    /// Returns the fraction of pixels with the correct class (Keras' SparseCategoricalAccuracy); NaN if none was
    /// counted.
    pub fn accuracy(&self) -> f64 {
        let right: i64 = (0..self.classes).map(|k| self.count(k, k)).sum();
        right as f64 / self.pixels() as f64
    }

    /// Returns the intersection over union of each class: `hits / (hits + misses + false alarms)` (Jaccard). `None` for
    /// a class in neither targets nor predictions.
    pub fn iou(&self) -> Vec<Option<f64>> {
        self.of_classes(|hits, wrong| hits / (hits + wrong))
    }

    /// Returns the Dice coefficient (F1) of each class: `2 hits / (2 hits + misses + false alarms)`. `None` as in
    /// [`Self::iou`].
    pub fn dice(&self) -> Vec<Option<f64>> {
        self.of_classes(|hits, wrong| 2.0 * hits / (2.0 * hits + wrong))
    }

    /// Returns the mean over the classes that have a value; NaN if none has.
    pub fn mean(of_classes: &[Option<f64>]) -> f64 {
        let known: Vec<f64> = of_classes.iter().flatten().copied().collect();
        known.iter().sum::<f64>() / known.len() as f64
    }

    /// Returns all scores by name: `accuracy`, `mean_iou`, `mean_dice`, `iou/CLASS` and `dice/CLASS` for each class,
    /// NaN without a value, and `pixels`.
    pub fn scores(&self, classes: &[String]) -> Scores {
        let (iou, dice) = (self.iou(), self.dice());
        let mut scores: Scores = vec![
            ("accuracy".into(), self.accuracy()),
            ("mean_iou".into(), Self::mean(&iou)),
            ("mean_dice".into(), Self::mean(&dice)),
        ];
        for (name, values) in [("iou", iou), ("dice", dice)] {
            let of_class =
                |(class, value): (&String, Option<f64>)| (format!("{name}/{class}"), value.unwrap_or(f64::NAN));
            scores.extend(classes.iter().zip(values).map(of_class));
        }
        scores.push(("pixels".into(), self.pixels() as f64));
        scores
    }

    fn of_classes(&self, score: impl Fn(f64, f64) -> f64) -> Vec<Option<f64>> {
        let of_class = |k| {
            let hits = self.count(k, k);
            let real: i64 = (0..self.classes).map(|other| self.count(k, other)).sum();
            let predicted: i64 = (0..self.classes).map(|other| self.count(other, k)).sum();
            let wrong = real + predicted - 2 * hits;
            (hits + wrong > 0).then(|| score(hits as f64, wrong as f64))
        };
        (0..self.classes).map(of_class).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By hand: targets 0 0 0 1 1, predictions 0 0 1 1 0; class 2 appears nowhere.
    #[test]
    fn scores_of_a_small_case() {
        let confusion = Confusion::new(3, &[2, 1, 0, 1, 1, 0, 0, 0, 0]);
        assert_eq!((confusion.pixels(), confusion.accuracy()), (5, 0.6));
        assert_eq!(confusion.iou(), [Some(2.0 / 4.0), Some(1.0 / 3.0), None]);
        assert_eq!(confusion.dice(), [Some(4.0 / 6.0), Some(2.0 / 4.0), None]);
        assert_eq!(Confusion::mean(&confusion.iou()), (0.5 + 1.0 / 3.0) / 2.0);
    }

    #[test]
    fn a_class_that_was_only_predicted_counts_as_zero() {
        assert_eq!(Confusion::new(2, &[1, 1, 0, 0]).iou(), [Some(0.5), Some(0.0)]);
    }

    #[test]
    fn nothing_has_no_score() {
        let nothing = Confusion::new(2, &[]);
        assert!(nothing.accuracy().is_nan() && Confusion::mean(&nothing.iou()).is_nan());
    }
}
