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
//! was published as it was. Only then are outdated checkpoints removed. [`load`] checks sizes and checksums of all
//! files before it makes the first tensor; [`Store::newest`] and [`Store::best`] pass over what is damaged and name it.
//! Nothing is remembered outside the checkpoints themselves: which is the best is read from their manifests.

mod config;
mod error;
mod files;
mod manifest;
mod snapshot;
mod store;
mod tensors;
#[cfg(test)]
mod tests;

pub use config::{Config, Mode};
pub use error::Error;
pub use snapshot::{Snapshot, load};
pub use store::{Damaged, Found, Store, step_of};
