//! Folders as people have them: nested, mixed kinds of files, strays, and missing files.

use super::*;
use crate::Config;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use tempfile::{TempDir, tempdir};

/// Creates a folder with these files, all of them empty except lists.
fn folder<'f>(files: impl IntoIterator<Item = &'f str>) -> TempDir {
    let folder = tempdir().unwrap();
    for file in files {
        add(folder.path(), file, "");
    }
    folder
}

fn add(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn config(root: &Path, change: Value) -> Config {
    let mut value = json!({"kind": "folders", "root": root, "classes": ["a", "b"]});
    value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn folders(root: &Path, change: Value) -> Folders {
    match config(root, change) {
        Config::Folders(folders) => folders,
        other => panic!("{other:?}"),
    }
}

/// Returns all samples of both splits: name, image and mask.
fn all(folders: &Folders) -> Vec<[String; 3]> {
    let of = |split| {
        let paths = match folders.paths(split) {
            Err(Error::EmptySplit { .. }) => return Vec::new(),
            paths => paths.unwrap(),
        };
        let below = |path: PathBuf| path.strip_prefix(&folders.root).unwrap().to_str().unwrap().to_owned();
        let sample = |index| [paths.name(index), below(paths.image(index).unwrap()), below(paths.mask(index).unwrap())];
        (0..paths.len()).map(sample).collect::<Vec<_>>()
    };
    [of(Split::Train), of(Split::Validation)].concat()
}

fn names(folders: &Folders, split: Split) -> Vec<String> {
    let paths = folders.paths(split).unwrap();
    (0..paths.len()).map(|index| paths.name(index)).collect()
}

fn refused(root: &Path, change: Value) -> String {
    config(root, change).open(Split::Train).err().unwrap().to_string()
}

#[test]
fn images_and_masks_are_matched_by_folder_and_stem() {
    let files = ["x.jpg", "d/x.JPEG", "d/e/y.1.TIFF", "z.webp", "a b.bmp", "ü.gif"];
    let masks = ["x.png", "d/x.tif", "d/e/y.1.PNG", "z.bmp", "a b.png", "ü.png"];
    let strays = [".hidden.jpg", "._x.jpg", "d/Thumbs.db", "__MACOSX/x.jpg", ".git/x.jpg", "x.txt", "x.mat", "jpg"];
    let folder = folder([]);
    for (image, mask) in files.iter().zip(masks) {
        add(folder.path(), &format!("images/{image}"), "");
        add(folder.path(), &format!("masks/{mask}"), "");
    }
    for stray in strays {
        add(folder.path(), &format!("images/{stray}"), "");
        add(folder.path(), &format!("masks/{stray}"), "");
    }
    let folders = folders(folder.path(), json!({"split": {"fold": "1/2"}}));
    let mut found = all(&folders);
    found.sort();
    let names: Vec<&str> = found.iter().map(|[name, ..]| name.as_str()).collect();
    assert_eq!(names, ["a b", "d/e/y.1", "d/x", "x", "z", "ü"]);
    assert_eq!(found[2], ["d/x", "images/d/x.JPEG", "masks/d/x.tif"]);
    assert!(folders.unused_masks().unwrap().is_empty());
}

#[test]
fn patterns_pick_files_where_several_kinds_lie_together() {
    let folder = folder([
        "all/train/ulm/ulm_1_leftImg8bit.png",
        "all/train/ulm/ulm_1_gtFine_labelIds.png",
        "all/train/ulm/ulm_1_gtFine_color.png",
        "all/val/jena/jena_2_leftImg8bit.png",
        "all/val/jena/jena_2_gtFine_labelIds.png",
        "all/test/bonn/bonn_3_leftImg8bit.png",
    ]);
    let change = json!({"images": "all", "masks": "all", "image_name": "{}_leftImg8bit", "mask_name": "{}_gtFine_labelIds",
                        "split": {"train": "train", "validation": "val"}});
    let expected =
        ["train/ulm/ulm_1", "all/train/ulm/ulm_1_leftImg8bit.png", "all/train/ulm/ulm_1_gtFine_labelIds.png"];
    let found = all(&folders(folder.path(), change));
    assert_eq!((found.len(), &found[0]), (2, &expected.map(String::from)));
    assert_eq!(found[1][0], "val/jena/jena_2");
    // With a prefix, no path contains the whole name.
    let folder = folder_of_prefixes();
    let change = json!({"image_name": "img_{}_v1", "mask_name": "seg-{}", "split": {"fold": "1/2"}});
    let mut found = all(&folders(folder.path(), change));
    found.sort();
    assert_eq!(found[0], ["d/1", "images/d/img_1_v1.jpg", "masks/d/seg-1.png"]);
    assert_eq!(found[1], ["d/3", "images/d/img_3_v1.jpg", "masks/d/seg-3.png"]);
}

#[test]
fn names_that_look_the_same_match_in_either_form() {
    // "é" as one character and as two.
    let (one, two) = ("n\u{e9}", "ne\u{301}");
    let folder = folder([
        format!("images/{one}/a.jpg").as_str(),
        &format!("masks/{two}/a.png"),
        &format!("images/{two}.jpg"),
        &format!("masks/{one}.png"),
        "images/b.jpg",
        "masks/b.png",
    ]);
    let by_fold = folders(folder.path(), json!({"split": {"fold": "1/2"}}));
    let mut found = all(&by_fold);
    found.sort();
    assert_eq!(found[1], [two.to_string(), format!("images/{two}.jpg"), format!("masks/{one}.png")]);
    assert_eq!(found[2], [format!("{one}/a"), format!("images/{one}/a.jpg"), format!("masks/{two}/a.png")]);
    assert!(by_fold.unused_masks().unwrap().is_empty());
    // Lists too, and samples keep the names that their images have.
    add(folder.path(), "train.txt", &format!("{two}/a\n{one}\n"));
    add(folder.path(), "val.txt", "b");
    let listed = json!({"split": {"train": "train.txt", "validation": "val.txt"}});
    assert_eq!(names(&folders(folder.path(), listed.clone()), Split::Train), [two.to_string(), format!("{one}/a")]);
    add(folder.path(), "train.txt", &format!("{two}\n{one}\n"));
    assert!(
        refused(folder.path(), listed)
            .contains("train.txt, line 2: names 'né' again, after line 1".replace('é', "e\u{301}").as_str())
    );
    // A mask of exactly the same name wins, and no match is guessed for the rest.
    add(folder.path(), &format!("masks/{two}.png"), "");
    assert!(all(&by_fold).iter().any(|sample| sample[2] == format!("masks/{two}.png")));
    add(folder.path(), &format!("images/{one}.jpg"), "");
    assert_eq!(all(&by_fold).len(), 4);
    for form in [one, two] {
        fs::remove_file(folder.path().join(format!("masks/{form}.png"))).unwrap();
    }
    assert!(refused(folder.path(), json!({})).starts_with("2 images without a mask: "));
    add(folder.path(), &format!("masks/{one}.png"), "");
    assert!(refused(folder.path(), json!({})).starts_with("1 images without a mask: "));
}

#[test]
fn what_is_an_image_by_content_is_none_to_pass_over() {
    let folder = folder(["images/a.jpg", "masks/a.png", "images/b.jfif", "masks/b.png", "images/c.txt", "masks/d.png"]);
    fs::write(folder.path().join("images/d"), b"\x89PNG\r\n\x1a\n").unwrap();
    let mut found = all(&folders(folder.path(), json!({"split": {"fold": "1/2"}})));
    found.sort();
    let images: Vec<&str> = found.iter().map(|[_, image, _]| image.as_str()).collect();
    assert_eq!(images, ["images/a.jpg", "images/b.jfif", "images/d"]);
    // An image that cannot be read needs a mask, too.
    add(folder.path(), "images/e.heic", "");
    assert!(refused(folder.path(), json!({})).starts_with("1 images without a mask: e.heic"));
}

#[cfg(unix)]
#[test]
fn a_link_that_leads_nowhere_is_a_missing_image() {
    let folder = folder(["images/a.jpg", "masks/a.png", "masks/b.png"]);
    std::os::unix::fs::symlink("nowhere.jpg", folder.path().join("images/b.jpg")).unwrap();
    assert_eq!(all(&folders(folder.path(), json!({"split": {"fold": "1/2"}}))).len(), 2);
}

fn folder_of_prefixes() -> TempDir {
    folder([
        "images/d/img_1_v1.jpg",
        "images/d/img_1_v2.jpg",
        "masks/d/seg-1.png",
        "images/d/img_3_v1.jpg",
        "masks/d/seg-3.png",
    ])
}

#[test]
fn splits_are_lists_or_folders() {
    let folder = folder(["images/a/1.jpg", "masks/a/1.png", "images/b/2.jpg", "masks/b/2.png", "images/3.jpg"]);
    add(folder.path(), "lists/train.txt", "\u{feff}# comment\r\nb/2\r\n\r\n  a/1  ");
    add(folder.path(), "lists/val.txt", "a/1\n");
    // The third image has no mask, but no list names it.
    let listed = json!({"split": {"train": "lists/train.txt", "validation": "lists/val.txt"}});
    assert_eq!(names(&folders(folder.path(), listed.clone()), Split::Train), ["a/1", "b/2"]);
    assert_eq!(names(&folders(folder.path(), listed.clone()), Split::Validation), ["a/1"]);
    let nested = json!({"split": {"train": "b", "validation": "a"}});
    assert_eq!(names(&folders(folder.path(), nested), Split::Train), ["b/2"]);
    for (list, says) in [
        ("a/1\n\nc/1\n", "train.txt, line 3: there is no image 'c/1' in "),
        ("a/1.jpg\n", "train.txt, line 1: there is no image 'a/1.jpg' in "),
        ("a/1\nb/2\na/1", "train.txt, line 3: names 'a/1' again, after line 1: remove one"),
        ("# nothing", "train.txt names no sample"),
        ("3", "1 images without a mask: 3.jpg; the mask of an image has its folder and name"),
    ] {
        add(folder.path(), "lists/train.txt", list);
        let error = refused(folder.path(), listed.clone());
        assert!(error.contains(says), "{error}");
    }
    let error = refused(folder.path(), json!({"split": {"train": "c", "validation": "a"}}));
    assert!(error.starts_with("looked for the list of names, or folder of images, at "), "{error}");
}

#[test]
fn what_does_not_match_is_counted_and_named() {
    let images = ["images/1.jpg", "images/2.jpg", "images/3.jpg", "images/d/4.jpg"];
    let folder = folder(images.into_iter().chain(["masks/9.png", "masks/d/8.png"]));
    let error = refused(folder.path(), json!({}));
    assert!(error.starts_with("4 images without a mask: 1.jpg, 2.jpg, 3.jpg, …; the mask of an image has"), "{error}");
    for i in ["1", "2", "3", "d/4"] {
        add(folder.path(), &format!("masks/{i}.png"), "");
    }
    let folders = folders(folder.path(), json!({}));
    all(&folders);
    let unused = ["masks/9.png", "masks/d/8.png"].map(|mask| folder.path().join(mask));
    assert_eq!(Config::Folders(folders).unused_masks().unwrap(), unused);
    add(folder.path(), "masks/2.tif", "");
    assert!(refused(folder.path(), json!({})).starts_with("1 images with more than one mask: 2.png and 2.tif; remove"));
    add(folder.path(), "images/d/4.png", "");
    assert!(refused(folder.path(), json!({})).starts_with("1 images of one name: d/4.jpg and d/4.png; rename"));
}

#[test]
fn what_is_missing_is_named() {
    let folder = folder(["images/1.txt"]);
    let error = refused(folder.path(), json!({}));
    assert!(error.starts_with("looked for the image files (jpg, ") && error.contains("data.image_name"), "{error}");
    add(folder.path(), "images/1.jpg", "");
    let error = refused(folder.path(), json!({}));
    assert!(error.starts_with("looked for the folder of masks at ") && error.contains("data.root must"), "{error}");
    assert!(refused(folder.path(), json!({"images": "photos"})).starts_with("looked for the folder of images at "));
}

#[test]
fn what_cannot_work_names_its_key() {
    for (change, says) in [
        (json!({"image_name": "x"}), "image_name: must hold {} once, is 'x'"),
        (json!({"mask_name": "m/{}"}), "mask_name: is for the names of files"),
        (json!({"masks": "images"}), "masks: is the folder of the images too"),
        (json!({"split": {"fold": "0/5"}}), "split.fold: must be 'i/k'"),
        (json!({"split": {}}), "split: must say one way"),
        (json!({"classes": ["a", "a"]}), "classes[1]: has the name"),
        (json!({"labels": {"colors": {"#000000": "c"}}}), "labels.colors.#000000: there is no class 'c'"),
    ] {
        let error = config(Path::new(""), change).check().unwrap_err().to_string();
        assert!(error.starts_with(says), "{error}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_a_circle() {
    use std::os::unix::{ffi::OsStrExt, fs::symlink};
    let [folder, other] = [folder(["images/1.jpg", "masks/1.png", "masks/d/2.png"]), folder(["2.jpg"])];
    symlink(other.path(), folder.path().join("images/d")).unwrap();
    let folders = folders(folder.path(), json!({"split": {"train": "d", "validation": "."}}));
    assert_eq!(names(&folders, Split::Train), ["d/2"]);
    let name = std::ffi::OsStr::from_bytes(b"\xff.jpg");
    fs::write(folder.path().join("images").join(name), "").unwrap();
    assert!(refused(folder.path(), json!({})).contains("its name is not UTF-8: rename it"));
    fs::remove_file(folder.path().join("images").join(name)).unwrap();
    symlink(folder.path(), folder.path().join("images/up")).unwrap();
    assert_eq!(names(&folders, Split::Train), ["d/2"]);
    assert_eq!(names(&folders, Split::Validation), ["1", "d/2"]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn more_files_move_no_sample(few in prop::collection::btree_set("[a-e]{1,4}", 8..20), more in prop::collection::btree_set("[a-e]{1,4}", 0..20)) {
        let files = |names: &BTreeSet<String>| {
            names.iter().flat_map(|name| [format!("images/{name}.jpg"), format!("masks/{name}.png")]).collect::<Vec<_>>()
        };
        let folder = folder(files(&few).iter().map(String::as_str));
        let folders = folders(folder.path(), json!({"split": {"fold": "1/2"}}));
        let both = || [Split::Train, Split::Validation].map(|split| folders.paths(split).map(|_| names(&folders, split)).unwrap_or_default());
        let before = both();
        prop_assert_eq!(before.iter().flatten().cloned().collect::<BTreeSet<_>>(), few);
        prop_assert!(before.iter().all(|names| names.is_sorted()));
        files(&more).iter().for_each(|file| add(folder.path(), file, ""));
        for (before, after) in before.iter().zip(both()) {
            prop_assert!(before.iter().all(|name| after.contains(name)));
        }
    }
}

#[test]
fn images_are_known_by_every_usual_extension_and_without_one_by_their_content() {
    let images = ["a.jfif", "b.JPE", "d.heic", "d.jpg", "e.heic", "README"].map(|name| format!("images/{name}"));
    let masks = ["a", "b", "c", "d", "e"].map(|name| format!("masks/{name}.png"));
    let folder = folder(images.iter().chain(&masks).map(String::as_str));
    fs::write(folder.path().join("images/c"), b"\x89PNG\r\n\x1a\n").unwrap();
    let found = all(&folders(folder.path(), json!({})));
    let files: BTreeSet<&str> = found.iter().map(|[_, image, _]| image.as_str()).collect();
    // An unsupported image is a sample too, so that its error is seen, unless it has been converted.
    let expected = ["images/a.jfif", "images/b.JPE", "images/c", "images/d.jpg", "images/e.heic"];
    assert_eq!(files, BTreeSet::from(expected));
}
