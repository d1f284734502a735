use crate::check::finding::Severity;
use crate::{Config, IGNORE, Sample, Split, check_config, fingerprint};
use image::GrayImage;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Images of 6 × 4 pixels.
fn place(images: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (number, name) in images.iter().enumerate() {
        let path = folder.path().join("images").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        GrayImage::from_fn(6, 4, |x, y| image::Luma([(17 * x + 31 * y * y + 7 * number as u32) as u8]))
            .save(path)
            .unwrap();
    }
    folder
}

fn config(folder: &Path, kind: &str, keys: Value) -> Config {
    let mut value = json!({
        "kind": kind, "root": folder, "size": [4, 6], "transforms": [],
        "split": {"validation_fraction": 0.5}, "resize": {"kind": "stretch"}
    });
    value.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

/// Returns the names and masks of both splits together, in the order of the names.
fn masks(config: &Config) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for split in [Split::Train, Split::Validation] {
        let dataset = config.open(split).unwrap();
        for index in 0..dataset.len() {
            let mut sample = Sample::default();
            dataset.load(index, &mut sample).unwrap();
            assert_eq!(dataset.target(index).unwrap(), sample.target);
            assert_eq!(dataset.whole_mask(index).unwrap(), ([4, 6], sample.target.classes().to_vec()));
            found.push((dataset.name(index), sample.target.classes().to_vec()));
        }
    }
    found.sort();
    found
}

fn names(config: &Config) -> Vec<String> {
    config.clone().completed().unwrap().classes()
}

fn refusal(config: &Config) -> String {
    match config.clone().completed() {
        Err(invalid) => invalid.to_string(),
        Ok(config) => config.open(Split::Train).map(|_| ()).unwrap_err().to_string(),
    }
}

/// Two images, a category with a gap before its id, and shapes that lie on one another.
fn coco(annotations: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 9, "file_name": "a.png", "width": 6, "height": 4}},
                        {{"id": 4, "file_name": "b.png", "width": 6, "height": 4}}],
            "categories": [{{"id": 90, "name": "dog"}}, {{"id": 18, "name": "cat"}}],
            "annotations": [{annotations}]}}"#
    )
}

const SHAPES: &str = r#"
    {"id": 1, "image_id": 9, "category_id": 90, "segmentation": [[0, 0, 2, 0, 2, 1, 0, 1]]},
    {"id": 2, "image_id": 9, "category_id": 18, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]},
    {"id": 3, "image_id": 9, "category_id": 18, "iscrowd": 1,
     "segmentation": {"size": [4, 6], "counts": [20, 4]}}"#;

#[rustfmt::skip]
const PAINTED: [u8; 24] = [
    2, 2, 1, 1, 0, IGNORE,
    1, 1, 1, 1, 0, IGNORE,
    1, 1, 1, 1, 0, IGNORE,
    0, 0, 0, 0, 0, IGNORE,
];

#[test]
fn cocos_shapes_become_masks_and_its_categories_classes() {
    let folder = place(&["a.png", "b.png", "c.png"]);
    fs::write(folder.path().join("all.json"), coco(SHAPES)).unwrap();
    let config = config(folder.path(), "coco", json!({"annotations": "all.json"}));
    assert_eq!(names(&config), ["background", "cat", "dog"]);
    // The one that the file does not list is no sample, and the one without a shape is.
    assert_eq!(masks(&config), [("a".into(), PAINTED.to_vec()), ("b".into(), vec![0; 24])]);
}

#[test]
fn values_of_painted_masks_have_meanings_as_those_of_files_do() {
    let folder = place(&["a.png", "b.png"]);
    fs::write(folder.path().join("all.json"), coco(SHAPES)).unwrap();
    let with = |keys: Value| {
        let mut all = json!({"annotations": "all.json"});
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        config(folder.path(), "coco", all)
    };
    let animals = with(json!({"classes": ["rest", "animal"], "labels": {"map": {"0": "rest", "1": 1, "2": 1}}}));
    assert_eq!(masks(&animals)[0].1, PAINTED.map(|id| if id == 2 { 1 } else { id }));
    let no_cats =
        with(json!({"classes": ["rest", "dog"], "labels": {"map": {"0": 0, "2": "dog"}, "ignore": [1, 255]}}));
    assert_eq!(masks(&no_cats)[0].1[..3], [1, 1, IGNORE]);
    let renamed = with(json!({"classes": ["nothing", "Katze", {"name": "Hund", "color": "#ff0000"}]}));
    assert_eq!((masks(&renamed)[0].1.clone(), names(&renamed)[1].as_str()), (PAINTED.to_vec(), "Katze"));
    for (keys, says) in [
        (json!({"classes": ["nothing", "cat"]}), "data.classes: names 2 classes, and the annotation files have 3"),
        (
            json!({"classes": ["nothing", "dog", "cat"]}),
            "data.classes[2]: is 'cat', which is the category 1 of the annotation files (1 (cat), 2 (dog))",
        ),
        (json!({"classes": ["a", "b", "c"], "labels": {"map": {"0": 0, "1": 1}}}), ""),
        (json!({"names": "x.txt"}), "names: has no effect: COCO's files name their categories"),
        (json!({"slices": "z"}), "slices: is for masks in files"),
        (json!({"more_images": ["{}_b"]}), "more_images: is for folders and lists"),
        (json!({"labels": {"colors": {"#000000": 0}}}), "labels.colors: is for masks in files"),
        (json!({"annotations": null}), "annotations: must name the file or folder of annotations"),
        (json!({"annotations": "none.json"}), "looked for the file or folder of annotations at"),
        (json!({"images": "pictures"}), "looked for the folder of images at"),
    ] {
        let config = with(keys.clone());
        match says {
            "" => {
                let train = config.open(Split::Train).unwrap();
                let all = [train, config.open(Split::Validation).unwrap()];
                let errors: Vec<String> =
                    all.iter().filter_map(|all| all.target(0).err()).map(|e| e.to_string()).collect();
                assert!(errors.len() == 1 && errors[0].contains("all.json holds 2 at row 0, column 0"), "{errors:?}");
            }
            says => assert!(refusal(&config).contains(says), "{keys}: {}", refusal(&config)),
        }
    }
}

#[test]
fn two_files_have_one_list_of_categories() {
    let folder = place(&["train/a.png", "val/a.png"]);
    let file = |categories: &str, id: u64| {
        format!(
            r#"{{"images": [{{"id": 1, "file_name": "a.png", "width": 6, "height": 4}}], "categories": [{categories}],
                "annotations": [{{"id": 1, "image_id": 1, "category_id": {id},
                                  "segmentation": [[0, 0, 6, 0, 6, 4, 0, 4]]}}]}}"#
        )
    };
    fs::create_dir(folder.path().join("json")).unwrap();
    let write = |name: &str, text: String| fs::write(folder.path().join("json").join(name), text).unwrap();
    write("train", file(r#"{"id": 3, "name": "cat"}, {"id": 7, "name": "dog"}"#, 7));
    write("val", file(r#"{"id": 7, "name": "dog"}"#, 7));
    let keys = json!({"annotations": "json", "split": {"train": "train", "validation": "val"}});
    let config = config(folder.path(), "coco", keys);
    assert_eq!(names(&config), ["background", "cat", "dog"]);
    assert_eq!(masks(&config), [("train/a".into(), vec![2; 24]), ("val/a".into(), vec![2; 24])]);
    write("val", file(r#"{"id": 7, "name": "wolf"}"#, 7));
    let says = refusal(&config);
    assert!(says.contains("the category 7 is 'wolf' in") && says.contains("and 'dog' in the other"), "{says}");
}

#[test]
fn yolos_texts_belong_to_the_images_of_their_names() {
    let folder = place(&["train/a.png", "train/b.png", "val/c.png"]);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("labels/train/a.txt", "1 0 0 0.5 0 0.5 0.5 0 0.5\n");
    write("labels/train/classes.txt", "cat\ndog\n");
    write("labels/val/c.txt", "0 0 0 1 0 1 1 0 1\n");
    write("data.yaml", "names: [cat, dog]\n");
    let by_folders = json!({"annotations": "labels", "split": {"train": "train", "validation": "val"}});
    let of = |keys: &Value| config(folder.path(), "yolo", keys.clone());
    assert_eq!(names(&of(&by_folders)), ["background", "cat", "dog"]);
    let found = masks(&of(&by_folders));
    let shown: Vec<&str> = found.iter().map(|(name, _)| &**name).collect();
    assert_eq!(shown, ["train/a", "train/b", "val/c"]);
    // OpenCV includes the outline: 3 and 2 are of it.
    #[rustfmt::skip]
    let painted = [2, 2, 2, 2, 0, 0,  2, 2, 2, 2, 0, 0,  2, 2, 2, 2, 0, 0,  0, 0, 0, 0, 0, 0];
    assert_eq!((&found[0].1[..], &found[1].1[..], found[2].1[0]), (&painted[..], &[0; 24][..], 1));
    assert_eq!(masks(&of(&json!({"annotations": "labels"}))).len(), 3);
    write("labels/train/d.txt", "0 0 0 1 0 1 1 0 1\n");
    let dataset = of(&by_folders).open(Split::Train).unwrap();
    assert!(
        dataset.left_out()[0].contains("d.txt, image d: the size of the image is not known"),
        "{:?}",
        dataset.left_out()
    );
    let unsplit = json!({"split": {"train": "labels/train", "validation": "labels/val"}});
    assert!(refusal(&of(&unsplit)).contains("annotations: must name the folder of YOLO's texts"));
    let elsewhere = json!({"annotations": "labels", "split": {"train": "train", "validation": "none"}});
    assert!(refusal(&of(&elsewhere)).contains("split.validation: must name a folder below data.images"));
    fs::remove_file(folder.path().join("data.yaml")).unwrap();
    assert!(refusal(&of(&by_folders)).contains("looked for the list of the categories' names at"));
    assert_eq!(names(&of(&json!({"annotations": "labels", "names": "labels/train/classes.txt"})))[2], "dog");
}

#[test]
fn files_of_the_others_name_their_images_each_in_its_way() {
    let folder = place(&["a.png", "deep/b.png"]);
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let labelme = |image: &str, label: &str| {
        json!({"shapes": [{"label": label, "points": [[0, 0], [3, 1]], "shape_type": "rectangle"}],
               "imagePath": image, "imageHeight": 4, "imageWidth": 6})
        .to_string()
    };
    write("labelme/a.json", &labelme("../images/a.png", "dog"));
    write("labelme/b.json", &labelme("..\\images\\deep\\b.png", "cat"));
    let region = |label: &str| {
        json!({"type": "rectanglelabels", "original_width": 6, "original_height": 4, "id": "r",
               "value": {"x": 0, "y": 0, "width": 50, "height": 50, "rectanglelabels": [label]}})
    };
    let task = |image: &str, label: &str| {
        let results = json!([{"result": [region(label)]}]);
        json!({"id": 1, "data": {"image": image}, "annotations": results})
    };
    let tasks = json!([task("/data/upload/1/0a1b2c3d-a.png", "dog"), task("s3://x/b.png?y", "cat")]);
    write("studio.json", &tasks.to_string());
    let image = |name: &str, label: &str| {
        format!(
            r#"<image id="0" name="{name}" width="6" height="4">
                 <box label="{label}" xtl="0" ytl="0" xbr="3" ybr="2" z_order="0"/></image>"#
        )
    };
    let xml = format!("<annotations>{}{}</annotations>", image("a.png", "dog"), image("deep/b.png", "cat"));
    write("cvat.xml", &xml);
    for (kind, annotations) in [("labelme", "labelme"), ("label_studio", "studio.json"), ("cvat", "cvat.xml")] {
        let config = config(folder.path(), kind, json!({"annotations": annotations}));
        assert_eq!(names(&config), ["background", "cat", "dog"], "{kind}");
        let found = masks(&config);
        assert_eq!([&*found[0].0, &*found[1].0], ["a", "deep/b"], "{kind}");
        assert_eq!([found[0].1[0], found[1].1[0]], [2, 1], "{kind}");
        // A list of names orders the categories.
        write("names.txt", "dog\ncat\n");
        let keys = json!({"annotations": annotations, "names": "names.txt"});
        let listed = super::tests::config(folder.path(), kind, keys);
        assert_eq!((names(&listed)[1].as_str(), masks(&listed)[0].1[0]), ("dog", 1), "{kind}");
    }
}

#[test]
fn a_changed_annotation_is_other_data_and_a_moved_folder_is_not() {
    let prints = |annotations: &str| {
        let folder = place(&["a.png", "b.png"]);
        fs::write(folder.path().join("all.json"), coco(annotations)).unwrap();
        let config = config(folder.path(), "coco", json!({"annotations": "all.json"})).completed().unwrap();
        [Split::Train, Split::Validation].map(|split| fingerprint(config.open(split).unwrap().as_ref()).unwrap().hash)
    };
    let (first, again) = (prints(SHAPES), prints(&SHAPES.replace("\"id\": 1", "\"id\": 11")));
    assert_eq!(first, again);
    let changes = [("[0, 0, 2, 0,", "[0, 0, 3, 0,"), ("18,", "90,"), ("[20, 4]", "[19, 5]"), ("\"iscrowd\": 1,", "")];
    for (from, to) in changes {
        let changed = prints(&SHAPES.replace(from, to));
        let differ = first.iter().zip(&changed).filter(|(before, after)| before != after).count();
        assert_eq!(differ, 1, "{from}: only the split of the image");
    }
}

#[test]
fn what_is_wrong_is_named_by_the_check_and_at_the_start() {
    let folder = place(&["a.png", "b.png"]);
    let bad = |id: u64, segmentation: &str| {
        format!(r#", {{"id": {id}, "image_id": 9, "category_id": 18, "segmentation": {segmentation}}}"#)
    };
    let all = [
        SHAPES,
        &bad(5, "[[0, 0, 3, 3]]"),
        &bad(6, "[[7, 0, 9, 0, 9, 2]]"),
        &bad(7, "[[0, 0, 1, 1, 2]]"),
        &bad(1, "[[0, 0, 3, 0, 3, 3]]"),
        &bad(8, "[[0, 0, 3, 0, 3, 3]]").replace("18", "19"),
        &bad(10, "[[0, 0, 3, 0, 3, 3]]").replace("\"image_id\": 9", "\"image_id\": 5"),
    ]
    .concat();
    fs::write(folder.path().join("all.json"), coco(&all)).unwrap();
    let config = config(folder.path(), "coco", json!({"annotations": "all.json"})).completed().unwrap();
    let says = [
        (Severity::Warning, "image a.png, annotation 5: the polygon has 2 points and needs 3 or more"),
        (Severity::Warning, "image a.png, annotation 6: the shape from (7, 0) to (9, 2) is outside its image"),
        (Severity::Error, "image a.png, annotation 7: the polygon has 5 coordinates"),
        (Severity::Warning, "image a.png, annotation 1: this id stands in the file twice"),
        (Severity::Error, "image a.png, annotation 8: category 19 is not in the list of categories"),
        (Severity::Warning, "image 5, annotation 10: image id 5 is not in the file's list of images"),
    ];
    let findings = check_config(&config, 2, |_| ()).unwrap().findings;
    let datasets = [Split::Train, Split::Validation].map(|split| config.open(split).unwrap());
    for (severity, says) in says {
        assert!(findings.iter().any(|all| all.severity == severity && all.message.contains(says)), "{findings:#?}");
        let told = datasets.iter().flat_map(|dataset| dataset.left_out()).filter(|line| line.contains(says));
        assert_eq!(told.count(), 1, "{says}");
    }
}

#[test]
fn images_that_do_not_fit_are_named() {
    let folder = place(&["a.png", "x/c.png", "y/c.png"]);
    let file = |images: &str| {
        let text =
            format!(r#"{{"images": [{images}], "categories": [{{"id": 1, "name": "cat"}}], "annotations": []}}"#);
        fs::write(folder.path().join("all.json"), text).unwrap();
        config(folder.path(), "coco", json!({"annotations": "all.json"}))
    };
    let image =
        |name: &str, width: u32| format!(r#"{{"id": {width}, "file_name": "{name}", "width": {width}, "height": 4}}"#);
    for (images, says) in [
        ([image("a.png", 6), image("gone.png", 7)], "images that the annotation files name and that are not there"),
        (
            [image("a.png", 6), image("z/c.png", 7)],
            "images of one name, of which an annotation file does not say which",
        ),
    ] {
        let config = file(&images.join(", "));
        assert!(refusal(&config).contains(says), "{}", refusal(&config));
        let findings = check_config(&config.completed().unwrap(), 1, |_| ());
        assert!(findings.is_err() || findings.unwrap().findings.iter().any(|found| found.message.contains(says)));
    }
    let sizes = file(&[image("a.png", 7), image("x/c.png", 6)].join(", "));
    let errors: Vec<String> = [Split::Train, Split::Validation]
        .into_iter()
        .filter_map(|split| sizes.open(split).unwrap().target(0).err())
        .map(|error| error.to_string())
        .collect();
    assert!(errors.len() == 1 && errors[0].contains("all.json"), "{errors:?}");
    fs::write(folder.path().join("all.json"), "[]").unwrap();
    let found = refusal(&config(folder.path(), "coco", json!({"annotations": "all.json"})));
    assert!(found.contains("annotations:") && found.contains("is a list, as COCO's results are"), "{found}");
    let label = json!({"shapes": [], "imagePath": "a.png", "imageHeight": 4, "imageWidth": 9});
    fs::create_dir(folder.path().join("labelme")).unwrap();
    fs::write(folder.path().join("labelme/a.json"), label.to_string()).unwrap();
    let config = config(folder.path(), "labelme", json!({"annotations": "labelme", "classes": ["none"]}));
    let says = "a.png: the annotation is for 9 × 4 pixels, but the image has 6 × 4; annotate the image again";
    assert!(refusal(&config).contains(says), "{}", refusal(&config));
}

#[test]
fn segments_of_panoptic_pngs_become_masks() {
    let folder = place(&["a.png", "b.png"]);
    let info =
        r#"[{"id": 258, "category_id": 7}, {"id": 3, "category_id": 5}, {"id": 9, "category_id": 5, "iscrowd": 1}]"#;
    let file = format!(
        r#"{{"images": [{{"id": 1, "file_name": "a.png", "width": 6, "height": 4}},
                        {{"id": 2, "file_name": "b.png", "width": 6, "height": 4}}],
            "categories": [{{"id": 7, "name": "sky"}}, {{"id": 5, "name": "cat"}}],
            "annotations": [{{"image_id": 1, "file_name": "a.png", "segments_info": {info}}},
                            {{"image_id": 2, "file_name": "b.png", "segments_info": {info}}}]}}"#
    );
    fs::write(folder.path().join("all.json"), file).unwrap();
    // 2 + 256 is the sky; then the cat, the crowd, and pixels without a segment.
    let ids = [[2, 1, 0], [3, 0, 0], [9, 0, 0], [0, 0, 0]];
    let write = |name: &str, other: Option<[u8; 3]>| {
        let path = folder.path().join("png/all").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        image::RgbImage::from_fn(6, 4, |x, y| image::Rgb(other.filter(|_| x == 5).unwrap_or(ids[y as usize])))
            .save(path)
            .unwrap();
    };
    write("a.png", None);
    write("b.png", None);
    let keys = json!({"annotations": "all.json", "panoptic": "png"});
    let config = config(folder.path(), "coco", keys).completed().unwrap();
    assert_eq!(names(&config), ["background", "cat", "sky"]);
    let expected = [[2; 6], [1; 6], [IGNORE; 6], [IGNORE; 6]].concat();
    assert_eq!(masks(&config), [("a".into(), expected.clone()), ("b".into(), expected)]);
    write("b.png", Some([77, 0, 0]));
    let datasets = [Split::Train, Split::Validation].map(|split| config.open(split).unwrap());
    let errors: Vec<String> = datasets.iter().filter_map(|all| all.target(0).err()).map(|e| e.to_string()).collect();
    assert!(errors.len() == 1 && errors[0].contains("png/all/b.png does not fit its annotations"), "{errors:?}");
    assert!(errors[0].contains("segment 77 that the file does not list"), "{errors:?}");
    fs::remove_file(folder.path().join("png/all/b.png")).unwrap();
    let findings = check_config(&config, 1, |_| ()).unwrap().findings;
    assert!(findings.iter().any(|found| found.message.contains("png/b.png")), "{findings:#?}");
    let other = super::tests::config(folder.path(), "cvat", json!({"annotations": "all.json", "panoptic": "png"}));
    assert!(refusal(&other).contains("panoptic: has no effect"));
}
