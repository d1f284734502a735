//! Recognises predictions of earlier runs, which are no images to predict.

use crate::common::beside::{LEGEND, map_of};
use crate::common::files::folder;
use crate::common::seal::is_ours;
use data::Orientation;
use png::{BitDepth, ColorType, Decoder};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Recognises earlier predictions. Caches the number of classes in the legend of each folder.
#[derive(Debug, Default)]
pub struct Earlier {
    classes: HashMap<PathBuf, Option<usize>>,
}

impl Earlier {
    /// Returns whether the file, below the folder `top`, is a prediction: sealed by this program, or a class map in a
    /// folder with a legend. Such a map has no valid seal if a person edited it, or if an old version wrote it. The
    /// pictures of a class map count too.
    pub fn made(&mut self, file: &Path, top: &Path) -> bool {
        if is_ours(file) {
            return true;
        }
        if file.extension().is_none_or(|extension| extension != "png") {
            return false;
        }
        let Some(classes) = self.classes(folder(file), top) else { return false };
        is_map(file, classes) || map_of(file).is_some_and(|map| is_ours(&map) || is_map(&map, classes))
    }

    /// Returns the number of classes in the nearest legend, from `below` up to `top`.
    fn classes(&mut self, below: &Path, top: &Path) -> Option<usize> {
        if let Some(known) = self.classes.get(below) {
            return *known;
        }
        let own = fs::read(below.join(LEGEND)).ok().and_then(|text| number_of_classes(&text));
        let classes = own.or_else(|| if below == top { None } else { self.classes(below.parent()?, top) });
        self.classes.insert(below.into(), classes);
        classes
    }
}

/// Returns the number of classes in a legend, if `text` is one.
fn number_of_classes(text: &[u8]) -> Option<usize> {
    let classes: Vec<Value> = serde_json::from_slice(text).ok()?;
    let is_class = |(id, class): (usize, &Value)| class["id"] == id && class["name"].is_string();
    classes.iter().enumerate().all(is_class).then_some(classes.len())
}

/// Returns whether the file is a greyscale PNG whose values are all below `classes`.
fn is_map(file: &Path, classes: usize) -> bool {
    let is_grey = |file| {
        let mut decoder = Decoder::new(BufReader::new(file));
        let header = decoder.read_header_info().ok()?;
        Some((header.color_type, header.bit_depth) == (ColorType::Grayscale, BitDepth::Eight))
    };
    file.is_file()
        && File::open(file).ok().and_then(is_grey) == Some(true)
        && data::read_pixels(file, 1, Orientation::Ignore)
            .is_ok_and(|(_, ids)| ids.iter().all(|id| usize::from(*id) < classes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, Luma};

    #[test]
    fn class_maps_beside_a_legend_are_known_without_a_seal() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path();
        fs::create_dir_all(top.join("out/deep")).unwrap();
        fs::write(top.join("out").join(LEGEND), r#"[{"id": 0, "name": "ground"}, {"id": 1, "name": "disc"}]"#).unwrap();
        let draw = |name: &str, value: u8| GrayImage::from_pixel(4, 4, Luma([value])).save(top.join(name)).unwrap();
        for (name, value, made) in [
            ("out/deep/a.png", 1, true),
            ("out/deep/a_overlay.png", 200, true),
            ("out/deep/a_probability_12.png", 200, true),
            ("out/deep/b_overlay.png", 200, false),
            ("out/photograph.png", 2, false),
            ("mask.png", 1, false),
        ] {
            draw(name, value);
            assert_eq!(Earlier::default().made(&top.join(name), top), made, "{name}");
        }
        // A list of something else is no legend.
        for text in ["[1, 2]", r#"{"id": 0}"#, "ground"] {
            fs::write(top.join("out").join(LEGEND), text).unwrap();
            assert!(!Earlier::default().made(&top.join("out/deep/a.png"), top), "{text}");
        }
    }
}
