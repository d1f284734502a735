//! One training by several processes, on one machine or many: data parallel over libtorch's own c10d, launched by
//! torchrun, Slurm or by hand.
//!
//! [`World`] reads the launcher's variables, [`Group`] joins the other processes and implements [`contract::Ranks`].
//! [`Distributed`] wraps the model and [`Reduced`] the optimizer, whose gradients become sums over all ranks; the
//! training loop between them knows of neither. [`AcrossRanks`] makes a loss and a metric those of all processes
//! together.
//!
//! ```
//! use contract::Ranks;
//! use distributed::{Group, Options, World};
//!
//! let world = World::of(&[("RANK", "0"), ("WORLD_SIZE", "1")].map(|(k, v)| (k.to_string(), v.to_string())).into())?;
//! let group = Group::join(world, &Options::default())?; // A group of one needs no network.
//! assert_eq!((group.rank(), group.count()), (0, 1));
//! # Ok::<(), distributed::Error>(())
//! ```
//!
//! # Faults
//!
//! A rank that dies, stops, falls behind or never starts is an error on all others, within the group's timeout. The
//! error names it. Every rank writes a sign of life to the store each second. Once an operation fails, the ranks
//! compare them, agree on the culprit, and leave.
//!
//! Operations over NCCL are only enqueued, and a GPU waits for a lost rank without end. So they are ended once a fault
//! is found, or when they take longer than the timeout. Steps that were made meanwhile may be wrong
//! ([`contract::Ranks::is_sound`]).
//!
//! # Security
//!
//! The rendezvous has **no authentication and no encryption**: whoever reaches its port, or those that the ranks open
//! for each other, can join, read and change the training. The ports are bound to one address only: loopback for ranks
//! of one machine, otherwise that of [`Options::interface`] or of the route to rank 0. Use a network that nobody else
//! is in.
//!
//! # What it does not do
//!
//! It starts no processes, divides no data among the ranks (`data` does), and writes no checkpoints. No network is
//! larger than one device: each rank holds all of it.

mod beat;
mod bounded;
mod error;
mod group;
mod launched;
mod loss;
mod metric;
mod model;
mod optimizer;
mod packed;
mod place;
mod slurm;
mod variables;
mod watch;
mod world;

pub use error::{Culprit, Error, Fate, Fault};
pub use group::{Backend, Group, Options};
pub use loss::AcrossRanks;
pub use model::Distributed;
pub use optimizer::{Compression, Reduced};
pub use world::{Launcher, World};
