//! The log of a run: TensorBoard event files and `metrics.jsonl`.
//!
//! ```
//! use summary::{Config, Histogram, Image, Stage, Summary};
//!
//! # let run = tempfile::tempdir()?;
//! # let run = run.path();
//! let mut summary = Summary::open(run, &Config::default())?;
//! for epoch in 1..=3 {
//!     let step = epoch * 100;
//!     summary.epoch(Stage::Train, epoch, step, &[("loss", 1.0 / epoch as f64)])?;
//!     summary.images(Stage::Train, epoch, step, "samples", vec![Image::new(2, 1, vec![255, 0, 0, 0, 0, 255])?])?;
//!     summary.histograms(epoch, step, vec![("weights".into(), Histogram::of(&[-0.5, 0.1, 0.3]))])?;
//! }
//! summary.flush()?;
//! assert_eq!(std::fs::read_to_string(run.join("metrics.jsonl"))?.lines().count(), 3);
//! assert_eq!(std::fs::read_dir(run.join("logs/train"))?.count(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! ```text
//! RUN/logs/train/events.out.tfevents.*          by epoch: scalars (`loss`, ...), images, histograms, PR curves
//! RUN/logs/validation/events.out.tfevents.*     the same names, so that TensorBoard draws both into one chart
//! RUN/logs/train/steps/events.out.tfevents.*    by training step: scalars (`step/loss`, ...)
//! RUN/logs/events.out.tfevents.*.about          the run as a whole: text, graph, hyper-parameters, outcome, layout
//! RUN/metrics.jsonl                             all scalars, one JSON object per line
//! ```
//!
//! [`Summary`] is the interface of a training loop. It turns every call into a [`Record`] and passes it to each
//! [`Writer`]: to [`JsonLines`] synchronously, whose errors it returns, and to [`TensorBoard`] in a thread of its own
//! ([`Background`]), which never stops the run. A new kind of writer takes one `impl` and [`Summary::add`]. Data that
//! does not fit on a full disk is kept in memory and retried, so that the run goes on and its log is complete
//! afterwards.
//!
//! # What it does not do
//!
//! It knows no tensors: it takes plain numbers, strings and RGB bytes, and needs no libtorch. It reads `metrics.jsonl`
//! ([`history`]), but no event files. Audio, video and embeddings are not written.

mod background;
mod config;
mod counts;
mod error;
mod events;
mod frame;
mod graph;
mod growing;
mod histogram;
pub mod history;
mod hyper;
mod image;
mod layout;
mod line;
mod lines;
mod record;
mod run;
mod tensorboard;
mod waiting;

pub use background::Background;
pub use config::Config;
pub use counts::Counts;
pub use error::Error;
pub use graph::{Graph, Node};
pub use histogram::Histogram;
pub use history::STOPPED_EARLY;
pub use hyper::{Hyper, Status};
pub use image::Image;
pub use lines::JsonLines;
pub use record::{Record, Stage, Value, Writer};
pub use regular::{Permit, Refusal};
pub use run::Summary;
pub use tensorboard::TensorBoard;
