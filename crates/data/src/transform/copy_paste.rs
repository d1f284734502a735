//! Objects of one sample pasted into another.

use crate::error::Error;
use crate::label::ClassRef;
use crate::load::Sample;
use crate::transform::bounds::share;
use crate::transform::random::Random;
use crate::transform::scratch::channels;
use contract::Invalid;
use raster::{Element, on_pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Pastes whole objects of another sample, image and mask, over this one. (G. Ghiasi and others, "Simple Copy-Paste is
/// a Strong Data Augmentation Method for Instance Segmentation", CVPR 2021; without blending.)
///
/// An object is all pixels of one class that touch each other, at a side or a corner. The other sample is drawn
/// uniformly from the rest of the data set. It has been through the transforms before this one in the list, but nothing
/// is pasted over it. If its size differs, it is cropped or padded at its centre.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CopyPaste {
    /// Classes whose objects are pasted, by name or id; at least one.
    pub classes: Vec<ClassRef>,
    /// Probability of each object to be pasted, from 0 to 1.
    pub objects: f32,
    /// Maximum translation of each object along each axis in either direction, as a share of that side, from 0 to 1.
    pub translate: f32,
    /// Probability of applying it, from 0 to 1.
    pub probability: f32,
}

/// Pixels of an object, as places in its sample, and its translation downwards and to the right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) pixels: Vec<usize>,
    pub(super) shift: [i64; 2],
}

impl Default for CopyPaste {
    fn default() -> Self {
        Self { classes: Vec::new(), objects: 0.5, translate: 0.0, probability: 0.5 }
    }
}

impl CopyPaste {
    pub(super) fn check(&self, classes: &[String]) -> Result<(), Invalid> {
        Invalid::unless(!self.classes.is_empty(), "classes", || {
            "must name at least one class whose objects are pasted, is []".into()
        })?;
        for class in &self.classes {
            class.id("classes", classes)?;
        }
        share("objects", self.objects)?;
        share("translate", self.translate)?;
        share("probability", self.probability)
    }

    pub(super) fn resolved(&self, classes: &[String]) -> Self {
        let id = |class: &ClassRef| class.id("classes", classes).map_or(class.clone(), |id| ClassRef::Id(id.into()));
        Self { classes: self.classes.iter().map(id).collect(), ..self.clone() }
    }

    /// Draws the other sample of `len` for the sample at `index`; `None` if this one stays as it is, or if there is no
    /// other.
    pub(crate) fn draw(&self, index: u64, len: u64, random: &mut Random) -> Option<u64> {
        if !random.chance(self.probability) || len < 2 {
            return None;
        }
        let other = random.below(len - 1);
        Some(other + u64::from(other >= index))
    }

    /// Pastes objects of `other`, which has the same size and form, over `sample`.
    pub(crate) fn paste(&self, sample: &mut Sample, other: &Sample, random: &mut Random) -> Result<(), Error> {
        let (bands, size) = (channels(sample), sample.size);
        let objects = self.objects(other.target.classes(), size, random)?;
        on_pixels!(&mut sample.image, image => {
            if let Some(other) = Element::of(&other.image) {
                paste_objects(other, image, bands, size, &objects);
            }
        });
        paste_objects(other.target.classes(), sample.target.classes_mut(), 1, size, &objects);
        Ok(())
    }

    /// Draws objects of a mask and their translations.
    pub(super) fn objects(&self, ids: &[u8], size: [u32; 2], random: &mut Random) -> Result<Vec<Object>, Error> {
        let mut wanted = [false; 256];
        for class in &self.classes {
            match class {
                // A configured pipeline has only ids: see `resolved`.
                ClassRef::Name(name) => {
                    Err(Invalid { key: "classes".into(), problem: format!("'{name}' has no id") })?;
                }
                ClassRef::Id(id) => {
                    if let Some(wanted) = usize::try_from(*id).ok().and_then(|id| wanted.get_mut(id)) {
                        *wanted = true;
                    }
                }
            }
        }
        let mut objects = Vec::new();
        for pixels in connected(ids, size, &wanted) {
            if random.chance(self.objects) {
                let most = self.translate;
                let shift = size.map(|side| (random.between(-most, most) * side as f32).round() as i64);
                objects.push(Object { pixels, shift });
            }
        }
        Ok(objects)
    }
}

/// Returns the pixels of each object of the wanted classes, in the order of the objects' first pixels.
pub(super) fn connected(ids: &[u8], [height, width]: [u32; 2], wanted: &[bool; 256]) -> Vec<Vec<usize>> {
    let [height, width] = [height, width].map(|side| side as usize);
    let mut seen = vec![false; ids.len()];
    let mut objects = Vec::new();
    for (first, class) in ids.iter().enumerate() {
        if seen[first] || !wanted[usize::from(*class)] {
            continue;
        }
        seen[first] = true;
        // Pixels from `next` on have neighbours that were not looked at.
        let (mut pixels, mut next) = (vec![first], 0);
        while let Some(&place) = pixels.get(next) {
            next += 1;
            let (row, column) = (place / width, place % width);
            for row in row.saturating_sub(1)..(row + 2).min(height) {
                for column in column.saturating_sub(1)..(column + 2).min(width) {
                    let neighbour = row * width + column;
                    if !seen[neighbour] && ids[neighbour] == *class {
                        seen[neighbour] = true;
                        pixels.push(neighbour);
                    }
                }
            }
        }
        objects.push(pixels);
    }
    objects
}

/// Copies objects of `from` into `to`: `each` numbers a pixel, of images of this size. Pixels that a translation takes
/// out of the image are left out; later objects lie over earlier ones.
pub(super) fn paste_objects<N: Copy>(
    from: &[N],
    to: &mut [N],
    each: usize,
    [height, width]: [u32; 2],
    objects: &[Object],
) {
    for Object { pixels, shift: [down, right] } in objects {
        for place in pixels {
            let row = (place / width as usize) as i64 + down;
            let column = (place % width as usize) as i64 + right;
            if (0..i64::from(height)).contains(&row) && (0..i64::from(width)).contains(&column) {
                let target = row as usize * width as usize + column as usize;
                to[target * each..][..each].copy_from_slice(&from[place * each..][..each]);
            }
        }
    }
}
