//! What a run writes down about itself: TensorBoard event files and `metrics.jsonl`.
//!
//! ```text
//! RUN/logs/train/events.out.tfevents.*          by epoch: scalars such as `loss`, images, histograms, PR curves
//! RUN/logs/validation/events.out.tfevents.*     the same names, so that TensorBoard draws both into one chart
//! RUN/logs/train/steps/events.out.tfevents.*    by training step: scalars such as `step/loss`
//! RUN/logs/events.out.tfevents.*.about          of the run as a whole: text, graph, hyper-parameters, outcome, layout
//! RUN/metrics.jsonl                             all scalars, one JSON object a line
//! ```
//!
//! [`Summary`] is what a training loop calls. It makes a [`Record`] of everything and hands it to each [`Writer`]: to
//! [`JsonLines`] at once, whose errors it returns, and to [`TensorBoard`] in a thread of its own ([`Background`]), which
//! never stops the run. Your own writer is one `impl` and [`Summary::add`]. What a full disk does not take is kept in memory
//! and tried again, so that a run may go on and nothing is missing afterwards. This crate knows nothing of tensors: it takes
//! plain numbers, strings and RGB bytes.

mod background;
mod config;
mod counts;
mod error;
mod events;
mod frame;
mod graph;
mod growing;
mod histogram;
mod hyper;
mod image;
mod layout;
mod lines;
mod permit;
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
pub use hyper::{Hyper, Status};
pub use image::Image;
pub use lines::JsonLines;
pub use permit::{Permit, Refusal};
pub use record::{Record, Stage, Value, Writer};
pub use run::Summary;
pub use tensorboard::TensorBoard;
