//! What predictions are worth: one confusion matrix on the device, and everything that can be read from it.

mod confusion;
mod scores;

pub use confusion::Segmentation;
pub use scores::Confusion;
