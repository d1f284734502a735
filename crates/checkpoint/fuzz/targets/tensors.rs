//! Any bytes as a state of a checkpoint whose checksums are right.

#![no_main]

#[allow(dead_code)] // The other target uses the rest.
#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::tensors(bytes);
});
