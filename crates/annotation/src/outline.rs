//! Polygons of class maps: outlines along the pixels' edges, with holes.

mod components;
mod simplify;
mod trace;

use crate::patch::Size;
use crate::problem::Error;
use components::Components;
pub use components::Neighbours;
use std::collections::HashMap;
use trace::{Grid, Ring};

/// Value of pixels that belong to no class; they get no outline.
pub const IGNORE: u8 = 255;

/// Pixels that make one [`Area`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// All pixels of a class.
    Class,
    /// One connected component of a class.
    Component(Neighbours),
}

/// Choice of outlines.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Pixels that make one area.
    pub by: By,
    /// Largest distance in pixels of a corner that was left out from the line that took its place. 0 leaves out none.
    pub tolerance: f64,
    /// Classes without outlines, such as a background; [`IGNORE`] never has one.
    pub left_out: Vec<u8>,
}

impl Default for Options {
    /// Returns exact outlines of all 4-connected components.
    fn default() -> Self {
        Options { by: By::Component(Neighbours::Four), tolerance: 0.0, left_out: Vec::new() }
    }
}

/// Polygon of pixel corners `[x, y]`: (0, 0) is the map's upper left corner, (width, height) its lower right.
///
/// A ring does not repeat its first point. The outer ring runs clockwise on a screen (with y down), holes the other
/// way. Rings of a polygon have no edge in common, but may touch in corners.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Polygon {
    /// Outer boundary.
    pub outer: Vec<[u32; 2]>,
    /// Boundaries of the holes.
    pub holes: Vec<Vec<[u32; 2]>>,
}

impl Polygon {
    /// Returns the area enclosed, without the holes, in square pixels.
    pub fn area(&self) -> f64 {
        let twice = self.rings().map(|ring| twice_area(ring)).sum::<i64>();
        twice as f64 / 2.0
    }

    /// Returns the outer ring, then the holes.
    pub fn rings(&self) -> impl Iterator<Item = &Vec<[u32; 2]>> {
        std::iter::once(&self.outer).chain(&self.holes)
    }
}

/// Returns twice the area in a ring: positive if it runs as outer rings do.
fn twice_area(ring: &[[u32; 2]]) -> i64 {
    let next = ring.iter().cycle().skip(1);
    ring.iter().zip(next).map(|(a, b)| i64::from(a[0]) * i64::from(b[1]) - i64::from(b[0]) * i64::from(a[1])).sum()
}

/// All pixels of a class, or a connected component of them, as polygons that do not overlap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Area {
    /// Class id.
    pub class: u8,
    /// Its polygons, in the order of their first pixels. An area that only corners connect has several.
    pub polygons: Vec<Polygon>,
    /// Number of its pixels; equals the polygons' area unless they were simplified.
    pub pixels: u64,
}

/// Traces the outlines of a class map (`height × width` ids, row by row), in the order of first pixels.
///
/// Without simplification a pixel is of an area exactly if its centre is inside the area's polygons. With it,
/// neighbours keep their common boundary, the map stays covered, and no lines cross. Memory is that of the runs of
/// equal pixels, a bit per pixel, and the outlines.
///
/// # Errors
///
/// [`Error::Length`] if the map does not have the size.
pub fn outlines(map: &[u8], size: Size, options: &Options) -> Result<Vec<Area>, Error> {
    if map.len() != size.pixels() {
        let expected = size.pixels() as u64;
        return Err(Error::Length { found: map.len(), width: size.width(), height: size.height(), expected });
    }
    let grid = Grid { map, width: size.width(), height: size.height() };
    let simplify = options.tolerance > 0.0;
    let mut skip = [false; 256];
    options.left_out.iter().chain(&[IGNORE]).for_each(|&class| skip[usize::from(class)] = true);
    let mut rings = trace::rings(&grid, &skip, simplify);
    // Pixels are counted before corners go.
    let pixels: Vec<i64> = rings.iter().map(|ring| twice_area(&ring.points) / 2).collect();
    if simplify {
        let points = rings.iter_mut().map(|ring| &mut ring.points).collect();
        simplify::simplify(points, options.tolerance, &grid);
    }
    Ok(assemble(rings, &pixels, &grid, options.by))
}

/// Puts rings together to polygons, and polygons to areas.
fn assemble(rings: Vec<Ring>, pixels: &[i64], grid: &Grid, by: By) -> Vec<Area> {
    let fours = Components::new(grid, Neighbours::Four);
    let eights = (by == By::Component(Neighbours::Eight)).then(|| Components::new(grid, Neighbours::Eight));
    let mut areas: Vec<Area> = Vec::new();
    let mut area_of = HashMap::new();
    // The area and the position in it of each 4-connected component.
    let mut polygon_of: HashMap<u32, (usize, usize)> = HashMap::new();
    let (outer, holes): (Vec<_>, Vec<_>) = rings.into_iter().zip(pixels).partition(|(_, pixels)| **pixels > 0);
    for (ring, pixels) in outer {
        let component = fours.at(ring.pixel);
        let key = match by {
            By::Class => u32::from(ring.class),
            By::Component(_) => eights.as_ref().map_or(component, |eights| eights.at(ring.pixel)),
        };
        let index = *area_of.entry(key).or_insert_with(|| {
            areas.push(Area { class: ring.class, polygons: Vec::new(), pixels: 0 });
            areas.len() - 1
        });
        polygon_of.insert(component, (index, areas[index].polygons.len()));
        areas[index].pixels += pixels.unsigned_abs();
        areas[index].polygons.push(Polygon { outer: ring.points, holes: Vec::new() });
    }
    for (ring, pixels) in holes {
        if let Some(&(area, polygon)) = polygon_of.get(&fours.at(ring.pixel)) {
            areas[area].pixels -= pixels.unsigned_abs();
            areas[area].polygons[polygon].holes.push(ring.points);
        }
    }
    if by == By::Class {
        areas.sort_by_key(|area| area.class);
    }
    areas
}
