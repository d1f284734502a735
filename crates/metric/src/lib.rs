//! Metrics of predictions: one confusion matrix on the device with all scores derived from it; for a closer look, the
//! network's confidence and its predictions for selected samples; and over images, boundary scores, confidence
//! intervals and the paired comparison of two networks.
//!
//! ```
//! use contract::{Batch, Metric, Outputs};
//! use metric::Segmentation;
//! use tch::{Device, Kind, Tensor};
//!
//! let mut metric = Segmentation::new(vec!["cat".into(), "background".into()], Device::Cpu)?;
//! let classes = Tensor::from_slice(&[0i64, 0, 1, 1]).view([1, 2, 2]);
//! // Logits for three of the four pixels right: [N, K, H, W].
//! let logits = Tensor::from_slice(&[1f32, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0]).view([1, 2, 2, 2]);
//! let batch = Batch::new(Tensor::new(), classes, vec!["image".into()]);
//! metric.update(&Tensor::from(0.5f32), &Outputs::from(logits), &batch)?;
//! let scores = metric.compute()?;
//! assert_eq!(scores[1], ("accuracy".into(), 0.75));
//! assert_eq!(scores[2], ("mean_iou".into(), (2.0 / 3.0 + 1.0 / 2.0) / 2.0));
//! # Ok::<(), contract::BoxError>(())
//! ```
//!
//! # What it does not do
//!
//! It measures classes that exclude each other. A metric of another task implements [`contract::Metric`], as
//! `crates/session/examples/own_task.rs` does. Nothing is read from the device before
//! [`compute`](contract::Metric::compute).

mod bootstrap;
mod boundaries;
mod confusion;
mod detail;
mod distance;
mod gallery;
mod paired;
mod quantile;
mod random;
mod scores;
mod tally;

pub use bootstrap::{Interval, LEVEL, RESAMPLES, intervals};
pub use boundaries::{Boundaries, BoundaryScores, boundary_scores};
pub use confusion::{Counted, Segmentation, read_tallies};
pub use detail::{Confidence, Detail, Threshold};
pub use gallery::{Gallery, Predicted};
pub use paired::{Paired, paired};
pub use scores::Confusion;
pub use tally::{Tally, mean_iou, scores as scores_of};
