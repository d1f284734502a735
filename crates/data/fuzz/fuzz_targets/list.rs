//! Any bytes as a list of samples, as text and as CSV: samples, or an error that names the list; never a panic.

#![no_main]

use data::parse_list;
use std::path::Path;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    for file in ["list.txt", "list.csv"] {
        for how in [["/a/", "{}", "{}"], ["", "images/{}.jpg", "masks/{}.png"]] {
            match parse_list(Path::new(file), bytes.to_vec(), how) {
                Ok(samples) => assert!(!samples.is_empty() && samples.iter().all(|part| !part.is_empty())),
                Err(error) => assert!(error.to_string().starts_with(file), "which list? {error}"),
            }
        }
    }
});
