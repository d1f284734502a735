//! Paired comparison of two runs on the images that both validate.

use crate::common::images::Image;
use ::report::{Comparison, Interval, Paired};
use data::Fingerprint;
use metric::mean_iou;
use std::collections::HashMap;

/// Scores of a run on its validation data.
#[derive(Debug, Clone)]
pub struct Scored {
    /// Names of the classes, by id.
    pub classes: Vec<String>,
    /// Description of the pixels that are scored.
    pub scored_on: String,
    /// Identity of the validation data.
    pub data: Fingerprint,
    /// Images in the order of the data.
    pub images: Vec<Image>,
}

/// Compares the page's run with another one by the mean IoU of each image that both validate. Refuses runs that
/// validate different data: other classes, sizes, images or masks.
pub fn compare(own: &Scored, other: &Scored) -> Comparison {
    match differences(own, other) {
        Err(reason) => Comparison::Refused(format!("the validation data differ ({reason})")),
        Ok((differences, left_out)) => match metric::paired(&differences) {
            None => Comparison::Refused("no image that both validate has a scored pixel".into()),
            Some(metric::Paired { images, mean, interval, p }) => {
                let interval = interval.map(|metric::Interval { low, high }| Interval { low, high });
                Comparison::Paired(Paired { images: images as u64, left_out, mean, interval, p })
            }
        },
    }
}

/// Returns the difference of the mean IoU of each image that both validate, and the number of the others.
fn differences(own: &Scored, other: &Scored) -> Result<(Vec<f64>, u64), String> {
    if own.classes != other.classes {
        let [own, other] = [own, other].map(|scored| scored.classes.join(", "));
        return Err(format!("the classes are {own} in the former, {other} in the latter"));
    }
    if own.scored_on != other.scored_on {
        let [own, other] = [own, other].map(|scored| &scored.scored_on);
        return Err(format!("the former is scored on {own}, the latter on {other}"));
    }
    let others: HashMap<Key, &Image> = keyed(&other.images).collect();
    let mut found = Vec::new();
    let mut shared = 0;
    for (key, image) in keyed(&own.images) {
        let Some(theirs) = others.get(&key) else { continue };
        shared += 1;
        if image.tallies.iter().map(|tally| tally.support).ne(theirs.tallies.iter().map(|tally| tally.support)) {
            return Err(format!("the mask of '{}' has other pixels", image.name));
        }
        let difference = mean_iou(&image.tallies) - mean_iou(&theirs.tallies);
        if !difference.is_nan() {
            found.push(difference);
        }
    }
    if shared == 0 {
        return Err("they have no image in common".into());
    }
    let left_out = own.images.len() + other.images.len() - 2 * shared;
    // Files that were replaced, where the masks have as many pixels as before.
    if left_out == 0 && own.data.samples == other.data.samples && own.data != other.data {
        return Err("their files have other sizes".into());
    }
    Ok((found, left_out as u64))
}

/// Name of an image, and the number of images before it that have the same name.
type Key<'i> = (&'i str, usize);

fn keyed(images: &[Image]) -> impl Iterator<Item = (Key<'_>, &Image)> {
    let mut seen: HashMap<&str, usize> = HashMap::new();
    images.iter().map(move |image| {
        let count = seen.entry(&image.name).or_default();
        *count += 1;
        ((&*image.name, *count - 1), image)
    })
}

#[cfg(test)]
mod tests;
