//! Gaussian filters along the axes of one plane.

use crate::transform::picture::mirrored;

/// Weights at 0, 1, 2, … pixels from the centre of a filter.
#[derive(Debug)]
pub(super) struct Gauss(Vec<f32>);

impl Gauss {
    /// Computes exp(-(x / sigma)² / 2) up to `radius`, normalised so that both sides together add up to 1.
    pub(super) fn new(sigma: f64, radius: usize) -> Self {
        let density = |x: usize| libm::exp(-0.5 * (x as f64 / sigma) * (x as f64 / sigma));
        let whole = 1.0 + 2.0 * (1..=radius).map(density).sum::<f64>();
        Self((0..=radius).map(|x| (density(x) / whole) as f32).collect())
    }

    /// Filters a plane of `size` along its columns; it is mirrored at its edges.
    pub(super) fn down(&self, plane: &mut Vec<f32>, [height, width]: [usize; 2]) {
        let mut filtered = vec![0.0; plane.len()];
        let source = |row: isize| &plane[mirrored(row, height) * width..][..width];
        for (row, to) in filtered.chunks_exact_mut(width).enumerate() {
            let row = row as isize;
            to.iter_mut().zip(source(row)).for_each(|(sum, value)| *sum = self.0[0] * value);
            for (reach, weight) in (0isize..).zip(&self.0).skip(1) {
                for ((sum, above), below) in to.iter_mut().zip(source(row - reach)).zip(source(row + reach)) {
                    *sum += weight * (above + below);
                }
            }
        }
        *plane = filtered;
    }

    /// Filters a plane that is `width` pixels wide along its rows; it is mirrored at its edges.
    pub(super) fn along(&self, plane: &mut [f32], width: usize) {
        let radius = self.0.len() - 1;
        let mut padded = vec![0.0; width + 2 * radius];
        for row in plane.chunks_exact_mut(width) {
            for (value, place) in padded.iter_mut().zip(-(radius as isize)..) {
                *value = row[mirrored(place, width)];
            }
            row.iter_mut().zip(&padded[radius..]).for_each(|(sum, value)| *sum = self.0[0] * value);
            for (reach, weight) in self.0.iter().enumerate().skip(1) {
                let (left, right) = (&padded[radius - reach..], &padded[radius + reach..]);
                for ((sum, left), right) in row.iter_mut().zip(left).zip(right) {
                    *sum += weight * (left + right);
                }
            }
        }
    }
}
