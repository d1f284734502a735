//! LabelMe's other shapes, with Pillow's pixels (`labelme.utils.shape_to_mask`).

use super::pillow::{Edge, fill, whole};
use crate::patch::{Patch, Size};

/// Width of LabelMe's lines in pixels.
const LINE_WIDTH: i32 = 10;
/// Radius of LabelMe's points in pixels.
const POINT_RADIUS: f64 = 5.0;

/// Rasterises the circle around `centre` through `rim`.
pub(crate) fn circle(centre: [f64; 2], rim: [f64; 2], size: Size) -> Patch {
    let [dx, dy] = [centre[0] - rim[0], centre[1] - rim[1]];
    disc(centre, (dx * dx + dy * dy).sqrt(), size)
}

/// Rasterises a point: a disc of 5 pixels' radius.
pub(crate) fn point(centre: [f64; 2], size: Size) -> Patch {
    disc(centre, POINT_RADIUS, size)
}

fn disc(centre: [f64; 2], radius: f64, size: Size) -> Patch {
    ellipse(whole(&centre.map(|value| value - radius)), whole(&centre.map(|value| value + radius)), size)
}

/// Rasterises a filled ellipse between inclusive corners.
///
/// Pillow walks a quarter of it on a grid of half pixels: from one point to the neighbour, of three, that is next to
/// the curve. Each row ends at its first point.
fn ellipse(from: [i32; 2], to: [i32; 2], size: Size) -> Patch {
    let [a, b] = [i64::from(to[0]) - i64::from(from[0]), i64::from(to[1]) - i64::from(from[1])];
    let [left, top] = from.map(i64::from);
    let mut patch = Patch::over(size, [left, top], to.map(i64::from));
    if a < 0 || b < 0 || a + b == 0 {
        return patch;
    }
    let off = |x: i64, y: i64| {
        let [x, y, a, b] = [x, y, a, b].map(i128::from);
        (a * a * y * y + b * b * x * x - a * a * b * b).abs()
    };
    let (mut x, mut y) = (a, b % 2);
    let mut row = None;
    loop {
        if row != Some(y) {
            row = Some(y);
            for y in [-y, y] {
                patch.row(top + (y + b) / 2, left + (a - x) / 2, left + (a + x) / 2);
            }
        }
        if (x, y) == (a % 2, b) {
            return patch;
        }
        let mut next = (x, y + 2);
        if x > 1 {
            for candidate in [(x - 2, y + 2), (x - 2, y)] {
                if off(candidate.0, candidate.1) < off(next.0, next.1) {
                    next = candidate;
                }
            }
        }
        (x, y) = next;
    }
}

/// Rasterises a rectangle; its corners may be any two that are opposite.
pub(crate) fn rectangle(one: [f64; 2], other: [f64; 2], size: Size) -> Patch {
    let corner = |pick: fn(f64, f64) -> f64| whole(&[pick(one[0], other[0]), pick(one[1], other[1])]).map(i64::from);
    let (from, to) = (corner(f64::min), corner(f64::max));
    let mut patch = Patch::over(size, from, to);
    (from[1].max(0)..=to[1].min(i64::from(size.height()))).for_each(|y| patch.row(y, from[0], to[0]));
    patch
}

/// Rasterises a line through points, 10 pixels wide, as separate pieces without joints.
pub(crate) fn line(points: &[[f64; 2]], size: Size) -> Patch {
    let reach = f64::from(LINE_WIDTH);
    let corner = |pick: fn(f64, f64) -> f64, start: f64, reach: f64| {
        let bound = |axis: usize| points.iter().map(|point| point[axis]).fold(start, pick) + reach;
        [bound(0) as i64, bound(1) as i64]
    };
    let from = corner(f64::min, f64::INFINITY, -reach);
    let mut patch = Patch::over(size, from, corner(f64::max, f64::NEG_INFINITY, reach));
    for pair in points.windows(2) {
        patch.add(&piece(whole(&pair[0]), whole(&pair[1]), size));
    }
    patch
}

/// Rasterises a straight piece of a line: a rectangle with corners on whole coordinates.
fn piece(from: [i32; 2], to: [i32; 2], size: Size) -> Patch {
    let [dx, dy] = [to[0] - from[0], to[1] - from[1]];
    if dx == 0 && dy == 0 {
        let mut patch = Patch::over(size, from.map(i64::from), from.map(i64::from));
        patch.set(i64::from(from[0]), i64::from(from[1]));
        return patch;
    }
    let length = f64::from(dx).hypot(f64::from(dy));
    let half = f64::from(LINE_WIDTH - 1) / 2.0;
    let [less, more] = [half_towards_zero(half) / length, half_away(half) / length];
    let offset = |share: f64, along: i32| half_towards_zero(share * f64::from(along)) as i32;
    let [less, more] = [[offset(less, dy), offset(less, dx)], [offset(more, dy), offset(more, dx)]];
    let corners = [
        [from[0] - less[0], from[1] + more[1]],
        [to[0] - less[0], to[1] + more[1]],
        [to[0] + more[0], to[1] - less[1]],
        [from[0] + more[0], from[1] - less[1]],
    ];
    let edges: Vec<Edge> = (0..4).map(|corner| Edge::new(corners[corner], corners[(corner + 1) % 4])).collect();
    fill(&edges, size)
}

fn half_away(value: f64) -> f64 {
    (value.abs() + 0.5).floor().copysign(value)
}

fn half_towards_zero(value: f64) -> f64 {
    (value.abs() - 0.5).ceil().copysign(value)
}
