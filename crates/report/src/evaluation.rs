//! Evaluation of a checkpoint: confusion matrix, calibration, and sample predictions.

use crate::Error;

/// Class id of ignored pixels in a target.
pub const IGNORED: u8 = 255;

/// Results of a checkpoint on the validation data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// Name of the checkpoint.
    pub checkpoint: String,
    /// Number of finished epochs of the checkpoint.
    pub epoch: u64,
    /// Pixel counts by class in the target (row) and in the prediction (column); `[K, K]`.
    pub confusion: Vec<Vec<u64>>,
    /// Number of ignored pixels in the targets.
    pub ignored: u64,
    /// Valid pixels, all or a subset, by the probability of the predicted class, in bins of equal width from 0 to 1.
    pub calibration: Vec<Bin>,
    /// Confidence intervals of the scores, over the images.
    pub intervals: Intervals,
    /// Samples with the best scores, the best first.
    pub best: Vec<Sample>,
    /// Samples with the worst scores, the worst first.
    pub worst: Vec<Sample>,
}

/// Confidence intervals of 95 %. An interval that does not exist is `None`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Intervals {
    /// Number of images.
    pub images: u64,
    /// Of the share of correct pixels.
    pub accuracy: Option<Interval>,
    /// Of the mean IoU.
    pub mean_iou: Option<Interval>,
    /// Of the IoU of each class; empty if they are not known.
    pub iou: Vec<Option<Interval>>,
    /// Of the Dice coefficient of each class; empty if they are not known.
    pub dice: Vec<Option<Interval>>,
}

/// Confidence interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Pixels whose greatest class probability lies between two limits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// Sum of these probabilities.
    pub confidence_sum: f64,
    /// Number of correctly predicted pixels.
    pub correct: u64,
    /// Number of pixels.
    pub count: u64,
}

/// Sample with the prediction of the checkpoint.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// Name of the sample.
    pub name: String,
    /// Score by which it was chosen, for example its own mean IoU.
    pub score: f64,
    /// Input of the network.
    pub input: Picture,
    /// Class ids, row by row, including [`IGNORED`]; one per pixel of the input.
    pub target: Vec<u8>,
    /// Class ids, row by row; one per pixel of the input.
    pub prediction: Vec<u8>,
}

/// Image with eight bits per channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// RGB bytes, row by row, three per pixel.
    pub rgb: Vec<u8>,
}

impl Evaluation {
    /// Returns the best samples, then the worst.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.best.iter().chain(&self.worst)
    }

    /// Checks that the parts fit together and match this number of classes.
    pub(crate) fn check(&self, classes: usize) -> Result<(), Error> {
        let rows = self.confusion.iter().map(Vec::len);
        if self.confusion.len() != classes || rows.clone().any(|columns| columns != classes) {
            let rows: Vec<String> = rows.map(|columns| columns.to_string()).collect();
            return Err(shape(
                format!("the confusion matrix of {}", self.checkpoint),
                format!("{classes} rows of {classes} pixel counts, as there are classes"),
                format!("{} rows of [{}]", rows.len(), rows.join(", ")),
            ));
        }
        for Sample { name, input, target, prediction, .. } in self.samples() {
            let pixels = input.width * input.height;
            let parts = [("RGB bytes", input.rgb.len(), 3 * pixels), ("target", target.len(), pixels)];
            for (part, found, expected) in parts.into_iter().chain([("prediction", prediction.len(), pixels)]) {
                if found != expected || expected == 0 {
                    return Err(shape(
                        format!("the {part} of sample '{name}'"),
                        format!("{expected} for {} × {} pixels, and at least one", input.width, input.height),
                        found.to_string(),
                    ));
                }
            }
        }
        Ok(())
    }
}

fn shape(what: String, expected: String, found: String) -> Error {
    Error::Shape { what, expected, found }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluation() -> Evaluation {
        let input = Picture { width: 2, height: 1, rgb: vec![0; 6] };
        let sample = Sample { name: "cat".into(), score: 0.5, input, target: vec![0, IGNORED], prediction: vec![0, 1] };
        Evaluation {
            checkpoint: "step-10".into(),
            epoch: 1,
            confusion: vec![vec![1, 0], vec![0, 1]],
            ignored: 1,
            calibration: vec![Bin::default(); 10],
            intervals: Intervals::default(),
            best: vec![sample.clone()],
            worst: vec![sample],
        }
    }

    #[test]
    fn what_fits_together_is_taken() {
        evaluation().check(2).unwrap();
    }

    #[test]
    fn what_does_not_fit_is_named_with_both_shapes() {
        let said = |change: fn(&mut Evaluation)| {
            let mut evaluation = evaluation();
            change(&mut evaluation);
            evaluation.check(2).unwrap_err().to_string()
        };
        let error = said(|evaluation| evaluation.confusion[1].push(0));
        assert!(error.contains("step-10") && error.contains("found 2 rows of [2, 3]"), "{error}");
        assert!(said(|evaluation| evaluation.confusion.clear()).contains("confusion matrix"));
        assert!(said(|evaluation| evaluation.best[0].target.clear()).contains("target of sample 'cat': expected 2"));
        assert!(said(|evaluation| evaluation.worst[0].prediction.push(0)).contains("prediction of sample 'cat'"));
        assert!(said(|evaluation| evaluation.worst[0].input.rgb.push(0)).contains("RGB bytes of sample 'cat'"));
        assert!(said(|evaluation| evaluation.worst[0].input.width = 0).contains("at least one"));
    }
}
