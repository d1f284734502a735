//! Sharpness, as lenses and the software of cameras change it. Masks stay as they are.

use crate::transform::bounds::{interval, share};
use crate::transform::picture::Picture;
use crate::transform::random::Random;
use contract::Invalid;
use raster::Element;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Sharpens the image, by the definition of Pillow's `ImageEnhance.Sharpness`: a factor multiplies its difference from
/// a smoothed image, whose pixels weigh 5 and their eight neighbours 1 each. The outermost pixels stay as they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sharpen {
    /// Minimum and maximum factor, from 0 to 20: 0 smooths, 1 changes nothing, more than 1 sharpens.
    pub factor: [f32; 2],
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

impl Default for Sharpen {
    fn default() -> Self {
        Self { factor: [1.0, 3.0], probability: 0.5 }
    }
}

impl Sharpen {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        interval("factor", self.factor, 0.0..=20.0)?;
        share("probability", self.probability)
    }

    pub(super) fn change<T: Element>(&self, picture: &mut Picture<T>, random: &mut Random) {
        if random.chance(self.probability) {
            sharpen(picture, random.between(self.factor[0], self.factor[1]));
        }
    }
}

/// Multiplies the difference between the image and a smoothed one by `factor`.
pub(super) fn sharpen<T: Element>(picture: &mut Picture<T>, factor: f32) {
    let [height, width] = picture.sides();
    let bands = picture.bands;
    if height < 3 || width < 3 {
        return;
    }
    let row_len = width * bands;
    // Rows as they were: that above the row that is being written, and that row itself.
    let mut above: Vec<f32> = picture.numbers[..row_len].iter().map(|number| number.to_f32()).collect();
    let mut here = above.clone();
    for row in 1..height - 1 {
        let (before, below) = picture.numbers.split_at_mut((row + 1) * row_len);
        let to = &mut before[row * row_len..];
        here.iter_mut().zip(&*to).for_each(|(value, number)| *value = number.to_f32());
        for place in bands..row_len - bands {
            let [left, right] = [place - bands, place + bands];
            let beneath = below[left].to_f32() + below[place].to_f32() + below[right].to_f32();
            let around = above[left] + above[place] + above[right] + here[left] + here[right] + beneath;
            let smooth = (around + 5.0 * here[place]) / 13.0;
            to[place] = T::from_f32(smooth + factor * (here[place] - smooth));
        }
        std::mem::swap(&mut above, &mut here);
    }
}
