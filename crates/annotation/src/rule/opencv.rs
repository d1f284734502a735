//! OpenCV's `fillPoly` on whole coordinates, as Ultralytics' `polygon2mask` calls it.
//!
//! The outline is drawn with Bresenham's lines. The inside is even-odd, with edges of 16 binary digits behind the
//! point. Where an edge leaves the image OpenCV cuts its line at the border first, in whole numbers, and the edge
//! follows the cut line.

use crate::patch::{Patch, Size};

/// Binary digits behind the point.
const SHIFT: u32 = 16;

struct Edge {
    /// Rows `top..bottom`.
    top: i64,
    bottom: i64,
    /// Position in the row `top`, and its change in a row.
    x: i64,
    slope: i64,
}

/// Rasterises one polygon; its last corner is joined with its first.
pub(crate) fn polygon(ring: &[[f64; 2]], size: Size) -> Patch {
    let corners: Vec<[i64; 2]> = ring.iter().map(|corner| corner.map(|value| i64::from(value as i32))).collect();
    let mut patch = canvas(&corners, size);
    let mut edges = Vec::with_capacity(corners.len());
    for (index, &to) in corners.iter().enumerate() {
        let from = corners[(index + corners.len() - 1) % corners.len()];
        let cut = if inside(from, size) && inside(to, size) {
            line(&mut patch, from, to);
            [from, to]
        } else {
            let (visible, cut) = clip(from, to, size);
            if visible {
                line(&mut patch, cut[0], cut[1]);
            }
            cut
        };
        edges.extend(edge(from, to, cut));
    }
    fill(&mut patch, edges, size);
    patch
}

/// Makes an empty mask; a cut edge may leave the polygon's own box.
fn canvas(corners: &[[i64; 2]], size: Size) -> Patch {
    if corners.iter().any(|&corner| !inside(corner, size)) {
        return Patch::whole(size);
    }
    let bound = |axis: usize, lower: bool| {
        let values = corners.iter().map(|corner| corner[axis]);
        if lower { values.min() } else { values.max() }.unwrap_or(-1)
    };
    Patch::over(size, [bound(0, true), bound(1, true)], [bound(0, false), bound(1, false)])
}

fn inside([x, y]: [i64; 2], size: Size) -> bool {
    (0..i64::from(size.width())).contains(&x) && (0..i64::from(size.height())).contains(&y)
}

/// Draws a line with both ends, in the image.
fn line(patch: &mut Patch, from: [i64; 2], to: [i64; 2]) {
    let (from, to) = if from[0] <= to[0] { (from, to) } else { (to, from) };
    let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    let down = dy.signum();
    let (long, short) = (dx.max(dy.abs()), dx.min(dy.abs()));
    let flat = dx >= dy.abs();
    let [mut x, mut y] = from;
    let mut error = long - 2 * short;
    for _ in 0..=long {
        patch.set(x, y);
        let both = error < 0;
        error += if both { 2 * long - 2 * short } else { -2 * short };
        if flat || both {
            x += 1;
        }
        if !flat || both {
            y += down;
        }
    }
}

/// Cuts a line at the image's borders; false if nothing of it is inside, and then the line is cut in part.
fn clip(from: [i64; 2], to: [i64; 2], size: Size) -> (bool, [[i64; 2]; 2]) {
    let ends = [i64::from(size.width()) - 1, i64::from(size.height()) - 1];
    let mut line = [from, to];
    // 1 before the image, 2 behind it, 0 inside.
    let side = |point: [i64; 2], axis: usize| u8::from(point[axis] < 0) + 2 * u8::from(point[axis] > ends[axis]);
    let sides = |line: &[[i64; 2]; 2], axis: usize| [side(line[0], axis), side(line[1], axis)];
    let apart = |sides: [u8; 2]| sides[0] & sides[1] != 0;
    let (columns, rows) = (sides(&line, 0), sides(&line, 1));
    if apart(columns) || apart(rows) {
        return (false, line);
    }
    // Rows first, then columns; each cut uses the point that the cut before it left.
    for axis in [1, 0] {
        let sides = sides(&line, axis);
        if apart(sides) {
            return (false, line);
        }
        for (point, side) in sides.into_iter().enumerate().filter(|(_, side)| *side != 0) {
            let border = if side == 1 { 0 } else { ends[axis] };
            let other = 1 - axis;
            let [run, rise] = [line[1][axis] - line[0][axis], line[1][other] - line[0][other]];
            let moved = (border - line[point][axis]) as f64 * rise as f64 / run as f64;
            line[point][other] += moved as i64;
            line[point][axis] = border;
        }
    }
    (true, line)
}

/// Makes the edge between two corners whose line was cut to `cut`; a level edge has none.
fn edge(from: [i64; 2], to: [i64; 2], cut: [[i64; 2]; 2]) -> Option<Edge> {
    if from[1] == to[1] {
        return None;
    }
    let rows = if cut[0][1] == cut[1][1] { [from[1], to[1]] } else { [cut[0][1], cut[1][1]] };
    let slope = ((cut[1][0] - cut[0][0]) << SHIFT) / (rows[1] - rows[0]);
    let upper = usize::from(from[1] > to[1]);
    let top = from[1].min(to[1]);
    let x = (cut[upper][0] << SHIFT) + (top - rows[upper]) * slope;
    Some(Edge { top, bottom: from[1].max(to[1]), x, slope })
}

/// Fills between each two edges of a row, from the left.
fn fill(patch: &mut Patch, mut edges: Vec<Edge>, size: Size) {
    edges.sort_by_key(|edge| edge.top);
    let first = edges.first().map_or(0, |edge| edge.top.max(0));
    let last = edges.iter().map(|edge| edge.bottom).max().unwrap_or(0).min(i64::from(size.height()));
    let mut waiting = edges.into_iter().peekable();
    let (mut active, mut row): (Vec<Edge>, Vec<i64>) = (Vec::new(), Vec::new());
    for y in first..last {
        while let Some(edge) = waiting.next_if(|edge| edge.top <= y) {
            active.push(edge);
        }
        active.retain(|edge| edge.bottom > y);
        row.clear();
        row.extend(active.iter().map(|edge| edge.x + (y - edge.top) * edge.slope));
        row.sort_unstable();
        for pair in row.chunks_exact(2) {
            let from = (pair[0] + (1 << SHIFT) - 1) >> SHIFT;
            patch.row(y, from, pair[1] >> SHIFT);
        }
    }
}
