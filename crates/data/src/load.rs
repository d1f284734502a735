//! From samples to batches: the data sets, the processing of their samples, and the threads that load them.

pub(crate) mod class_index;
pub(crate) mod config;
pub(crate) mod dataset;
pub(crate) mod drawn;
mod ends;
pub(crate) mod epochs;
pub(crate) mod files;
pub(crate) mod fingerprint;
pub(crate) mod image;
pub(crate) mod images;
pub(crate) mod layout;
pub(crate) mod loader;
pub(crate) mod ordered;
pub(crate) mod pipeline;
pub(crate) mod preview;
mod reader;
pub(crate) mod sampler;
pub(crate) mod shapes;
pub(crate) mod skipped;
pub(crate) mod sound;
mod values;

use contract::Invalid;
use layout::Layout;
use raster::{Element, Pixels, on_pixels};

/// The class id of mask pixels that count in no loss and no metric: [`contract::IGNORE_INDEX`] as a byte.
pub const IGNORE: u8 = 255;

/// An image and the target of each of its pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sample {
    /// Height and width, in pixels.
    pub size: [u32; 2],
    /// `H×W×C` numbers, row by row: red, green and blue of each pixel, its grey value, or its bands.
    pub image: Pixels,
    /// The mask or the map that belongs to the image, in the form that [`Dataset::targets`](crate::Dataset::targets)
    /// declares.
    pub target: Target,
}

/// The target of each pixel of an image.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Target {
    /// A mask: `H×W` class ids, or [`IGNORE`], row by row.
    Classes(Vec<u8>),
    /// A map of numbers: `C×H×W`, channel after channel, each row by row.
    Values(Vec<f32>),
}

impl Default for Target {
    fn default() -> Self {
        Self::Classes(Vec::new())
    }
}

impl Target {
    /// Returns the class ids; none where the target has another form.
    pub fn classes(&self) -> &[u8] {
        if let Self::Classes(ids) = self { ids } else { &[] }
    }

    /// Returns the numbers; none where the target has another form.
    pub fn values(&self) -> &[f32] {
        if let Self::Values(values) = self { values } else { &[] }
    }

    /// Returns the buffer for class ids, to overwrite. A target of another form becomes this one.
    pub fn classes_mut(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Classes(ids) => ids,
            other => {
                *other = Self::Classes(Vec::new());
                other.classes_mut()
            }
        }
    }

    /// Returns the buffer for numbers, to overwrite. A target of another form becomes this one.
    ///
    /// ```
    /// let mut target = data::Target::default();
    /// let depths = target.values_mut();
    /// depths.clear();
    /// depths.extend([1.5, 2.0, f32::NAN, 3.0]);
    /// assert_eq!(target.values()[..2], [1.5, 2.0]);
    /// ```
    pub fn values_mut(&mut self) -> &mut Vec<f32> {
        match self {
            Self::Values(values) => values,
            other => {
                *other = Self::Values(Vec::new());
                other.values_mut()
            }
        }
    }

    /// Makes an image of this `layout` the target: its values, from 0 to 1, are those of a network's input without
    /// normalisation.
    ///
    /// ```
    /// let mut target = data::Target::default();
    /// target.set_image(&vec![255u8, 0, 51, 255, 0, 102].into(), &3.into());
    /// assert_eq!(target.values(), [1.0, 1.0, 0.0, 0.0, 0.2, 0.4]);
    /// ```
    pub fn set_image(&mut self, image: &Pixels, layout: &Layout) {
        let (values, channels, [low, high]) = (self.values_mut(), layout.channels() as usize, layout.unit());
        values.clear();
        for channel in 0..channels {
            on_pixels!(image, image => {
                let channel = image.iter().skip(channel).step_by(channels);
                values.extend(channel.map(|number| (number.to_f32() - low) / (high - low)));
            });
        }
    }

    /// Returns the number of class ids or values.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Classes(ids) => ids.len(),
            Self::Values(values) => values.len(),
        }
    }

    /// Appends a target of the same form.
    pub(crate) fn append(&mut self, other: &Self) {
        match other {
            Self::Classes(ids) => self.classes_mut().extend_from_slice(ids),
            Self::Values(values) => self.values_mut().extend_from_slice(values),
        }
    }

    /// Takes over a target, reusing the buffer.
    pub(crate) fn copy_from(&mut self, other: &Self) {
        match other {
            Self::Classes(_) => self.classes_mut().clear(),
            Self::Values(_) => self.values_mut().clear(),
        }
        self.append(other);
    }
}

/// Form of all targets of a data set: their tensors in a batch, and how transforms move them.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub enum Targets {
    /// Masks of class ids: `[N, H, W]` i64. Transforms take the nearest pixel; pixels whose content is unknown become
    /// [`IGNORE`].
    #[default]
    Classes,
    /// Maps of numbers: `[N, H, W]` or `[N, C, H, W]` f32, as [`Values`] says.
    Values(Values),
}

/// Form of maps of numbers: depths, images, probabilities, ….
///
/// Transforms of the geometry move the numbers with the image and never change them otherwise: a transform that
/// enlarges does not shorten depths, and one that mirrors turns no vectors. Those of the colours leave them alone.
#[derive(Debug, Clone, Copy)]
pub struct Values {
    /// Number of channels C of `[N, C, H, W]`. `None` is one number a pixel, without an axis for channels: `[N, H, W]`.
    pub channels: Option<u32>,
    /// Calculation of numbers between pixels.
    pub interpolation: Interpolation,
    /// Number of pixels whose content is unknown: padding, pixels from outside the sample, dropped rectangles, and the
    /// whole placeholder of a batch whose samples were all skipped.
    ///
    /// With NaN, the default, samples may hold NaN as well, where nothing was measured. A number that is mixed from an
    /// unknown one is unknown, so no invented number reaches the loss, which must leave NaN out. With a number, it is
    /// mixed as the image is mixed with black, and a NaN in a sample is an error: 0 suits targets that are images.
    pub fill: f32,
}

impl Default for Values {
    fn default() -> Self {
        Self { channels: None, interpolation: Interpolation::default(), fill: f32::NAN }
    }
}

/// Calculation of numbers between pixels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Interpolation {
    /// Mixes neighbouring pixels as for images: bilinearly, with antialiasing where a map shrinks to another size.
    #[default]
    Bilinear,
    /// Takes the nearest pixel, as for class ids: for numbers that have no mean, such as identities, or depths that
    /// must not be mixed at edges.
    Nearest,
}

impl Targets {
    /// Refuses a map without channels, and a `fill` that no map may hold.
    pub(crate) fn check(self) -> Result<(), Invalid> {
        let Values { channels, fill, .. } = self.values();
        Invalid::unless(channels != Some(0), "targets", || "must have at least 1 channel, has 0".into())?;
        Invalid::unless(!fill.is_infinite(), "targets", || format!("must have a finite fill or NaN, has {fill}"))
    }

    /// Returns the number of class ids or values a pixel.
    pub(crate) fn planes(self) -> usize {
        self.values().channels.unwrap_or(1) as usize
    }

    /// Returns the bytes a pixel.
    pub(crate) fn bytes(self) -> usize {
        match self {
            Self::Classes => 1,
            Self::Values(_) => self.planes() * size_of::<f32>(),
        }
    }

    /// Returns the form of values; for class ids one that nothing uses.
    pub(crate) fn values(self) -> Values {
        if let Self::Values(values) = self { values } else { Values::default() }
    }

    /// Fills `target` with `pixels` unknown pixels.
    pub(crate) fn fill_unknown(self, target: &mut Target, pixels: usize) {
        match self {
            Self::Classes => refill(target.classes_mut(), pixels, IGNORE),
            Self::Values(values) => refill(target.values_mut(), pixels * self.planes(), values.fill),
        }
    }
}

/// Fills a buffer with `len` times the same number.
pub(crate) fn refill<T: Copy>(buffer: &mut Vec<T>, len: usize, number: T) {
    buffer.clear();
    buffer.resize(len, number);
}

/// Returns the number of pixels of an image of `size`.
pub(crate) fn pixels([height, width]: [u32; 2]) -> usize {
    height as usize * width as usize
}

/// Returns the planes of numbers of `size`, one after another.
pub(crate) fn planes<T>(numbers: &[T], size: [u32; 2]) -> std::slice::ChunksExact<'_, T> {
    numbers.chunks_exact(pixels(size).max(1))
}

/// Returns the planes of numbers of `size`, to change.
pub(crate) fn planes_mut<T>(numbers: &mut [T], size: [u32; 2]) -> std::slice::ChunksExactMut<'_, T> {
    numbers.chunks_exact_mut(pixels(size).max(1))
}
