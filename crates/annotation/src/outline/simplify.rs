//! Fewer corners: neighbours keep their common boundary, and no lines cross.
//!
//! Boundaries are cut at the corners where more than two meet, and at the map's. Of the corners between, those nearest
//! to the line between their neighbours go first (Visvalingam and Whyatt 1993, with the distance for the area), as long
//! as all corners that are gone stay within the tolerance. A corner stays while the triangle of it and its neighbours
//! holds another corner, since then a line might cross (de Berg, van Kreveld and Schirra 1998).

use super::trace::Grid;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

type Point = [u32; 2];

/// Boundary between two nodes, or a closed one that begins and ends at its first corner.
struct Arc {
    points: Vec<Point>,
    /// Neighbours of each point that is left; `None` for a point that is gone.
    links: Vec<Option<(usize, usize)>>,
}

/// Leaves out corners of all rings of a map at once.
pub(super) fn simplify(rings: Vec<&mut Vec<Point>>, tolerance: f64, grid: &Grid) {
    let mut arcs: Vec<Arc> = Vec::new();
    let mut by_start: HashMap<(Point, Point), usize> = HashMap::new();
    let mut of_rings = Vec::with_capacity(rings.len());
    for ring in &rings {
        let parts = cut(ring, grid);
        let mut parts_of_ring = Vec::with_capacity(parts.len());
        for points in parts {
            let last = points.len() - 1;
            // The ring on the other side runs the other way.
            let known = by_start.get(&(points[last], points[last - 1]));
            let (arc, reversed) = known.map_or((arcs.len(), false), |&arc| (arc, true));
            if !reversed {
                by_start.insert((points[0], points[1]), arc);
                let links = (0..points.len()).map(|point| Some((point.wrapping_sub(1), point + 1))).collect();
                arcs.push(Arc { points, links });
            }
            parts_of_ring.push((arc, reversed));
        }
        of_rings.push(parts_of_ring);
    }
    thin(&mut arcs, tolerance);
    for (ring, parts) in rings.into_iter().zip(of_rings) {
        ring.clear();
        for (arc, reversed) in parts {
            let Arc { points, links } = &arcs[arc];
            let left = points.iter().zip(links).filter_map(|(point, link)| link.map(|_| *point));
            let mut left: Vec<Point> = left.collect();
            if reversed {
                left.reverse();
            }
            // The next part begins with this one's last point.
            left.pop();
            ring.append(&mut left);
        }
    }
}

/// Cuts a ring at its nodes; without one, at its uppermost corner.
fn cut(ring: &[Point], grid: &Grid) -> Vec<Vec<Point>> {
    let mut cuts: Vec<usize> = (0..ring.len()).filter(|&index| grid.is_node(ring[index])).collect();
    if cuts.is_empty() {
        cuts.extend((0..ring.len()).min_by_key(|&index| (ring[index][1], ring[index][0])));
    }
    let part = |(position, &from): (usize, &usize)| {
        let to = if position + 1 < cuts.len() { cuts[position + 1] } else { cuts[0] + ring.len() };
        (from..=to).map(|index| ring[index % ring.len()]).collect()
    };
    cuts.iter().enumerate().map(part).collect()
}

/// Leaves out corners, the nearest to its neighbours' line first.
fn thin(arcs: &mut [Arc], tolerance: f64) {
    let mut field = Field::new(arcs);
    let mut queue = BinaryHeap::new();
    for (number, arc) in arcs.iter().enumerate() {
        for index in 1..arc.points.len() - 1 {
            queue.extend(candidate(arc, number, index, tolerance));
        }
    }
    while let Some(Reverse((_, _, number, index, link))) = queue.pop() {
        let arc = &mut arcs[number];
        if arc.links[index] != Some(link) {
            continue;
        }
        let (before, after) = link;
        let triangle = [arc.points[before], arc.points[index], arc.points[after]];
        if !field.remove(triangle) {
            continue;
        }
        arc.links[index] = None;
        for (neighbour, link) in [(before, (None, Some(after))), (after, (Some(before), None))] {
            arc.links[neighbour] =
                arc.links[neighbour].map(|(left, right)| (link.0.unwrap_or(left), link.1.unwrap_or(right)));
            if neighbour > 0 && neighbour + 1 < arc.points.len() {
                queue.extend(candidate(arc, number, neighbour, tolerance));
            }
        }
    }
}

type Candidate = Reverse<(u64, usize, usize, usize, (usize, usize))>;

/// Returns a corner's place in the queue if it may go; of equal distances, the shorter line comes first.
fn candidate(arc: &Arc, number: usize, index: usize, tolerance: f64) -> Option<Candidate> {
    let link = arc.links[index]?;
    let (before, after) = link;
    let line = [arc.points[before], arc.points[after]];
    let mut farthest = 0.0_f64;
    for &point in &arc.points[before + 1..after] {
        farthest = farthest.max(distance(point, line));
        if farthest > tolerance {
            return None;
        }
    }
    // The bits of floats that are not negative have the floats' order.
    Some(Reverse((farthest.to_bits(), after - before, number, index, link)))
}

/// Returns the distance from a point to a line between two points.
fn distance(point: Point, [from, to]: [Point; 2]) -> f64 {
    let along = |a: Point, b: Point| [0, 1].map(|axis| f64::from(b[axis]) - f64::from(a[axis]));
    let (line, offset) = (along(from, to), along(from, point));
    let length = line[0] * line[0] + line[1] * line[1];
    let dot = offset[0] * line[0] + offset[1] * line[1];
    let share = if length > 0.0 { (dot / length).clamp(0.0, 1.0) } else { 0.0 };
    (offset[0] - share * line[0]).hypot(offset[1] - share * line[1])
}

/// Side of a cell of the index of corners, in pixels.
const CELL: u32 = 16;

/// All corners and lines that are left.
struct Field {
    cells: HashMap<[u32; 2], Vec<Point>>,
    lines: HashSet<[Point; 2]>,
}

impl Field {
    fn new(arcs: &[Arc]) -> Field {
        let mut field = Field { cells: HashMap::new(), lines: HashSet::new() };
        for arc in arcs {
            for pair in arc.points.windows(2) {
                field.lines.insert(sorted(pair[0], pair[1]));
            }
            for &point in &arc.points {
                let cell = field.cells.entry(point.map(|value| value / CELL)).or_default();
                if !cell.contains(&point) {
                    cell.push(point);
                }
            }
        }
        field
    }

    /// Replaces two sides of a triangle by the third, unless another line is there or might be crossed.
    fn remove(&mut self, [before, point, after]: [Point; 3]) -> bool {
        let new = sorted(before, after);
        if before == after || self.lines.contains(&new) || self.holds_a_corner([before, point, after]) {
            return false;
        }
        self.lines.remove(&sorted(before, point));
        self.lines.remove(&sorted(point, after));
        self.lines.insert(new);
        if let Some(cell) = self.cells.get_mut(&point.map(|value| value / CELL)) {
            cell.retain(|other| *other != point);
        }
        true
    }

    /// Returns true if a corner other than the triangle's own is in it or on its sides.
    fn holds_a_corner(&self, triangle: [Point; 3]) -> bool {
        let rows = triangle.map(|point| point[1]);
        let first = rows.iter().min().map_or(0, |row| row / CELL);
        let last = rows.iter().max().map_or(0, |row| row / CELL);
        (first..=last).any(|row| {
            let (left, right) = extent(triangle, row);
            (left..=right).any(|column| {
                let cell = self.cells.get(&[column, row]);
                cell.is_some_and(|cell| cell.iter().any(|point| !triangle.contains(point) && holds(triangle, *point)))
            })
        })
    }
}

/// Returns the columns of cells that a triangle has in a row of cells, or a few more.
fn extent(triangle: [Point; 3], row: u32) -> (u32, u32) {
    let [top, bottom] = [row * CELL, row * CELL + CELL].map(f64::from);
    let (mut left, mut right) = (f64::INFINITY, 0.0_f64);
    for index in 0..3 {
        let [from, to] = [triangle[index], triangle[(index + 1) % 3]].map(|point| point.map(f64::from));
        let (upper, lower) = if from[1] <= to[1] { (from, to) } else { (to, from) };
        let (start, end) = (upper[1].max(top), lower[1].min(bottom));
        if start > end {
            continue;
        }
        let rise = lower[1] - upper[1];
        let at = |y: f64| upper[0] + (lower[0] - upper[0]) * if rise > 0.0 { (y - upper[1]) / rise } else { 0.0 };
        for x in if rise > 0.0 { [at(start), at(end)] } else { [upper[0], lower[0]] } {
            left = left.min(x);
            right = right.max(x);
        }
    }
    (((left - 1.0).max(0.0) as u32) / CELL, (right + 1.0) as u32 / CELL)
}

/// Returns true if a point is in a triangle or on its sides.
fn holds(triangle: [Point; 3], point: Point) -> bool {
    let side = |a: Point, b: Point| {
        let [ab, ap] = [b, point].map(|to| [0, 1].map(|axis| i64::from(to[axis]) - i64::from(a[axis])));
        (ab[0] * ap[1] - ab[1] * ap[0]).signum()
    };
    let sides = [0, 1, 2].map(|index| side(triangle[index], triangle[(index + 1) % 3]));
    let box_of = |axis: usize| {
        let values = triangle.map(|corner| corner[axis]);
        values.iter().min().zip(values.iter().max()).is_some_and(|(low, high)| (low..=high).contains(&&point[axis]))
    };
    // A flat triangle has three zeros for all points of its line.
    !(sides.contains(&1) && sides.contains(&-1)) && box_of(0) && box_of(1)
}

fn sorted(one: Point, other: Point) -> [Point; 2] {
    if one <= other { [one, other] } else { [other, one] }
}
