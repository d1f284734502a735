//! Pillow's scan line filler, as `ImageDraw.polygon(outline=1, fill=1)` and wide lines use it.
//!
//! Coordinates are truncated to whole numbers. Positions within a row are 32-bit floats, rounded outwards, and rows in
//! which edges end are treated apart; all of this decides pixels, so it is kept step by step.

use crate::patch::{Patch, Size};

/// Edge of a polygon between whole coordinates.
#[derive(Clone, Copy)]
pub(super) struct Edge {
    /// A point of the line, and its change of x in a row.
    from: [i32; 2],
    slope: f32,
    /// Extent in x, and rows, both inclusive.
    x: [i32; 2],
    y: [i32; 2],
}

impl Edge {
    pub(super) fn new(from: [i32; 2], to: [i32; 2]) -> Edge {
        let slope = if from[1] == to[1] { 0.0 } else { (to[0] - from[0]) as f32 / (to[1] - from[1]) as f32 };
        let sorted = |axis: usize| [from[axis].min(to[axis]), from[axis].max(to[axis])];
        Edge { from, slope, x: sorted(0), y: sorted(1) }
    }

    fn level(&self) -> bool {
        self.y[0] == self.y[1]
    }

    fn ends_in(&self, y: i32) -> bool {
        self.y.contains(&y)
    }

    fn covers(&self, y: i32) -> bool {
        (self.y[0]..=self.y[1]).contains(&y)
    }

    /// Returns the position in a row.
    fn at(&self, y: i32) -> f32 {
        (y - self.from[1]) as f32 * self.slope + self.from[0] as f32
    }
}

/// Truncates a point's coordinates as C's cast does; far ones are kept where sums cannot overflow.
pub(super) fn whole(point: &[f64; 2]) -> [i32; 2] {
    point.map(|value| value.clamp(-1e8, 1e8) as i32)
}

/// Rasterises one polygon; its last corner is joined with its first.
pub(crate) fn polygon(ring: &[[f64; 2]], size: Size) -> Patch {
    let corners: Vec<[i32; 2]> = ring.iter().map(whole).collect();
    let mut edges: Vec<Edge> = Vec::with_capacity(corners.len());
    for (index, pair) in corners.windows(2).enumerate() {
        let [from, to] = [pair[0], pair[1]];
        if let (true, Some(before), Some(last)) =
            (from[1] == to[1], index.checked_sub(1).map(|before| corners[before]), edges.last_mut())
            && before[1] == from[1]
        {
            // A level edge that goes on in the direction of the one before lengthens it.
            if to[0] > from[0] && from[0] > before[0] {
                last.x[1] = to[0];
                continue;
            }
            if to[0] < from[0] && from[0] < before[0] {
                last.x[0] = to[0];
                continue;
            }
        }
        edges.push(Edge::new(from, to));
    }
    if let [first, .., last] = corners[..]
        && first != last
    {
        edges.push(Edge::new(last, first));
    }
    fill(&edges, size)
}

/// Fills the area that edges enclose, including the edges.
pub(super) fn fill(edges: &[Edge], size: Size) -> Patch {
    let low = |values: [i32; 2]| i64::from(values[0]);
    let high = |values: [i32; 2]| i64::from(values[1]);
    // Corners that end a row's span move it by a pixel at most.
    let left = edges.iter().map(|edge| low(edge.x)).min().unwrap_or(0) - 2;
    let right = edges.iter().map(|edge| high(edge.x)).max().unwrap_or(-1) + 2;
    let top = edges.iter().map(|edge| low(edge.y)).min().unwrap_or(0);
    let bottom = edges.iter().map(|edge| high(edge.y)).max().unwrap_or(-1);
    let mut patch = Patch::over(size, [left, top], [right, bottom]);
    edges.iter().filter(|edge| edge.level()).for_each(|edge| row(&mut patch, edge.y[0], edge.x));
    let mut waiting: Vec<(usize, Edge)> = edges.iter().copied().filter(|edge| !edge.level()).enumerate().collect();
    waiting.sort_by_key(|(_, edge)| edge.y[0]);
    let mut waiting = waiting.into_iter().peekable();
    let last = bottom.clamp(0, i64::from(size.height())) as i32;
    let mut active: Vec<(usize, Edge)> = Vec::new();
    for y in top.clamp(0, i64::from(size.height())) as i32..=last {
        let before = active.len();
        while let Some(edge) = waiting.next_if(|(_, edge)| edge.y[0] <= y) {
            active.push(edge);
        }
        if active.len() > before {
            active.sort_by_key(|(index, _)| *index);
        }
        active.retain(|(_, edge)| edge.covers(y));
        let mut crossings = crossings(&active, y, last);
        crossings.sort_by(f32::total_cmp);
        for pair in crossings.chunks_exact(2) {
            row(&mut patch, y, [round_up(pair[0]), round_down(pair[1])]);
        }
    }
    patch
}

/// Sets pixels of a row; Pillow draws nothing for a span whose ends are in the wrong order.
fn row(patch: &mut Patch, y: i32, [from, to]: [i32; 2]) {
    patch.row(i64::from(y), i64::from(from), i64::from(to));
}

/// Returns the positions at which edges cross a row; `last` is the polygon's last row in the image.
fn crossings(active: &[(usize, Edge)], y: i32, last: i32) -> Vec<f32> {
    let mut crossings = Vec::with_capacity(2 * active.len());
    for (index, (_, edge)) in active.iter().enumerate() {
        let x = edge.at(y);
        if y == edge.y[1] && y < last {
            crossings.extend([x, x]);
        } else if edge.ends_in(y) && edge.slope != 0.0 {
            crossings.push(corner(edge, x, y, &active[..index]));
        } else {
            crossings.push(x);
        }
    }
    crossings
}

/// Moves the end of an edge next to the row beside it, where another edge meets it in a pointed corner.
fn corner(edge: &Edge, x: f32, y: i32, earlier: &[(usize, Edge)]) -> f32 {
    let beside = if y == edge.y[1] { y - 1 } else { y + 1 };
    let meets = |other: &Edge| other.ends_in(y) && other.slope != 0.0 && x.round() == other.at(y).round();
    let found = earlier.iter().find(|(_, other)| meets(other) && other.covers(beside));
    let Some((_, other)) = found else { return x };
    let [ours, theirs] = [edge.at(beside), other.at(beside)];
    if x > ours + 1.0 && x > theirs + 1.0 {
        ours.max(theirs).round() + 1.0
    } else if x < ours - 1.0 && x < theirs - 1.0 {
        ours.min(theirs).round() - 1.0
    } else {
        x
    }
}

/// Rounds half away from zero, by a sum in 32 bits above zero and in 64 below, as Pillow's macro does.
fn round_up(value: f32) -> i32 {
    if value >= 0.0 { (value + 0.5).floor() as i32 } else { -((f64::from(value.abs()) + 0.5).floor() as i32) }
}

/// Rounds half towards zero, likewise.
fn round_down(value: f32) -> i32 {
    if value >= 0.0 { (value - 0.5).ceil() as i32 } else { -((f64::from(value.abs()) - 0.5).ceil() as i32) }
}
