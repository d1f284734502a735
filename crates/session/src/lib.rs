//! A training run that cannot be lost, around any loop of the executors.
//!
//! A [`Session`] drives a [`Trainer`](executors::Trainer) and owns everything around its steps: the run folder and its
//! lock, restoring, saving, the guard against losses that are not finite, signals, the log and the display.
//!
//! ```no_run
//! # use contract::{BoxError, Input, Loss, Metric, Optimizer};
//! # fn train(
//! #     model: tch::nn::Sequential,
//! #     store: tch::nn::VarStore,
//! #     [input, validation]: [&dyn Input; 2],
//! #     loss_fn: &dyn Loss,
//! #     optimizer: &mut dyn Optimizer,
//! #     [metric, scores]: [&mut dyn Metric; 2],
//! # ) -> Result<(), BoxError> {
//! # use std::path::Path;
//! use executors::{Trainer, Validator};
//! use session::{Opened, Reached, Session, Settings, Signals};
//!
//! let signals = Signals::listen()?;
//! let mut opened = Opened::open(Path::new("runs/depth"))?;
//! let mut trainer = Trainer::new(&model, input, loss_fn, optimizer, metric, 10).protect("model", &store);
//! let (mut session, mut training) = Session::begin(&mut opened, Settings::default(), &signals, &mut trainer)?;
//! while let Some(reached) = session.next(&mut training)? {
//!     if let Reached::Epoch { scores: of_training, .. } = reached {
//!         let mut validator = Validator::new(&model, validation, loss_fn, scores);
//!         session.validate(&mut training, |watch| validator.test(watch))?;
//!         session.epoch(&mut training, &of_training)?;
//!     }
//!     if session.settle(&mut training)?.is_break() {
//!         break;
//!     }
//! }
//! let outcome = session.finish(&mut training)?;
//! # Ok(()) }
//! ```
//!
//! Killed at any moment, the same program resumes where it was, to the bit, if its input is a function of the seed.
//! Nothing here knows segmentation: scores are names and values, and pictures or reports are the caller's, who writes
//! them through [`Session::write`].

mod error;
mod folder;
mod generators;
mod guard;
mod journal;
mod lock;
mod neighbours;
mod notes;
mod opened;
mod recovery;
mod saver;
mod screen;
mod session;
mod settings;
mod signals;
mod states;
mod times;

pub use error::{Error, Gone};
pub use folder::{Folder, shown, valid};
pub use lock::{Lock, is_held};
pub use opened::{Opened, Resume};
pub use recovery::BATCH;
pub use screen::score;
pub use session::{Outcome, Reached, Session};
pub use settings::{NonFinite, OnError, Policy, Save, Settings, Show};
pub use signals::{RESUMABLE, Signals, outlive_limits};
