//! Colour changes, as light and cameras cause them. Masks stay as they are.

use crate::load::Sample;
use crate::transform::bounds::{interval, share, within};
use crate::transform::random::Random;
use crate::transform::scratch::channels;
use contract::Invalid;
use raster::{Element, Pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Changes gamma, brightness, contrast, saturation and hue, in this order, each by torchvision's formula
/// (`adjust_gamma` and so on), and rounds once at the end.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ColorJitter {
    /// Maximum change of the brightness factor, which is 1 plus or minus up to this, from 0 to 1. It multiplies all
    /// values.
    pub brightness: f32,
    /// Maximum change of the contrast factor, which is 1 plus or minus up to this, from 0 to 1. It multiplies the
    /// distances from the mean grey.
    pub contrast: f32,
    /// Maximum change of the saturation factor, which is 1 plus or minus up to this, from 0 to 1. It multiplies the
    /// distances from the pixel's own grey. Must be 0 for grey images.
    pub saturation: f32,
    /// Maximum change of the hue in either direction, in turns of the colour circle from 0 to 0.5. Must be 0 for grey
    /// images.
    pub hue: f32,
    /// Minimum and maximum exponent for values from 0 to 1, from 0.1 to 10.
    pub gamma: [f32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Colour changes of one sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Change {
    /// Factors, where 1 changes nothing.
    pub(super) brightness: f32,
    pub(super) contrast: f32,
    pub(super) saturation: f32,
    /// Turns of the colour circle.
    pub(super) hue: f32,
    /// Exponent, where 1 changes nothing.
    pub(super) gamma: f32,
}

impl Change {
    /// Returns whether it treats the channels of a pixel together.
    fn is_of_colors(self) -> bool {
        self.saturation != 1.0 || self.hue != 0.0
    }

    /// Returns the result of gamma and brightness for a value from 0 to 255.
    fn lit(self, value: f32) -> f32 {
        let value = if self.gamma == 1.0 { value } else { libm::powf(value / 255.0, self.gamma) * 255.0 };
        (value * self.brightness).clamp(0.0, 255.0)
    }
}

/// Weights of red, green and blue in grey (ITU-R BT.601, to torchvision's digits).
const GREY: [f32; 3] = [0.2989, 0.587, 0.114];

/// Number of pixels processed at once, one array a channel, which the compiler can vectorise.
const BLOCK: usize = 64;

impl Default for ColorJitter {
    fn default() -> Self {
        Self { brightness: 0.2, contrast: 0.2, saturation: 0.2, hue: 0.02, gamma: [0.9, 1.1], probability: 1.0 }
    }
}

impl ColorJitter {
    pub(super) fn check(&self, channels: u32) -> Result<(), Invalid> {
        share("brightness", self.brightness)?;
        share("contrast", self.contrast)?;
        share("saturation", self.saturation)?;
        within("hue", self.hue, 0.0..=0.5)?;
        interval("gamma", self.gamma, 0.1..=10.0)?;
        for (key, value) in [("saturation", self.saturation), ("hue", self.hue)] {
            Invalid::unless(channels == 3 || value == 0.0, key, || {
                let noun = if channels == 1 { "channel" } else { "channels" };
                format!("must be 0 where images have {channels} {noun} and no colours, is {value}")
            })?;
        }
        share("probability", self.probability)
    }

    pub(super) fn apply(&self, sample: &mut Sample, range: [f32; 2], random: &mut Random) {
        if !random.chance(self.probability) {
            return;
        }
        let mut around = |centre: f32, most: f32| random.between(centre - most, centre + most);
        let change = Change {
            brightness: around(1.0, self.brightness),
            contrast: around(1.0, self.contrast),
            saturation: around(1.0, self.saturation),
            hue: around(0.0, self.hue),
            gamma: random.between(self.gamma[0], self.gamma[1]),
        };
        recolor(sample, range, change);
    }
}

/// Changes the colours of an image whose numbers mean black to white from `range[0]` to `range[1]`. Bytes do so from 0
/// to 255.
pub(super) fn recolor(sample: &mut Sample, range: [f32; 2], change: Change) {
    let channels = channels(sample);
    match &mut sample.image {
        Pixels::U8(image) => recolor_bytes(image, channels, change),
        Pixels::U16(image) => recolor_wide(image, channels, range, change),
        Pixels::F32(image) => recolor_wide(image, channels, range, change),
    }
}

fn recolor_bytes(image: &mut [u8], channels: usize, change: Change) {
    let table = table(image, channels, change);
    if channels == 3 && change.is_of_colors() {
        for pixels in image.as_chunks_mut::<3>().0.chunks_mut(BLOCK) {
            recolor_block(pixels, &table, change);
        }
    } else {
        let table = table.map(to_byte);
        image.iter_mut().for_each(|value| *value = table[*value as usize]);
    }
}

/// Changes numbers of more than 8 bits by the same formulas. They are kept within `range`, as bytes are.
fn recolor_wide<T: Element>(image: &mut [T], channels: usize, [black, white]: [f32; 2], change: Change) {
    let by = 255.0 / (white - black);
    // From 0 to 255.
    let lit = |value: T| change.lit(((value.to_f32() - black) * by).clamp(0.0, 255.0));
    let rest = if change.contrast == 1.0 { 0.0 } else { (1.0 - change.contrast) * mean_of(image, channels, lit) };
    let contrasted = |value: T| match change.contrast {
        1.0 => lit(value),
        contrast => (contrast * lit(value) + rest).clamp(0.0, 255.0),
    };
    let number = |value: f32| T::from_f32(value / by + black);
    if channels == 3 && change.is_of_colors() {
        for pixel in image.as_chunks_mut::<3>().0 {
            let color = saturate(pixel.map(contrasted), change.saturation);
            let color = if change.hue == 0.0 { color } else { turn_hue(color, change.hue * 6.0) };
            *pixel = color.map(number);
        }
    } else {
        image.iter_mut().for_each(|value| *value = number(contrasted(*value)));
    }
}

/// Returns the mean grey of an image, of all bands where they are no colours, after `lit`.
fn mean_of<T: Element>(image: &[T], channels: usize, lit: impl Fn(T) -> f32) -> f32 {
    let sums = image.chunks(channels.max(1)).fold([0.0f64; 3], |mut sums, pixel| {
        pixel.iter().enumerate().for_each(|(band, value)| sums[band % 3] += f64::from(lit(*value)));
        sums
    });
    let weights = if channels == 3 { GREY.map(|weight| f64::from(weight) * 3.0) } else { [1.0; 3] };
    (sums.iter().zip(weights).map(|(sum, weight)| sum * weight).sum::<f64>() / image.len().max(1) as f64) as f32
}

/// Returns the result of gamma, brightness and contrast for each value, from 0 to 255.
fn table(image: &[u8], channels: usize, change: Change) -> [f32; 256] {
    let table: [f32; 256] = std::array::from_fn(|value| change.lit(value as f32));
    if change.contrast == 1.0 {
        return table;
    }
    let rest = (1.0 - change.contrast) * mean_grey(image, channels, &table);
    table.map(|value| (change.contrast * value + rest).clamp(0.0, 255.0))
}

/// Returns the mean grey of an image after looking up its values in `table`, from 0 to 255.
fn mean_grey(image: &[u8], channels: usize, table: &[f32; 256]) -> f32 {
    // Sums of integers, in steps of 1/256, are the same in any order.
    let table = table.map(|value| (value * 256.0 + 0.5) as u32);
    let look_up = |value: u8| table[value as usize];
    let mut sums = [0u64; 3];
    // The sums of 4096 values of at most 255 * 256 fit in 32 bits.
    if channels == 3 {
        for pixels in image.as_chunks::<3>().0.chunks(4096) {
            let mut part = [0u32; 3];
            for pixel in pixels {
                part = std::array::from_fn(|channel| part[channel] + look_up(pixel[channel]));
            }
            sums = std::array::from_fn(|channel| sums[channel] + u64::from(part[channel]));
        }
    } else {
        sums[0] = image.chunks(4096).map(|part| u64::from(part.iter().map(|value| look_up(*value)).sum::<u32>())).sum();
    }
    let pixels = (image.len() / channels) as f64 * 256.0;
    let weights = if channels == 3 { GREY } else { [1.0, 0.0, 0.0] };
    sums.iter().zip(weights).map(|(sum, weight)| *sum as f64 / pixels * f64::from(weight)).sum::<f64>() as f32
}

fn recolor_block(pixels: &mut [[u8; 3]], table: &[f32; 256], change: Change) {
    let [mut reds, mut greens, mut blues] = [[0f32; BLOCK]; 3];
    for (((pixel, red), green), blue) in pixels.iter().zip(&mut reds).zip(&mut greens).zip(&mut blues) {
        [*red, *green, *blue] = pixel.map(|value| table[value as usize]);
    }
    let mut bytes = [[0; BLOCK]; 3];
    let [red_bytes, green_bytes, blue_bytes] = &mut bytes;
    for place in 0..BLOCK {
        let mut color = saturate([reds[place], greens[place], blues[place]], change.saturation);
        if change.hue != 0.0 {
            color = turn_hue(color, change.hue * 6.0);
        }
        [red_bytes[place], green_bytes[place], blue_bytes[place]] = color.map(to_byte);
    }
    for (((pixel, red), green), blue) in pixels.iter_mut().zip(red_bytes).zip(green_bytes).zip(blue_bytes) {
        *pixel = [*red, *green, *blue];
    }
}

#[inline(always)]
fn saturate(color: [f32; 3], factor: f32) -> [f32; 3] {
    let grey = GREY[0] * color[0] + GREY[1] * color[1] + GREY[2] * color[2];
    color.map(|value| least(most(factor * value + (1.0 - factor) * grey, 0.0), 255.0))
}

/// Rotates the hue by up to 3 sixths of the circle in either direction, at the same value and saturation (of the HSV
/// model).
#[inline(always)]
fn turn_hue([red, green, blue]: [f32; 3], sixths: f32) -> [f32; 3] {
    let value = most(most(red, green), blue);
    let chroma = value - least(least(red, green), blue);
    let per_chroma = if chroma > 0.0 { 1.0 / chroma } else { 0.0 };
    // In sixths from red, from -1 to 5.
    let hue = if value == red {
        (green - blue) * per_chroma
    } else if value == green {
        2.0 + (blue - red) * per_chroma
    } else {
        4.0 + (red - green) * per_chroma
    };
    let hue = hue + sixths;
    let hue = if hue < 0.0 { hue + 6.0 } else { hue };
    let hue = if hue >= 6.0 { hue - 6.0 } else { hue };
    // A channel is at its minimum for two sixths around the opposite of its own colour, and at its maximum around that
    // colour.
    [5.0, 3.0, 1.0].map(|opposite| {
        let place = hue + opposite;
        let place = if place >= 6.0 { place - 6.0 } else { place };
        value - chroma * most(least(least(place, 4.0 - place), 1.0), 0.0)
    })
}

/// Returns the greater of two numbers, neither of which is NaN: one instruction, unlike `f32::max`.
#[inline(always)]
fn most(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

#[inline(always)]
fn least(a: f32, b: f32) -> f32 {
    if a < b { a } else { b }
}

/// Rounds a number from 0 to 255 to the nearest byte. Floats from 2^23 on are integers, whose lowest bits are the byte:
/// an addition, where a conversion would also check for NaN and overflow.
#[inline(always)]
fn to_byte(value: f32) -> u8 {
    (value + (1 << 23) as f32).to_bits() as u8
}
