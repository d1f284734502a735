//! Transforms against other programs (`reference/transforms.py`), and their exact properties.

use super::affine::{inverse, warp};
use super::color::{Change, recolor};
use super::crop::resized;
use super::filter::{QUANTILES, add_noise, blur};
use super::*;
use crate::load::{IGNORE, Target};
use crate::transform::resize::Rectangle;
use serde::Deserialize;
use serde_json::json;

#[derive(Deserialize)]
struct Reference {
    size: [u32; 2],
    image: String,
    mask: String,
    colors: Vec<Colors>,
    affine: Vec<Moved>,
    blur: Vec<Blurred>,
    crops: Vec<Cropped>,
    quantiles: Vec<(usize, f32)>,
}

#[derive(Deserialize)]
struct Colors {
    change: [f32; 5],
    image: String,
}

#[derive(Deserialize)]
struct Moved {
    draw: [f64; 5],
    image: String,
    mask: String,
}

#[derive(Deserialize)]
struct Blurred {
    sigma: f32,
    image: String,
}

#[derive(Deserialize)]
struct Cropped {
    part: [u32; 4],
    size: [u32; 2],
    image: String,
    mask: String,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../reference/transforms.json")).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|start| u8::from_str_radix(&text[start..start + 2], 16).unwrap()).collect()
}

impl Reference {
    fn sample(&self) -> Sample {
        Sample { size: self.size, image: bytes(&self.image).into(), target: Target::Classes(bytes(&self.mask)) }
    }

    /// Returns the first channel alone.
    fn grey(&self) -> Sample {
        let mut sample = self.sample();
        sample.image = first(sample.image.bytes()).into();
        sample
    }
}

fn first(image: &[u8]) -> Vec<u8> {
    image.iter().step_by(3).copied().collect()
}

/// Returns the largest difference between two images.
fn worst(ours: &[u8], theirs: &[u8]) -> u8 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
}

#[test]
fn colours_change_as_torchvision_changes_them() {
    let reference = reference();
    for Colors { change, image } in &reference.colors {
        let [brightness, contrast, saturation, hue, gamma] = *change;
        let mut sample = reference.sample();
        recolor(&mut sample, [0.0, 255.0], Change { brightness, contrast, saturation, hue, gamma });
        let off = worst(sample.image.bytes(), &bytes(image));
        assert!(off <= 1, "{change:?}: off by {off}");
        assert_eq!(sample.target.classes(), bytes(&reference.mask));
    }
}

#[test]
fn samples_are_moved_as_scipy_and_torchvision_move_them() {
    let reference = reference();
    for Moved { draw, image, mask } in &reference.affine {
        let [rotate, shear, scale, down, right] = *draw;
        let matrix = inverse(rotate, shear, scale, [down, right]);
        let (mut sample, mut grey) = (reference.sample(), reference.grey());
        warp(&mut sample, &mut Scratch::default(), matrix);
        warp(&mut grey, &mut Scratch::default(), matrix);
        let off = worst(sample.image.bytes(), &bytes(image));
        assert!(off <= 1, "{draw:?}: off by {off}");
        assert_eq!(sample.target.classes(), bytes(mask), "{draw:?}");
        assert_eq!((first(sample.image.bytes()), sample.target), (grey.image.bytes().to_vec(), grey.target));
    }
}

#[test]
fn images_are_blurred_as_torchvision_and_scipy_blur_them() {
    let reference = reference();
    for Blurred { sigma, image } in &reference.blur {
        let (mut sample, mut grey, mut scratch) = (reference.sample(), reference.grey(), Scratch::default());
        blur(&mut sample, &mut scratch, *sigma);
        blur(&mut grey, &mut scratch, *sigma);
        let off = worst(sample.image.bytes(), &bytes(image));
        assert!(off <= 1, "{sigma}: off by {off}");
        assert_eq!(first(sample.image.bytes()), grey.image.bytes());
        assert_eq!(sample.target.classes(), bytes(&reference.mask));
    }
}

#[test]
fn parts_are_resized_as_torchvision_and_pillow_resize_them() {
    let reference = reference();
    for Cropped { part: [top, left, height, width], size, image, mask } in &reference.crops {
        let part = Rectangle { top: *top, left: *left, height: *height, width: *width };
        let (mut sample, mut grey, mut scratch) = (reference.sample(), reference.grey(), Scratch::default());
        resized(&mut sample, &mut scratch, part, *size).unwrap();
        resized(&mut grey, &mut scratch, part, *size).unwrap();
        let off = worst(sample.image.bytes(), &bytes(image));
        assert!(off <= 1, "{part:?}: off by {off}");
        assert_eq!((sample.target.classes(), sample.size), (&*bytes(mask), *size), "{part:?}");
        assert!(worst(&first(sample.image.bytes()), grey.image.bytes()) <= 1);
    }
}

#[test]
fn noise_is_normally_distributed() {
    for (place, quantile) in reference().quantiles {
        let ours = QUANTILES[place];
        assert!((ours - quantile).abs() < 1e-5, "{place}: {ours}, SciPy says {quantile}");
    }
    let grey = Sample { size: [200, 200], image: vec![128u8; 40_000].into(), target: Target::Classes(vec![1; 40_000]) };
    let mut noisy = grey.clone();
    add_noise(&mut noisy, 20.0, &mut stream(0));
    let differences: Vec<f64> = noisy.image.bytes().iter().map(|value| f64::from(*value) - 128.0).collect();
    let mean = differences.iter().sum::<f64>() / 4e4;
    let variance = differences.iter().map(|difference| difference * difference).sum::<f64>() / 4e4;
    assert!(mean.abs() < 0.4 && (variance.sqrt() - 20.0).abs() < 0.3, "{mean} {variance}");
    let neighbours = differences.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / 4e4;
    assert!(neighbours.abs() < 8.0, "neighbours depend on each other: {neighbours}");
    assert_eq!(noisy.target, grey.target);
}

fn stream(index: u64) -> Random {
    Random::of_transform(5, 0, 0, index)
}

fn parse(config: serde_json::Value) -> Transform {
    serde_json::from_value(config).unwrap()
}

/// Returns an image whose pixels encode their place: red the row, green the column, blue the class, in steps that
/// interpolation stays between.
fn map(size: [u32; 2]) -> Sample {
    let class = |row: u32, column: u32| (row / 8 + column / 8 * 8) as u8;
    let places = (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| (row, column)));
    let image = places.clone().flat_map(|(row, column)| [row as u8 + 100, column as u8 + 100, class(row, column)]);
    Sample {
        size,
        image: image.collect(),
        target: Target::Classes(places.map(|(row, column)| class(row, column)).collect()),
    }
}

/// Returns the pixels that are known and have only known neighbours: the others are mixed with black.
fn inner(sample: &Sample) -> impl Iterator<Item = usize> {
    let [height, width] = sample.size.map(|side| side as usize);
    let places = (1..height - 1).flat_map(move |row| (1..width - 1).map(move |column| row * width + column));
    places.filter(move |place| {
        let around = [place - width, *place, place + width];
        around.iter().all(|place| sample.target.classes()[place - 1..=place + 1].iter().all(|class| *class != IGNORE))
    })
}

#[test]
fn image_and_mask_move_together() {
    for config in [
        json!({"kind": "horizontal_flip", "probability": 1}),
        json!({"kind": "vertical_flip", "probability": 1}),
        json!({"kind": "rotate90", "probability": 1}),
        json!({"kind": "random_resized_crop", "scale": [0.2, 1]}),
        json!({"kind": "random_crop"}),
        json!({"kind": "affine", "rotate": 180, "shear": 20, "scale": [0.7, 1.5], "translate": 0.3}),
    ] {
        let mut scratch = Scratch::default();
        for index in 0..20 {
            let mut sample = map([56, 64]);
            parse(config.clone()).apply(&mut sample, &mut scratch, [60, 48], &mut stream(index)).unwrap();
            let mut known = 0;
            for place in inner(&sample) {
                known += 1;
                let [row, column] = [0, 1].map(|channel| i32::from(sample.image.bytes()[3 * place + channel]) - 100);
                // The class is that of the place the image shows, or of one a pixel away.
                let near = |place: i32, found: i32| (place - 1).div_euclid(8) <= found && found <= (place + 1) / 8;
                let class = i32::from(sample.target.classes()[place]);
                assert!(near(row, class % 8) && near(column, class / 8), "{config}: {class} at {row}, {column}");
            }
            assert!(known > 300, "{config}: {known} pixels");
        }
    }
}

#[test]
fn a_probability_of_0_changes_nothing_and_1_always_something() {
    for kind in [
        "horizontal_flip",
        "vertical_flip",
        "rotate90",
        "random_resized_crop",
        "affine",
        "color_jitter",
        "gaussian_blur",
        "gaussian_noise",
        "coarse_dropout",
    ] {
        let mut scratch = Scratch::default();
        for index in 0..50 {
            let changed = |probability: f32, scratch: &mut Scratch| {
                let mut sample = map([40, 40]);
                let transform = parse(json!({"kind": kind, "probability": probability}));
                transform.apply(&mut sample, scratch, [40, 40], &mut stream(index)).unwrap();
                sample != map([40, 40])
            };
            assert!(!changed(0.0, &mut scratch), "{kind}");
            // A blur of a tenth of a pixel, or noise of a thousandth of a level, rounds to nothing.
            assert!(changed(1.0, &mut scratch) || kind.starts_with("gaussian"), "{kind} {index}");
        }
    }
}

#[test]
fn half_of_the_samples_are_mirrored_and_each_always_the_same_way() {
    let mirrored = |epoch, index| {
        let mut sample = flip::tests::marked();
        let mut random = Random::of_transform(5, 0, epoch, index);
        usual()[0].apply(&mut sample, &mut Scratch::default(), [2, 3], &mut random).unwrap();
        sample != flip::tests::marked()
    };
    let count = (0..1000).filter(|&index| mirrored(0, index)).count();
    assert!((430..570).contains(&count), "{count}");
    assert!((0..50).all(|index| mirrored(0, index) == mirrored(0, index)));
    assert!((0..50).any(|index| mirrored(0, index) != mirrored(1, index)));
}

#[test]
fn what_is_drawn_is_drawn_evenly() {
    let mut turned = [0; 4];
    for index in 0..4000 {
        let mut sample =
            Sample { size: [2, 2], image: vec![0u8, 1, 2, 3].into(), target: Target::Classes(vec![0, 1, 2, 3]) };
        let transform = parse(json!({"kind": "rotate90"}));
        transform.apply(&mut sample, &mut Scratch::default(), [2, 2], &mut stream(index)).unwrap();
        turned[sample.target.classes()[0] as usize] += 1;
    }
    assert!(turned.iter().all(|count| (880..1120).contains(count)), "{turned:?}");

    let crop = RandomResizedCrop { scale: [0.1, 0.5], ..RandomResizedCrop::default() };
    let parts: Vec<Rectangle> = (0..4000).map(|index| crop.draw([200, 200], &mut stream(index))).collect();
    let area = |part: &Rectangle| f64::from(part.height * part.width) / 4e4;
    let mean = parts.iter().map(area).sum::<f64>() / 4e3;
    assert!((mean - 0.3).abs() < 0.01, "{mean}");
    let wide = parts.iter().filter(|part| part.width > part.height).count();
    assert!((1850..2150).contains(&wide), "{wide}");
    assert!(parts.iter().all(|part| (0.09..0.51).contains(&area(part)) && part.top + part.height <= 200));
    // No part of a fifth of the width can reach the ratio, so the centre is taken.
    let crop = RandomResizedCrop { scale: [1.0, 1.0], ratio: [4.0, 4.0], probability: 1.0 };
    let centre = Rectangle { top: 37, left: 0, height: 25, width: 100 };
    assert_eq!(crop.draw([100, 100], &mut stream(0)), centre);
}

#[test]
fn a_crop_shows_as_much_of_a_class_as_there_is() {
    // Class 2 fills rows 40 to 50 of 64, and columns 40 to 50.
    let mut sample = map([64, 64]);
    let ids = sample.target.classes_mut();
    ids.fill(0);
    (40..50).for_each(|row| ids[row * 64 + 40..row * 64 + 50].fill(2));
    let classes: Vec<String> = ["ground", "road", "car"].map(String::from).into();
    let share = |class: serde_json::Value, at_least: f64, tries: u32, index: u64| {
        let config = json!({"kind": "random_crop", "class": class, "at_least": at_least, "tries": tries});
        let (mut sample, transform) = (sample.clone(), parse(config));
        transform.check(&classes, 3).unwrap();
        let transform = transform.resolved(&classes);
        transform.apply(&mut sample, &mut Scratch::default(), [16, 16], &mut stream(index)).unwrap();
        sample.target.classes().iter().filter(|class| **class == 2).count() as f64 / 256.0
    };
    let found = |at_least, tries| (0..200).filter(|i| share(json!("car"), at_least, tries, *i) >= at_least).count();
    assert_eq!(found(0.2, 1000), 200);
    assert!(found(0.2, 1) < 60);
    for index in 0..20 {
        assert_eq!(share(json!(2), 0.2, 10, index), share(json!("car"), 0.2, 10, index));
        // A share that no piece reaches is approached: more tries never show less.
        assert!(share(json!(2), 1.0, 100, index) >= share(json!(2), 1.0, 5, index));
    }
}

#[test]
fn a_class_whose_id_is_not_known_is_no_class_by_chance() {
    let transform = parse(json!({"kind": "random_crop", "class": "car", "at_least": 0.1}));
    let error = transform.apply(&mut map([8, 8]), &mut Scratch::default(), [4, 4], &mut stream(0)).unwrap_err();
    assert!(error.to_string().contains("'car'"), "{error}");
}

#[test]
fn what_is_dropped_is_black_and_unknown_and_nothing_else_is() {
    let dropout = parse(json!({"kind": "coarse_dropout", "count": 3, "size": 0.25, "probability": 1}));
    for index in 0..50 {
        let mut sample = map([40, 20]);
        dropout.apply(&mut sample, &mut Scratch::default(), [40, 20], &mut stream(index)).unwrap();
        let whole = map([40, 20]);
        let mut dropped = 0;
        for (place, class) in sample.target.classes().iter().enumerate() {
            let [before, after] = [&whole, &sample].map(|sample| &sample.image.bytes()[3 * place..3 * place + 3]);
            if *class == IGNORE {
                dropped += 1;
                assert_eq!(after, [0, 0, 0]);
            } else {
                assert_eq!((before, whole.target.classes()[place]), (after, *class));
            }
        }
        assert!((50..=150).contains(&dropped), "{dropped}");
    }
}

#[test]
fn values_that_cannot_work_are_refused_by_their_key() {
    let classes: Vec<String> = ["ground", "car"].map(String::from).into();
    for (config, key) in [
        (json!({"kind": "horizontal_flip", "probability": -0.1}), "probability"),
        (json!({"kind": "vertical_flip", "probability": 1.1}), "probability"),
        (json!({"kind": "rotate90", "probability": 2}), "probability"),
        (json!({"kind": "random_resized_crop", "scale": [0, 1]}), "scale"),
        (json!({"kind": "random_resized_crop", "scale": [0.5, 0.4]}), "scale"),
        (json!({"kind": "random_resized_crop", "ratio": [0.5, 40]}), "ratio"),
        (json!({"kind": "random_crop", "at_least": 0.1}), "at_least"),
        (json!({"kind": "random_crop", "class": "car"}), "at_least"),
        (json!({"kind": "random_crop", "class": "cat", "at_least": 0.1}), "class"),
        (json!({"kind": "random_crop", "class": 2, "at_least": 0.1}), "class"),
        (json!({"kind": "random_crop", "tries": 0}), "tries"),
        (json!({"kind": "affine", "rotate": 181}), "rotate"),
        (json!({"kind": "affine", "shear": 90}), "shear"),
        (json!({"kind": "affine", "scale": [0, 1]}), "scale"),
        (json!({"kind": "affine", "translate": 1.5}), "translate"),
        (json!({"kind": "color_jitter", "brightness": 1.5}), "brightness"),
        (json!({"kind": "color_jitter", "contrast": -0.5}), "contrast"),
        (json!({"kind": "color_jitter", "hue": 0.6}), "hue"),
        (json!({"kind": "color_jitter", "gamma": [0, 1]}), "gamma"),
        (json!({"kind": "gaussian_blur", "sigma": [0, 1]}), "sigma"),
        (json!({"kind": "gaussian_noise", "std": 2}), "std"),
        (json!({"kind": "coarse_dropout", "count": 0}), "count"),
        (json!({"kind": "coarse_dropout", "size": 0}), "size"),
        (json!({"kind": "cut_mix", "share": [0.5, 0.1]}), "share"),
    ] {
        let invalid = parse(config).check(&classes, 3).unwrap_err();
        assert_eq!(invalid.key, key, "{invalid}");
    }
    let nan = Transform::HorizontalFlip { probability: f32::NAN };
    assert_eq!(nan.check(&classes, 3).unwrap_err().key, "probability");
    for (key, other) in [("saturation", "hue"), ("hue", "saturation")] {
        let jitter = parse(json!({"kind": "color_jitter", key: 0.1, other: 0}));
        jitter.check(&classes, 3).unwrap();
        assert_eq!(jitter.check(&classes, 1).unwrap_err().key, key);
    }
}

#[test]
fn the_kind_alone_is_enough() {
    let kinds = "horizontal_flip vertical_flip rotate90 random_resized_crop random_crop affine color_jitter \
                 gaussian_blur gaussian_noise coarse_dropout cut_mix";
    for kind in kinds.split_whitespace() {
        let transform = parse(json!({"kind": kind}));
        transform.check(&[], 3).unwrap();
        let written = serde_json::to_value(&transform).unwrap();
        assert_eq!((&written["kind"], parse(written.clone())), (&json!(kind), transform));
        assert!(serde_json::from_value::<Transform>(json!({"kind": kind, "probabilty": 1})).is_err());
    }
}
