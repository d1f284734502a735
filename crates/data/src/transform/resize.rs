//! Resizing of images and masks to the network's input. Both match Pillow (`reference/resize.py`).

use crate::error::Error;
use crate::load::{IGNORE, Interpolation, Target, Values, pixels, planes, planes_mut, refill};
use crate::transform::resample::{Sums, resample};
use contract::Invalid;
use fast_image_resize::images::{TypedCroppedImage, TypedCroppedImageMut, TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};
use raster::{Element, Pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::mem::swap;
use std::ops::Range;

/// Maximum height and width of the network's input, in pixels; more is a typing error.
pub(crate) const LARGEST: u32 = 8192;

/// Maximum length of an image's longer side, in pixels, when only the shorter side is given.
const LONGEST: u32 = 32_768;

/// Resizing of images and masks before any transform. Images are interpolated (bilinear, with antialiasing when they
/// shrink), masks take the nearest pixel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Resize {
    /// Resizes height and width independently; the aspect ratio is not kept.
    Stretch {
        /// Height and width, in pixels; defaults to the `size` of the data.
        #[serde(default)]
        to: Option<[u32; 2]>,
    },
    /// Fits the image into the size and keeps its aspect ratio. Padding on both sides is black and ignored.
    Fit {
        /// Height and width, in pixels; defaults to the `size` of the data.
        #[serde(default)]
        to: Option<[u32; 2]>,
    },
    /// Resizes the shorter side to a length and keeps the aspect ratio. Sizes then differ; the `size` of the data is
    /// cropped from the centre, or by a transform.
    ShorterSide {
        /// Length of the shorter side, in pixels; defaults to the smaller side of the `size` of the data.
        #[serde(default)]
        to: Option<u32>,
    },
}

impl Default for Resize {
    fn default() -> Self {
        Self::Stretch { to: None }
    }
}

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rectangle {
    /// Number of rows above it.
    pub top: u32,
    /// Number of columns to the left of it.
    pub left: u32,
    /// Number of rows.
    pub height: u32,
    /// Number of columns.
    pub width: u32,
}

impl Rectangle {
    /// Returns its rows and columns.
    fn axes(self) -> [Range<u32>; 2] {
        [self.top..self.top + self.height, self.left..self.left + self.width]
    }
}

/// Position of an image in the result of resizing it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Placement {
    /// Height and width of the result.
    pub(crate) size: [u32; 2],
    /// The part that the image covers.
    pub(crate) image: Rectangle,
}

impl Placement {
    /// Lets the image cover the whole result.
    pub(crate) fn filling([height, width]: [u32; 2]) -> Self {
        Self { size: [height, width], image: Rectangle { top: 0, left: 0, height, width } }
    }

    fn is_filled(&self) -> bool {
        *self == Self::filling(self.size)
    }

    /// Fits an image of size `from` into `size` and centres it; an odd pixel is left over below and to the right.
    fn fitting(from: [u32; 2], size: [u32; 2]) -> Self {
        let [by_height, by_width] = [0, 1].map(|side| (size[side], from[side]));
        // True if by_height.0 / by_height.1 is the smaller scale.
        let high = u64::from(by_height.0) * u64::from(by_width.1) <= u64::from(by_width.0) * u64::from(by_height.1);
        let [height, width] = from.map(|length| scaled(length, if high { by_height } else { by_width }));
        let (height, width) = (height.min(size[0]), width.min(size[1]));
        let image = Rectangle { top: (size[0] - height) / 2, left: (size[1] - width) / 2, height, width };
        Self { size, image }
    }
}

/// Multiplies a length by a fraction, rounded to the nearest integer, halves up, but at least 1.
fn scaled(length: u32, (numerator, denominator): (u32, u32)) -> u32 {
    let (product, denominator) = (u64::from(length) * u64::from(numerator), u64::from(denominator).max(1));
    ((2 * product + denominator) / (2 * denominator)).clamp(1, u32::MAX.into()) as u32
}

impl Resize {
    /// Refuses invalid sizes; keys are relative to this section.
    pub fn check(&self) -> Result<(), Invalid> {
        let sides = match *self {
            Self::Stretch { to } | Self::Fit { to } => to.into_iter().flatten().collect(),
            Self::ShorterSide { to } => Vec::from_iter(to),
        };
        let wrong = sides.into_iter().find(|length| !(1..=LARGEST).contains(length));
        Invalid::unless(wrong.is_none(), "to", || {
            format!("a side must be 1 to {LARGEST} pixels, is {}", wrong.unwrap_or_default())
        })
    }

    /// Returns the size of all resized images, where the data's size is `size`; `None` where they differ.
    pub(crate) fn size(&self, size: [u32; 2]) -> Option<[u32; 2]> {
        match self {
            Self::Stretch { to } | Self::Fit { to } => Some(to.unwrap_or(size)),
            Self::ShorterSide { .. } => None,
        }
    }

    /// Returns the placement of an image of size `from`, where the data's size is `size`.
    pub(crate) fn place(&self, from: [u32; 2], size: [u32; 2]) -> Result<Placement, Error> {
        match *self {
            Self::Stretch { to } => Ok(Placement::filling(to.unwrap_or(size))),
            Self::Fit { to } => Ok(Placement::fitting(from, to.unwrap_or(size))),
            Self::ShorterSide { to } => {
                let to = to.unwrap_or(size[0].min(size[1]));
                let grown = from.map(|length| scaled(length, (to, from[0].min(from[1]))));
                if grown[0].max(grown[1]) > LONGEST {
                    let problem = format!("no side may become longer than {LONGEST}");
                    return Err(Error::Resize { from, to: grown, problem });
                }
                Ok(Placement::filling(grown))
            }
        }
    }

    /// Returns the placement of a whole image of size `from` for the network, where the data's size is `size`. The
    /// scale is that of training. A side that is then shorter than `size` is padded at both ends, as in samples.
    pub(crate) fn place_whole(&self, from: [u32; 2], size: [u32; 2]) -> Result<Placement, Error> {
        let Placement { size: [height, width], image } = self.place(from, size)?;
        let whole = [height.max(size[0]), width.max(size[1])];
        let (top, left) = (image.top + (whole[0] - height) / 2, image.left + (whole[1] - width) / 2);
        Ok(Placement { size: whole, image: Rectangle { top, left, ..image } })
    }
}

/// Resizes images, with buffers of its own.
#[derive(Debug, Default)]
pub(crate) struct Scaler {
    resizer: Resizer,
    /// Source column of each column of a resized mask.
    columns: Vec<usize>,
    /// Rows of values that are being resized.
    sums: Sums,
}

impl Scaler {
    /// Resizes an image, `H×W×channels` numbers, to its place in `to`, with `black` around it. Consumes the content of
    /// `image`. When it shrinks, fine texture becomes its mean and not noise (Pillow's `BILINEAR`, torchvision's
    /// `antialias=True`).
    pub(crate) fn image(
        &mut self,
        image: &mut Pixels,
        from: [u32; 2],
        channels: u32,
        (place, black): (Placement, f32),
        to: &mut Pixels,
    ) -> Result<(), Error> {
        if from == place.size && place.is_filled() {
            swap(image, to);
            return Ok(());
        }
        self.part_of_image(image, from, Placement::filling(from).image, channels, (place, black), to)
    }

    /// Resizes `part` of an image to its place in `to`, with `black` around it. Pixels outside the part have no
    /// influence.
    pub(crate) fn part_of_image(
        &mut self,
        image: &Pixels,
        from: [u32; 2],
        part: Rectangle,
        channels: u32,
        (place, black): (Placement, f32),
        to: &mut Pixels,
    ) -> Result<(), Error> {
        match image {
            Pixels::U8(image) => {
                let (from, to) = ((image.as_slice(), from, part), to.bytes_mut());
                if !place.is_filled() {
                    to.clear();
                }
                to.resize(pixels(place.size) * channels as usize, 0);
                let resized = match channels {
                    1 => blend::<U8>(&mut self.resizer, from, (to, place)),
                    3 => blend::<U8x3>(&mut self.resizer, from, (to, place)),
                    _ => self.bytes(from, channels as usize, (to, place)),
                };
                resized.map_err(|problem| Error::Resize { from: from.1, to: place.size, problem })?;
            }
            Pixels::U16(image) => self.bands(image, (from, part), channels as usize, (place, black), to),
            Pixels::F32(image) => self.bands(image, (from, part), channels as usize, (place, black), to),
        }
        Ok(())
    }

    /// Resizes bytes band by band.
    fn bytes(
        &mut self,
        (image, from, part): (&[u8], [u32; 2], Rectangle),
        channels: usize,
        (to, place): (&mut [u8], Placement),
    ) -> Result<(), String> {
        let (mut band, mut resized) = (Vec::new(), vec![0; pixels(place.size)]);
        for number in 0..channels {
            band.clear();
            band.extend(image.iter().skip(number).step_by(channels));
            blend::<U8>(&mut self.resizer, (&band, from, part), (&mut resized, place))?;
            to.iter_mut().skip(number).step_by(channels).zip(&resized).for_each(|(to, value)| *to = *value);
        }
        Ok(())
    }

    /// Resizes numbers of more than 8 bits band by band, in the arithmetic of [`resample`].
    fn bands<T: Element>(
        &mut self,
        image: &[T],
        (from, part): ([u32; 2], Rectangle),
        channels: usize,
        (place, black): (Placement, f32),
        to: &mut Pixels,
    ) {
        let to = T::buffer(to);
        to.resize(pixels(place.size) * channels, T::default());
        let (mut band, mut resized) = (Vec::new(), Vec::new());
        for number in 0..channels {
            band.clear();
            band.extend(image.iter().skip(number).step_by(channels).map(|value| value.to_f32()));
            refill(&mut resized, pixels(place.size), black);
            let places = ((from[1], part.axes()), (place.size[1], place.image.axes()));
            resample((&band, places.0), (&mut resized, places.1), &mut self.sums);
            let band = to.iter_mut().skip(number).step_by(channels);
            band.zip(&resized).for_each(|(to, value)| *to = T::from_f32(*value));
        }
    }

    /// Resizes class ids, `H×W` bytes, to their place in `to`, with [`IGNORE`] around them. Consumes the content of
    /// `mask`. Each pixel takes the class at its centre, since classes have no mean.
    pub(crate) fn mask(&mut self, mask: &mut Vec<u8>, from: [u32; 2], place: Placement, to: &mut Vec<u8>) {
        if from == place.size && place.is_filled() {
            swap(mask, to);
            return;
        }
        self.part_of_mask(mask, from, Placement::filling(from).image, place, to);
    }

    /// Resizes `part` of the class ids, `H×W` bytes, to its place in `to`, with [`IGNORE`] around it.
    pub(crate) fn part_of_mask(
        &mut self,
        mask: &[u8],
        from: [u32; 2],
        part: Rectangle,
        place: Placement,
        to: &mut Vec<u8>,
    ) {
        to.clear();
        self.nearest(mask, from, part, place, IGNORE, to);
    }

    /// Resizes `part` of a target to its place in `to`, with unknown pixels around it: class ids as
    /// [`part_of_mask`](Self::part_of_mask) does, numbers as `values` say.
    pub(crate) fn part_of_target(
        &mut self,
        target: &Target,
        from: [u32; 2],
        part: Rectangle,
        values: Values,
        place: Placement,
        to: &mut Target,
    ) {
        let numbers = match target {
            Target::Classes(ids) => return self.part_of_mask(ids, from, part, place, to.classes_mut()),
            Target::Values(numbers) => numbers,
        };
        let to = to.values_mut();
        if values.interpolation == Interpolation::Nearest {
            to.clear();
            planes(numbers, from).for_each(|plane| self.nearest(plane, from, part, place, values.fill, to));
            return;
        }
        refill(to, planes(numbers, from).len() * pixels(place.size), values.fill);
        for (plane, to) in planes(numbers, from).zip(planes_mut(to, place.size)) {
            resample((plane, (from[1], part.axes())), (to, (place.size[1], place.image.axes())), &mut self.sums);
        }
    }

    /// Appends the resized `part` of one plane to `to`, with `unknown` around it. Each pixel takes that at its centre.
    fn nearest<T: Copy>(
        &mut self,
        plane: &[T],
        from: [u32; 2],
        part: Rectangle,
        place: Placement,
        unknown: T,
        to: &mut Vec<T>,
    ) {
        let Rectangle { top, left, height, width } = place.image;
        self.columns.clear();
        self.columns.extend((0..width).map(|column| part.left as usize + centre(column, part.width, width)));
        let start = to.len();
        to.resize(start + top as usize * place.size[1] as usize, unknown);
        for row in 0..height {
            let begin = to.len();
            to.resize(begin + left as usize, unknown);
            let row = part.top as usize + centre(row, part.height, height);
            let row = &plane[row * from[1] as usize..][..from[1] as usize];
            to.extend(self.columns.iter().map(|&column| row[column]));
            to.resize(begin + place.size[1] as usize, unknown);
        }
        to.resize(start + pixels(place.size), unknown);
    }
}

/// Resizes a part of an image into a part of another.
///
/// The resizer is generic over pixels and their containers, and compiled anew for each combination, with all its
/// kernels: naming one combination here, and never the untyped `resize`, saves minutes in every build.
fn blend<P: PixelTrait>(
    resizer: &mut Resizer,
    (image, from, part): (&[u8], [u32; 2], Rectangle),
    (to, place): (&mut [u8], Placement),
) -> Result<(), String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let image = TypedImageRef::<P>::from_buffer(from[1], from[0], image).map_err(|error| said(&error))?;
    let source = TypedCroppedImage::new(image, part.left, part.top, part.width, part.height);
    let source = source.map_err(|error| said(&error))?;
    let to = TypedImage::<P>::from_buffer(place.size[1], place.size[0], to).map_err(|error| said(&error))?;
    let Rectangle { top, left, height, width } = place.image;
    let mut to = TypedCroppedImageMut::new(to, left, top, width, height).map_err(|error| said(&error))?;
    let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear)).use_alpha(false);
    resizer.resize_typed(&source, &mut to, &options).map_err(|error| said(&error))
}

/// Returns the pixel of a line of `from` pixels under the centre of pixel `i` of `to`: floor((i + 1/2) from / to),
/// which is exact in integers.
fn centre(i: u32, from: u32, to: u32) -> usize {
    ((2 * u64::from(i) + 1) * u64::from(from) / (2 * u64::from(to))) as usize
}

#[cfg(test)]
mod tests;
