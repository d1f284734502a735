//! What must hold for any bytes that are taken for a file of a data set: they are decoded or refused, never with a panic,
//! and what is decoded is all there and does not depend on what was decoded before.
//!
//! The fuzz targets and `tests/corpus.rs` both include this file, so they cannot come to mean different things.

use data::{Class, Error, IGNORE, Labels};
use serde_json::{Value, from_value, json};

/// Takes `bytes` for an image. Whether it was decoded in colours and in grey.
pub fn image(bytes: &[u8]) -> [bool; 2] {
    [3, 1].map(|channels| decoded(channels, |pixels| data::decode_image(bytes, channels as u32, pixels)).is_some())
}

/// Takes `bytes` for a mask. Whether it was decoded with values and with colours as labels.
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

/// What `decode` puts into a buffer, `channels` bytes a pixel, whatever that held before.
fn decoded(channels: usize, decode: impl Fn(&mut Vec<u8>) -> Result<[u32; 2], Error>) -> Option<Vec<u8>> {
    let [clean, used] = [vec![], vec![171; 5000]].map(|mut buffer| {
        let size = decode(&mut buffer).ok()?;
        assert_eq!(buffer.len(), size.map(|side| side as usize).iter().product::<usize>() * channels);
        Some(buffer)
    });
    assert!(clean == used);
    clean
}
