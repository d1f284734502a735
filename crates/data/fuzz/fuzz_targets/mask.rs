//! Any bytes as a mask file.

#![no_main]

#[allow(dead_code)] // The other targets use the rest.
#[path = "../check.rs"]
mod check;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    check::mask(bytes);
});
