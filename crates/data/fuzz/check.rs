//! Properties that hold for any bytes read as a file of a data set: they are decoded or refused, never with a panic,
//! and the decoded result is complete and independent of what was decoded before.
//!
//! Included by both the fuzz targets and `tests/corpus.rs`, so the two cannot diverge.

use data::{Class, Config, Error, IGNORE, Labels, Split, parse_list};
use serde_json::{Value, from_slice, from_value, json};
use std::path::Path;

/// Decodes `bytes` as an image. Returns whether that succeeded in colour and in grey.
pub fn image(bytes: &[u8]) -> [bool; 2] {
    [3, 1].map(|channels| decoded(channels, |pixels| data::decode_image(bytes, channels as u32, pixels)).is_some())
}

/// Decodes `bytes` as a mask. Returns whether that succeeded with values and with colours as labels.
pub fn mask(bytes: &[u8]) -> [bool; 2] {
    let classes: Vec<Class> = ["a", "b", "c"].map(Class::from).into();
    let values = json!({"map": {"0": 0, "1": "b", "255": "c", "60000": 0}, "ignore": [7], "unlisted": "ignore"});
    let colors = json!({"colors": {"#000000": 0, "#800000": "b"}, "ignore": ["#ffffff"]});
    let read = |labels: Value| {
        let labels: Labels = from_value(labels).unwrap();
        let ids = decoded(1, |ids| data::decode_mask(bytes, &labels, &classes, ids));
        assert!(ids.iter().flatten().all(|id| *id < 3 || *id == IGNORE));
        ids.is_some()
    };
    [values, colors].map(read)
}

/// Parses `bytes` as a list of samples, as text and as CSV. Returns for each of four formats whether it found samples.
pub fn list(bytes: &[u8]) -> [bool; 4] {
    let how = ["list.txt", "list.csv"]
        .map(|file| [(file, ["/a/", "{}", "{}"]), (file, ["", "images/{}.jpg", "masks/{}.png"])]);
    let [[a, b], [c, d]] = how;
    [a, b, c, d].map(|(file, how)| match parse_list(Path::new(file), bytes.to_vec(), how) {
        Ok(samples) => {
            assert!(!samples.is_empty() && samples.iter().all(|part| !part.is_empty()));
            true
        }
        Err(error) => {
            assert!(error.to_string().starts_with(file), "which list? {error}");
            false
        }
    })
}

/// Parses `bytes` as the data section of a configuration. Returns whether it parses and whether it passes its checks.
/// Opens nothing.
pub fn config(bytes: &[u8]) -> [bool; 2] {
    let Ok(config) = from_slice::<Config>(bytes) else { return [false; 2] };
    let checked = config.check();
    let classes = config.classes();
    assert_eq!(config.colors().len(), classes.len().min(256));
    let written = json!(config).to_string();
    assert_eq!(from_slice::<Config>(written.as_bytes()).unwrap(), config, "{written}");
    if checked.is_ok() {
        assert!(!classes.is_empty() && classes.len() < 256);
        assert!(config.pipeline(Split::Validation).transforms.is_empty());
    }
    [true, checked.is_ok()]
}

/// Returns what `decode` puts into a buffer, `channels` bytes a pixel, after checking that it does not depend on the
/// buffer's previous content.
fn decoded(channels: usize, decode: impl Fn(&mut Vec<u8>) -> Result<[u32; 2], Error>) -> Option<Vec<u8>> {
    let [clean, used] = [vec![], vec![171; 5000]].map(|mut buffer| {
        let size = decode(&mut buffer).ok()?;
        assert_eq!(buffer.len(), size.map(|side| side as usize).iter().product::<usize>() * channels);
        Some(buffer)
    });
    assert!(clean == used);
    clean
}
