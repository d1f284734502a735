//! Code that several subcommands share.

pub mod beside;
pub mod bounds;
pub mod closer;
pub mod config;
pub mod environment;
pub mod files;
pub mod folds;
pub mod identity;
pub mod images;
pub mod inputs;
pub mod kernels;
pub mod network;
pub mod networks;
pub mod origin;
pub mod output;
pub mod paint;
pub mod postprocessing;
pub mod published;
pub mod ranked;
pub mod run;
pub mod saved;
pub mod seal;
pub mod snapshot;
pub mod targets;
pub mod trained;
pub mod usage;
