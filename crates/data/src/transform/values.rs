//! Maps of numbers against NumPy and Pillow (`reference/values.py`), and as images and masks beside them move.

use super::affine::{inverse, warp};
use super::crop::resized;
use super::*;
use crate::load::{IGNORE, Interpolation, Target, Values, pixels};
use crate::transform::resize::Rectangle;
use serde::Deserialize;
use serde_json::{Value, json};

/// Numbers, with `None` for NaN.
type Numbers = Vec<Option<f32>>;

#[derive(Deserialize)]
struct Reference {
    size: [u32; 2],
    clean: Numbers,
    holed: Numbers,
    affine: Vec<Moved>,
    crops: Vec<Cropped>,
    turned: Vec<(String, Numbers)>,
}

#[derive(Deserialize)]
struct Moved {
    draw: [f64; 5],
    zero: Numbers,
    unknown: Numbers,
    nearest: Numbers,
}

#[derive(Deserialize)]
struct Cropped {
    part: [u32; 4],
    size: [u32; 2],
    clean: Numbers,
    nearest: Numbers,
    unknown: Numbers,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../reference/values.json")).unwrap()
}

/// Returns a sample with a grey image and these targets.
fn sample(size: [u32; 2], numbers: &Numbers) -> Sample {
    let values = numbers.iter().map(|number| number.unwrap_or(f32::NAN)).collect();
    Sample { size, image: vec![7u8; pixels(size)].into(), target: Target::Values(values) }
}

fn scratch(interpolation: Interpolation, fill: f32) -> Scratch {
    Scratch { values: Values { channels: None, interpolation, fill }, ..Scratch::default() }
}

/// Checks that `found` are the `expected` numbers, NaN in the same places and the others no further off than this.
fn check(found: &[f32], expected: &Numbers, most: f32, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
        match expected {
            None => assert!(found.is_nan(), "{what}: {found} at {place}, expected NaN"),
            Some(expected) => assert!((found - expected).abs() <= most, "{what}: {found} at {place}, not {expected}"),
        }
    }
}

/// The largest difference of a number whose place is rounded to 1/65536 of a pixel, where neighbours differ by 10.
const ROUNDED: f32 = 10.0 / 65536.0;

#[test]
fn maps_are_moved_as_numpy_moves_them() {
    let Reference { size, clean, holed, affine, .. } = reference();
    for Moved { draw, zero, unknown, nearest } in &affine {
        let [rotate, shear, scale, down, right] = *draw;
        let moved = |numbers, mut scratch: Scratch| {
            let mut sample = sample(size, numbers);
            warp(&mut sample, &mut scratch, inverse(rotate, shear, scale, [down, right]));
            sample.target
        };
        let what = format!("{draw:?}");
        check(moved(&clean, scratch(Interpolation::Bilinear, 0.0)).values(), zero, ROUNDED, &what);
        check(moved(&holed, scratch(Interpolation::Bilinear, f32::NAN)).values(), unknown, ROUNDED, &what);
        check(moved(&holed, scratch(Interpolation::Nearest, f32::NAN)).values(), nearest, 0.0, &what);
    }
}

#[test]
fn maps_are_resized_as_pillow_and_numpy_resize_them() {
    let Reference { size, clean, holed, crops, .. } = reference();
    for Cropped { part, size: to, clean: of_clean, nearest, unknown } in &crops {
        let [top, left, height, width] = *part;
        let cut = |numbers, mut scratch: Scratch| {
            let mut sample = sample(size, numbers);
            resized(&mut sample, &mut scratch, Rectangle { top, left, height, width }, *to).unwrap();
            sample.target
        };
        let what = format!("{part:?}");
        check(cut(&clean, scratch(Interpolation::Bilinear, 0.0)).values(), of_clean, 1e-5, &what);
        check(cut(&clean, scratch(Interpolation::Nearest, 0.0)).values(), nearest, 0.0, &what);
        check(cut(&holed, scratch(Interpolation::Bilinear, f32::NAN)).values(), unknown, 1e-5, &what);
    }
}

#[test]
fn maps_are_turned_as_numpy_turns_them() {
    let Reference { size, holed, turned, .. } = reference();
    for (kind, expected) in &turned {
        let mut turned = sample(size, &holed);
        match kind.as_str() {
            "horizontal_flip" => flip::horizontal(&mut turned),
            "vertical_flip" => flip::vertical(&mut turned),
            rotate => flip::quarter_turns(&mut turned, &mut Sample::default(), rotate[9..].parse().unwrap()),
        }
        check(turned.target.values(), expected, 0.0, kind);
    }
}

fn stream(index: u64) -> Random {
    Random::of_transform(5, 0, 0, index)
}

/// Returns an image of noise, with smooth parts.
fn noise(size: [u32; 2], channels: usize) -> Sample {
    let byte = |place: usize| if place % 97 < 40 { (place * 7919 % 251) as u8 } else { 200 };
    Sample { size, image: (0..pixels(size) * channels).map(byte).collect(), target: Target::default() }
}

/// Transforms that move pixels, and how far a rounded image may then be from the numbers, in levels.
fn geometric() -> [(Value, f32); 8] {
    [
        (json!({"kind": "horizontal_flip", "probability": 1}), 0.0),
        (json!({"kind": "vertical_flip", "probability": 1}), 0.0),
        (json!({"kind": "rotate90", "probability": 1}), 0.0),
        (json!({"kind": "random_crop"}), 0.0),
        (json!({"kind": "coarse_dropout", "probability": 1}), 0.0),
        // The image is rounded once; its weights have 13 bits.
        (json!({"kind": "affine", "rotate": 180, "shear": 20, "scale": [0.7, 1.5], "translate": 0.3}), 0.6),
        // It is rounded after each axis.
        (json!({"kind": "random_resized_crop", "scale": [0.05, 0.3]}), 1.1),
        (json!({"kind": "random_resized_crop", "scale": [0.9, 1]}), 1.1),
    ]
}

/// Returns sizes of inputs that samples of 56×64 pixels are cut or padded to.
fn network(index: u64) -> [u32; 2] {
    [[40, 32], [70, 48], [60, 80]][index as usize % 3]
}

#[test]
fn a_target_that_is_the_image_stays_the_image() {
    for (config, most) in geometric() {
        let transform: Transform = serde_json::from_value(config.clone()).unwrap();
        for (index, channels) in (0..30).zip([1, 3].into_iter().cycle()) {
            let mut sample = noise([56, 64], channels);
            sample.target.set_image(&sample.image, &(channels as u32).into());
            let mut scratch = scratch(Interpolation::Bilinear, 0.0);
            transform.apply(&mut sample, &mut scratch, network(index), &mut stream(index)).unwrap();
            let mut image = Target::default();
            image.set_image(&sample.image, &(channels as u32).into());
            let pairs = image.values().iter().zip(sample.target.values());
            let off = pairs.map(|(image, target)| (image - target).abs() * 255.0).fold(0.0, f32::max);
            assert_eq!(image.values().len(), sample.target.values().len());
            assert!(off <= most + 1e-3, "{config}, {index}: off by {off} levels");
        }
    }
}

#[test]
fn a_target_that_is_the_mask_stays_the_mask_and_no_number_is_made_of_unknown_ones() {
    for (config, _) in geometric() {
        let transform: Transform = serde_json::from_value(config.clone()).unwrap();
        for index in 0..30 {
            let changed = |target: Target, interpolation, fill| {
                let mut sample = Sample { target, ..noise([56, 64], 3) };
                let mut scratch = scratch(interpolation, fill);
                transform.apply(&mut sample, &mut scratch, network(index), &mut stream(index)).unwrap();
                sample
            };
            let ids: Vec<u8> = (0..pixels([56, 64])).map(|place| (place * 31 % 200) as u8).collect();
            let numbers = || Target::Values(ids.iter().map(|id| f32::from(*id)).collect());
            let by_ids = changed(Target::Classes(ids.clone()), Interpolation::Nearest, 0.0);
            let nearest = changed(numbers(), Interpolation::Nearest, f32::from(IGNORE));
            let mixed = changed(numbers(), Interpolation::Bilinear, f32::NAN);
            let expected: Vec<f32> = by_ids.target.classes().iter().map(|id| f32::from(*id)).collect();
            assert_eq!(nearest.target.values(), expected, "{config}, {index}");
            // The image is drawn, moved and dropped in the same way, whatever the targets are.
            assert!(by_ids.image == nearest.image && by_ids.image == mixed.image && by_ids.size == mixed.size);
            let unknown = by_ids.target.classes().iter().map(|id| *id == IGNORE);
            let mut known = 0;
            for (unknown, value) in unknown.zip(mixed.target.values()) {
                assert!(!unknown || value.is_nan(), "{config}, {index}: {value} where nothing is known");
                assert!(value.is_nan() || (0.0..=199.0).contains(value), "{config}, {index}: {value}");
                known += usize::from(!value.is_nan());
            }
            assert!(known > 200, "{config}, {index}: {known}");
        }
    }
}

#[test]
fn light_and_sensors_leave_the_target_alone() {
    for kind in ["color_jitter", "gaussian_blur", "gaussian_noise"] {
        let config = json!({"kind": kind, "probability": 1});
        let transform: Transform = serde_json::from_value(config).unwrap();
        let mut changed = 0;
        for index in 0..20 {
            let mut sample = noise([20, 30], 3);
            sample.target.set_image(&sample.image, &3.into());
            let before = sample.clone();
            transform
                .apply(&mut sample, &mut scratch(Interpolation::Bilinear, f32::NAN), [9, 9], &mut stream(index))
                .unwrap();
            assert_eq!((&sample.target, sample.size), (&before.target, before.size), "{kind}");
            changed += u32::from(sample.image != before.image);
        }
        assert!(changed > 15, "{kind}");
    }
}

#[test]
fn a_uniform_map_stays_uniform_to_the_bit() {
    let depth = 3.1;
    for (config, _) in geometric() {
        let transform: Transform = serde_json::from_value(config.clone()).unwrap();
        for index in 0..20 {
            let mut sample = noise([40, 40], 1);
            sample.target = Target::Values(vec![depth; 1600]);
            transform
                .apply(&mut sample, &mut scratch(Interpolation::Bilinear, f32::NAN), [30, 50], &mut stream(index))
                .unwrap();
            assert!(sample.target.values().iter().all(|value| value.is_nan() || *value == depth), "{config}");
        }
    }
}
