//! A checkpoint looked at closely: where its errors lie, how far its confidence can be trusted, and pictures.

use crate::Error;

/// The id of pixels in a target that do not count.
pub const IGNORED: u8 = 255;

/// What a checkpoint does on the validation data.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluation {
    /// The checkpoint's name.
    pub checkpoint: String,
    /// Finished epochs of the checkpoint.
    pub epoch: u64,
    /// Pixels by their class in the target (row) and in the prediction (column); `[K, K]`.
    pub confusion: Vec<Vec<u64>>,
    /// Pixels of the targets that do not count.
    pub ignored: u64,
    /// Valid pixels, all or some of them, by the probability of the predicted class, in bins of equal width from 0 to 1.
    pub calibration: Vec<Bin>,
    /// The samples with the best scores, the best first.
    pub best: Vec<Sample>,
    /// The samples with the worst scores, the worst first.
    pub worst: Vec<Sample>,
}

/// The pixels whose greatest probability falls between two limits.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bin {
    /// The sum of these probabilities.
    pub confidence_sum: f64,
    /// How many of the pixels are of the predicted class.
    pub correct: u64,
    /// How many pixels there are.
    pub count: u64,
}

/// A sample and what the checkpoint makes of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The sample's name.
    pub name: String,
    /// What it was chosen by, such as its own mean IoU.
    pub score: f64,
    /// What the network sees.
    pub input: Picture,
    /// Class ids, row by row, with [`IGNORED`]; as many as the input has pixels.
    pub target: Vec<u8>,
    /// Class ids, row by row; as many as the input has pixels.
    pub prediction: Vec<u8>,
}

/// A picture of eight bits a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Row by row, three bytes a pixel.
    pub rgb: Vec<u8>,
}

impl Evaluation {
    /// The best and the worst samples.
    pub fn samples(&self) -> impl Iterator<Item = &Sample> {
        self.best.iter().chain(&self.worst)
    }

    /// Whether the parts fit together and to this number of classes.
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
