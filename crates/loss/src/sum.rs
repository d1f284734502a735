//! A weighted sum of losses.

use crate::auxiliary::{Auxiliary, part};
use contract::{Batch, BoxError, Loss, Outputs, Ranks, TorchError};
use tch::Tensor;

const NO_LOSSES: &str = "a sum of no losses";

/// A weighted sum of losses.
///
/// The [weight](Loss::weight) of a batch is that of the first term: the one weight can make the mean of only one term
/// exact. [`Config::build`](crate::Config::build) puts means over pixels first, since that of Dice is exact under none.
pub struct Sum {
    /// Losses with their factors; at least one.
    pub terms: Vec<(f64, Box<dyn Loss>)>,
    /// Weights of auxiliary outputs: of each, the sum of losses is taken too. It changes nothing for a network without.
    pub auxiliary: Auxiliary,
}

/// Loss of a term.
type Each<'e> = &'e dyn Fn(&dyn Loss, &Outputs, &Batch) -> Result<Tensor, BoxError>;

impl Sum {
    /// Returns the weighted sum over the terms, for the prediction alone.
    fn of_prediction(&self, outputs: &Outputs, batch: &Batch, each: Each) -> Result<Tensor, BoxError> {
        let mut sum: Option<Tensor> = None;
        for (share, term) in &self.terms {
            let loss = each(term.as_ref(), outputs, batch)?.f_mul_scalar(*share).map_err(TorchError::from)?;
            sum = Some(match sum {
                None => loss,
                Some(sum) => sum.f_add(&loss).map_err(TorchError::from)?,
            });
        }
        sum.ok_or_else(|| NO_LOSSES.into())
    }

    /// Returns the weighted sum over prediction and auxiliary outputs.
    fn of(&self, outputs: &Outputs, batch: &Batch, each: Each) -> Result<Tensor, BoxError> {
        let loss = self.of_prediction(outputs, batch, each)?;
        if outputs.auxiliary.is_empty() {
            return Ok(loss);
        }
        let weights = self.auxiliary.weights(outputs.auxiliary.len());
        let mut sum = loss.f_mul_scalar(weights[0]).map_err(TorchError::from)?;
        for (output, weight) in outputs.auxiliary.iter().zip(&weights[1..]).filter(|(_, weight)| **weight > 0.0) {
            let (outputs, batch) = part(output, batch)?;
            let loss = self.of_prediction(&outputs, &batch, each)?;
            sum = loss.f_mul_scalar(*weight).and_then(|loss| sum.f_add(&loss)).map_err(TorchError::from)?;
        }
        Ok(sum)
    }
}

impl Loss for Sum {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.of(outputs, batch, &|term, outputs, batch| term.loss(outputs, batch))
    }

    fn weight(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        let (_, first) = self.terms.first().ok_or(NO_LOSSES)?;
        first.weight(outputs, batch)
    }

    fn across(&self, ranks: &dyn Ranks, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        self.of(outputs, batch, &|term, outputs, batch| term.across(ranks, outputs, batch))
    }
}
