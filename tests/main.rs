//! Integration tests, in one binary so that linking stays cheap.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]

mod architecture;
mod packages;
mod parity;
mod program;
