//! Rotation, shear, scaling and translation.

use crate::load::{IGNORE, Interpolation, Sample, Target, Values, pixels, planes, planes_mut};
use crate::transform::bounds::{interval, share, within};
use crate::transform::random::Random;
use crate::transform::scratch::{Scratch, channels};
use contract::Invalid;
use raster::{Element, Pixels, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rotates, shears, scales and translates the sample about its centre: the image bilinearly, the mask by the nearest
/// pixel. Pixels from outside the sample are black and [`IGNORE`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Affine {
    /// Maximum angle of rotation in either direction, in degrees from 0 to 180.
    pub rotate: f32,
    /// Maximum angle by which vertical lines are slanted in either direction, in degrees from 0 to 80.
    pub shear: f32,
    /// Minimum and maximum scale factor, from 0.1 to 10.
    pub scale: [f32; 2],
    /// Maximum translation along each axis in either direction, as a share of that side, from 0 to 1.
    pub translate: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Map from a pixel of the result to its source: `[[a, b, c], [d, e, f]]` takes the point (x, y), in pixels to the
/// right of and below the centre, to (a x + b y + c, d x + e y + f).
pub(super) type Matrix = [[f64; 3]; 2];

/// Bits of a pixel's weight; the weights of a bilinear mean add up to 2^13.
const WEIGHT_BITS: u32 = 13;

/// Bits of one channel in a word that holds a whole pixel: 8 of the value, 13 of its weight.
const LANE_BITS: usize = 21;

/// One pixel in fixed point: 32 bits before the point and 32 after it.
const ONE: f64 = (1u64 << 32) as f64;

impl Default for Affine {
    fn default() -> Self {
        Self { rotate: 15.0, shear: 5.0, scale: [0.9, 1.1], translate: 0.05, probability: 1.0 }
    }
}

impl Affine {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        within("rotate", self.rotate, 0.0..=180.0)?;
        within("shear", self.shear, 0.0..=80.0)?;
        interval("scale", self.scale, 0.1..=10.0)?;
        share("translate", self.translate)?;
        share("probability", self.probability)
    }

    pub(super) fn apply(&self, sample: &mut Sample, scratch: &mut Scratch, random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let [rotate, shear] = [self.rotate, self.shear].map(|most| random.between(-most, most));
        let scale = random.between(self.scale[0], self.scale[1]);
        let [down, right] = sample.size.map(|side| random.between(-self.translate, self.translate) * side as f32);
        warp(sample, scratch, inverse(rotate.into(), shear.into(), scale.into(), [down.into(), right.into()]));
    }
}

/// Returns the inverse of: shear, then scale, then rotation (clockwise, as rows count downwards), then translation by
/// `[down, right]`. With R(r) S(s) = [[cos r, -cos r tan s - sin r], [sin r, cos r - sin r tan s]], whose determinant
/// is 1.
pub(super) fn inverse(rotate: f64, shear: f64, scale: f64, [down, right]: [f64; 2]) -> Matrix {
    let [rotate, shear] = [rotate, shear].map(f64::to_radians);
    let (sin, cos, tan) = (libm::sin(rotate), libm::cos(rotate), libm::tan(shear));
    let [a, b] = [(cos - sin * tan) / scale, (cos * tan + sin) / scale];
    let [d, e] = [-sin / scale, cos / scale];
    [[a, b, -a * right - b * down], [d, e, -d * right - e * down]]
}

/// Takes every pixel from the place that `matrix` maps it to.
pub(super) fn warp(sample: &mut Sample, scratch: &mut Scratch, matrix: Matrix) {
    let (size, Scratch { spare, values, black, .. }) = (sample.size, scratch);
    spare.size = size;
    let channels = channels(sample);
    let images = (&sample.image, &mut spare.image, *black);
    match &sample.target {
        Target::Classes(ids) => {
            let to = spare.target.classes_mut();
            to.resize(ids.len(), 0);
            warp_image(size, channels, images, (ids, to, IGNORE), matrix);
        }
        Target::Values(numbers) => {
            // Class ids without a size, for the compiler to leave out.
            let (none, mut to_none) = (vec![(); pixels(size)], vec![(); pixels(size)]);
            warp_image(size, channels, images, (&none, &mut to_none, ()), matrix);
            let to = spare.target.values_mut();
            to.resize(numbers.len(), 0.0);
            for (from, to) in planes(numbers, size).zip(planes_mut(to, size)) {
                warp_plane(size, (from, to), *values, matrix);
            }
        }
    }
    std::mem::swap(sample, spare);
}

/// Warps an image, and class ids or the like by the nearest pixel. Pixels from outside become `black` and `unknown`.
fn warp_image<T: Copy>(
    size: [u32; 2],
    channels: usize,
    (from, to, black): (&Pixels, &mut Pixels, f32),
    (ids, to_ids, unknown): (&[T], &mut [T], T),
    matrix: Matrix,
) {
    match (from, channels) {
        (Pixels::U8(from), 1 | 3) => {
            let to = to.bytes_mut();
            to.resize(from.len(), 0);
            let ids = (ids, to_ids, unknown);
            if channels == 3 {
                warp_pixels(size, from.as_chunks::<3>().0, to.as_chunks_mut().0, ids, matrix);
            } else {
                warp_pixels(size, from.as_chunks::<1>().0, to.as_chunks_mut().0, ids, matrix);
            }
        }
        (wide, _) => {
            on_pixels!(wide, from => warp_bands(size, channels, (from, to, black), matrix));
            each_place(size, matrix, |place, x, y| {
                let (x, y) = (nearest(x), nearest(y));
                to_ids[place] = inside(size, x, y).map_or(unknown, |from| ids[from]);
            });
        }
    }
}

/// Warps an image of any depth and any number of bands, bilinearly.
fn warp_bands<T: Element>(
    size: [u32; 2],
    channels: usize,
    (from, to, black): (&[T], &mut Pixels, f32),
    matrix: Matrix,
) {
    let to = T::buffer(to);
    to.resize(from.len(), T::default());
    each_place(size, matrix, |place, x, y| {
        let [(left, right_weight), (top, bottom_weight)] = [x, y].map(split);
        let corner = |x, y| inside(size, x, y).map(|place| place * channels);
        let corners = [(left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)].map(|(x, y)| corner(x, y));
        for (band, to) in to[place * channels..][..channels].iter_mut().enumerate() {
            let at = |corner: usize| corners[corner].map_or(black, |place| from[place + band].to_f32());
            let across = |first: usize| mix(at(first), || at(first + 1), right_weight);
            *to = T::from_f32(mix(across(0), || across(2), bottom_weight));
        }
    });
}

/// Calls `take` for each pixel of the result with its place, and with column and row of its source in fixed point.
fn each_place(size: [u32; 2], matrix: Matrix, mut take: impl FnMut(usize, i64, i64)) {
    let ([step_x, step_y], width) = (steps(matrix), size[1] as usize);
    for row in 0..size[0] as usize {
        let [mut x, mut y] = start(matrix, size, row);
        for column in 0..width {
            take(row * width + column, x, y);
            (x, y) = (x + step_x, y + step_y);
        }
    }
}

/// Returns the place of a pixel, if it lies within an image of `size`.
fn inside([height, width]: [u32; 2], x: i64, y: i64) -> Option<usize> {
    let within = (x as u64) < u64::from(width) && (y as u64) < u64::from(height);
    within.then(|| (y * i64::from(width) + x) as usize)
}

/// Returns column and row of the source of a row's first pixel, in fixed point.
fn start(matrix: Matrix, size: [u32; 2], row: usize) -> [i64; 2] {
    let [half_height, half_width] = size.map(|side| f64::from(side) / 2.0);
    // The centre of the pixel, in coordinates where pixel centres are whole numbers.
    let [column, row] = [0.5 - half_width, row as f64 + 0.5 - half_height];
    let of = |[a, b, c]: [f64; 3], half: f64| ((a * column + b * row + c + half - 0.5) * ONE).round() as i64;
    [of(matrix[0], half_width), of(matrix[1], half_height)]
}

/// Returns the steps from the source of a pixel to that of the next in its row, in fixed point.
fn steps(matrix: Matrix) -> [i64; 2] {
    matrix.map(|row| (row[0] * ONE) as i64)
}

/// Returns the nearest pixel of a place in fixed point.
fn nearest(place: i64) -> i64 {
    (place + (1 << 31)) >> 32
}

fn warp_pixels<const C: usize, T: Copy>(
    size: [u32; 2],
    pixels: &[[u8; C]],
    to_pixels: &mut [[u8; C]],
    (ids, to_ids, unknown): (&[T], &mut [T], T),
    matrix: Matrix,
) {
    let [height, width] = size.map(i64::from);
    let [step_x, step_y] = steps(matrix);
    let outside = |x: i64, y: i64| x as u64 >= width as u64 || y as u64 >= height as u64;
    let rows = to_ids.chunks_exact_mut(width as usize).zip(to_pixels.chunks_exact_mut(width as usize));
    for (row, (to_ids, image)) in rows.enumerate() {
        let [mut x, mut y] = start(matrix, size, row);
        for (id, pixel) in to_ids.iter_mut().zip(image) {
            let [near_x, near_y] = [x, y].map(nearest);
            *id = if outside(near_x, near_y) { unknown } else { ids[(near_y * width + near_x) as usize] };
            let [left, top] = [x, y].map(|place| place >> 32);
            let [right_weight, bottom_weight] = [x, y].map(|place| (place as u32 >> (32 - WEIGHT_BITS)) as u64);
            let weights = bilinear_weights(right_weight, bottom_weight);
            // Fast path: the pixel and its neighbours to the right and below lie inside.
            let corners = if (left as u64) < (width - 1) as u64 && (top as u64) < (height - 1) as u64 {
                let place = (top * width + left) as usize;
                let (above, below) = (&pixels[place..place + 2], &pixels[place + width as usize..][..2]);
                [&above[0], &above[1], &below[0], &below[1]].map(spread)
            } else {
                [(left, top), (left + 1, top), (left, top + 1), (left + 1, top + 1)].map(|(x, y)| match outside(x, y) {
                    true => 0,
                    false => spread(&pixels[(y * width + x) as usize]),
                })
            };
            let sum: u64 = corners.into_iter().zip(weights).map(|(corner, weight)| corner * weight).sum();
            *pixel = std::array::from_fn(|channel| {
                let value = (sum >> (channel * LANE_BITS)) & ((1 << LANE_BITS) - 1);
                ((value + (1 << (WEIGHT_BITS - 1))) >> WEIGHT_BITS) as u8
            });
            (x, y) = (x + step_x, y + step_y);
        }
    }
}

/// Warps one channel of values. A value that is mixed from an unknown one is unknown.
fn warp_plane(size: [u32; 2], (from, to): (&[f32], &mut [f32]), values: Values, matrix: Matrix) {
    let [height, width] = size.map(i64::from);
    let [step_x, step_y] = steps(matrix);
    let at = |x: i64, y: i64| match x as u64 >= width as u64 || y as u64 >= height as u64 {
        true => values.fill,
        false => from[(y * width + x) as usize],
    };
    for (row, to) in to.chunks_exact_mut(width as usize).enumerate() {
        let [mut x, mut y] = start(matrix, size, row);
        for value in to {
            *value = match values.interpolation {
                Interpolation::Nearest => at(nearest(x), nearest(y)),
                Interpolation::Bilinear => {
                    let [(left, right_weight), (top, bottom_weight)] = [x, y].map(split);
                    let across = |y: i64| mix(at(left, y), || at(left + 1, y), right_weight);
                    mix(across(top), || across(top + 1), bottom_weight)
                }
            };
            (x, y) = (x + step_x, y + step_y);
        }
    }
}

/// Splits a place in fixed point into the pixel before it and the weight of the next. Rounds it to 1/65536 of a pixel,
/// so that a place that is meant to be a pixel's centre takes that pixel alone, however the matrix was rounded.
fn split(place: i64) -> (i64, f64) {
    let place = (place + (1 << 15)) >> 16;
    (place >> 16, (place & 0xffff) as f64 / 65536.0)
}

/// Mixes two values in f64, where equal ones keep their value. Without a weight the second has no influence, not even
/// as NaN.
fn mix(first: f32, second: impl FnOnce() -> f32, weight: f64) -> f32 {
    match weight {
        0.0 => first,
        weight => (f64::from(first) * (1.0 - weight) + f64::from(second()) * weight) as f32,
    }
}

/// Returns the weights of the pixels at the top left, top right, bottom left and bottom right, from those of the right
/// and the bottom. Their sum is exactly 2^13, so that a uniform area keeps its value.
fn bilinear_weights(right: u64, bottom: u64) -> [u64; 4] {
    let both = (right * bottom) >> WEIGHT_BITS;
    [(1 << WEIGHT_BITS) + both - right - bottom, right - both, bottom - both, both]
}

/// Returns all channels of a pixel in one word, with space for each to be weighted.
fn spread<const C: usize>(pixel: &[u8; C]) -> u64 {
    pixel.iter().enumerate().map(|(channel, value)| u64::from(*value) << (channel * LANE_BITS)).sum()
}
