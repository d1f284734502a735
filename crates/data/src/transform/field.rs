//! Warping by a field that gives the source of each pixel.

use crate::load::{IGNORE, Interpolation, Sample, Target, Values, planes, planes_mut};
use crate::transform::scratch::{Scratch, channels};
use raster::{Element, on_pixels};

/// Sources of the pixels of a warped image, row by row: column and row, where pixels' centres are whole numbers.
pub(super) type Field = Vec<[f32; 2]>;

/// Pixels around a place along one axis, and the weight of the second.
#[derive(Debug, Clone, Copy)]
struct Around {
    first: i64,
    weight: f32,
}

impl Around {
    fn of(place: f32) -> Self {
        let first = place.floor();
        Self { first: first as i64, weight: place - first }
    }
}

/// Returns the index of a pixel, or `None` outside the image.
fn index(x: i64, y: i64, [height, width]: [u32; 2]) -> Option<usize> {
    let inside = (0..i64::from(width)).contains(&x) && (0..i64::from(height)).contains(&y);
    inside.then(|| y as usize * width as usize + x as usize)
}

/// Mixes two values; equal ones keep their value, and a second one without a weight has no influence, not even as NaN.
fn mix(first: f32, second: f32, weight: f32) -> f32 {
    if weight == 0.0 { first } else { first + weight * (second - first) }
}

/// Takes every pixel of a sample from the place that `field` gives.
pub(super) fn warp(sample: &mut Sample, scratch: &mut Scratch, field: &[[f32; 2]]) {
    let (size, bands) = (sample.size, channels(sample));
    let Scratch { spare, values, black, .. } = scratch;
    spare.size = size;
    on_pixels!(&sample.image, from => {
        let to = Element::buffer(&mut spare.image);
        to.resize(from.len(), Default::default());
        warp_image((from, to), size, bands, field, *black);
    });
    match &sample.target {
        Target::Classes(ids) => {
            let to = spare.target.classes_mut();
            to.resize(ids.len(), 0);
            warp_nearest((ids, to), size, field, IGNORE);
        }
        Target::Values(numbers) => {
            let to = spare.target.values_mut();
            to.resize(numbers.len(), 0.0);
            for (from, to) in planes(numbers, size).zip(planes_mut(to, size)) {
                warp_plane((from, to), size, field, *values);
            }
        }
    }
    std::mem::swap(sample, spare);
}

/// Warps `H×W×bands` numbers bilinearly; beyond its edges the image is `black`.
pub(super) fn warp_image<T: Element>(
    (from, to): (&[T], &mut [T]),
    size: [u32; 2],
    bands: usize,
    field: &[[f32; 2]],
    black: f32,
) {
    for (pixel, [x, y]) in to.chunks_exact_mut(bands).zip(field) {
        let (x, y) = (Around::of(*x), Around::of(*y));
        let corner = |right: i64, below: i64| {
            let place = index(x.first + right, y.first + below, size);
            place.map(|place| &from[place * bands..][..bands])
        };
        let corners = [corner(0, 0), corner(1, 0), corner(0, 1), corner(1, 1)];
        for (band, number) in pixel.iter_mut().enumerate() {
            let [a, b, c, d] = corners.map(|corner| corner.map_or(black, |pixel| pixel[band].to_f32()));
            *number = T::from_f32(mix(mix(a, b, x.weight), mix(c, d, x.weight), y.weight));
        }
    }
}

/// Warps one number a pixel by the nearest pixel, with `unknown` for those from outside.
pub(super) fn warp_nearest<N: Copy>((from, to): (&[N], &mut [N]), size: [u32; 2], field: &[[f32; 2]], unknown: N) {
    for (number, place) in to.iter_mut().zip(field) {
        let [x, y] = place.map(|place| (place + 0.5).floor() as i64);
        *number = index(x, y, size).map_or(unknown, |place| from[place]);
    }
}

/// Warps one channel of values. A value that is mixed from an unknown one is unknown.
pub(super) fn warp_plane((from, to): (&[f32], &mut [f32]), size: [u32; 2], field: &[[f32; 2]], values: Values) {
    match values.interpolation {
        Interpolation::Nearest => warp_nearest((from, to), size, field, values.fill),
        Interpolation::Bilinear => warp_image((from, to), size, 1, field, values.fill),
    }
}
