//! Digests of annotations, by which resuming and caches notice that a mask would be painted differently.

use super::drawing::Drawing;
use crate::load::IGNORE;
use annotation::{Classes, Geometry, Shape};
use blake3::Hasher;

/// Returns the first 8 bytes of the BLAKE3 of an image's size, and of class and geometry of each of its shapes; of
/// segments, of their ids and classes.
pub(super) fn of(drawing: &Drawing, classes: &Classes) -> u64 {
    let mut hasher = Hasher::new();
    number(&mut hasher, drawing.size().width().into());
    number(&mut hasher, drawing.size().height().into());
    match drawing {
        Drawing::Shapes(annotated) => {
            number(&mut hasher, annotated.shapes.len() as u64);
            annotated.shapes.iter().for_each(|shape| add(&mut hasher, shape, classes));
        }
        Drawing::Segments(segmented) => {
            let mut segments: Vec<_> = segmented.segments.iter().collect();
            segments.sort_unstable_by_key(|(id, _)| **id);
            for (id, segment) in segments {
                number(&mut hasher, u64::from(*id));
                number(&mut hasher, class(segment.crowd, Some(segment.category), classes));
            }
        }
    }
    hasher.finalize().as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

/// Returns the value that is painted.
fn class(crowd: bool, category: Option<u64>, classes: &Classes) -> u64 {
    if crowd { IGNORE.into() } else { category.and_then(|category| classes.of(category)).unwrap_or_default().into() }
}

fn number(hasher: &mut Hasher, number: u64) {
    hasher.update(&number.to_le_bytes());
}

fn points(hasher: &mut Hasher, points: &[[f64; 2]]) {
    number(hasher, points.len() as u64);
    points.iter().flatten().for_each(|value| number(hasher, value.to_bits()));
}

/// Adds a shape: its class, and the number of its kind with what that kind consists of.
fn add(hasher: &mut Hasher, shape: &Shape, classes: &Classes) {
    number(hasher, class(shape.crowd, shape.category, classes));
    let kind = |hasher: &mut Hasher, kind: u64| number(hasher, kind);
    match &shape.geometry {
        Geometry::Polygons { rings, rule } => {
            kind(hasher, 1 + *rule as u64);
            number(hasher, rings.len() as u64);
            rings.iter().for_each(|ring| points(hasher, ring));
        }
        Geometry::Runs(runs) => {
            kind(hasher, 4);
            number(hasher, runs.counts().len() as u64);
            runs.counts().iter().for_each(|count| number(hasher, u64::from(*count)));
        }
        Geometry::Mask { corner, width, bits } => {
            kind(hasher, 5);
            corner.iter().for_each(|value| number(hasher, *value as u64));
            number(hasher, u64::from(*width));
            number(hasher, bits.len() as u64);
            let bytes: Vec<u8> = bits.iter().map(|bit| u8::from(*bit)).collect();
            hasher.update(&bytes);
        }
        Geometry::Circle(corners) => {
            kind(hasher, 6);
            points(hasher, corners);
        }
        Geometry::Rectangle(corners) => {
            kind(hasher, 7);
            points(hasher, corners);
        }
        Geometry::Line(line) => {
            kind(hasher, 8);
            points(hasher, line);
        }
        Geometry::Point(centre) => {
            kind(hasher, 9);
            points(hasher, &[*centre]);
        }
        Geometry::Ellipse { centre, radii, degrees } => {
            kind(hasher, 10);
            points(hasher, &[*centre, *radii, [*degrees, 0.0]]);
        }
    }
}
