//! An image as the transforms of its numbers see it, and the statistics of its bands.

use raster::Element;

/// Numbers of an image, to change.
#[derive(Debug)]
pub(super) struct Picture<'a, T> {
    /// `H×W×C` numbers: row by row, the bands of a pixel side by side.
    pub(super) numbers: &'a mut [T],
    /// Height and width, in pixels.
    pub(super) size: [u32; 2],
    /// Number of bands C.
    pub(super) bands: usize,
    /// Numbers that mean black and white.
    pub(super) range: [f32; 2],
    /// Numbers that become 0 and 1 in the network's input, before a normalisation by constants.
    pub(super) unit: [f32; 2],
}

/// Mean, standard deviation, minimum and maximum of a band.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Statistics {
    pub(super) mean: f64,
    pub(super) deviation: f64,
    pub(super) least: f32,
    pub(super) most: f32,
}

/// Returns the number of values of a whole-number kind; `None` for floats.
pub(super) fn levels<T: Element>() -> Option<usize> {
    (T::from_f32(0.5).to_f32() != 0.5).then(|| T::from_f32(f32::MAX).to_f32() as usize + 1)
}

impl<T: Element> Picture<'_, T> {
    /// Returns height and width as lengths.
    pub(super) fn sides(&self) -> [usize; 2] {
        self.size.map(|side| side as usize)
    }

    /// Returns the numbers of a band.
    pub(super) fn band(&self, band: usize) -> impl Iterator<Item = f32> {
        self.numbers.iter().skip(band).step_by(self.bands).map(|number| number.to_f32())
    }

    /// Replaces every number of a band by `change` of it. A table is made where that is less work.
    pub(super) fn map_band(&mut self, band: usize, change: impl Fn(f32) -> f32) {
        let pixels = self.numbers.len() / self.bands;
        let numbers = self.numbers.iter_mut().skip(band).step_by(self.bands);
        match levels::<T>().filter(|levels| *levels <= pixels) {
            Some(levels) => {
                let table: Vec<T> = (0..levels).map(|level| T::from_f32(change(level as f32))).collect();
                numbers.for_each(|number| *number = table[number.to_f32() as usize]);
            }
            None => numbers.for_each(|number| *number = T::from_f32(change(number.to_f32()))),
        }
    }

    /// Returns the statistics of a band; NaN counts in none.
    pub(super) fn statistics(&self, band: usize) -> Statistics {
        let (mut count, mut sum) = (0u64, 0.0);
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for number in self.band(band).filter(|number| !number.is_nan()) {
            count += 1;
            sum += f64::from(number);
            (least, most) = (least.min(number), most.max(number));
        }
        let mean = if count == 0 { 0.0 } else { sum / count as f64 };
        let squares = self.band(band).filter(|number| !number.is_nan()).map(|number| {
            let distance = f64::from(number) - mean;
            distance * distance
        });
        let deviation = (squares.sum::<f64>() / count.max(1) as f64).sqrt();
        Statistics { mean, deviation, least, most }
    }

    /// Copies a band out, row by row.
    pub(super) fn take_band(&self, band: usize, plane: &mut Vec<f32>) {
        plane.clear();
        plane.extend(self.band(band));
    }

    /// Writes a band, row by row.
    pub(super) fn put_band(&mut self, band: usize, plane: &[f32]) {
        let numbers = self.numbers.iter_mut().skip(band).step_by(self.bands);
        numbers.zip(plane).for_each(|(number, value)| *number = T::from_f32(*value));
    }
}

/// Returns the place within `len` that mirrors one beyond its ends; the first and the last are not repeated.
pub(super) fn mirrored(place: isize, len: usize) -> usize {
    let last = len as isize - 1;
    if last <= 0 {
        return 0;
    }
    let place = place.rem_euclid(2 * last);
    place.min(2 * last - place) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_numbers_have_levels() {
        assert_eq!((levels::<u8>(), levels::<u16>(), levels::<f32>()), (Some(256), Some(65_536), None));
    }

    #[test]
    fn a_table_gives_what_the_function_gives() {
        let change = |value: f32| 0.7 * value + 3.2;
        // 60 pixels are too few for a table of 256, and 600 are enough.
        for pixels in [60, 600] {
            let before: Vec<u8> = (0..pixels * 13).map(|place| (place * 31 % 256) as u8).collect();
            let mut after = before.clone();
            let mut picture = Picture {
                numbers: &mut after,
                size: [pixels as u32, 1],
                bands: 13,
                range: [0.0, 255.0],
                unit: [0.0, 255.0],
            };
            picture.map_band(4, change);
            for (place, (before, after)) in before.into_iter().zip(after).enumerate() {
                let expected = if place % 13 == 4 { u8::from_f32(change(before.into())) } else { before };
                assert_eq!(after, expected);
            }
        }
    }

    #[test]
    fn statistics_leave_nan_out() {
        let mut numbers = [1.0, f32::NAN, 4.0, 7.0];
        let picture = Picture { numbers: &mut numbers, size: [2, 2], bands: 1, range: [0.0, 1.0], unit: [0.0, 1.0] };
        let Statistics { mean, deviation, least, most } = picture.statistics(0);
        assert_eq!((mean, deviation, least, most), (4.0, 6f64.sqrt(), 1.0, 7.0));
    }

    #[test]
    fn a_mirror_repeats_neither_end() {
        let places: Vec<usize> = (-4..8).map(|place| mirrored(place, 4)).collect();
        assert_eq!(places, [2, 3, 2, 1, 0, 1, 2, 3, 2, 1, 0, 1]);
        assert_eq!((mirrored(-3, 1), mirrored(5, 2)), (0, 1));
    }
}
