//! Pieces of a sample, cropped as they are or resized.

use crate::error::Error;
use crate::label::ClassRef;
use crate::load::{IGNORE, Sample, Target, pixels, planes, planes_mut, refill};
use crate::transform::bounds::{interval, share};
use crate::transform::random::Random;
use crate::transform::resize::{Placement, Rectangle};
use crate::transform::scratch::{Scratch, channels};
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RandomCrop {
    /// Class that the piece should show, by name or id. `null` takes any piece.
    pub class: Option<ClassRef>,
    /// Minimum share of the piece's pixels of that class, above 0 and up to 1.
    pub at_least: f32,
    /// Number of pieces drawn until one shows enough of the class; if none does, the one that shows most is taken.
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
        Self { class: None, at_least: 0.0, tries: 10 }
    }
}

impl RandomCrop {
    pub(super) fn check(&self, classes: &[String]) -> Result<(), Invalid> {
        share("at_least", self.at_least)?;
        match &self.class {
            None => Invalid::unless(self.at_least == 0.0, "at_least", || {
                format!("must be 0 without a class that it is the share of, is {}", self.at_least)
            })?,
            Some(class) => {
                class.id("class", classes)?;
                Invalid::unless(self.at_least > 0.0, "at_least", || {
                    "must be above 0 for the class to matter, is 0".into()
                })?;
            }
        }
        Invalid::unless((1..=MOST_TRIES).contains(&self.tries), "tries", || {
            format!("must be 1 to {MOST_TRIES}, is {}", self.tries)
        })
    }

    pub(super) fn resolved(&self, classes: &[String]) -> Self {
        let id = |class: &ClassRef| class.id("class", classes).map_or(class.clone(), |id| ClassRef::Id(id.into()));
        let class = self.class.as_ref().map(id);
        Self { class, ..self.clone() }
    }

    pub(super) fn apply(
        &self,
        sample: &mut Sample,
        scratch: &mut Scratch,
        size: [u32; 2],
        random: &mut Random,
    ) -> Result<(), Error> {
        let class = match &self.class {
            None => None,
            // A configured pipeline has only ids: see `resolved`.
            Some(ClassRef::Name(name)) => Err(Invalid { key: "class".into(), problem: format!("'{name}' has no id") })?,
            Some(ClassRef::Id(id)) => u8::try_from(*id).ok(),
        };
        let inner = [0, 1].map(|axis| size[axis].min(sample.size[axis]));
        let mut best = Rectangle::within(sample.size, inner, random);
        if let Some(class) = class {
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
}

/// Counts the pixels of `class` in a part of the mask.
fn count(sample: &Sample, part: Rectangle, class: u8) -> usize {
    let rows = sample.target.classes().chunks_exact(sample.size[1] as usize);
    let rows = rows.skip(part.top as usize).take(part.height as usize);
    rows.map(|row| {
        let row = &row[part.left as usize..][..part.width as usize];
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
