//! A made-up data set with every possible fault, and the real one if it is available.

use super::*;
use crate::decode::header::dimensions;
use crate::decode::read_rgb;
use crate::decode::turn::Orientation;
use crate::load::Sample;
use crate::load::dataset::Dataset;
use crate::{Config, Fingerprint, Label, fingerprint, verify};
use image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
use std::io::{self, Write};
use std::{fs, path::Path};
use tempfile::{TempDir, tempdir};

/// Creates a data set of two samples for training and one for validation, with stray files and odd images.
fn small() -> (TempDir, OxfordPets) {
    let folder = tempdir().unwrap();
    let root = folder.path();
    fs::create_dir_all(root.join("images")).unwrap();
    fs::create_dir_all(root.join("annotations/trimaps")).unwrap();
    fs::write(root.join("annotations/trainval.txt"), "#Image CLASS-ID\n\ncat_1 1 1 1\r\ndog_2 2 2 1\n").unwrap();
    fs::write(root.join("annotations/test.txt"), "cat_3 1 1 1").unwrap();
    fs::write(root.join("images/cat_1.mat"), "stray").unwrap();
    fs::write(root.join("annotations/trimaps/._cat_1.png"), "stray").unwrap();
    fs::create_dir(root.join("annotations/xmls")).unwrap();
    fs::write(root.join("annotations/xmls/cat_1.xml"), "stray").unwrap();
    fs::write(
        root.join("annotations/list.txt"),
        "#Image CLASS-ID SPECIES BREED ID\n#ID: 1:37 Class ids\ncat_1 1 1 1\n",
    )
    .unwrap();
    fs::write(root.join("annotations/README"), "stray").unwrap();
    for (name, format) in [("cat_1", ImageFormat::Jpeg), ("dog_2", ImageFormat::Png), ("cat_3", ImageFormat::Jpeg)] {
        let image = RgbImage::from_pixel(6, 4, Rgb([200, 100, 50]));
        image.save_with_format(root.join("images").join(format!("{name}.jpg")), format).unwrap();
        save_mask(root, name, &GrayImage::from_fn(6, 4, |x, _| Luma([x as u8 / 2 + 1])));
    }
    let config = OxfordPets {
        root: root.into(),
        target: PetsTarget::Trimap,
        preparation: Preparation { size: [2, 3], ..Preparation::default() },
    };
    (folder, config)
}

fn save_mask(root: &Path, name: &str, mask: &GrayImage) {
    mask.save(root.join("annotations/trimaps").join(format!("{name}.png"))).unwrap();
}

fn open(config: &OxfordPets, split: Split) -> Result<Box<dyn Dataset>, Error> {
    Config::OxfordPets(config.clone()).open(split)
}

fn load(dataset: &dyn Dataset, index: u64) -> Result<Sample, Error> {
    let mut sample = Sample::default();
    dataset.load(index, &mut sample).map(|()| sample)
}

#[test]
fn listed_samples_are_loaded_resized_and_relabelled() {
    let (_folder, mut config) = small();
    let train = open(&config, Split::Train).unwrap();
    assert_eq!((train.len(), train.name(0), train.name(1)), (2, "cat_1".into(), "dog_2".into()));
    let sample = load(train.as_ref(), 1).unwrap();
    assert_eq!((sample.image, sample.target.classes()), ([200u8, 100, 50].repeat(6).into(), &[0, 1, 2, 0, 1, 2][..]));
    assert_eq!(open(&config, Split::Validation).unwrap().name(0), "cat_3");
    config.target = PetsTarget::Foreground;
    assert_eq!(load(open(&config, Split::Train).unwrap().as_ref(), 0).unwrap().target.classes(), [1, 0, 1, 1, 0, 1]);
    verify(train.as_ref(), 3, 2).unwrap();
    assert!(matches!(load(train.as_ref(), 2), Err(Error::Index { index: 2, len: 2 })));
}

#[test]
fn the_set_may_lie_in_a_folder_of_its_name() {
    let (folder, config) = small();
    let nested = folder.path().join("data/oxford-iiit-pet");
    fs::create_dir_all(&nested).unwrap();
    for part in ["images", "annotations"] {
        fs::rename(config.root.join(part), nested.join(part)).unwrap();
    }
    let train = open(&OxfordPets { root: folder.path().join("data"), ..config }, Split::Train).unwrap();
    assert_eq!(load(train.as_ref(), 0).unwrap().target.classes(), [0, 1, 2, 0, 1, 2]);
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    for part in ["", "images", "annotations/trimaps", "annotations/test.txt"] {
        let (_folder, config) = small();
        let path = config.root.join(part);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let error = open(&config, Split::Validation).err().unwrap();
        assert!(matches!(&error, Error::Missing { path: named, .. } if *named == path), "{error}");
        assert!(error.to_string().contains("data.root must name the folder"), "{error}");
    }
    let (_folder, config) = small();
    fs::remove_file(config.root.join("images/dog_2.jpg")).unwrap();
    let train = open(&config, Split::Train).unwrap();
    let error = verify(train.as_ref(), 3, 2).unwrap_err();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("images/dog_2.jpg")), "{error}");
}

#[test]
fn unsound_masks_are_found_before_training() {
    type Expect = fn(&Error) -> bool;
    let wide = GrayImage::from_pixel(7, 4, Luma([1]));
    let mut wrong = GrayImage::from_pixel(6, 4, Luma([2]));
    // One pixel that resizing to 2x3 would drop: every value of the file counts.
    wrong.put_pixel(4, 2, Luma([7]));
    let cases: [(GrayImage, Expect); 2] = [
        (wide, |error| matches!(error, Error::SizeMismatch { image_size: [4, 6], mask_size: [4, 7], .. })),
        (wrong, |error| matches!(error, Error::Label { found: Label::Value(7), row: 2, column: 4, .. })),
    ];
    for (mask, expected) in cases {
        let (_folder, config) = small();
        save_mask(&config.root, "dog_2", &mask);
        let train = open(&config, Split::Train).unwrap();
        for error in [verify(train.as_ref(), 3, 1).unwrap_err(), load(train.as_ref(), 1).unwrap_err()] {
            assert!(expected(&error) && error.to_string().contains("trimaps/dog_2.png"), "{error}");
        }
        load(train.as_ref(), 0).unwrap();
    }
}

#[test]
fn lists_that_are_none_are_refused() {
    let cases = [("cat_1 1 1 1\ncat_2\n", "line 2"), ("../../etc 1 1 1", "line 1"), ("# nothing\n", "names no sample")];
    for (list, says) in cases {
        let (_folder, config) = small();
        fs::write(config.root.join("annotations/trainval.txt"), list).unwrap();
        let error = open(&config, Split::Train).err().unwrap().to_string();
        assert!(error.contains(says) && error.contains("trainval.txt"), "{error}");
    }
}

fn of(config: &OxfordPets, split: Split) -> Fingerprint {
    fingerprint(open(config, split).unwrap().as_ref()).unwrap()
}

#[test]
fn other_files_are_other_data_and_another_folder_is_not() {
    type Change = fn(&Path);
    // Each of these changes the training split and leaves the other alone.
    let changes: [(&str, Change); 6] = [
        ("image of another size", |root| {
            // Truncated: content that is not read cannot be noticed, but the size can.
            let path = root.join("images/dog_2.jpg");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 1]).unwrap();
        }),
        ("mask of another size", |root| {
            fs::write(root.join("annotations/trimaps/cat_1.png"), "no image").unwrap();
        }),
        ("renamed", |root| {
            fs::rename(root.join("images/dog_2.jpg"), root.join("images/dog_4.jpg")).unwrap();
            let masks = root.join("annotations/trimaps");
            fs::rename(masks.join("dog_2.png"), masks.join("dog_4.png")).unwrap();
            fs::write(root.join("annotations/trainval.txt"), "cat_1 1 1 1\ndog_4 2 2 1").unwrap();
        }),
        ("another order", |root| {
            fs::write(root.join("annotations/trainval.txt"), "dog_2 2 2 1\ncat_1 1 1 1").unwrap();
        }),
        ("one less", |root| fs::write(root.join("annotations/trainval.txt"), "cat_1 1 1 1").unwrap()),
        ("one more", |root| {
            let list = "cat_1 1 1 1\ndog_2 2 2 1\ncat_3 1 1 1";
            fs::write(root.join("annotations/trainval.txt"), list).unwrap();
        }),
    ];
    let (folder, mut config) = small();
    let (train, validation) = (of(&config, Split::Train), of(&config, Split::Validation));
    assert_eq!((train.samples, validation.samples), (2, 1));
    assert_ne!(train.hash, validation.hash);
    for (what, change) in changes {
        let (_folder, config) = small();
        assert_eq!(of(&config, Split::Train), train, "another folder with the same files");
        change(&config.root);
        assert_ne!(of(&config, Split::Train), train, "{what}");
        assert_eq!(of(&config, Split::Validation), validation, "{what}");
    }
    // Settings that the configuration records itself, files that no list names, and the location.
    config.preparation.size = [8, 8];
    config.target = PetsTarget::Foreground;
    fs::write(config.root.join("images/stray.jpg"), "stray").unwrap();
    let elsewhere = folder.path().join("moved");
    fs::create_dir(&elsewhere).unwrap();
    for part in ["images", "annotations"] {
        fs::rename(config.root.join(part), elsewhere.join(part)).unwrap();
    }
    config.root = elsewhere;
    assert_eq!(of(&config, Split::Train), train);
}

#[test]
fn a_file_that_is_gone_has_no_fingerprint() {
    for part in ["images/dog_2.jpg", "annotations/trimaps/dog_2.png"] {
        let (_folder, config) = small();
        fs::remove_file(config.root.join(part)).unwrap();
        let error = fingerprint(open(&config, Split::Train).unwrap().as_ref()).unwrap_err();
        assert!(matches!(&error, Error::Io { path, .. } if path.ends_with(part)), "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    let (_folder, config) = small();
    let train = open(&config, Split::Train).unwrap();
    assert!(matches!(train.source(2), Err(Error::Index { index: 2, len: 2 })));
}

/// Returns the real data set, or `None` after printing that it is missing.
fn real(target: PetsTarget) -> Option<OxfordPets> {
    pets_sample().map(|root| OxfordPets { root, target, preparation: Preparation::default() })
}

/// Returns the path of the real data set, or `None` after printing that it is missing.
pub(crate) fn pets_sample() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/datasets/oxford-pets-sample");
    if !root.is_dir() {
        // Straight to the terminal: the test harness keeps what a passing test prints.
        let _ = writeln!(io::stderr(), "SKIPPED: the Oxford-IIIT Pet sample is not at {}", root.display());
        return None;
    }
    Some(root)
}

#[test]
fn every_real_image_decodes_the_misnamed_ones_too() {
    let Some(config) = real(PetsTarget::Trimap) else { return };
    let files = fs::read_dir(config.root.join("images")).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<PathBuf> = files.collect();
    assert_eq!(files.len(), 600);
    for path in files {
        let image = read_rgb(&path, Orientation::Apply).unwrap();
        assert_eq!(
            dimensions(&path, &3.into(), Orientation::Apply).unwrap(),
            [image.height(), image.width()],
            "{}",
            path.display()
        );
    }
    for (name, format) in [("Abyssinian_34.jpg", "GIF"), ("Abyssinian_5.jpg", "PNG")] {
        let start = fs::read(config.root.join("images").join(name)).unwrap();
        assert!(start[..4].windows(3).any(|bytes| bytes == format.as_bytes()), "{name} is no {format} any more");
    }
}

#[test]
fn the_real_splits_are_sound_and_disjoint() {
    let Some(config) = real(PetsTarget::Trimap) else { return };
    let [train, validation] = [Split::Train, Split::Validation].map(|split| open(&config, split).unwrap());
    assert_eq!((train.len(), validation.len()), (300, 298));
    assert!((0..300).all(|index| (0..298).all(|other| train.name(index) != validation.name(other))));
    assert_ne!(fingerprint(train.as_ref()).unwrap().hash, fingerprint(validation.as_ref()).unwrap().hash);
    for split in [train.as_ref(), validation.as_ref()] {
        verify(split, 3, 2).unwrap();
        let error = verify(split, 2, 2).unwrap_err();
        assert!(matches!(error, Error::Class { found: 2, classes: 2, .. }), "{error}");
    }
    let foreground = open(&real(PetsTarget::Foreground).unwrap(), Split::Train).unwrap();
    verify(foreground.as_ref(), 2, 2).unwrap();
    let (three, two) = (load(train.as_ref(), 0).unwrap(), load(foreground.as_ref(), 0).unwrap());
    assert_eq!(three.image, two.image);
    let [three, two] = [three.target.classes(), two.target.classes()];
    assert!(three.iter().zip(two).all(|(three, two)| (*three == 1) == (*two == 0)));
}
