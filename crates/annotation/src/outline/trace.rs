//! Walks along the edges between pixels.

use std::collections::HashMap;

/// Class map with its size.
pub(super) struct Grid<'a> {
    pub(super) map: &'a [u8],
    pub(super) width: u32,
    pub(super) height: u32,
}

impl Grid<'_> {
    /// Returns a pixel's class, or `None` outside the map; coordinates wrap around below 0.
    fn get(&self, x: u32, y: u32) -> Option<u8> {
        (x < self.width && y < self.height).then(|| self.map[y as usize * self.width as usize + x as usize])
    }

    /// Returns the pixels around a corner: upper left, upper right, lower right, lower left.
    fn around(&self, [x, y]: [u32; 2]) -> [Option<u8>; 4] {
        let (left, up) = (x.wrapping_sub(1), y.wrapping_sub(1));
        [self.get(left, up), self.get(x, up), self.get(x, y), self.get(left, y)]
    }

    /// Returns true for a corner at which more than two edges meet, and for the map's own corners.
    pub(super) fn is_node(&self, corner: [u32; 2]) -> bool {
        let around = self.around(corner);
        let outside = around.iter().filter(|pixel| pixel.is_none()).count();
        outside == 3 || (0..4).filter(|&pixel| around[pixel] != around[(pixel + 1) % 4]).count() > 2
    }
}

/// Closed boundary without a point that it passes twice.
pub(super) struct Ring {
    /// Class of the pixels on its right-hand side.
    pub(super) class: u8,
    /// One of these pixels.
    pub(super) pixel: [u32; 2],
    /// Its corners; the first is not repeated.
    pub(super) points: Vec<[u32; 2]>,
}

/// Directions in the order of turns to the right, with y down.
const STEPS: [[i64; 2]; 4] = [[1, 0], [0, 1], [-1, 0], [0, -1]];

/// Returns the boundaries of all 4-connected components of the classes that are not to be skipped.
///
/// With `nodes`, corners at which other boundaries begin are points as well where the boundary itself goes straight on.
pub(super) fn rings(grid: &Grid, skip: &[bool; 256], nodes: bool) -> Vec<Ring> {
    let mut rings = Vec::new();
    let mut passed = vec![0_u64; grid.map.len().div_ceil(64)];
    for y in 0..grid.height {
        for x in 0..grid.width {
            let index = y as usize * grid.width as usize + x as usize;
            let class = grid.map[index];
            let upper = grid.get(x, y.wrapping_sub(1));
            // Each boundary runs rightwards somewhere, and so along the upper side of a pixel.
            if !skip[usize::from(class)] && upper != Some(class) && passed[index / 64] >> (index % 64) & 1 == 0 {
                let walk = walk(grid, [x, y], class, nodes, &mut passed);
                split(walk, class, [x, y], &mut rings);
            }
        }
    }
    rings
}

/// Walks around with the class on the right hand, from the upper side of a pixel.
///
/// Returns the corners, each with true if the walk may pass it twice.
fn walk(grid: &Grid, start: [u32; 2], class: u8, nodes: bool, passed: &mut [u64]) -> Vec<([u32; 2], bool)> {
    let mut points = vec![(start, pinched(grid, start, class))];
    let (mut at, mut heading) = (start, 0);
    loop {
        if heading == 0 {
            let index = at[1] as usize * grid.width as usize + at[0] as usize;
            passed[index / 64] |= 1 << (index % 64);
        }
        let step = STEPS[heading];
        at = [0, 1].map(|axis| (i64::from(at[axis]) + step[axis]) as u32);
        let around = grid.around(at);
        // Heading right, the pixels ahead are the lower right (2) and the upper right (1); and so on by turns.
        let [right, left] = [around[(heading + 2) % 4], around[(heading + 1) % 4]].map(|pixel| pixel == Some(class));
        let turn = match (right, left) {
            (false, _) => 1,
            (true, false) => 0,
            (true, true) => 3,
        };
        heading = (heading + turn) % 4;
        if at == start && heading == 0 {
            return points;
        }
        if turn != 0 || nodes && grid.is_node(at) {
            points.push((at, pinched(grid, at, class)));
        }
    }
}

/// Returns true for a corner at which only a diagonal pair of pixels has the class.
fn pinched(grid: &Grid, corner: [u32; 2], class: u8) -> bool {
    let [a, b, c, d] = grid.around(corner).map(|pixel| pixel == Some(class));
    a == c && b == d && a != b
}

/// Splits a walk where it passes a corner twice, so that each ring is simple.
fn split(walk: Vec<([u32; 2], bool)>, class: u8, pixel: [u32; 2], rings: &mut Vec<Ring>) {
    let mut points: Vec<([u32; 2], bool)> = Vec::new();
    let mut seen = HashMap::new();
    for (point, pinched) in walk {
        if let Some(first) = seen.get(&point).copied().filter(|_| pinched) {
            let cut = points.split_off(first);
            cut.iter().filter(|(_, pinched)| *pinched).for_each(|(point, _)| {
                seen.remove(point);
            });
            rings.push(Ring { class, pixel, points: cut.into_iter().map(|(point, _)| point).collect() });
        }
        if pinched {
            seen.insert(point, points.len());
        }
        points.push((point, pinched));
    }
    rings.push(Ring { class, pixel, points: points.into_iter().map(|(point, _)| point).collect() });
}
