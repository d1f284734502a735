//! Images of any layout as pictures for people.

use crate::decode::strips::Strips;
use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::load::layout::Layout;
use raster::{Depth, Element, Pixels, on_pixels};
use std::path::Path;

/// Shares of the numbers that are shown as black and as white, as in QGIS's cumulative cut.
const CUT: [f64; 2] = [0.02, 0.98];

/// Numbers of a band that are looked at, or somewhat fewer; all of an image that has no more pixels.
const SOME: usize = 1 << 18;

/// Rows and columns of a file that are looked at.
const LINES: u32 = 512;

impl Layout {
    /// Returns an image of this layout, `H×W×C`, as a picture, `H×W×3` bytes, as [`Shown`] has it.
    ///
    /// ```
    /// use data::{Channels, Depth, Layout};
    ///
    /// let layout = Layout { channels: Channels::Count(1), depth: Depth::U16, ..Layout::from(1) };
    /// let dark: Vec<u16> = (0..=100).map(|number| 1000 + number).collect();
    /// let picture = layout.picture(&dark.into());
    /// assert_eq!([picture[0], picture[3 * 50], picture[3 * 100]], [0, 128, 255]);
    /// ```
    pub fn picture(&self, image: &Pixels) -> Vec<u8> {
        Shown::of(self, image, &[]).picture(image, &[])
    }
}

/// Brightness of an image's picture: its first three channels are red, green and blue, or the first is grey where there
/// are fewer. Of bytes the whole range is shown. 16-bit numbers and floats are stretched: the 2nd percentile of a
/// channel becomes black and the 98th white. Where both are equal, the layout's range is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    channels: usize,
    bands: [usize; 3],
    /// Numbers of each of these bands that are black and white.
    ranges: [[f32; 2]; 3],
    /// True if the numbers are the bytes of the picture.
    is_as_it_is: bool,
}

impl Shown {
    /// Measures an image of this `layout`, without its `unknown` pixels (none if that is empty).
    pub fn of(layout: &Layout, image: &Pixels, unknown: &[bool]) -> Self {
        let mut measured = Measured::new(layout);
        let every = (image.len() / measured.shown.channels).div_ceil(SOME).max(1);
        measured.add(image, unknown, every);
        measured.finish()
    }

    /// Measures the image at `path`, of which 512 rows and columns are looked at.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read.
    pub fn of_file(path: &Path, layout: &Layout, orientation: Orientation) -> Result<Self, Error> {
        let mut measured = Measured::new(layout);
        if layout.depth == Depth::U8 {
            return Ok(measured.finish());
        }
        let mut strips = Strips::open(path, layout.clone(), orientation)?;
        let [height, width] = strips.size();
        let [down, across] = [height, width].map(|side| side.div_ceil(LINES).max(1));
        let mut row = Pixels::new(layout.depth);
        for top in (0..height).step_by(down as usize) {
            row.clear();
            strips.read(1, &mut row)?;
            measured.add(&row, strips.unknown(), across as usize);
            strips.skip((down - 1).min(height - top - 1))?;
        }
        Ok(measured.finish())
    }

    /// Returns rows of the image as a picture, `H×W×3` bytes. The `unknown` pixels, if there are any, are black.
    pub fn picture(&self, image: &Pixels, unknown: &[bool]) -> Vec<u8> {
        let mut picture = match image {
            Pixels::U8(bytes) if self.is_as_it_is => bytes.clone(),
            image => on_pixels!(image, image => self.draw(image)),
        };
        let pixels = picture.as_chunks_mut::<3>().0.iter_mut().zip(unknown);
        pixels.filter(|(_, unknown)| **unknown).for_each(|(pixel, _)| *pixel = [0; 3]);
        picture
    }

    fn draw<T: Element>(&self, image: &[T]) -> Vec<u8> {
        let scales = self.ranges.map(|[black, white]| [black, 255.0 / (white - black)]);
        let byte = |value: &T, [black, by]: [f32; 2]| u8::from_f32((value.to_f32() - black) * by);
        let pixel = |pixel: &[T]| [0, 1, 2].map(|color| byte(&pixel[self.bands[color]], scales[color]));
        image.chunks_exact(self.channels).flat_map(pixel).collect()
    }
}

/// Numbers of an image that is being measured.
struct Measured {
    shown: Shown,
    /// Numbers of each band that is shown; the first alone where the picture is grey.
    numbers: [Vec<f32>; 3],
    is_stretched: bool,
}

impl Measured {
    fn new(layout: &Layout) -> Self {
        let channels = layout.channels().max(1) as usize;
        let bands = if channels < 3 { [0; 3] } else { [0, 1, 2] };
        let is_stretched = layout.depth != Depth::U8;
        let is_as_it_is = !is_stretched && channels == 3;
        let shown = Shown { channels, bands, ranges: [layout.range(); 3], is_as_it_is };
        Self { shown, numbers: Default::default(), is_stretched }
    }

    /// Adds every `every`-th pixel that is known.
    fn add(&mut self, image: &Pixels, unknown: &[bool], every: usize) {
        if self.is_stretched {
            on_pixels!(image, image => self.add_numbers(image, unknown, every));
        }
    }

    fn add_numbers<T: Element>(&mut self, image: &[T], unknown: &[bool], every: usize) {
        let Shown { channels, bands, .. } = self.shown;
        let is_known = |place: usize| !unknown.get(place).copied().unwrap_or_default();
        let colors = if channels < 3 { 1 } else { 3 };
        let some = image.chunks_exact(channels).enumerate().step_by(every).filter(|(place, _)| is_known(*place));
        for (_, pixel) in some {
            for (numbers, band) in self.numbers.iter_mut().zip(bands).take(colors) {
                numbers.extend(Some(pixel[band].to_f32()).filter(|number| number.is_finite()));
            }
        }
    }

    fn finish(mut self) -> Shown {
        for color in 0..3 {
            let own = &mut self.numbers[color];
            own.sort_unstable_by(f32::total_cmp);
            let [black, white] = CUT.map(|share| percentile(own, share));
            match white - black {
                range if range > 0.0 && range.is_finite() => self.shown.ranges[color] = [black, white],
                // A grey picture has the numbers of its first band.
                _ if color > 0 && self.shown.channels < 3 => self.shown.ranges[color] = self.shown.ranges[0],
                _ => {}
            }
        }
        self.shown
    }
}

/// Returns a percentile of sorted numbers, between two of them where it lies there, as numpy has it; NaN of none.
fn percentile(sorted: &[f32], share: f64) -> f32 {
    let place = share * sorted.len().saturating_sub(1) as f64;
    let below = place as usize;
    match (sorted.get(below), sorted.get(below + 1)) {
        (Some(one), Some(next)) => {
            let [one, next] = [one, next].map(|number| f64::from(*number));
            (one + (next - one) * (place - below as f64)) as f32
        }
        (one, _) => one.copied().unwrap_or(f32::NAN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::layout::{Channels, Range};

    fn layout(channels: u32, depth: Depth, range: Option<Range>) -> Layout {
        Layout { channels: Channels::Count(channels), depth, range, ..Layout::from(channels) }
    }

    #[test]
    fn percentiles_are_those_of_numpy() {
        // numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], [2, 98]) is [1, 8.58], of [7] it is [7, 7].
        let mut numbers = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0, 6.0];
        numbers.sort_unstable_by(f32::total_cmp);
        assert_eq!(CUT.map(|share| percentile(&numbers, share)), [1.0, 8.58]);
        assert_eq!(CUT.map(|share| percentile(&[7.0], share)), [7.0; 2]);
        assert!(percentile(&[], 0.5).is_nan());
    }

    #[test]
    fn each_channel_is_stretched_and_what_is_unknown_is_black() {
        let deep = layout(4, Depth::U16, Some(Range::Common([0.0, 10_000.0])));
        // 200 pixels: red rises from 500 to 699, green falls, blue is constant. The last ones are without data.
        let pixel = |at: u16| if at < 200 { [500 + at, 1199 - 2 * at, 5000, 1] } else { [60_000, 0, 0, 0] };
        let image: Pixels = (0..210).flat_map(pixel).collect();
        let unknown: Vec<bool> = (0..210).map(|at| at >= 200).collect();
        let picture = Shown::of(&deep, &image, &unknown).picture(&image, &unknown);
        // numpy.percentile(arange(500, 700), [2, 98]) is [503.98, 695.02]; a constant channel is shown in its range.
        let red = |number: f32| u8::from_f32((number - 503.98) * 255.0 / (695.02 - 503.98));
        assert_eq!(picture[..3], [0, 255, 128]);
        assert_eq!(picture[3 * 100..3 * 101], [red(600.0), 255 - red(600.0), 128]);
        assert_eq!(picture[3 * 199..3 * 200], [255, 0, 128]);
        assert!(picture[3 * 200..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn bytes_are_shown_as_they_are_and_a_file_like_its_numbers() {
        let bytes: Pixels = (0..120u8).collect::<Vec<u8>>().into();
        assert_eq!(layout(3, Depth::U8, None).picture(&bytes), bytes.bytes());
        let grey = layout(1, Depth::U8, None).picture(&bytes);
        assert_eq!((grey.len(), &grey[3 * 77..3 * 78]), (360, &[77; 3][..]));

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep.tif");
        let deep = layout(2, Depth::U16, None);
        for [height, width] in [[40u32, 30u32], [700, 4], [3, 1300]] {
            let value = |at: u32| [3000 + (at * 37 % 1009) as u16, 9];
            let image: Pixels = (0..height * width).flat_map(value).collect();
            let settings = raster::TiffSettings::new([height, width], 2, Depth::U16);
            let mut writer = raster::GeoTiffWriter::new(std::fs::File::create(&path).unwrap(), settings).unwrap();
            writer.rows(&image).unwrap();
            writer.finish().unwrap();
            let [whole, some] =
                [Shown::of(&deep, &image, &[]), Shown::of_file(&path, &deep, Orientation::Apply).unwrap()];
            let is_whole = height.max(width) <= LINES;
            let off = whole.ranges[2].iter().zip(some.ranges[2]).map(|(one, other)| (one - other).abs());
            let most = off.fold(0.0, f32::max);
            assert!(most < if is_whole { f32::MIN_POSITIVE } else { 30.0 }, "{height}x{width}: {whole:?}, {some:?}");
            assert!((3000.0..3050.0).contains(&some.ranges[0][0]) && (3960.0..4009.0).contains(&some.ranges[0][1]));
        }
    }
}
