//! What predictions are worth: one confusion matrix on the device, and everything that can be read from it; and for a closer
//! look, how sure the network was, and what it made of which samples.

mod confusion;
mod detail;
mod gallery;
mod scores;

pub use confusion::{Counted, Segmentation};
pub use detail::{Confidence, Detail, Threshold};
pub use gallery::{Gallery, Predicted};
pub use scores::Confusion;
