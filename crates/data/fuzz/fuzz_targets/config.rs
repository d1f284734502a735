//! Any bytes as the data section of a configuration: refused, or one that says what its classes are and reads back as it
//! was; never a panic. Nothing is opened.

#![no_main]

use data::{Config, Split};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(config) = serde_json::from_slice::<Config>(bytes) else { return };
    let checked = config.check();
    let classes = config.classes();
    assert_eq!(config.colors().len(), classes.len().min(256));
    let written = serde_json::to_string(&config).unwrap();
    let again: Config = serde_json::from_str(&written).unwrap();
    assert_eq!(config, again, "{written}");
    if checked.is_ok() {
        assert!(!classes.is_empty() && classes.len() < 256);
        assert!(config.pipeline(Split::Validation).transforms.is_empty());
    }
});
