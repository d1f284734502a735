//! COCO's rule for polygons (`rleFrPoly` of maskApi, Dollár and Lin 2015).
//!
//! Corners are rounded to a grid five times as fine, and edges are drawn there with a point per step of their longer
//! axis. A pixel's column begins or ends where an edge passes the column's centre, at the lower of the two points
//! there. Only these passages are computed here, so a far corner costs no more than a near one.

use crate::patch::Size;
use crate::rle::Rle;

const SCALE: f64 = 5.0;

/// Rasterises one polygon; its last corner is joined with its first.
pub(crate) fn polygon(ring: &[[f64; 2]], size: Size) -> Rle {
    // Far coordinates are kept where sums cannot overflow.
    let fine = |value: f64| (SCALE * value + 0.5).clamp(-1e9, 1e9) as i64;
    let corners: Vec<[i64; 2]> = ring.iter().map(|corner| corner.map(fine)).collect();
    let mut turns = Vec::new();
    for (index, &from) in corners.iter().enumerate() {
        let to = corners[(index + 1) % corners.len()];
        edge(from, to, size, &mut turns);
    }
    // Each position changes between set and not set; two at one place cancel out.
    turns.sort_unstable();
    let end = size.pixels() as u32;
    let spans: Vec<[u32; 2]> = turns.chunks(2).map(|turn| [turn[0], turn.get(1).copied().unwrap_or(end)]).collect();
    Rle::of_spans(size, &spans)
}

/// Adds the column-major positions at which an edge changes the mask.
fn edge(from: [i64; 2], to: [i64; 2], size: Size, turns: &mut Vec<u32>) {
    let [dx, dy] = [0, 1].map(|axis| (from[axis] - to[axis]).abs());
    let flat = dx >= dy;
    let long = usize::from(!flat);
    let (start, end) = if from[long] <= to[long] { (from, to) } else { (to, from) };
    let slope = (end[1 - long] - start[1 - long]) as f64 / dx.max(dy) as f64;
    // The point after `step` steps on the longer axis.
    let short = |step: i64| (start[1 - long] as f64 + slope * step as f64 + 0.5) as i64;
    let point = |step: i64| if flat { [start[0] + step, short(step)] } else { [short(step), start[1] + step] };
    let steps = dx.max(dy);
    let [first, last] = [point(0)[0], point(steps)[0]];
    let (low, high) = (first.min(last), first.max(last));
    // The centre of column x lies between the points 5 x + 2 and 5 x + 3.
    let columns = (low - 2).div_euclid(5).max(0)..=(high - 3).div_euclid(5).min(i64::from(size.width()) - 1);
    for x in columns.filter(|x| low <= 5 * x + 2 && 5 * x + 3 <= high) {
        let passed = |step: i64| if first < last { point(step)[0] >= 5 * x + 3 } else { point(step)[0] <= 5 * x + 2 };
        let step = first_step(steps, passed);
        let y = point(step)[1].min(point(step - 1)[1]) as f64;
        let height = f64::from(size.height());
        let y = ((y + 0.5) / SCALE - 0.5).clamp(0.0, height).ceil();
        turns.push((x * i64::from(size.height())) as u32 + y as u32);
    }
}

/// Returns the first step of `1..=steps` for which `passed` is true, which it stays from there on.
fn first_step(steps: i64, passed: impl Fn(i64) -> bool) -> i64 {
    let (mut no, mut yes) = (0, steps);
    while yes - no > 1 {
        let middle = no + (yes - no) / 2;
        if passed(middle) { yes = middle } else { no = middle }
    }
    yes
}
