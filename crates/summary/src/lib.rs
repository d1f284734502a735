//! The log of a run: TensorBoard event files and `metrics.jsonl`.
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
//! afterwards. This crate does not depend on tensors: it takes plain numbers, strings and RGB bytes.

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
pub use hyper::{Hyper, Status};
pub use image::Image;
pub use lines::JsonLines;
pub use record::{Record, Stage, Value, Writer};
pub use regular::{Permit, Refusal};
pub use run::Summary;
pub use tensorboard::TensorBoard;
