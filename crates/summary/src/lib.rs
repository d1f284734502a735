//! What a run writes down about itself: TensorBoard event files and `metrics.jsonl`.
//!
//! ```text
//! RUN/logs/train/events.out.tfevents.*          scalars such as `loss`; their step is the epoch
//! RUN/logs/validation/events.out.tfevents.*     the same names, so that TensorBoard draws both into one chart
//! RUN/logs/train/steps/events.out.tfevents.*    scalars such as `step/loss`; their step is the training step
//! RUN/metrics.jsonl                             all of them, one JSON object a line
//! ```
//!
//! [`Summary`] writes all of it; [`EventWriter`] and [`JsonLines`] are its parts. What a full disk does not take is kept in
//! memory and tried again, so that a run may go on and nothing is missing afterwards. This crate knows nothing of tensors:
//! it takes plain numbers.

mod config;
mod error;
mod events;
mod frame;
mod growing;
mod lines;
mod run;

pub use config::Config;
pub use error::Error;
pub use events::EventWriter;
pub use lines::JsonLines;
pub use run::{Stage, Summary};
