//! A training run that cannot be lost, around any loop of the executors.
//!
//! A [`Session`] drives a [`Trainer`](executors::Trainer) and owns everything around its steps: the run folder and its
//! lock, restoring, saving, the guard against losses that are not finite, signals, the log and the display.
//!
//! ```
//! # use contract::{Batch, Batches, BoxError, Input};
//! # use tch::{Device, Kind, Tensor, nn};
//! # struct Ramps;
//! # impl Input for Ramps {
//! #     fn epoch(&self, _: u64, skip: u64) -> Batches<'_> {
//! #         Box::new((skip..self.len()).map(|index| {
//! #             let ramp = Tensor::arange(64, (Kind::Float, Device::Cpu)) / 32.0 - 1.0 + index as f64 / 100.0;
//! #             let inputs = ramp.f_view([1, 1, 8, 8])?;
//! #             let targets = inputs.f_gt(0.0)?.f_squeeze_dim(1)?.f_to_kind(Kind::Int64)?;
//! #             Ok(Batch::new(inputs, targets, vec![format!("ramp {index}")]))
//! #         }))
//! #     }
//! #     fn len(&self) -> u64 {
//! #         10
//! #     }
//! # }
//! # let store = nn::VarStore::new(Device::Cpu);
//! # let model = nn::conv2d(store.root(), 1, 2, 1, nn::ConvConfig::default());
//! # let loss_fn = loss::CrossEntropy::default();
//! # let length = optim::Length { updates_per_epoch: Ramps.len(), epochs: 3 };
//! # let parameters = contract::parameters(&store);
//! # let mut optimizer = optim::Config::default().build(parameters, optim::Schedule::default(), length)?;
//! # let metric = || metric::Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu);
//! # let (mut metric, mut scores) = (metric()?, metric()?);
//! # let (data, validation_data, epochs) = (Ramps, Ramps, 3);
//! # let runs = tempfile::tempdir()?;
//! # let folder = runs.path().join("ramps");
//! use executors::{Trainer, Validator};
//! use session::{Opened, Outcome, Reached, Session, Settings, Signals};
//!
//! let signals = Signals::listen()?;
//! let mut opened = Opened::open(&folder)?;
//! let trainer = Trainer::new(&model, &data, &loss_fn, &mut optimizer, &mut metric, epochs);
//! let mut trainer = trainer.protect("model", &store);
//! let (mut session, mut training) = Session::begin(&mut opened, Settings::default(), &signals, &mut trainer)?;
//! while let Some(reached) = session.next(&mut training)? {
//!     if let Reached::Epoch { scores: of_training, .. } = reached {
//!         let mut validator = Validator::new(&model, &validation_data, &loss_fn, &mut scores);
//!         session.validate(&mut training, |watch| validator.test(watch))?;
//!         session.epoch(&mut training, &of_training)?;
//!     }
//!     if session.settle(&mut training)?.is_break() {
//!         break;
//!     }
//! }
//! assert_eq!(session.finish(&mut training)?, Outcome::Finished);
//! assert!(folder.join("checkpoints/step-0000000030").exists() && folder.join("metrics.jsonl").exists());
//! # Ok::<(), BoxError>(())
//! ```
//!
//! Killed at any moment, the same program resumes where it was, to the bit, if its input is a function of the seed.
//! `crates/session/examples/own_task.rs` is such a program with a task of its own, `finetune.rs` one that starts from
//! the encoder of an earlier run.
//!
//! # Several ranks
//!
//! Processes that train one network together each run the same program: [`Opened::across`], then
//! [`Session::begin_across`] with the group they share ([`contract::Ranks`]). The first rank writes: folder, lock,
//! checkpoints, log and display. The others need no disk; they get the checkpoint to resume from, or to go back to,
//! from the first.
//!
//! - **Same step everywhere.** A signal to any rank, a key and the first rank's clock become requests that all
//!   ranks grant after the same step, one step after they were raised.
//! - **Checkpoints** are made between updates. A stop or a save that comes while gradients of several batches are
//!   being added up waits for the update. The metrics of the ranks are the states `metric`, `metric-1`, `metric-2`,
//!   …: as many ranks resume with their own, and of another number the first gets all of it, merged
//!   ([`Metric::merge`](contract::Metric::merge)).
//! - **Failures.** A rank that fails returns its error and must leave the group; the calls of the others fail then.
//!   The first saves what was learnt, with its own metric only, and the resumed run says so. While gradients wait
//!   for an update nothing can be saved, and the last checkpoint stands.
//! - **The caller's code** ([`Session::with`], [`Session::validate`]) runs on all ranks. What only the first may do
//!   asks [`Session::writes`]; there must be no call of the group in it.
//!
//!
//! Gradients that an optimizer keeps for its next update are the tensors of its state whose names begin with
//! `gradient.`: if one process saved them and several resume, they count once.
//!
//! # A stopped run that wants to go on
//!
//! A session that a signal stops writes the file `requeue` ([`REQUEUE`]) into its folder: one line, the command that
//! goes on. It is gone once a session has begun there again, so a script starts the run again as long as the file is
//! there after the program has ended. Whoever finds the run finished, and begins no session, calls
//! [`Opened::forget_requeue`]. A stop by key, or at [`Settings::until_step`], leaves no such file. See
//! [`Session::requeue`].
//!
//! # What it does not do
//!
//! It knows no segmentation: scores are names and values, and pictures or reports are the caller's, who writes them
//! through [`Session::write`]. It reads no configuration, and does not decide whether a checkpoint may be resumed with
//! another one. It starts no processes and runs on one machine.

mod error;
mod folder;
mod generators;
mod guard;
mod journal;
mod lock;
mod lockstep;
mod neighbours;
mod notes;
mod opened;
mod recovery;
mod saver;
mod screen;
mod session;
mod settings;
mod shared;
mod signals;
mod states;
mod stopping;
mod times;

pub use error::{Error, Gone};
pub use folder::{Folder, REQUEUE, shell_quoted, valid};
pub use lock::{Lock, is_held};
pub use opened::{Opened, Resume};
pub use recovery::BATCH;
pub use screen::score;
pub use session::{Outcome, Reached, Session};
pub use settings::{NonFinite, OnError, Policy, Save, Settings, Show};
pub use shared::{from_first, on_first};
pub use signals::{REPEATS, RESUMABLE, Signals, outlive_limits};
pub use stopping::EarlyStopping;
