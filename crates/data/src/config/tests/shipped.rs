//! The configurations in `configs/` for well-known data sets, each opened on a miniature of the set's layout.

use super::*;
use crate::Sample;
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// Values of a mask's three pixels and the ids that they must become.
type Pixels = ([u8; 3], [u8; 3]);

/// The data section of a configuration, for a set that lies in `root`, at the size of the miniatures.
fn shipped(name: &str, root: &Path) -> Config {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../configs").join(name).with_extension("json");
    let mut value: Value = serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap();
    let data = value.get_mut("data").unwrap();
    data["root"] = root.to_str().unwrap().into();
    data["size"] = json!([1, 3]);
    parse(data.take()).unwrap()
}

/// Creates a data set of these pairs of an image and a mask, and of these lists.
fn miniature(pairs: &[[&str; 2]], lists: &[(&str, &str)], values: [u8; 3]) -> TempDir {
    let folder = tempdir().unwrap();
    let path = |file: &str| {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    for [image, mask] in pairs {
        RgbImage::from_pixel(3, 1, Rgb([200, 100, 50])).save(path(image)).unwrap();
        GrayImage::from_fn(3, 1, |x, _| Luma([values[x as usize]])).save(path(mask)).unwrap();
    }
    for (list, text) in lists {
        fs::write(path(list), text).unwrap();
    }
    folder
}

/// Checks that the configuration gives these samples, with masks of these classes.
fn gives(config: &Config, [train, validation]: [&str; 2], ids: [u8; 3]) {
    for (split, name) in [(Split::Train, train), (Split::Validation, validation)] {
        let dataset = config.open(split).unwrap();
        assert_eq!((dataset.len(), dataset.name(0)), (1, name.into()));
        let mut sample = Sample::default();
        dataset.load(0, &mut sample).unwrap();
        assert_eq!(sample.target.classes(), ids);
    }
    assert_eq!(config.colors().len(), config.classes().len());
}

#[test]
fn camvid_as_segnet_lists_it() {
    let ((values, ids), prefix): (Pixels, _) = (([0, 10, 11], [0, 10, 255]), "/SegNet/CamVid");
    let pairs = [["train/0001TP_1.png", "trainannot/0001TP_1.png"], ["val/0016E5_2.png", "valannot/0016E5_2.png"]];
    let line = |[image, mask]: [&str; 2]| format!("{prefix}/{image} {prefix}/{mask}\n");
    let folder = miniature(&pairs, &[("train.txt", &line(pairs[0])), ("val.txt", &line(pairs[1]))], values);
    let config = shipped("camvid", folder.path());
    gives(&config, ["train/0001TP_1", "val/0016E5_2"], ids);
    assert_eq!((config.classes().len(), config.colors()[4].to_string().as_str()), (11, "#3c28de"));
}

#[test]
fn pascal_voc_as_it_unpacks() {
    let (values, ids): Pixels = ([0, 20, 255], [0, 20, 255]);
    let pairs = [
        ["JPEGImages/2007_000032.jpg", "SegmentationClass/2007_000032.png"],
        ["JPEGImages/2007_000033.jpg", "SegmentationClass/2007_000033.png"],
        ["JPEGImages/2008_000001.jpg", "SegmentationObject/2007_000033.png"],
    ];
    let list = |split: &str| format!("ImageSets/Segmentation/{split}.txt");
    let lists = [(&*list("train"), "2007_000032\n"), (&*list("val"), "2007_000033\n")];
    let folder = miniature(&pairs, &lists, values);
    let config = shipped("voc", folder.path());
    gives(&config, ["2007_000032", "2007_000033"], ids);
    // The colour of class i has bit j of i as bit 7 - j / 3 of its channel j mod 3 (VOC2012 development kit).
    for (id, color) in config.colors().into_iter().enumerate() {
        let bit = |bit: usize, channel: usize| ((id >> (3 * bit + channel)) & 1) << (7 - bit);
        let channel = |channel| (0..3).map(|place| bit(place, channel)).sum::<usize>() as u8;
        assert_eq!(color.0, [0, 1, 2].map(channel), "{id}");
    }
    assert_eq!(config.classes().len(), 21);
}

#[test]
fn cityscapes_as_it_unpacks() {
    // The label ids road, bicycle, and the ego vehicle, which has no training id.
    let (values, ids): Pixels = ([7, 33, 1], [0, 18, 255]);
    let pair = |split: &str, name: &str| {
        let folder = format!("{split}/{}", name.split('_').next().unwrap());
        [format!("leftImg8bit/{folder}/{name}_leftImg8bit.png"), format!("gtFine/{folder}/{name}_gtFine_labelIds.png")]
    };
    let all = [pair("train", "aachen_000000_000019"), pair("val", "lindau_000001_000019"), pair("test", "berlin_0_0")];
    let pairs = all.each_ref().map(|pair| pair.each_ref().map(String::as_str));
    let others = [("gtFine/train/aachen/aachen_000000_000019_gtFine_color.png", ""), ("gtFine/val/lindau/x.json", "")];
    let folder = miniature(&pairs, &others, values);
    let config = shipped("cityscapes", folder.path());
    gives(&config, ["train/aachen/aachen_000000_000019", "val/lindau/lindau_000001_000019"], ids);
    assert_eq!(config.classes().len(), 19);
}

#[test]
fn folders_of_ones_own() {
    let (values, ids): Pixels = ([0, 255, 0], [0, 1, 0]);
    // The first is for validation: see reference/split.json.
    let pairs = [["images/Abyssinian_1.jpg", "masks/Abyssinian_1.png"], ["images/a.png", "masks/a.png"]];
    let folder = miniature(&pairs, &[], values);
    gives(&shipped("folders", folder.path()), ["a", "Abyssinian_1"], ids);
}
