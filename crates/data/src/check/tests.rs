//! Faults planted in a sound data set, one by one and all at once.

use super::*;
use crate::list::pets::tests::pets_sample;
use crate::load::files::Preparation;
use crate::transform::random::{Purpose, Random};
use crate::{Config, OxfordPets, PetsTarget, check_config};
use image::{DynamicImage, GrayImage, ImageFormat, RgbImage, imageops};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SIDE: u32 = 64;

fn image_path(root: &Path, name: &str) -> PathBuf {
    root.join("images").join(format!("{name}.jpg"))
}

fn mask_path(root: &Path, name: &str) -> PathBuf {
    root.join("annotations/trimaps").join(format!("{name}.png"))
}

/// A picture of its own for each number, as smooth as photographs are.
fn picture(number: u64) -> RgbImage {
    let mut random = Random::new(number, Purpose::Order, 0, 0);
    let waves: Vec<[f32; 4]> = (0..9).map(|_| [(); 4].map(|()| random.between(0.0, 1.0))).collect();
    RgbImage::from_fn(SIDE, SIDE, |x, y| {
        let value = |channel: usize| {
            let wave = |[across, down, at, height]: &[f32; 4]| {
                let turns = across * x as f32 / 16.0 + (down - 0.5) * y as f32 / 8.0 + at;
                height * (turns * std::f32::consts::TAU).sin()
            };
            let sum: f32 = waves[channel * 3..channel * 3 + 3].iter().map(wave).sum();
            (128.0 + 40.0 * sum) as u8
        };
        image::Rgb([0, 1, 2].map(value))
    })
}

/// Nine samples for training, `t0` to `t8`, and four for validation, `v0` to `v3`: JPEGs, with masks of two labels.
fn sound() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("images")).unwrap();
    fs::create_dir_all(root.join("annotations/trimaps")).unwrap();
    for (file, letter, count) in [("trainval.txt", 't', 9), ("test.txt", 'v', 4)] {
        let mut list = String::new();
        for index in 0..count {
            let name = format!("{letter}{index}");
            let image = picture(u64::from(letter) * 100 + index);
            image.save_with_format(image_path(root, &name), ImageFormat::Jpeg).unwrap();
            let mask =
                GrayImage::from_fn(SIDE, SIDE, |x, y| image::Luma([1 + u8::from(image.get_pixel(x, y).0[0] > 128)]));
            mask.save(mask_path(root, &name)).unwrap();
            list.push_str(&format!("{name} 1 1 1\n"));
        }
        fs::write(root.join("annotations").join(file), list).unwrap();
    }
    folder
}

fn checked(root: &Path, workers: u64) -> Report {
    let preparation = Preparation { size: [32, 32], ..Preparation::default() };
    let config = Config::OxfordPets(OxfordPets { root: root.into(), target: PetsTarget::Foreground, preparation });
    let splits = [Split::Train, Split::Validation].map(|split| (split, config.open(split).unwrap().into()));
    let mut seen = 0;
    let report = check(&splits, &config.classes(), workers, || seen += 1).unwrap();
    assert_eq!(seen, report.splits.iter().map(|split| split.samples).sum::<u64>());
    report
}

fn found(report: &Report) -> Vec<(Kind, String)> {
    report.findings.iter().map(|finding| (finding.kind, finding.samples.join(" "))).collect()
}

/// Puts the picture of one sample, changed, in the place of another's.
fn replace(root: &Path, from: &str, to: &str, quality: u8, change: fn(RgbImage) -> RgbImage) {
    let picture = change(image::open(image_path(root, from)).unwrap().into_rgb8());
    let mut file = fs::File::create(image_path(root, to)).unwrap();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    picture.write_with_encoder(encoder).unwrap();
}

fn copy(root: &Path, from: &str, to: &str, mask_too: bool) {
    fs::copy(image_path(root, from), image_path(root, to)).unwrap();
    if mask_too {
        fs::copy(mask_path(root, from), mask_path(root, to)).unwrap();
    }
}

fn mask(root: &Path, name: &str, size: [u32; 2], value: u8) {
    GrayImage::from_pixel(size[1], size[0], image::Luma([value])).save(mask_path(root, name)).unwrap();
}

fn list(root: &Path, line: &str) {
    let path = root.join("annotations/trainval.txt");
    fs::write(&path, fs::read_to_string(&path).unwrap() + line).unwrap();
}

/// A fault to plant, and its expected findings: kinds, with the samples that they are about.
type Fault = (fn(&Path), &'static [(Kind, &'static str)]);

/// Every kind except those about ignored pixels, which trimaps do not have. Each fault is about samples of its own.
const FAULTS: [Fault; 14] = [
    (|root| fs::remove_file(image_path(root, "t0")).unwrap(), &[(Kind::Missing, "train/t0")]),
    (|root| fs::remove_file(mask_path(root, "v0")).unwrap(), &[(Kind::Missing, "validation/v0")]),
    (
        |root| {
            let bytes = fs::read(image_path(root, "t1")).unwrap();
            fs::write(image_path(root, "t1"), &bytes[..bytes.len() / 2]).unwrap();
        },
        &[(Kind::Unreadable, "train/t1")],
    ),
    (|root| fs::write(mask_path(root, "t2"), "no picture").unwrap(), &[(Kind::Unreadable, "train/t2")]),
    (
        |root| assert!(fs::copy(image_path(root, "t3"), mask_path(root, "t3")).is_ok()),
        &[(Kind::MaskFormat, "train/t3"), (Kind::Misnamed, "train/t3")],
    ),
    (|root| mask(root, "t4", [SIDE + 1, SIDE], 1), &[(Kind::SizeMismatch, "train/t4")]),
    (|root| mask(root, "t5", [SIDE; 2], 9), &[(Kind::Label, "train/t5")]),
    (|root| list(root, "t6 1 1 1\n"), &[(Kind::RepeatedName, "train/t6 train/t6")]),
    (
        |root| {
            copy(root, "t8", "t9", true);
            list(root, "t9 1 1 1\n");
        },
        &[(Kind::Duplicate, "train/t8 train/t9")],
    ),
    (
        |root| copy(root, "t7", "v1", false),
        &[(Kind::DuplicateAcross, "train/t7 validation/v1"), (Kind::Contradiction, "train/t7 validation/v1")],
    ),
    (
        |root| {
            replace(root, "t6", "near", 60, |picture| {
                imageops::resize(&picture, 48, 48, imageops::FilterType::Triangle)
            });
            mask(root, "near", [48, 48], 1);
            let spot = |path: PathBuf| {
                let mut mask = image::open(&path).unwrap().into_luma8();
                mask.put_pixel(0, 0, image::Luma([2]));
                mask.save(path).unwrap();
            };
            spot(mask_path(root, "near"));
            list(root, "near 1 1 1\n");
        },
        &[(Kind::NearDuplicate, "train/near train/t6")],
    ),
    (|root| mask(root, "v2", [SIDE; 2], 2), &[(Kind::EmptyMask, "validation/v2")]),
    (
        |root| RgbImage::from_pixel(SIDE, SIDE, image::Rgb([90; 3])).save(image_path(root, "v3")).unwrap(),
        &[(Kind::ConstantImage, "validation/v3")],
    ),
    (
        |root| {
            let picture = image::open(image_path(root, "t0")).unwrap();
            picture.save_with_format(image_path(root, "stray"), ImageFormat::Png).unwrap();
        },
        &[(Kind::Misnamed, ""), (Kind::Stray, "")],
    ),
];

#[test]
fn a_sound_data_set_has_nothing_odd() {
    let folder = sound();
    for workers in [0, 1, 4] {
        let report = checked(folder.path(), workers);
        assert_eq!(found(&report), []);
        assert_eq!(report.splits.iter().map(|split| split.decoded).collect::<Vec<_>>(), [9, 4]);
    }
}

#[test]
fn each_fault_is_found_and_nothing_else() {
    for (plant, expected) in FAULTS {
        let folder = sound();
        plant(folder.path());
        let expected: Vec<_> = expected.iter().map(|(kind, samples)| (*kind, samples.to_string())).collect();
        assert_eq!(found(&checked(folder.path(), 2)), expected);
    }
}

#[test]
fn all_faults_at_once_are_all_found() {
    let folder = sound();
    // The last fault first: it needs a picture that another one removes.
    FAULTS.iter().rev().for_each(|(plant, _)| plant(folder.path()));
    let report = checked(folder.path(), 2);
    let found = found(&report);
    let mut kinds = Vec::new();
    for (kind, samples) in FAULTS.iter().flat_map(|(_, expected)| *expected) {
        kinds.push(*kind);
        let words: Vec<&str> = samples.split(' ').collect();
        let about = |(other, all): &&(Kind, String)| other == kind && words.iter().all(|word| all.contains(word));
        assert!(found.iter().any(|finding| about(&finding)), "{kind:?} {samples} is not in {found:?}");
    }
    kinds.sort();
    kinds.dedup();
    assert!(kinds.len() >= 12);
    assert_eq!(report.count(Severity::Error) + report.count(Severity::Warning), found.len());
    assert!(report.findings.iter().all(|finding| !finding.message.is_empty()));
}

#[test]
fn nearly_the_same_picture_in_both_splits_is_found() {
    let folder = sound();
    replace(folder.path(), "t2", "v2", 40, |picture| DynamicImage::from(picture).brighten(12).into_rgb8());
    let across = (Kind::NearDuplicateAcross, "train/t2 validation/v2".to_string());
    assert_eq!(found(&checked(folder.path(), 2)), [across]);
}

#[test]
fn a_class_that_no_mask_shows_is_named() {
    let folder = sound();
    let preparation = Preparation { size: [32, 32], ..Preparation::default() };
    let config = Config::OxfordPets(OxfordPets { root: folder.path().into(), target: PetsTarget::Trimap, preparation });
    let splits = [Split::Train, Split::Validation].map(|split| (split, config.open(split).unwrap().into()));
    let report = check(&splits, &config.classes(), 1, || ()).unwrap();
    let messages: Vec<&str> = report.findings.iter().map(|finding| finding.message.as_str()).collect();
    assert_eq!(
        messages,
        ["train", "validation"].map(|split| format!("no mask of the {split} data shows the class 'border'"))
    );
}

#[test]
fn what_is_really_odd_in_the_pets_is_found() {
    let Some(root) = pets_sample() else { return };
    let config =
        Config::OxfordPets(OxfordPets { root, target: PetsTarget::Trimap, preparation: Preparation::default() });
    let splits = [Split::Train, Split::Validation].map(|split| (split, config.open(split).unwrap().into()));
    let report = check(&splits, &config.classes(), 2, || ()).unwrap();
    let of = |kind| found(&report).into_iter().filter(move |finding| finding.0 == kind).map(|finding| finding.1);
    // The same photographs in other sizes, one of them in both official splits. All six pairs were inspected.
    assert_eq!(of(Kind::NearDuplicateAcross).collect::<Vec<_>>(), ["train/Abyssinian_151 validation/Abyssinian_99"]);
    assert_eq!(
        of(Kind::NearDuplicate).collect::<Vec<_>>(),
        [
            "train/Abyssinian_11 train/Abyssinian_177",
            "train/Abyssinian_122 train/Abyssinian_172",
            "validation/Abyssinian_24 validation/Abyssinian_56",
            "validation/Abyssinian_40 validation/Abyssinian_63",
            "validation/Abyssinian_5 validation/Abyssinian_87",
        ]
    );
    let files = |kind| {
        let of_kind = report.findings.iter().filter(move |finding| finding.kind == kind);
        let names = of_kind.flat_map(|finding| &finding.files);
        names.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect::<Vec<_>>()
    };
    assert_eq!(files(Kind::Misnamed), ["Abyssinian_34.jpg", "Abyssinian_5.jpg"]);
    assert_eq!(
        files(Kind::Stray),
        ["Abyssinian_34.png", "Abyssinian_82.png", "Abyssinian_34.jpg", "Abyssinian_82.jpg"]
    );
    assert_eq!((report.count(Severity::Error), report.findings.len()), (0, 12));
}

/// A data set of two folders with these masks (and an image for each) of two labels, left and right.
fn folders(root: &Path, names: &[&str], labels: [u8; 2]) -> Config {
    for name in names {
        let number = name.bytes().map(u64::from).sum();
        for (folder, picture) in [
            ("images", DynamicImage::from(picture(number))),
            ("masks", GrayImage::from_fn(SIDE, SIDE, |x, _| image::Luma([labels[usize::from(x > 30)]])).into()),
        ] {
            let path = root.join(folder).join(format!("{name}.png"));
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            picture.save(path).unwrap();
        }
    }
    let value = serde_json::json!({ "kind": "folders", "root": root, "classes": ["a", "b"], "split": {"fold": "1/2"} });
    serde_json::from_value(value).unwrap()
}

fn kinds_and_files(root: &Path, config: &Config) -> Vec<(Kind, Vec<String>)> {
    let below = |path: &PathBuf| path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
    let report = check_config(config, 2, |samples| assert!(samples > 0)).unwrap();
    report.findings.iter().map(|finding| (finding.kind, finding.files.iter().map(below).collect())).collect()
}

#[test]
fn files_that_do_not_belong_together_are_all_found_and_the_rest_is_looked_at() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let names = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    let config = folders(root, &names, [0, 1]);
    assert_eq!(kinds_and_files(root, &config), []);
    // Five images without masks (opening it for training names the first three), two masks of one image, a mask in a
    // folder that no image is in, and a mask that is broken.
    names[..5].iter().for_each(|name| fs::remove_file(root.join(format!("masks/{name}.png"))).unwrap());
    fs::copy(root.join("masks/f.png"), root.join("masks/f.tiff")).unwrap();
    fs::create_dir(root.join("masks/lost")).unwrap();
    fs::copy(root.join("masks/f.png"), root.join("masks/lost/x.png")).unwrap();
    fs::write(root.join("masks/g.png"), "no mask").unwrap();
    let mut expected = vec![(Kind::Unmatched, vec!["masks/f.png".to_string(), "masks/f.tiff".into()])];
    expected.extend(names[..5].iter().map(|name| (Kind::Unmatched, vec![format!("images/{name}.png")])));
    expected.sort_by(|a, b| a.1.cmp(&b.1));
    expected.push((Kind::Unreadable, vec!["masks/g.png".into()]));
    // No sample is made of these, so they are strays too.
    let found = kinds_and_files(root, &config);
    assert_eq!(found[..expected.len()], expected);
    let strays: Vec<&str> =
        found.iter().filter(|(kind, _)| *kind == Kind::Stray).map(|(_, files)| &*files[0]).collect();
    assert!(strays.contains(&"masks/lost/x.png") && !strays.contains(&"masks/g.png"), "{strays:?}");
}

#[test]
fn a_255_that_nothing_is_said_of_is_found_where_nothing_else_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let config = folders(folder.path(), &["a", "b", "c", "d"], [0, 255]);
    let report = check_config(&config, 2, |_| ()).unwrap();
    let found: Vec<_> = report.findings.iter().filter(|finding| finding.kind == Kind::Unlabelled).collect();
    assert_eq!((found.len(), found[0].severity), (2, Severity::Error));
    assert!(found[0].message.contains("data.labels: says nothing of 255"), "{}", found[0].message);
    // Next to another class, 255 is the void that is ignored by default, but that class is then the only one.
    let folder = tempfile::tempdir().unwrap();
    let config = folders(folder.path(), &["a", "b", "c", "d"], [1, 255]);
    let findings = check_config(&config, 2, |_| ()).unwrap().findings;
    assert!(findings.iter().all(|found| found.kind != Kind::Unlabelled));
    let found: Vec<_> = findings.iter().filter(|found| found.kind == Kind::OneClass).collect();
    assert_eq!((found.len(), found[0].severity), (2, Severity::Warning));
    assert!(found[0].message.contains("only the class 'b' counts in the training masks (which hold 1, 255)"));
    // 255 is not named if no mask holds it.
    let folder = tempfile::tempdir().unwrap();
    let Config::Folders(mut config) = folders(folder.path(), &["a", "b", "c", "d"], [0, 7]) else { panic!() };
    config.labels.unlisted = crate::Unlisted::Ignore;
    let findings = check_config(&Config::Folders(config), 2, |_| ()).unwrap().findings;
    let found: Vec<_> = findings.iter().filter(|found| found.kind == Kind::Unlabelled).collect();
    assert!(found.len() == 2 && found[0].message.contains("data.labels: says nothing of 7, so it is ignored"));
    assert!(found.iter().all(|found| !found.message.contains("255")));
}
