//! Files of every kind against the readers that made their expected values, windows, damage, refusals, memory, writing.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod asked;
mod build;
mod fixtures;
mod hostile;
mod large;
mod refused;
mod written;
