//! Statistics of a split: its classes, sizes and colours, and the settings that follow from them.

use super::finding::{Finding, Kind};
use super::inspect::Inspection;
use crate::list::split::Split;
use crate::load::IGNORE;
use crate::load::layout::Layout;
use serde::Serialize;
use std::collections::BTreeMap;

/// Number of most frequent sizes that are reported.
const SHOWN: usize = 5;

/// Statistics of a split. Samples that could not be decoded are left out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Statistics {
    /// The split.
    #[serde(serialize_with = "by_name")]
    pub split: Split,
    /// Number of samples.
    pub samples: u64,
    /// Number of samples that could be decoded.
    pub decoded: u64,
    /// Its classes, by id.
    pub classes: Vec<ClassShare>,
    /// Share of ignored pixels, from 0 to 1.
    pub ignored: f64,
    /// Sizes of the images in their files.
    pub sizes: Option<Sizes>,
    /// Mean of each channel, for values from 0 to 1. Each image has the same weight, as it has for the network, which
    /// is fed images of one size.
    pub mean: Vec<f64>,
    /// Standard deviation of each channel, weighted likewise, over all pixels.
    pub std: Vec<f64>,
    /// Percentiles 0.5 and 99.5 of the values of each channel, as they are stored in images of more than 8 bits: a
    /// range that a few extreme pixels do not decide. Of each image some thousand values count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ranges: Vec<[f32; 2]>,
}

/// Frequency of a class in a split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClassShare {
    /// Name of the class.
    pub name: String,
    /// Number of its pixels in the files.
    pub pixels: u64,
    /// Its share of all pixels that are not ignored, from 0 to 1.
    pub share: f64,
    /// Number of masks that show it.
    pub samples: u64,
    /// Loss weight that would balance the classes: the median of the classes' frequencies over its own, where a
    /// frequency is the share of a class in the masks that show it (Eigen & Fergus, ICCV 2015). `None` for a class that
    /// no mask shows.
    pub weight: Option<f64>,
}

/// Sizes of images, in pixels.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sizes {
    /// Minimum, median and maximum height.
    pub height: [u32; 3],
    /// Minimum, median and maximum width.
    pub width: [u32; 3],
    /// Number of different sizes.
    pub different: usize,
    /// Most frequent sizes, `[height, width]`, each with its number of images.
    pub common: Vec<([u32; 2], u64)>,
}

fn by_name<S: serde::Serializer>(split: &Split, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(split.name())
}

/// Accumulates the statistics of a split sample by sample.
pub(super) struct Tally {
    split: Split,
    classes: Vec<String>,
    samples: u64,
    decoded: u64,
    /// For each id: its pixels, the masks that show it, and those masks' pixels that are not ignored.
    ids: Vec<[u64; 3]>,
    ignored: u64,
    pixels: u64,
    sizes: BTreeMap<[u32; 2], u64>,
    /// For each channel: the sum over images of the mean, and of the mean of squares.
    moments: Vec<[f64; 2]>,
    /// Difference of white and black.
    contrast: f64,
    /// For each channel some values of each image.
    some: Vec<Vec<f32>>,
}

impl Tally {
    pub(super) fn new(split: Split, classes: &[String], layout: &Layout) -> Self {
        let ([low, high], channels) = (layout.unit().map(f64::from), layout.channels() as usize);
        Self {
            split,
            classes: classes.to_vec(),
            samples: 0,
            decoded: 0,
            ids: vec![[0; 3]; classes.len()],
            ignored: 0,
            pixels: 0,
            sizes: BTreeMap::new(),
            moments: vec![[0.0; 2]; channels],
            contrast: high - low,
            some: vec![Vec::new(); channels],
        }
    }

    pub(super) fn add(&mut self, inspection: &Inspection) {
        self.samples += 1;
        let Some(decoded) = &inspection.decoded else { return };
        self.decoded += 1;
        *self.sizes.entry(decoded.size).or_default() += 1;
        let area: u64 = decoded.counts.iter().sum();
        let ignored = decoded.counts[usize::from(IGNORE)];
        self.pixels += area;
        self.ignored += ignored;
        for (id, [pixels, masks, of]) in self.ids.iter_mut().enumerate() {
            if decoded.counts[id] > 0 {
                *pixels += decoded.counts[id];
                *masks += 1;
                *of += area - ignored;
            }
        }
        for (moments, [sum, squares]) in self.moments.iter_mut().zip(&decoded.sums) {
            moments[0] += sum / self.contrast / area.max(1) as f64;
            moments[1] += squares / (self.contrast * self.contrast) / area.max(1) as f64;
        }
        self.some.iter_mut().zip(&decoded.some).for_each(|(all, some)| all.extend(some));
    }

    pub(super) fn finish(self) -> Statistics {
        let frequency = |[pixels, _, of]: &[u64; 3]| *pixels as f64 / (*of).max(1) as f64;
        let mut present: Vec<f64> = self.ids.iter().filter(|id| id[0] > 0).map(frequency).collect();
        present.sort_by(f64::total_cmp);
        let middle = median(&present);
        let counted = (self.pixels - self.ignored).max(1) as f64;
        let share = |(name, id): (String, &[u64; 3])| ClassShare {
            name,
            pixels: id[0],
            share: id[0] as f64 / counted,
            samples: id[1],
            weight: middle.filter(|_| id[0] > 0).map(|middle| middle / frequency(id)),
        };
        let images = self.decoded.max(1) as f64;
        let mean: Vec<f64> = self.moments.iter().map(|[sum, _]| sum / images).collect();
        let variance = self.moments.iter().zip(&mean).map(|([_, squares], mean)| squares / images - mean * mean);
        Statistics {
            split: self.split,
            samples: self.samples,
            decoded: self.decoded,
            ignored: self.ignored as f64 / self.pixels.max(1) as f64,
            sizes: sizes(&self.sizes),
            std: variance.map(|variance| variance.max(0.0).sqrt()).collect(),
            mean,
            ranges: self.some.into_iter().filter_map(range).collect(),
            classes: self.classes.into_iter().zip(&self.ids).map(share).collect(),
        }
    }
}

/// Returns the percentiles 0.5 and 99.5 of numbers, those at the nearest places.
fn range(mut numbers: Vec<f32>) -> Option<[f32; 2]> {
    numbers.sort_by(f32::total_cmp);
    let last = numbers.len().checked_sub(1)? as f64;
    let at = |share: f64| numbers.get((share * last).round() as usize).copied();
    Some([at(0.005)?, at(0.995)?])
}

/// Returns the median of sorted numbers; for an even count the mean of the two in the middle.
fn median(sorted: &[f64]) -> Option<f64> {
    let (low, high) = (sorted.get(sorted.len().checked_sub(1)? / 2)?, sorted.get(sorted.len() / 2)?);
    Some((low + high) / 2.0)
}

fn sizes(counts: &BTreeMap<[u32; 2], u64>) -> Option<Sizes> {
    let spread = |axis: usize| {
        let mut lengths: BTreeMap<u32, u64> = BTreeMap::new();
        counts.iter().for_each(|(size, count)| *lengths.entry(size[axis]).or_default() += count);
        let half = lengths.values().sum::<u64>().div_ceil(2);
        let mut passed = 0;
        let middle = lengths.iter().find(|(_, count)| {
            passed += **count;
            passed >= half
        });
        Some([*lengths.first_key_value()?.0, *middle?.0, *lengths.last_key_value()?.0])
    };
    let mut common: Vec<([u32; 2], u64)> = counts.iter().map(|(size, count)| (*size, *count)).collect();
    common.sort_by_key(|(size, count)| (u64::MAX - count, *size));
    common.truncate(SHOWN);
    Some(Sizes { height: spread(0)?, width: spread(1)?, different: counts.len(), common })
}

/// Finds the classes that no mask of a split shows. An empty split, or one without a readable mask, tells nothing.
pub(super) fn absent(statistics: &Statistics) -> Vec<Finding> {
    if statistics.classes.iter().all(|class| class.pixels == 0) {
        return Vec::new();
    }
    let missing = statistics.classes.iter().filter(|class| class.pixels == 0);
    let message = |class: &str| format!("no mask of the {} data shows the class '{class}'", statistics.split.name());
    missing.map(|class| Finding::new(Kind::AbsentClass, message(&class.name))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::load::dataset::Dataset;
    use crate::load::{Sample, Target};
    use std::sync::Arc;

    /// Grey images of 1×2, 1×2 and 2×2 pixels.
    struct Few;

    impl Dataset for Few {
        fn len(&self) -> u64 {
            3
        }
        fn size(&self) -> Option<[u32; 2]> {
            None
        }
        fn channels(&self) -> u32 {
            1
        }
        fn name(&self, index: u64) -> String {
            index.to_string()
        }
        fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
            let (size, image, mask): ([u32; 2], &[u8], &[u8]) = match index {
                0 => ([1, 2], &[0, 51], &[0, 0]),
                1 => ([1, 2], &[102, 255], &[0, 1]),
                _ => ([2, 2], &[51, 102, 153, 204], &[2, 2, 0, IGNORE]),
            };
            *sample = Sample { size, image: image.to_vec().into(), target: Target::Classes(mask.to_vec()) };
            Ok(())
        }
    }

    #[test]
    fn figures_are_those_that_were_worked_out_by_hand() {
        let classes = ["a", "b", "c", "d"].map(String::from);
        let splits: [(Split, Arc<dyn Dataset>); 1] = [(Split::Train, Arc::new(Few))];
        let report = crate::check(&splits, &classes, 1, || ()).unwrap();
        let Statistics { classes, ignored, sizes, mean, std, .. } = &report.splits[0];
        // Frequencies in the masks that show the class: 4 of 7, 1 of 2, 2 of 3; their median is 4/7.
        let expected = [(4, 4.0 / 7.0, 3, Some(1.0)), (1, 1.0 / 7.0, 1, Some(8.0 / 7.0))];
        let more = [(2, 2.0 / 7.0, 1, Some(6.0 / 7.0)), (0, 0.0, 0, None)];
        for (class, (pixels, share, samples, weight)) in classes.iter().zip(expected.into_iter().chain(more)) {
            assert_eq!((class.pixels, class.samples), (pixels, samples), "{}", class.name);
            assert!((class.share - share).abs() < 1e-12, "{class:?}");
            assert!((class.weight.unwrap_or(-1.0) - weight.unwrap_or(-1.0)).abs() < 1e-12, "{class:?}");
        }
        assert_eq!(*ignored, 1.0 / 8.0);
        let common = vec![([1, 2], 2), ([2, 2], 1)];
        assert_eq!(*sizes, Some(Sizes { height: [1, 1, 2], width: [2, 2, 2], different: 2, common }));
        // Means of the images 0.1, 0.7 and 0.5; means of squares 0.02, 0.58 and 0.3.
        assert!((mean[0] - 1.3 / 3.0).abs() < 1e-12, "{mean:?}");
        assert!((std[0] - (0.9 / 3.0 - (1.3f64 / 3.0).powi(2)).sqrt()).abs() < 1e-12, "{std:?}");
    }
}
