//! What predictions are worth: one confusion matrix on the device, and everything that can be read from it; and for a closer
//! look, how sure the network was and which samples it is worst at.

mod confusion;
mod detail;
mod scores;

pub use confusion::Segmentation;
pub use detail::{Confidence, Detail, Threshold};
pub use scores::Confusion;
