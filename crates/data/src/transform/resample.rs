//! Resizing of maps of numbers, bilinearly and with antialiasing where they shrink, as Pillow resizes images of mode F
//! with `BILINEAR` (`reference/values.py`).
//!
//! Sums are f64 and are added in one order, so a result is the same on every machine. A result is NaN if a value with
//! any weight in it is.

use std::ops::Range;

/// Weights below this are roundings of 0: the smallest there can be is half the inverse of an image's longest side.
const NONE: f64 = 1e-6;

/// Buffers of [`resample`].
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// The part, at its own height and the new width.
    narrow: Vec<f32>,
    /// A row of the result.
    row: Vec<f64>,
    columns: Taps,
    rows: Taps,
}

/// Weights of source pixels in each pixel of a resized line.
#[derive(Debug, Default)]
struct Taps {
    /// For each pixel the index of its first source pixel, and the end of its weights in `weights`.
    pixels: Vec<(usize, usize)>,
    weights: Vec<f64>,
}

impl Taps {
    /// Computes the weights for a line of `from` pixels that becomes `to` pixels long: a triangle around each new
    /// pixel's centre, whose half width is a source pixel, or a new one if that is longer.
    fn compute(&mut self, from: usize, to: usize) {
        self.pixels.clear();
        self.weights.clear();
        let scale = from as f64 / to as f64;
        let reach = scale.max(1.0);
        for pixel in 0..to {
            let centre = (pixel as f64 + 0.5) * scale;
            let weight = |place: usize| 1.0 - (place as f64 + 0.5 - centre).abs() / reach;
            let last = ((centre + reach).ceil() as usize).min(from);
            let mut places = (centre - reach).max(0.0) as usize..last;
            while places.start < places.end && weight(places.start) < NONE {
                places.start += 1;
            }
            let begin = self.weights.len();
            let first = places.start;
            self.weights.extend(places.map(weight).take_while(|weight| *weight >= NONE));
            let own = self.weights.get_mut(begin..).unwrap_or_default();
            let sum: f64 = own.iter().sum();
            own.iter_mut().for_each(|weight| *weight /= sum);
            self.pixels.push((first, self.weights.len()));
        }
    }

    /// Returns for each pixel the index of its first source pixel, and the weights from there on.
    fn iter(&self) -> impl Iterator<Item = (usize, &[f64])> {
        let begins = std::iter::once(0).chain(self.pixels.iter().map(|(_, end)| *end));
        self.pixels.iter().zip(begins).map(|((first, end), begin)| (*first, &self.weights[begin..*end]))
    }
}

/// Part of a plane: the plane's width, and the part's rows and columns.
pub(super) type Part = (u32, [Range<u32>; 2]);

/// Resizes a part of a plane to a part of another one.
pub(super) fn resample(
    (from, (from_width, part)): (&[f32], Part),
    (to, (to_width, place)): (&mut [f32], Part),
    sums: &mut Sums,
) {
    let [part, place] = [part, place].map(|axes| axes.map(|axis| axis.start as usize..axis.end as usize));
    let Sums { narrow, row, columns, rows } = sums;
    rows.compute(part[0].len(), place[0].len());
    columns.compute(part[1].len(), place[1].len());
    narrow.clear();
    for line in from.chunks_exact(from_width as usize).skip(part[0].start).take(part[0].len()) {
        let line = &line[part[1].clone()];
        let mixed = |(first, weights): (usize, &[f64])| {
            let pairs = weights.iter().zip(&line[first..]);
            pairs.map(|(weight, value)| weight * f64::from(*value)).sum::<f64>() as f32
        };
        narrow.extend(columns.iter().map(mixed));
    }
    let width = place[1].len();
    let lines = to.chunks_exact_mut(to_width as usize).skip(place[0].start);
    for (line, (first, weights)) in lines.zip(rows.iter()) {
        row.clear();
        row.resize(width, 0.0);
        for (weight, values) in weights.iter().zip(narrow[first * width..].chunks_exact(width)) {
            row.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * f64::from(*value));
        }
        let line = &mut line[place[1].clone()];
        line.iter_mut().zip(&*row).for_each(|(value, sum)| *value = *sum as f32);
    }
}
