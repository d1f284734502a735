//! One training by several processes: data parallel.
//!
//! [`AcrossRanks`] makes a loss and a metric those of all processes together.

mod loss;
mod metric;

pub use loss::AcrossRanks;
