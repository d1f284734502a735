//! Tests that read the files with TensorBoard itself.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod example;
mod logs;
mod plugins;
mod torn;
