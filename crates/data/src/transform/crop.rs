//! Pieces of a sample, cropped as they are or resized.

mod aim;

use crate::error::Error;
use crate::label::ClassRef;
use crate::load::class_index::ClassIndex;
use crate::load::dataset::Dataset;
use crate::load::{IGNORE, Sample, Target, pixels, planes, planes_mut, refill};
use crate::transform::bounds::{interval, share};
use crate::transform::random::Random;
use crate::transform::resize::{Placement, Rectangle};
use crate::transform::scratch::{Scratch, channels};
use aim::{is_mixed, place};
use contract::Invalid;
use raster::{Element, Pixels, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Maximum value of `tries`.
const MOST_TRIES: u32 = 1000;

/// Number of tries of [`RandomResizedCrop`] to find a part within the sample.
const TRIES: usize = 10;

/// Resizes a random part of the sample to the network's size: the image bilinearly with antialiasing when it shrinks,
/// the mask by the nearest pixel. The part is drawn as torchvision's `RandomResizedCrop` does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomResizedCrop {
    /// Minimum and maximum share of the sample's area that is kept, from 0.001 to 1.
    pub scale: [f32; 2],
    /// Minimum and maximum width of the part as a multiple of its height, from 0.1 to 10.
    pub ratio: [f32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Crops a random piece of the network's size; a smaller sample is centred and padded with black and [`IGNORE`].
///
/// `foreground` centres a share of the pieces on a random pixel of a random class, as far as the edges of the sample
/// allow (nnU-Net's foreground oversampling). As the first transform it takes the pixels from an index of where
/// classes are; later in the list, from the sample as it is there. A sample without a class but id 0 gives any piece.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomCrop {
    /// Class that the piece should show, by name or id: by `foreground` or by `at_least`. `null` takes any piece, or
    /// with `foreground` any class but id 0.
    pub class: Option<ClassRef>,
    /// Share of the pieces that are centred on a pixel of a class, from 0 to 1. nnU-Net has 0.33.
    pub foreground: f32,
    /// Minimum share of the piece's pixels of `class`, above 0 and up to 1, for pieces drawn until one shows enough.
    pub at_least: f32,
    /// Maximum share of one class among the pixels of a piece that are not ignored, above 0 and up to 1. Pieces of one
    /// class, or with more of one, are drawn again. 1 takes any piece; MMSegmentation's configurations have 0.75.
    pub cat_max_ratio: f64,
    /// Number of pieces that `at_least` or `cat_max_ratio` examine. If none passes, `at_least` takes the one that shows
    /// most, and `cat_max_ratio` draws a last one unseen, as MMSegmentation does.
    pub tries: u32,
}

impl Rectangle {
    /// Returns a random rectangle of this size within a sample of `size`, which is no smaller.
    pub(super) fn within(size: [u32; 2], [height, width]: [u32; 2], random: &mut Random) -> Self {
        let mut start = |side: u32, length: u32| random.below(u64::from(side - length) + 1) as u32;
        Self { top: start(size[0], height), left: start(size[1], width), height, width }
    }
}

impl Default for RandomResizedCrop {
    fn default() -> Self {
        Self { scale: [0.08, 1.0], ratio: [0.75, 4.0 / 3.0], probability: 1.0 }
    }
}

impl RandomResizedCrop {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("scale", self.scale, 0.001..=1.0)?;
        interval("ratio", self.ratio, 0.1..=10.0)?;
        share("probability", self.probability)
    }

    pub(super) fn apply(
        &self,
        sample: &mut Sample,
        scratch: &mut Scratch,
        size: [u32; 2],
        random: &mut Random,
    ) -> Result<(), Error> {
        if random.chance(self.probability) {
            resized(sample, scratch, self.draw(sample.size, random), size)
        } else {
            Ok(())
        }
    }

    /// Draws a part of a sample of `size`. Areas are uniform, and a ratio is as likely as its inverse. If all tries
    /// exceed the sample, the part is its centre, as much of it as `ratio` allows.
    pub(super) fn draw(&self, size: [u32; 2], random: &mut Random) -> Rectangle {
        let [height, width] = size.map(f64::from);
        let [low, high] = self.ratio.map(f64::from);
        for _ in 0..TRIES {
            let area = height * width * f64::from(random.between(self.scale[0], self.scale[1]));
            let place = f64::from(random.between(0.0, 1.0));
            let ratio = libm::exp(libm::log(low) + (libm::log(high) - libm::log(low)) * place);
            let part = [(area / ratio).sqrt(), (area * ratio).sqrt()].map(|side| side.round() as u32);
            if (1..=size[0]).contains(&part[0]) && (1..=size[1]).contains(&part[1]) {
                return Rectangle::within(size, part, random);
            }
        }
        let [height, width] = match width / height {
            narrow if narrow < low => [width / low, width],
            wide if wide > high => [height, height * high],
            _ => [height, width],
        }
        .map(|side| side.round().max(1.0) as u32);
        Rectangle { top: (size[0] - height) / 2, left: (size[1] - width) / 2, height, width }
    }
}

impl Default for RandomCrop {
    fn default() -> Self {
        Self { class: None, foreground: 0.0, at_least: 0.0, cat_max_ratio: 1.0, tries: 10 }
    }
}

impl RandomCrop {
    pub(super) fn check(&self, classes: &[String]) -> Result<(), Invalid> {
        share("at_least", self.at_least)?;
        share("foreground", self.foreground)?;
        match &self.class {
            None => {
                Invalid::unless(self.at_least == 0.0, "at_least", || {
                    format!("must be 0 without a class that it is the share of, is {}", self.at_least)
                })?;
                Invalid::unless(self.foreground == 0.0 || classes.len() > 1, "foreground", || {
                    "must be 0: there is no class but the first, which counts as background".into()
                })?;
            }
            Some(class) => {
                class.id("class", classes)?;
                Invalid::unless(self.at_least > 0.0 || self.foreground > 0.0, "at_least", || {
                    "must be above 0 for the class to matter, or foreground must be; both are 0".into()
                })?;
            }
        }
        Invalid::unless(self.at_least == 0.0 || self.foreground == 0.0, "at_least", || {
            "must be 0 with foreground, which needs no tries: its pieces are centred on the class".into()
        })?;
        Invalid::unless(self.cat_max_ratio > 0.0 && self.cat_max_ratio <= 1.0, "cat_max_ratio", || {
            format!("must be above 0 and up to 1, is {}", self.cat_max_ratio)
        })?;
        Invalid::unless(self.at_least == 0.0 || self.cat_max_ratio == 1.0, "cat_max_ratio", || {
            "must be 1 with at_least, which chooses the piece that shows most of the class".into()
        })?;
        Invalid::unless((1..=MOST_TRIES).contains(&self.tries), "tries", || {
            format!("must be 1 to {MOST_TRIES}, is {}", self.tries)
        })
    }

    /// Returns the key that needs targets that are class ids, if there is one.
    pub(super) fn key_of_classes(&self) -> Option<&'static str> {
        match self {
            Self { class: Some(_), .. } => Some("class"),
            Self { foreground, .. } if *foreground > 0.0 => Some("foreground"),
            Self { cat_max_ratio, .. } if *cat_max_ratio < 1.0 => Some("cat_max_ratio"),
            _ => None,
        }
    }

    pub(super) fn resolved(&self, classes: &[String]) -> Self {
        let id = |class: &ClassRef| class.id("class", classes).map_or(class.clone(), |id| ClassRef::Id(id.into()));
        let class = self.class.as_ref().map(id);
        Self { class, ..self.clone() }
    }

    /// Crops a sample; `index` holds the pixels of its classes, if they are known, and the sample's place in it.
    pub(crate) fn apply(
        &self,
        sample: &mut Sample,
        scratch: &mut Scratch,
        size: [u32; 2],
        random: &mut Random,
        index: Option<(&dyn ClassIndex, u64)>,
    ) -> Result<(), Error> {
        if pixels(sample.size) == 0 {
            return Ok(());
        }
        let class = self.class()?;
        let inner = [0, 1].map(|axis| size[axis].min(sample.size[axis]));
        let mut best = self.choose(sample, size, random, index)?;
        if let Some(class) = class.filter(|_| self.at_least > 0.0) {
            let enough = (f64::from(self.at_least) * pixels(size) as f64).ceil() as usize;
            let mut most = count(sample, best, class);
            for _ in 1..self.tries {
                if most >= enough {
                    break;
                }
                let piece = Rectangle::within(sample.size, inner, random);
                let found = count(sample, piece, class);
                if found > most {
                    (best, most) = (piece, found);
                }
            }
        }
        window(sample, scratch, size, [best.top, best.left]);
        Ok(())
    }

    /// Returns the id of the class.
    fn class(&self) -> Result<Option<u8>, Error> {
        match &self.class {
            None => Ok(None),
            // A configured pipeline has only ids: see `resolved`.
            Some(ClassRef::Name(name)) => Err(Invalid { key: "class".into(), problem: format!("'{name}' has no id") })?,
            Some(ClassRef::Id(id)) => Ok(u8::try_from(*id).ok()),
        }
    }

    /// Draws whether the piece is centred on a pixel.
    fn is_centred(&self, random: &mut Random) -> bool {
        self.foreground > 0.0 && random.chance(self.foreground)
    }

    /// Returns the number of pieces that may be refused.
    fn refusals(&self) -> u32 {
        if self.cat_max_ratio < 1.0 { self.tries } else { 0 }
    }

    /// Draws a piece of a sample; the pixels of classes come from an index, if there is one, else from the sample.
    fn choose(
        &self,
        sample: &Sample,
        size: [u32; 2],
        random: &mut Random,
        index: Option<(&dyn ClassIndex, u64)>,
    ) -> Result<Rectangle, Error> {
        let (class, ids) = (self.class()?, sample.target.classes());
        let pixels = match index {
            Some((classes, index)) => aim::Pixels::Indexed(classes, index),
            None => aim::Pixels::Mask(ids, sample.size[1]),
        };
        let (is_centred, mut left) = (self.is_centred(random), self.refusals());
        loop {
            let pixel = if is_centred { pixels.draw(class, random)? } else { None };
            let piece = place(sample.size, size, pixel, random);
            if left == 0 || is_mixed(rows(sample, piece), self.cat_max_ratio) {
                return Ok(piece);
            }
            left -= 1;
        }
    }

    /// Reads the piece of the sample at `index` alone, the same that [`apply`](Self::apply) takes of all of it. Returns
    /// whether the data set can do that; if not, `random` has to be begun anew.
    pub(crate) fn read(
        &self,
        dataset: &dyn Dataset,
        index: u64,
        size: [u32; 2],
        random: &mut Random,
        sample: &mut Sample,
    ) -> Result<bool, Error> {
        let class = self.class()?;
        let pixels = dataset.class_index().map(|classes| aim::Pixels::Indexed(classes, index));
        let is_centred = self.is_centred(random);
        for left in (0..=self.refusals()).rev() {
            let pixel = match &pixels {
                Some(pixels) if is_centred => pixels.draw(class, random)?,
                _ => None,
            };
            if !dataset.part(index, &mut |whole| place(whole, size, pixel, random), sample)? {
                return Ok(false);
            }
            let ids = std::iter::once(sample.target.classes());
            if left == 0 || is_mixed(ids, self.cat_max_ratio) {
                break;
            }
        }
        Ok(true)
    }
}

/// Returns the rows of a part of the mask.
fn rows(sample: &Sample, part: Rectangle) -> impl Iterator<Item = &[u8]> {
    let rows = sample.target.classes().chunks_exact(sample.size[1] as usize);
    let rows = rows.skip(part.top as usize).take(part.height as usize);
    rows.map(move |row| &row[part.left as usize..][..part.width as usize])
}

/// Counts the pixels of `class` in a part of the mask.
fn count(sample: &Sample, part: Rectangle, class: u8) -> usize {
    rows(sample, part)
        .map(|row| {
            // Counts that fit in bytes are added 16 at a time.
            let chunk = |chunk: &[u8]| usize::from(chunk.iter().map(|found| u8::from(*found == class)).sum::<u8>());
            row.chunks(255).map(chunk).sum::<usize>()
        })
        .sum()
}

/// Crops a piece of `size` from `sample`, beginning at row and column `start`. Along a side that is shorter than the
/// piece's, takes the whole sample and pads it at both ends: the image with black, the target with unknown pixels.
pub(crate) fn window(sample: &mut Sample, scratch: &mut Scratch, size: [u32; 2], start: [u32; 2]) {
    let from = sample.size;
    if from == size {
        return;
    }
    let (each, spare) = (channels(sample), &mut scratch.spare);
    let window = Window { from, size, start };
    spare.size = size;
    on_pixels!(&sample.image, image => window.copy_image(image, &mut spare.image, each, scratch.black));
    match &sample.target {
        Target::Classes(ids) => {
            let to = spare.target.classes_mut();
            refill(to, pixels(size), IGNORE);
            window.copy(ids, to, 1);
        }
        Target::Values(values) => {
            let to = spare.target.values_mut();
            refill(to, planes(values, from).len() * pixels(size), scratch.values.fill);
            for (from, to) in planes(values, from).zip(planes_mut(to, size)) {
                window.copy(from, to, 1);
            }
        }
    }
    std::mem::swap(sample, spare);
}

/// Part of an image of size `from`, for a place of `size`.
struct Window {
    from: [u32; 2],
    size: [u32; 2],
    start: [u32; 2],
}

impl Window {
    /// Copies the part of an image, of `each` numbers a pixel, with `black` around it.
    fn copy_image<T: Element>(&self, numbers: &[T], to: &mut Pixels, each: usize, black: f32) {
        let to = T::buffer(to);
        refill(to, pixels(self.size) * each, T::from_f32(black));
        self.copy(numbers, to, each);
    }

    /// Copies the part, of `each` numbers a pixel.
    fn copy<T: Copy>(&self, numbers: &[T], to: &mut [T], each: usize) {
        // For each axis: source offset, destination offset and length of the copy.
        let span = |axis: usize| {
            let (old, new) = (self.from[axis] as usize, self.size[axis] as usize);
            let begin = if old > new { self.start[axis] as usize } else { 0 };
            (begin, new.saturating_sub(old) / 2, old.min(new))
        };
        let ((old_row, new_row, rows), (old_column, new_column, columns)) = (span(0), span(1));
        for row in 0..rows {
            let old = ((old_row + row) * self.from[1] as usize + old_column) * each;
            let new = ((new_row + row) * self.size[1] as usize + new_column) * each;
            to[new..new + columns * each].copy_from_slice(&numbers[old..old + columns * each]);
        }
    }
}

/// Resizes a part of `sample` to `size`. Pixels outside the part have no influence.
pub(super) fn resized(
    sample: &mut Sample,
    scratch: &mut Scratch,
    part: Rectangle,
    size: [u32; 2],
) -> Result<(), Error> {
    let from = [part.height, part.width];
    if from == size {
        window(sample, scratch, size, [part.top, part.left]);
        return Ok(());
    }
    let Scratch { spare, scaler, values, black, .. } = scratch;
    let place = Placement::filling(size);
    let channels = channels(sample) as u32;
    scaler.part_of_image(&sample.image, sample.size, part, channels, (place, *black), &mut spare.image)?;
    scaler.part_of_target(&sample.target, sample.size, part, *values, place, &mut spare.target);
    spare.size = size;
    std::mem::swap(sample, spare);
    Ok(())
}
