//! Fuzzes the manifest of a checkpoint.

#![no_main]

#[allow(dead_code)] // The other target uses the rest.
#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::manifest(bytes);
});
