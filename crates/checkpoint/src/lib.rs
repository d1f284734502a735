//! Durable store of a training run's checkpoints.
//!
//! ```
//! use checkpoint::{Config, Snapshot, Store};
//! use contract::Progress;
//! use tch::{Device, nn::VarStore};
//!
//! # let run = tempfile::tempdir()?;
//! let store = Store::new(run.path().join("checkpoints"), &Config::default());
//! let mut variables = VarStore::new(Device::Cpu);
//! let mut weight = variables.root().ones("weight", &[3]);
//! let progress = Progress { step: 120, ..Progress::default() };
//! store.save(&Snapshot::new(progress).with("model", &variables))?;
//!
//! tch::no_grad(|| weight.zero_());
//! let (newest, damaged) = store.newest()?;
//! let (path, snapshot) = newest.ok_or("there is no checkpoint")?;
//! snapshot.restore("model", &mut variables)?;
//! assert!(path.ends_with("step-0000000120") && damaged.is_empty());
//! assert_eq!(weight.double_value(&[0]), 1.0);
//! # Ok::<(), contract::BoxError>(())
//! ```
//!
//! A checkpoint is a folder `step-NNNNNNNNNN` that exists whole or not at all:
//!
//! ```text
//! checkpoints/step-0000000120/
//!   manifest.json            its own checksum; progress, scores, sizes and checksums of the other files, `about`
//!   model.safetensors        one file for every state of the snapshot
//!   optimizer.safetensors
//! ```
//!
//! [`Store::save`] writes `.step-NNNNNNNNNN.partial`, the manifest last, and flushes and checksums every file on the
//! way. It then renames the folder and flushes its parent, so a run killed at any moment leaves all published
//! checkpoints intact. NaN or infinity in weights is detected on the way too, and then nothing is published. Outdated
//! checkpoints are removed only after the publication.
//!
//! [`BackgroundWriter`] does the same in the background while training continues with its own tensors
//! ([`Snapshot::copied`]), and returns the outcome of every checkpoint exactly once. [`Store::prepare`] checks before
//! the first step that the folder is writable and that the disk has [`Space`].
//!
//! [`load`] verifies the sizes and checksums of all files before it creates the first tensor; [`Store::newest`] and
//! [`Store::best`] skip damaged or unreadable checkpoints and name them. Nothing is recorded outside the checkpoints:
//! the best one is found from their manifests, which the saves of a process read only once.
//!
//! # What it does not do
//!
//! It does not decide when to save, and does not lock the folder: `session` does both. One process saves into a folder
//! at a time. Checkpoints are neither compressed nor encrypted, and stay on the file system that they were written to.

mod config;
mod error;
mod files;
mod finite;
mod hashed;
mod known;
mod manifest;
mod names;
mod readable;
mod retention;
mod snapshot;
mod space;
mod store;
mod tensors;
#[cfg(test)]
mod tests;
mod writer;

pub use config::{Config, Mode};
pub use error::Error;
pub use manifest::NAME as MANIFEST;
pub use names::step_of;
pub use readable::readable;
pub use regular::Permit;
pub use snapshot::{Snapshot, load};
pub use space::Space;
pub use store::{Damaged, Found, Store};
pub use writer::{BackgroundWriter, Saved};
