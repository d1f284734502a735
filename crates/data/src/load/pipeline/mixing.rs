//! Samples that show several others: each pixel is one of its sample's, image and target together.

use super::*;
use crate::load::layout::Layout;
use crate::load::{IGNORE, Target, Values, pixels};
use crate::transform::named::nnunet;
use raster::{Depth, Element, Pixels, on_pixels};
use serde_json::{Value, json};

/// Samples whose numbers and targets say which sample and which place they are of.
struct Places {
    depth: Depth,
    bands: u32,
    values: bool,
}

const SIZE: [u32; 2] = [12, 16];

impl Dataset for Places {
    fn len(&self) -> u64 {
        6
    }
    fn size(&self) -> Option<[u32; 2]> {
        Some(SIZE)
    }
    fn channels(&self) -> u32 {
        self.bands
    }
    fn layout(&self) -> Layout {
        Layout { depth: self.depth, ..Layout::from(self.bands) }
    }
    fn targets(&self) -> Targets {
        if self.values { Targets::Values(Values::default()) } else { Targets::Classes }
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let number = |place: usize, band: u32| (place as u32 % 192 + 3 * band + index as u32) as u8;
        let numbers: Vec<u8> =
            (0..pixels(SIZE)).flat_map(|place| (0..self.bands).map(move |band| number(place, band))).collect();
        sample.image = match self.depth {
            Depth::U8 => Pixels::U8(numbers),
            Depth::U16 => Pixels::U16(numbers.into_iter().map(|number| u16::from(number) * 200).collect()),
            Depth::F32 => Pixels::F32(numbers.into_iter().map(|number| f32::from(number) / 8.0).collect()),
        };
        sample.size = SIZE;
        sample.target = match self.values {
            true => Target::Values((0..192).map(|place| (index * 1000 + place) as f32).collect()),
            // Columns 2 and 3, and 9 to 11, are objects of the class that is the sample's number.
            false => Target::Classes(
                (0..192).map(|place| if matches!(place % 16, 2 | 3 | 9..=11) { index as u8 + 1 } else { 0 }).collect(),
            ),
        };
        Ok(())
    }
}

/// Returns the numbers of a pixel.
fn pixel(image: &Pixels, bands: usize, place: usize) -> Vec<f32> {
    on_pixels!(image, numbers => numbers[place * bands..][..bands].iter().map(|number| number.to_f32()).collect())
}

/// Returns every depth with 1, 3 and 13 bands.
fn kinds(values: bool) -> impl Iterator<Item = Places> {
    [Depth::U8, Depth::U16, Depth::F32]
        .into_iter()
        .flat_map(move |depth| [1, 3, 13].map(|bands| Places { depth, bands, values }))
}

fn pipeline(transforms: Value) -> Pipeline {
    Pipeline { transforms: serde_json::from_value(transforms).unwrap(), ..Pipeline::plain(SIZE) }
}

fn loaded(transforms: Value, dataset: &Places, index: u64, epoch: u64) -> Sample {
    let mut buffers = Buffers::default();
    pipeline(transforms).load(dataset, index, [3, epoch], &mut buffers).unwrap();
    buffers.sample
}

#[test]
fn a_mosaic_shows_pieces_of_four_samples_with_their_targets() {
    let list = json!([{"kind": "horizontal_flip", "probability": 1}, {"kind": "mosaic", "probability": 1}]);
    for dataset in kinds(true) {
        let bands = dataset.bands as usize;
        let whole: Vec<Sample> = (0..6).map(|index| loaded(json!([]), &dataset, index, 0)).collect();
        let mut most = 0;
        for epoch in 0..10 {
            let sample = loaded(list.clone(), &dataset, 4, epoch);
            let mut shown: Vec<u64> = Vec::new();
            for (place, value) in sample.target.values().iter().enumerate() {
                let (other, source) = (*value as u64 / 1000, *value as usize % 1000);
                // The partners went through the flip, too: their target says where the pixel was before it.
                assert_eq!(pixel(&sample.image, bands, place), pixel(&whole[other as usize].image, bands, source));
                shown.push(other);
            }
            shown.sort_unstable();
            shown.dedup();
            assert!(shown.contains(&4));
            most = most.max(shown.len());
        }
        assert_eq!(most, 4);
    }
}

#[test]
fn objects_of_another_sample_are_pasted_with_their_pixels() {
    let classes = [1, 2, 3, 4, 5, 6];
    for dataset in kinds(false) {
        let bands = dataset.bands as usize;
        let mut seen = [0; 6];
        for epoch in 0..30 {
            let list = json!([{"kind": "copy_paste", "classes": classes, "objects": 0.6, "probability": 1}]);
            let (sample, own) = (loaded(list, &dataset, 2, epoch), loaded(json!([]), &dataset, 2, epoch));
            let others: Vec<u8> = sample.target.classes().iter().copied().filter(|id| *id != 0 && *id != 3).collect();
            let other = others.first().copied();
            assert!(others.iter().all(|id| Some(*id) == other), "objects of one other sample");
            let of_other = other.map(|id| loaded(json!([]), &dataset, u64::from(id) - 1, epoch));
            for (place, id) in sample.target.classes().iter().enumerate() {
                let from = if Some(*id) == other { of_other.as_ref().unwrap() } else { &own };
                assert_eq!(*id, from.target.classes()[place]);
                assert_eq!(pixel(&sample.image, bands, place), pixel(&from.image, bands, place));
            }
            if let Some(id) = other {
                seen[usize::from(id) - 1] += 1;
                // Whole objects: a column is of the object from top to bottom.
                let ids = sample.target.classes();
                assert!((0..16).all(|column| (0..12).all(|row| (ids[row * 16 + column] == id) == (ids[column] == id))));
            }
        }
        assert!(seen[2] == 0 && seen.iter().sum::<u32>() > 18, "{seen:?}");
    }
}

#[test]
fn partners_are_fitted_and_are_pasted_over_by_nothing() {
    let list = json!([
        {"kind": "copy_paste", "classes": [1, 2, 3, 4, 5, 6], "probability": 1},
        {"kind": "mosaic", "probability": 1},
        {"kind": "cut_mix", "probability": 1},
    ]);
    let dataset = Places { depth: Depth::U16, bands: 3, values: false };
    for epoch in 0..20 {
        let sample = loaded(list.clone(), &dataset, 1, epoch);
        assert_eq!((sample.size, sample.image.len(), sample.target.classes().len()), (SIZE, 576, 192));
        assert!(sample.target.classes().iter().all(|id| *id <= 6 && *id != IGNORE));
        assert_eq!(loaded(list.clone(), &dataset, 1, epoch), sample);
    }
}

#[test]
fn targets_and_images_that_a_transform_cannot_change_are_refused() {
    for (list, bands, values, key) in [
        (json!([{"kind": "invert"}, {"kind": "copy_paste", "classes": [1]}]), 3, true, "transforms[1].classes"),
        (json!([{"kind": "random_crop", "class": 1, "at_least": 0.1}]), 3, true, "transforms[0].class"),
        (json!([{"kind": "jpeg"}]), 3, false, "transforms[0].kind"),
        (json!([{"kind": "channel_shuffle"}]), 1, false, "transforms[0].kind"),
    ] {
        let dataset = Places { depth: Depth::U16, bands, values };
        assert_eq!(pipeline(list).check(&dataset).unwrap_err().key, key);
    }
}

#[test]
fn the_list_of_nnunet_takes_every_depth_and_any_number_of_bands() {
    for dataset in kinds(false) {
        let list = pipeline(serde_json::to_value(nnunet()).unwrap());
        list.check(&dataset).unwrap();
        let plain = loaded(json!([]), &dataset, 2, 0);
        let mut changed = 0;
        for epoch in 0..30 {
            let load = || {
                let mut buffers = Buffers::default();
                list.load(&dataset, 2, [8, epoch], &mut buffers).unwrap();
                buffers.sample
            };
            let sample = load();
            assert_eq!(
                (sample.size, sample.image.depth(), sample.image.len()),
                (SIZE, dataset.depth, plain.image.len())
            );
            assert!((0..192).all(|place| pixel(&sample.image, 1, place).iter().all(|number| number.is_finite())));
            assert!(sample.target.classes().iter().all(|id| matches!(*id, 0 | 3 | IGNORE)));
            changed += u32::from(sample != plain);
            assert_eq!(load(), sample);
        }
        assert!(changed > 20, "{changed}");
    }
}
