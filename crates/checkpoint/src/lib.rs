//! The durable store of training runs.
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
//! [`Store::save`] writes `.step-NNNNNNNNNN.partial`, every file flushed to the disk and checksummed on the way, the
//! manifest last, then renames the folder and flushes its parent: a run that is killed at any moment leaves all that
//! was published as it was. NaN and infinity in weights are noticed on the way too, and then nothing is published. Only
//! after the publication outdated checkpoints are removed.
//!
//! [`Writer`] does the same in the background while training goes on with its own tensors ([`Snapshot::copied`]), and
//! tells of every checkpoint exactly once what became of it. [`Store::prepare`] finds out before the first step whether
//! the folder can be written and the disk has [`Room`].
//!
//! [`load`] checks sizes and checksums of all files before it makes the first tensor; [`Store::newest`] and
//! [`Store::best`] pass over what is damaged or unreadable and name it. Nothing is written down outside the checkpoints
//! themselves: which is the best is read from their manifests, by each process once.

mod config;
mod error;
mod files;
mod finite;
mod hashed;
mod known;
mod manifest;
mod permit;
mod retention;
mod snapshot;
mod space;
mod store;
mod tensors;
#[cfg(test)]
mod tests;
mod writer;

pub use config::{Config, Mode, OnError};
pub use error::Error;
pub use manifest::NAME as MANIFEST;
pub use permit::Permit;
pub use snapshot::{Snapshot, load};
pub use space::{Room, readable};
pub use store::{Damaged, Found, Store, step_of};
pub use writer::{Saved, Writer};
