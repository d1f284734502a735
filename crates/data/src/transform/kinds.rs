//! Transforms of any depth as parts of a list: their keys, the images that they refuse, and what moves with the image.

use super::named::{NamedOrListed, named_or_listed, nnunet};
use super::peers::{noise, reference};
use super::rand_augment::operation::Operation;
use super::*;
use crate::load::{IGNORE, Interpolation, Target, Values};
use schemars::JsonSchema;
use serde_json::{Value, json};

const SIZE: [u32; 2] = [22, 27];

/// Returns every new kind that needs no other sample, with keys that make it change something.
fn alone() -> Vec<Value> {
    let mut kinds = vec![
        json!({"kind": "elastic", "alpha": [30, 50], "sigma": [2, 3], "probability": 1}),
        json!({"kind": "grid_distortion", "limit": 0.8, "probability": 1}),
        json!({"kind": "spatial", "rotate_probability": 1, "shrink_probability": 1}),
    ];
    kinds.extend(retouching());
    kinds
}

/// Returns every new kind that leaves the target alone.
fn retouching() -> Vec<Value> {
    [
        json!({"kind": "brightness", "factor": [0.5, 0.8]}),
        json!({"kind": "contrast", "factor": [0.5, 0.8]}),
        json!({"kind": "gamma", "gamma": [0.5, 0.8]}),
        json!({"kind": "gamma", "gamma": [1.5, 1.8], "invert": true, "retain": false, "per_band": false}),
        json!({"kind": "input_noise", "std": 0.5}),
        json!({"kind": "invert"}),
        json!({"kind": "band_blur", "sigma": [1, 2], "bands": 1}),
        json!({"kind": "low_resolution", "scale": [0.3, 0.6], "bands": 1}),
        json!({"kind": "sharpen", "factor": [1.5, 3]}),
        json!({"kind": "clahe"}),
        json!({"kind": "jpeg", "quality": [5, 20]}),
        json!({"kind": "channel_dropout"}),
        json!({"kind": "channel_shuffle"}),
        json!({"kind": "rand_augment", "operations": ["invert", "sharpen", "gamma", "posterize"], "magnitude": 20}),
    ]
    .map(|mut kind| {
        kind["probability"] = json!(1);
        kind
    })
    .into()
}

fn parse(config: &Value) -> Transform {
    serde_json::from_value(config.clone()).unwrap()
}

fn stream(index: u64) -> Random {
    Random::of_transform(9, 0, 0, index)
}

fn images(bands: usize) -> [Pixels; 3] {
    [noise::<u8>(SIZE, bands).into(), noise::<u16>(SIZE, bands).into(), noise::<f32>(SIZE, bands).into()]
}

fn scratch(depth: Depth, fill: f32) -> Scratch {
    let range = match depth {
        Depth::U8 => [0.0, 255.0],
        Depth::U16 => [0.0, 65_535.0],
        Depth::F32 => [0.0, 1.0],
    };
    let values = Values { channels: None, interpolation: Interpolation::Bilinear, fill };
    Scratch { values, range, unit: range, ..Scratch::default() }
}

/// Returns an image as planes of numbers.
fn planes_of(image: &Pixels, bands: usize) -> Vec<f32> {
    let numbers: Vec<f32> = on_pixels!(image, numbers => numbers.iter().map(|number| number.to_f32()).collect());
    (0..bands).flat_map(|band| numbers.iter().skip(band).step_by(bands).copied().collect::<Vec<_>>()).collect()
}

#[test]
fn every_kind_changes_every_image_that_it_suits_and_always_in_the_same_way() {
    for config in alone() {
        let transform = parse(&config);
        transform.check(&[], 3).unwrap();
        let mut suited = 0;
        for bands in [1, 3, 13] {
            for image in images(bands) {
                let depth = image.depth();
                if transform.suits(bands as u32, depth).is_err() {
                    continue;
                }
                suited += 1;
                let mut changes = 0;
                for index in 0..5 {
                    let before = Sample { size: SIZE, image: image.clone(), target: Target::Classes(vec![1; 22 * 27]) };
                    let changed = |mut sample: Sample| {
                        let mut scratch = scratch(depth, 0.0);
                        transform.apply(&mut sample, &mut scratch, SIZE, &mut stream(index)).unwrap();
                        sample
                    };
                    let after = changed(before.clone());
                    assert_eq!((after.size, after.image.depth()), (SIZE, depth));
                    assert_eq!((after.image.len(), after.target.len()), (before.image.len(), 22 * 27));
                    assert_eq!(changed(before.clone()), after);
                    changes += u32::from(after.image != before.image);
                }
                assert!(changes >= 3, "{config} {bands} {depth:?}");
            }
        }
        let expected = match config["kind"].as_str().unwrap() {
            "jpeg" => 2,
            "clahe" | "channel_dropout" | "channel_shuffle" => 6,
            _ => 9,
        };
        assert_eq!(suited, expected, "{config}");
    }
}

#[test]
fn what_moves_moves_the_target_with_the_image_and_what_does_not_leaves_it_alone() {
    let names = ["rotate", "shear_x", "shear_y", "translate_x", "translate_y", "elastic", "grid_distortion"];
    let geometric = alone()
        .into_iter()
        .take(3)
        .chain(names.map(|name| json!({"kind": "rand_augment", "operations": [name], "magnitude": 17, "count": 1})));
    for config in geometric {
        for bands in [1, 3, 13] {
            for image in images(bands) {
                let depth = image.depth();
                let planes = planes_of(&image, bands);
                for index in 0..4 {
                    let mut sample =
                        Sample { size: SIZE, image: image.clone(), target: Target::Values(planes.clone()) };
                    let mut scratch = scratch(depth, 0.0);
                    parse(&config).apply(&mut sample, &mut scratch, SIZE, &mut stream(index)).unwrap();
                    let pairs = planes_of(&sample.image, bands).into_iter().zip(sample.target.values().to_vec());
                    let off = pairs.map(|(image, target)| (image - target).abs()).fold(0.0, f32::max);
                    // Whole numbers are rounded; bytes have weights of 13 bits.
                    assert!(off <= if depth == Depth::F32 { 1e-4 } else { 0.6 }, "{config} {bands} {depth:?}: {off}");
                }
            }
        }
        // Class ids are moved by the nearest pixel, and none is invented.
        let ids: Vec<u8> = (0..22 * 27).map(|place| (place % 7) as u8).collect();
        let mut sample = Sample { size: SIZE, image: vec![0u8; 22 * 27].into(), target: Target::Classes(ids.clone()) };
        parse(&config).apply(&mut sample, &mut Scratch::default(), SIZE, &mut stream(1)).unwrap();
        assert!(sample.target.classes() != ids, "{config}");
        assert!(sample.target.classes().iter().all(|id| *id < 7 || *id == IGNORE), "{config}");
    }
    for config in retouching() {
        let target = Target::Values(vec![0.5; 22 * 27]);
        let mut sample = Sample { size: SIZE, image: noise::<u8>(SIZE, 3).into(), target: target.clone() };
        parse(&config).apply(&mut sample, &mut Scratch::default(), SIZE, &mut stream(1)).unwrap();
        assert_eq!((sample.target, sample.size), (target, SIZE), "{config}");
    }
}

#[test]
fn wrong_values_are_refused_by_their_key() {
    let classes: Vec<String> = ["ground", "car"].map(String::from).into();
    for (config, key) in [
        (json!({"kind": "elastic", "alpha": [-1, 2]}), "alpha"),
        (json!({"kind": "elastic", "sigma": [0, 2]}), "sigma"),
        (json!({"kind": "grid_distortion", "steps": 0}), "steps"),
        (json!({"kind": "grid_distortion", "limit": 1}), "limit"),
        (json!({"kind": "spatial", "rotate": 181}), "rotate"),
        (json!({"kind": "spatial", "shrink": [0, 1]}), "shrink"),
        (json!({"kind": "spatial", "shrink_probability": 2}), "shrink_probability"),
        (json!({"kind": "brightness", "factor": [0, 1]}), "factor"),
        (json!({"kind": "contrast", "factor": [2, 1]}), "factor"),
        (json!({"kind": "gamma", "gamma": [0, 1]}), "gamma"),
        (json!({"kind": "input_noise", "std": -1}), "std"),
        (json!({"kind": "invert", "probability": 7}), "probability"),
        (json!({"kind": "band_blur", "sigma": [0, 1]}), "sigma"),
        (json!({"kind": "low_resolution", "scale": [0, 1]}), "scale"),
        (json!({"kind": "low_resolution", "bands": 2}), "bands"),
        (json!({"kind": "sharpen", "factor": [-1, 1]}), "factor"),
        (json!({"kind": "clahe", "clip": [0, 1]}), "clip"),
        (json!({"kind": "clahe", "tiles": [8, 17]}), "tiles"),
        (json!({"kind": "jpeg", "quality": [0, 50]}), "quality"),
        (json!({"kind": "jpeg", "quality": [50, 101]}), "quality"),
        (json!({"kind": "channel_dropout", "count": [0, 1]}), "count"),
        (json!({"kind": "channel_shuffle", "probability": -1}), "probability"),
        (json!({"kind": "rand_augment", "count": 0}), "count"),
        (json!({"kind": "rand_augment", "magnitude": 31}), "magnitude"),
        (json!({"kind": "rand_augment", "operations": []}), "operations"),
        (json!({"kind": "mosaic", "centre": [0.5, 1.5]}), "centre"),
        (json!({"kind": "copy_paste"}), "classes"),
        (json!({"kind": "copy_paste", "classes": ["cat"]}), "classes"),
        (json!({"kind": "copy_paste", "classes": ["car"], "objects": 2}), "objects"),
        (json!({"kind": "copy_paste", "classes": [1], "translate": 2}), "translate"),
    ] {
        let invalid = parse(&config).check(&classes, 3).unwrap_err();
        assert_eq!(invalid.key, key, "{config}: {invalid}");
        let kind = json!({"kind": config["kind"], "probabilty": 1});
        assert!(serde_json::from_value::<Transform>(kind).is_err());
    }
    let pasting = parse(&json!({"kind": "copy_paste", "classes": ["car"]}));
    pasting.check(&classes, 3).unwrap();
    assert_eq!(pasting.resolved(&classes), parse(&json!({"kind": "copy_paste", "classes": [1]})));
    assert_eq!(pasting.key_of_classes(), Some("classes"));
}

#[test]
fn images_that_a_kind_cannot_change_are_refused_by_name() {
    for (config, bands, depth, key, said) in [
        (json!({"kind": "clahe"}), 3, Depth::F32, "kind", "floats"),
        (json!({"kind": "jpeg"}), 13, Depth::U8, "kind", "13 of 8 bits"),
        (json!({"kind": "jpeg"}), 3, Depth::U16, "kind", "3 of 16 bits"),
        (json!({"kind": "channel_dropout"}), 1, Depth::U8, "kind", "channel_dropout"),
        (json!({"kind": "channel_dropout", "count": [1, 3]}), 3, Depth::U8, "count", "3 bands"),
        (json!({"kind": "channel_shuffle"}), 1, Depth::U8, "kind", "channel_shuffle"),
        (
            json!({"kind": "rand_augment", "operations": ["rotate", "saturation"]}),
            1,
            Depth::U8,
            "operations[1]",
            "3 bands",
        ),
        (json!({"kind": "rand_augment", "operations": ["equalize"]}), 3, Depth::U16, "operations[0]", "8 bits"),
        (json!({"kind": "rand_augment", "operations": ["clahe"]}), 3, Depth::F32, "operations[0]", "floats"),
    ] {
        let transform = parse(&config);
        transform.check(&[], bands).unwrap();
        let invalid = transform.suits(bands, depth).unwrap_err();
        assert!(invalid.key == key && invalid.problem.contains(said), "{config}: {invalid}");
    }
}

#[test]
fn operations_have_the_strengths_of_torchvision() {
    let magnitudes = reference().magnitudes;
    for (step, strength) in [0.0, 0.3, 1.0].into_iter().enumerate() {
        let torchvision = |name: &str| magnitudes[name][step];
        let matrix = |operation: Operation| operation.matrix(strength, [200, 300]).unwrap();
        let close = |found: f64, name: &str| {
            let expected = torchvision(name);
            assert!((found - expected).abs() < 1e-4 * expected.abs().max(1.0), "{name}: {found}, not {expected}");
        };
        close(matrix(Operation::ShearX)[0][1], "ShearX");
        close(matrix(Operation::ShearY)[1][0], "ShearY");
        close(-matrix(Operation::TranslateX)[0][2], "TranslateX");
        close(-matrix(Operation::TranslateY)[1][2], "TranslateY");
        close(libm::asin(matrix(Operation::Rotate)[0][1]).to_degrees(), "Rotate");
        close(f64::from(Operation::factor(1.0, strength)) - 1.0, "Brightness");
        close(f64::from(Operation::bits(strength)), "Posterize");
        close(f64::from(Operation::threshold(strength)) * 255.0, "Solarize");
    }
}

#[test]
fn operations_without_strength_change_nothing() {
    let neutral = "identity rotate shear_x shear_y translate_x translate_y brightness contrast saturation sharpen gamma \
                   low_resolution gaussian_blur elastic";
    for name in neutral.split_whitespace() {
        let config = json!({"kind": "rand_augment", "operations": [name], "magnitude": 0});
        let target = Target::Classes((0..22 * 27).map(|place| (place % 9) as u8).collect());
        let before = Sample { size: SIZE, image: noise::<u8>(SIZE, 3).into(), target };
        let mut sample = before.clone();
        parse(&config).apply(&mut sample, &mut Scratch::default(), SIZE, &mut stream(3)).unwrap();
        assert!(sample == before, "{name}");
    }
}

#[test]
fn operations_that_do_not_suit_the_images_are_not_drawn() {
    let drawn = |bands, depth| Operation::usual(bands, depth).len();
    assert_eq!(
        (drawn(3, Depth::U8), drawn(1, Depth::U8), drawn(3, Depth::U16), drawn(13, Depth::F32)),
        (14, 13, 13, 12)
    );
}

#[test]
fn the_list_of_nnunet_has_its_probabilities_and_ranges() {
    let theirs: Vec<Value> = serde_json::from_str(include_str!("../../reference/nnunet.json")).unwrap();
    let [spatial, noise, blur, brightness, contrast, low, inverted, gamma, mirror, ..] = theirs.as_slice() else {
        panic!("{theirs:?}");
    };
    let list = nnunet();
    list.iter().for_each(|transform| transform.check(&[], 3).unwrap());
    let written = serde_json::to_value(&list).unwrap();
    let close = |ours: &Value, theirs: &Value| {
        let number = |value: &Value| value.as_f64().unwrap();
        match (ours.as_array(), theirs.as_array()) {
            (Some(ours), Some(theirs)) => {
                assert_eq!(ours.len(), theirs.len());
                assert!(
                    ours.iter().zip(theirs).all(|(a, b)| (number(a) - number(b)).abs() < 1e-6),
                    "{ours:?} {theirs:?}"
                );
            }
            _ => assert!((number(ours) - number(theirs)).abs() < 1e-6, "{ours} {theirs}"),
        }
    };
    close(&written[0]["rotate_probability"], &spatial["p_rotation"]);
    close(&written[0]["shrink_probability"], &spatial["p_scaling"]);
    close(&written[0]["shrink"], &spatial["scaling"]);
    assert_eq!((&spatial["p_elastic_deform"], &spatial["p_synchronize_scaling_across_axes"]), (&json!(0), &json!(1)));
    assert_eq!(written[1]["kind"], "random_crop");
    close(&written[2]["std"], &noise["noise_variance"][1]);
    close(&written[3]["sigma"], &blur["blur_sigma"]);
    close(&written[3]["bands"], &blur["p_per_channel"]);
    close(&written[4]["factor"], &brightness["multiplier_range"]["around_one"]);
    close(&written[5]["factor"], &contrast["contrast_range"]["around_one"]);
    assert_eq!(written[5]["preserve_range"], contrast["preserve_range"]);
    close(&written[6]["scale"], &low["scale"]);
    close(&written[6]["bands"], &low["p_per_channel"]);
    for (ours, theirs) in [(7, inverted), (8, gamma)] {
        close(&written[ours]["gamma"], &theirs["gamma"]["around_one"]);
        assert_eq!(written[ours]["invert"], theirs["p_invert_image"] == 1.0);
        assert_eq!(written[ours]["retain"], theirs["p_retain_stats"] == 1.0);
    }
    for (ours, theirs) in [(2, noise), (3, blur), (4, brightness), (5, contrast), (6, low), (7, inverted), (8, gamma)] {
        close(&written[ours]["probability"], &theirs["probability"]);
        if ours != 2 {
            assert_eq!(theirs["synchronize_channels"], false);
        }
    }
    assert_eq!(mirror["allowed_axes"], json!([0, 1]));
    assert_eq!((&written[9]["kind"], &written[10]["kind"]), (&json!("horizontal_flip"), &json!("vertical_flip")));
    assert_eq!((list.len(), theirs.len()), (11, 10));
}

#[test]
fn nnunet_rotates_long_inputs_less() {
    let spatial = Spatial { rotate_probability: 1.0, shrink_probability: 1.0, ..Spatial::default() };
    let most = |size| {
        let draws = (0..500).map(|index| spatial.draw(size, &mut stream(index)));
        draws
            .inspect(|[_, shrink]| assert!((0.7..=1.4).contains(shrink)))
            .map(|[angle, _]| angle.abs())
            .fold(0.0, f32::max)
    };
    assert!((170.0..=180.0).contains(&most([64, 96])) && (14.0..=15.0).contains(&most([64, 97])));
    assert!((14.0..=15.0).contains(&most([97, 64])));
}

#[test]
fn a_list_is_written_out_or_named() {
    #[derive(Debug, Deserialize, JsonSchema)]
    struct Section {
        #[serde(deserialize_with = "named_or_listed")]
        #[schemars(with = "NamedOrListed")]
        transforms: Vec<Transform>,
    }
    let parse = |transforms: Value| serde_json::from_value::<Section>(json!({ "transforms": transforms }));
    assert_eq!(parse(json!("nnunet")).unwrap().transforms, nnunet());
    assert_eq!(parse(json!([{"kind": "invert"}])).unwrap().transforms, [Transform::Invert(Invert::default())]);
    assert_eq!(parse(serde_json::to_value(nnunet()).unwrap()).unwrap().transforms, nnunet());
    let error = parse(json!("nnunets")).unwrap_err().to_string();
    assert!(
        error.contains("nnunets") && error.contains("a list of transforms, or the name of one (nnunet)"),
        "{error}"
    );
    let schema = serde_json::to_value(schemars::schema_for!(Section)).unwrap();
    assert_eq!(schema["properties"]["transforms"]["anyOf"][1], json!({"type": "string", "enum": ["nnunet"]}));
    assert_eq!(schema["properties"]["transforms"]["anyOf"][0]["type"], "array");
}
