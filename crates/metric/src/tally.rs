//! Pixel counts of a class, and the scores that need no more than them.

use contract::Scores;

/// Names of the scores of a class, in the order of [`Tally::scores`].
const OF_CLASS: [&str; 4] = ["iou", "dice", "precision", "recall"];

/// Pixel counts of one class, over an image or many.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pixels of the class that were predicted as it.
    pub hits: u64,
    /// Pixels of the class in the targets.
    pub support: u64,
    /// Pixels that were predicted as the class.
    pub predicted: u64,
}

impl Tally {
    /// Returns the number of pixels of the class in the target or the prediction.
    pub fn union(&self) -> u64 {
        self.support + self.predicted - self.hits
    }

    /// Returns true if the class is in neither target nor prediction. It then has no score and counts in no mean.
    pub fn is_absent(&self) -> bool {
        self.support + self.predicted == 0
    }

    /// Returns the intersection over union (Jaccard index).
    pub fn iou(&self) -> Option<f64> {
        self.share(self.hits, self.union())
    }

    /// Returns the Dice coefficient (F1): `2 hits / (support + predicted)`.
    pub fn dice(&self) -> Option<f64> {
        self.share(2 * self.hits, self.support + self.predicted)
    }

    /// Returns the correct share of the predicted pixels. 0 for a class that was missed entirely, as in scikit-learn:
    /// left out, it would improve the mean.
    pub fn precision(&self) -> Option<f64> {
        self.share(self.hits, self.predicted)
    }

    /// Returns the found share of the target's pixels. 0 for a class that was only predicted.
    pub fn recall(&self) -> Option<f64> {
        self.share(self.hits, self.support)
    }

    /// Adds the counts of other pixels, `times` times.
    pub fn add(&mut self, other: &Self, times: u64) {
        self.hits += times * other.hits;
        self.support += times * other.support;
        self.predicted += times * other.predicted;
    }

    fn scores(&self) -> [Option<f64>; 4] {
        [self.iou(), self.dice(), self.precision(), self.recall()]
    }

    fn share(&self, part: u64, whole: u64) -> Option<f64> {
        (!self.is_absent()).then(|| if whole > 0 { part as f64 / whole as f64 } else { 0.0 })
    }
}

/// Returns the mean of the values that exist; NaN without any.
pub fn mean(values: impl IntoIterator<Item = Option<f64>>) -> f64 {
    let (sum, count) = values.into_iter().flatten().fold((0.0, 0u64), |(sum, count), value| (sum + value, count + 1));
    sum / count as f64
}

/// Returns the share of pixels with the correct class, given the counts of all classes; NaN without pixels.
pub fn accuracy(classes: &[Tally]) -> f64 {
    classes.iter().map(|class| class.hits).sum::<u64>() as f64 / pixels(classes)
}

/// Returns the mean IoU over the classes in targets or predictions; NaN if there is none.
pub fn mean_iou(classes: &[Tally]) -> f64 {
    mean(classes.iter().map(Tally::iou))
}

/// Returns the frequency-weighted IoU: the mean of the IoU weighted by the classes' pixels in the targets (Long et al.,
/// "Fully Convolutional Networks for Semantic Segmentation", 2015); NaN without pixels.
pub fn fw_iou(classes: &[Tally]) -> f64 {
    let weighted = |class: &Tally| class.support as f64 * class.iou().unwrap_or(0.0);
    classes.iter().map(weighted).sum::<f64>() / pixels(classes)
}

/// Returns Cohen's kappa: the accuracy beyond that of a prediction which knows only the frequencies, `(p - e) / (1 -
/// e)`. NaN without pixels, and where both know a single class. (Cohen, "A Coefficient of Agreement for Nominal
/// Scales", 1960.)
pub fn kappa(classes: &[Tally]) -> f64 {
    let pixels = pixels(classes);
    let by_chance = |class: &Tally| (class.support as f64 / pixels) * (class.predicted as f64 / pixels);
    let expected: f64 = classes.iter().map(by_chance).sum();
    // Rounding must not turn 0 / 0 into a score.
    let one = classes.iter().filter(|class| !class.is_absent()).count() == 1;
    if one { f64::NAN } else { (accuracy(classes) - expected) / (1.0 - expected) }
}

/// Returns the names of [`values`] for the classes of these names.
pub fn names(classes: &[String]) -> Vec<String> {
    let totals = ["accuracy", "mean_iou", "mean_dice", "mean_precision", "mean_recall", "fw_iou", "kappa"];
    let of_classes = OF_CLASS.iter().flat_map(|score| classes.iter().map(move |class| format!("{score}/{class}")));
    totals.into_iter().map(String::from).chain(of_classes).collect()
}

/// Returns all scores of these classes in the order of [`names`], NaN for those that do not exist.
pub fn values(classes: &[Tally]) -> Vec<f64> {
    let of_classes: Vec<[Option<f64>; 4]> = classes.iter().map(Tally::scores).collect();
    let of = |score: usize| of_classes.iter().map(move |scores| scores[score]);
    let [iou, dice, precision, recall] = [0, 1, 2, 3].map(|score| mean(of(score)));
    let mut values = vec![accuracy(classes), iou, dice, precision, recall, fw_iou(classes), kappa(classes)];
    (0..OF_CLASS.len()).for_each(|score| values.extend(of(score).map(|value| value.unwrap_or(f64::NAN))));
    values
}

/// Returns all scores of the counts of all classes by name, and `pixels`.
pub fn scores(tallies: &[Tally], classes: &[String]) -> Scores {
    let mut scores: Scores = names(classes).into_iter().zip(values(tallies)).collect();
    scores.push(("pixels".into(), pixels(tallies)));
    scores
}

/// Returns the number of valid pixels: each is of one class in the target.
fn pixels(classes: &[Tally]) -> f64 {
    classes.iter().map(|class| class.support).sum::<u64>() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(hits: u64, support: u64, predicted: u64) -> Tally {
        Tally { hits, support, predicted }
    }

    #[test]
    fn a_class_that_is_missed_or_invented_lowers_every_mean() {
        let found = [tally(90, 100, 95), tally(45, 50, 55), tally(0, 0, 0)];
        for other in [tally(0, 10, 0), tally(0, 0, 10)] {
            let with = [found[0], found[1], other];
            for (name, (before, after)) in
                names(&["a", "b", "c"].map(String::from)).iter().zip(values(&found).into_iter().zip(values(&with)))
            {
                if name.starts_with("mean_") {
                    assert!(after < before, "{name}: {before} to {after}");
                }
            }
            assert_eq!(other.scores(), [Some(0.0); 4]);
        }
        assert_eq!(found[2].scores(), [None; 4]);
    }

    #[test]
    fn kappa_of_one_class_and_scores_of_nothing_do_not_exist() {
        assert!(kappa(&[tally(7, 7, 7), tally(0, 0, 0)]).is_nan());
        assert!(values(&[tally(0, 0, 0)]).iter().all(|value| value.is_nan()));
        // No better than chance.
        assert_eq!(kappa(&[tally(1, 2, 2), tally(1, 2, 2)]), 0.0);
    }
}
