//! Data parallel computes what one process computes: ranks as threads, without a network.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod metric;
mod small;
mod sum;
mod turns;
