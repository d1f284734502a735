//! One training by several processes: data parallel.
//!
//! [`AcrossRanks`] makes a loss and a metric those of all processes together.
//!
//! ```
//! use contract::{Alone, Metric};
//! use distributed::AcrossRanks;
//! use std::sync::Arc;
//! use tch::Device;
//!
//! let metric = metric::Segmentation::new(vec!["cat".into(), "background".into()], Device::Cpu)?;
//! let metric = AcrossRanks::new(metric, Arc::new(Alone::default()));
//! assert_eq!(metric.columns()?, ["loss", "accuracy", "mean_iou"]);
//! # Ok::<(), contract::BoxError>(())
//! ```
//!
//! # What it does not do
//!
//! It divides no data among the ranks.

mod loss;
mod metric;

pub use loss::AcrossRanks;
