//! Losses on logits: cross entropy, Dice, and their weighted sum.
//!
//! Pixels whose target is [`contract::IGNORE_INDEX`] count in none of them.

mod config;
mod cross_entropy;
mod dice;

pub use config::{Config, Sum};
pub use cross_entropy::CrossEntropy;
pub use dice::Dice;
