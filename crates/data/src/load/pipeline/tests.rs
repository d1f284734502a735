//! Properties of every list of transforms: sizes and class ids are valid, and only (seed, epoch, index) matters.

use super::*;
use crate::load::{IGNORE, Target, pixels};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Samples of class `index`, each of a size of its own, with noise for an image.
struct Noise {
    len: u64,
    sizes: fn(u64) -> [u32; 2],
    channels: u32,
}

impl Dataset for Noise {
    fn len(&self) -> u64 {
        self.len
    }
    fn size(&self) -> Option<[u32; 2]> {
        None
    }
    fn channels(&self) -> u32 {
        self.channels
    }
    fn name(&self, index: u64) -> String {
        index.to_string()
    }
    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let size = (self.sizes)(index);
        let byte = |place: usize| (place * 7919 % 251 + index as usize + 1) as u8;
        let image = (0..pixels(size) * self.channels as usize).map(byte).collect();
        *sample = Sample { size, image, target: Target::Classes(vec![index as u8; pixels(size)]) };
        Ok(())
    }
}

fn pipeline(size: [u32; 2], transforms: Value) -> Pipeline {
    Pipeline { transforms: serde_json::from_value(transforms).unwrap(), ..Pipeline::plain(size) }
}

fn load(pipeline: &Pipeline, dataset: &Noise, index: u64, key: [u64; 2], buffers: &mut Buffers) -> Sample {
    pipeline.load(dataset, index, key, buffers).unwrap();
    buffers.sample.clone()
}

#[test]
fn what_is_smaller_is_padded_and_what_is_larger_cut_at_the_centre() {
    let dataset = Noise { len: 9, sizes: |_| [3, 6], channels: 1 };
    let sample = load(&Pipeline::plain([5, 2]), &dataset, 4, [0, 0], &mut Buffers::default());
    let mut whole = Sample::default();
    dataset.load(4, &mut whole).unwrap();
    let inner: Vec<u8> = whole.image.bytes().chunks(6).flat_map(|row| [row[2], row[3]]).collect();
    assert_eq!(sample.image.bytes(), [&[0, 0], &inner[..], &[0, 0]].concat());
    assert_eq!(sample.target.classes(), [IGNORE, IGNORE, 4, 4, 4, 4, 4, 4, IGNORE, IGNORE]);
}

#[test]
fn a_patch_is_of_one_other_sample_as_it_is_in_the_same_epoch() {
    let dataset = Noise { len: 9, sizes: |_| [20, 20], channels: 3 };
    let before = json!([{"kind": "color_jitter"}, {"kind": "rotate90"}]);
    let mixing = json!([{"kind": "color_jitter"}, {"kind": "rotate90"}, {"kind": "cut_mix", "probability": 1, "share": [0.25, 0.25]}]);
    let (alone, mixed) = (pipeline([20, 20], before), pipeline([20, 20], mixing));
    let mut partners = [[0; 9]; 2];
    for epoch in 0..400 {
        for (place, index) in [0, 4].into_iter().enumerate() {
            let sample = load(&mixed, &dataset, index, [7, epoch], &mut Buffers::default());
            let other = *sample.target.classes().iter().find(|class| u64::from(**class) != index).unwrap();
            partners[place][other as usize] += 1;
            if epoch >= 20 {
                continue;
            }
            let [of_this, of_other] = [index, u64::from(other)]
                .map(|index| load(&alone, &dataset, index, [7, epoch], &mut Buffers::default()));
            let pasted = sample.target.classes().iter().filter(|class| **class == other).count();
            assert_eq!(pasted, 100, "a quarter of 20x20 pixels");
            for (pixel, class) in sample.target.classes().iter().enumerate() {
                let from = if *class == other { &of_other } else { &of_this };
                assert_eq!(sample.image.bytes()[3 * pixel..][..3], from.image.bytes()[3 * pixel..][..3]);
            }
        }
    }
    // Each of the 8 others equally often: 50 times of 400.
    for (index, counts) in [0, 4].into_iter().zip(partners) {
        assert_eq!(counts[index], 0);
        assert!(
            counts.iter().enumerate().all(|(other, count)| other == index || (25..80).contains(count)),
            "{counts:?}"
        );
    }
}

#[test]
fn a_partner_is_brought_to_the_size_of_the_sample() {
    let dataset = Noise { len: 2, sizes: |index| [[10, 10], [4, 30]][index as usize], channels: 1 };
    let mixing = pipeline([10, 10], json!([{"kind": "cut_mix", "probability": 1, "share": [1, 1]}]));
    let sample = load(&mixing, &dataset, 0, [0, 0], &mut Buffers::default());
    assert_eq!(sample.target.classes(), [&[IGNORE; 30][..], &[1; 40], &[IGNORE; 30]].concat());
    let single = Noise { len: 1, ..dataset };
    assert_eq!(load(&mixing, &single, 0, [0, 0], &mut Buffers::default()).target.classes(), [0; 100]);
}

fn any_transform() -> impl Strategy<Value = Value> {
    let kinds = [
        json!({"kind": "horizontal_flip"}),
        json!({"kind": "vertical_flip"}),
        json!({"kind": "rotate90"}),
        json!({"kind": "random_resized_crop"}),
        json!({"kind": "random_resized_crop", "scale": [0.001, 0.01], "ratio": [0.1, 10]}),
        json!({"kind": "random_crop"}),
        json!({"kind": "random_crop", "class": 1, "at_least": 0.3}),
        json!({"kind": "affine"}),
        json!({"kind": "affine", "rotate": 180, "shear": 80, "scale": [0.1, 10], "translate": 1}),
        json!({"kind": "color_jitter", "brightness": 1, "contrast": 1, "saturation": 1, "hue": 0.5, "gamma": [0.1, 10]}),
        json!({"kind": "gaussian_blur", "sigma": [0.1, 10], "probability": 1}),
        json!({"kind": "gaussian_noise", "std": 1, "probability": 1}),
        json!({"kind": "coarse_dropout", "size": 1e-6}),
        json!({"kind": "coarse_dropout", "count": 20, "size": 1}),
        json!({"kind": "cut_mix", "share": [0, 1], "probability": 0.9}),
        json!({"kind": "elastic", "alpha": [0, 300], "sigma": [0.5, 8]}),
        json!({"kind": "grid_distortion", "steps": 100, "limit": 0.99}),
        json!({"kind": "spatial", "rotate_probability": 1, "shrink": [0.1, 10], "shrink_probability": 1}),
        json!({"kind": "brightness", "factor": [0.01, 100], "probability": 1}),
        json!({"kind": "contrast", "factor": [0.01, 100], "probability": 1}),
        json!({"kind": "gamma", "gamma": [0.01, 100], "probability": 1}),
        json!({"kind": "gamma", "invert": true, "retain": false, "per_band": false, "probability": 1}),
        json!({"kind": "input_noise", "std": 1, "probability": 1}),
        json!({"kind": "invert"}),
        json!({"kind": "band_blur", "sigma": [0.1, 10], "probability": 1}),
        json!({"kind": "low_resolution", "scale": [0.01, 1], "probability": 1}),
        json!({"kind": "sharpen", "factor": [0, 20]}),
        json!({"kind": "clahe", "tiles": [16, 5]}),
        json!({"kind": "jpeg", "quality": [1, 100]}),
        json!({"kind": "channel_dropout"}),
        json!({"kind": "channel_shuffle"}),
        json!({"kind": "rand_augment", "count": 4, "magnitude": 30}),
        json!({"kind": "mosaic", "centre": [0, 1], "probability": 0.9}),
        json!({"kind": "copy_paste", "classes": [0, 1, 2], "translate": 0.5, "probability": 0.9}),
    ];
    prop::sample::select(kinds.to_vec())
}

/// Returns sizes of all kinds.
fn uneven(index: u64) -> [u32; 2] {
    [(1 + index * 37 % 70) as u32, (1 + index * 53 % 70) as u32]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn no_list_of_transforms_breaks_a_sample(
        list in prop::collection::vec(any_transform(), 0..6),
        grey: bool, height in 1u32..70, width in 1u32..70, index in 0u64..70, seed: u64, epoch: u64,
    ) {
        let pipeline = pipeline([height, width], Value::Array(list));
        let dataset = Noise { len: 70, sizes: uneven, channels: if grey { 1 } else { 3 } };
        let mut used = Buffers::default();
        for other in [index + 1, index + 7] {
            load(&pipeline, &dataset, other % 70, [seed, epoch], &mut used);
        }
        let sample = load(&pipeline, &dataset, index, [seed, epoch], &mut used);
        prop_assert_eq!(sample.size, [height, width]);
        prop_assert_eq!(sample.target.classes().len(), (height * width) as usize);
        prop_assert_eq!(sample.image.len(), sample.target.classes().len() * dataset.channels as usize);
        let mixing = |transform: &Transform| {
            matches!(transform, Transform::CutMix(_) | Transform::Mosaic(_) | Transform::CopyPaste(_))
        };
        let mixes = pipeline.transforms.iter().any(mixing);
        let known = |class: &u8| *class == IGNORE || u64::from(*class) == index || mixes && *class < 70;
        prop_assert!(sample.target.classes().iter().all(known));
        prop_assert_eq!(load(&pipeline, &dataset, index, [seed, epoch], &mut Buffers::default()), sample);
    }
}

#[test]
fn another_seed_epoch_or_index_varies_in_another_way() {
    for kind in ["random_resized_crop", "affine", "color_jitter", "gaussian_noise", "coarse_dropout"] {
        let dataset = Noise { len: 9, sizes: |_| [30, 30], channels: 3 };
        let pipeline = pipeline([30, 30], json!([{"kind": kind, "probability": 1}]));
        let sample = |index, key| load(&pipeline, &dataset, index, key, &mut Buffers::default());
        assert_eq!(sample(1, [2, 3]), sample(1, [2, 3]));
        for (index, key) in [(1, [2, 4]), (1, [3, 3]), (2, [2, 3])] {
            let mut other = sample(index, key);
            // The samples themselves differ by one level and one class.
            other.image.bytes_mut().iter_mut().for_each(|value| *value = value.saturating_sub((index - 1) as u8));
            assert!(other.image != sample(1, [2, 3]).image, "{kind}");
        }
    }
}
