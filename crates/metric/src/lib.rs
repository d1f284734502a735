//! Metrics of predictions: one confusion matrix on the device with all scores derived from it; and for a closer look,
//! the network's confidence and its predictions for selected samples.

mod confusion;
mod detail;
mod gallery;
mod scores;

pub use confusion::{Counted, Segmentation};
pub use detail::{Confidence, Detail, Threshold};
pub use gallery::{Gallery, Predicted};
pub use scores::Confusion;
