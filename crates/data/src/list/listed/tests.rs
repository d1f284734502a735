//! Lists on disk: splits, missing files, and a million lines.

use super::*;
use crate::{Config, Dataset};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use tempfile::{TempDir, tempdir};

fn config(root: &Path, change: Value) -> Config {
    let mut value = json!({"kind": "list", "root": root, "classes": ["a", "b"]});
    value.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
    serde_json::from_value(value).unwrap()
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempdir().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn names(dataset: &dyn Dataset) -> Vec<String> {
    (0..dataset.len()).map(|index| dataset.name(index)).collect()
}

fn invalid(change: Value) -> String {
    config(Path::new(""), change).check().unwrap_err().to_string()
}

#[test]
fn each_split_has_its_list_in_its_order() {
    let folder =
        folder(&[("train.txt", "i/2.jpg m/2.png\ni/1.jpg m/1.png\ni/2.jpg m/2.png"), ("val.csv", "i/3.jpg,m/3.png")]);
    let config = config(folder.path(), json!({"split": {"train": "train.txt", "validation": "val.csv"}}));
    // The images do not exist: opening the list touches none.
    assert_eq!(names(config.open(Split::Train).unwrap().as_ref()), ["i/2", "i/1", "i/2"]);
    assert_eq!(names(config.open(Split::Validation).unwrap().as_ref()), ["i/3"]);
}

#[test]
fn one_list_is_split_by_the_names() {
    let lines: String = (0..100).map(|i| format!("i/{i}.jpg m/{i}.png\n")).collect();
    let folder = folder(&[("all.txt", &lines), ("more.txt", &format!("# more\nx y\n{lines}z z\n"))]);
    for split in [json!({"validation_fraction": 0.3}), json!({"fold": "2/3"})] {
        let of = |list: &str, part| {
            let config = config(folder.path(), json!({"list": list, "split": split}));
            names(config.open(part).unwrap().as_ref())
        };
        let [train, validation] = [Split::Train, Split::Validation].map(|part| of("all.txt", part));
        assert_eq!(train.len() + validation.len(), 100);
        assert!(validation.len() > 15 && validation.len() < 50 && train.iter().all(|name| !validation.contains(name)));
        for (part, before) in [(Split::Train, train), (Split::Validation, validation)] {
            let known = |name: &String| name != "x" && name != "z";
            assert_eq!(of("more.txt", part).into_iter().filter(known).collect::<Vec<_>>(), before);
        }
    }
    let config = config(folder.path(), json!({"list": "all.txt", "split": {"validation_fraction": 1e-9}}));
    assert_eq!(config.open(Split::Validation).unwrap().len(), 1);
    assert_eq!(config.open(Split::Train).unwrap().len(), 99);
}

#[test]
fn what_cannot_work_names_its_key() {
    assert!(invalid(json!({})).starts_with("list: must name the list of all samples"));
    let both = json!({"list": "a", "split": {"train": "a", "validation": "b"}});
    assert!(invalid(both).starts_with("list: stands beside split.train"));
    for (change, says) in [
        (json!({"image": "a.jpg"}), "image: must hold {} once, is 'a.jpg'"),
        (json!({"mask": "{}{}"}), "mask: must hold {} once"),
        (json!({"split": {"fold": "6/5"}}), "split.fold: must be 'i/k'"),
        (json!({"classes": []}), "classes: must name 1 to 255"),
        (json!({"labels": {"map": {"7": 2}}}), "labels.map.7: there is no class 2"),
    ] {
        let mut change = change;
        change["list"] = "all.txt".into();
        let error = invalid(change);
        assert!(error.starts_with(says), "{error}");
    }
}

#[test]
fn lists_that_cannot_be_had_are_named() {
    let folder = folder(&[]);
    let config = config(folder.path(), json!({"list": "all.txt"}));
    let error = config.open(Split::Train).err().unwrap().to_string();
    assert!(error.starts_with("looked for the list of samples at ") && error.contains("all.txt"), "{error}");
    // A sparse file: larger than spans of 32 bits, and never read.
    fs::File::create(folder.path().join("all.txt")).unwrap().set_len(1 << 32).unwrap();
    let error = config.open(Split::Train).err().unwrap();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    fs::remove_file(folder.path().join("all.txt")).unwrap();
    fs::create_dir(folder.path().join("all.txt")).unwrap();
    let error = config.open(Split::Train).err().unwrap();
    assert!(matches!(&error, Error::Io { path, .. } if path.ends_with("all.txt")), "{error}");
}

#[test]
fn a_million_lines_are_one_text() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("train.txt");
    let mut file = std::io::BufWriter::new(fs::File::create(&path).unwrap());
    for i in 0..1_000_000 {
        writeln!(
            file,
            "/SegNet/train/city_{:03}/frame_{i:07}.png /SegNet/masks/city_{:03}/frame_{i:07}.png",
            i % 500,
            i % 500
        )
        .unwrap();
    }
    file.into_inner().unwrap();
    let change = json!({"strip_prefix": "/SegNet/", "split": {"train": "train.txt", "validation": "val.txt"}});
    let Config::List(list) = config(folder.path(), change) else { panic!("no list") };
    let paths = list.paths(Split::Train).unwrap();
    assert_eq!(paths.len(), 1_000_000);
    // The text is kept once, and for each sample only the spans of its parts.
    assert_eq!(paths.text.len() as u64, fs::metadata(&path).unwrap().len());
    assert_eq!((paths.entries.capacity(), size_of_val(&paths.entries[0])), (1_000_001, 24));
    for (index, city) in [(0, 0), (500_003, 3), (999_999, 499)] {
        let frame = format!("city_{city:03}/frame_{index:07}");
        assert_eq!(paths.name(index), format!("train/{frame}"));
        assert_eq!(paths.image(index).unwrap(), folder.path().join(format!("train/{frame}.png")));
        assert_eq!(paths.mask(index).unwrap(), folder.path().join(format!("masks/{frame}.png")));
    }
    assert!(matches!(paths.image(1_000_000), Err(Error::Index { .. })));
}

#[test]
fn a_path_is_found_in_either_form_of_its_name() {
    let (one, two) = ("n\u{e9}", "ne\u{301}");
    let folder = folder(&[("all.txt", &format!("{one}.jpg {two}.png\nb.jpg b.png\n"))]);
    fs::write(folder.path().join(format!("{two}.jpg")), "").unwrap();
    fs::write(folder.path().join(format!("{one}.png")), "").unwrap();
    let paths = match config(folder.path(), json!({"list": "all.txt", "split": {"validation_fraction": 0.5}})) {
        Config::List(list) => [Split::Train, Split::Validation].map(|split| list.paths(split).unwrap()),
        other => panic!("{other:?}"),
    };
    let of = paths.iter().find(|paths| paths.name(0) == one).unwrap();
    let found = [of.image(0).unwrap(), of.mask(0).unwrap()];
    assert_eq!(found, [format!("{two}.jpg"), format!("{one}.png")].map(|name| folder.path().join(name)));
}

#[test]
fn a_path_that_is_absolute_by_mistake_is_told_from_one_that_is_meant() {
    let folder = folder(&[("slash.txt", "/i.jpg /m.png\n"), ("i.jpg", ""), ("val.txt", "x y\n")]);
    let whole = format!("{0}/i.jpg {0}/m.png\n", folder.path().display());
    fs::write(folder.path().join("whole.txt"), whole).unwrap();
    let of = |change: Value| {
        let mut change = change;
        change["split"]["validation"] = "val.txt".into();
        config(folder.path(), change).open(Split::Train).map(|dataset| dataset.len()).map_err(|error| error.to_string())
    };
    let error = of(json!({"split": {"train": "slash.txt"}})).unwrap_err();
    assert!(
        error.starts_with("data.strip_prefix: must be \"/\" for ") && error.contains("there is no /i.jpg"),
        "{error}"
    );
    assert_eq!(of(json!({"split": {"train": "slash.txt"}, "strip_prefix": "/"})), Ok(1));
    assert_eq!(of(json!({"split": {"train": "whole.txt"}})), Ok(1));
}

#[test]
fn files_of_one_image_are_found_wherever_they_lie() {
    let of = |image: &str, more: &[&str], path: &str| {
        let change = json!({"image": image, "mask": "m/{}.png", "channels": 2, "more_images": more,
                            "split": {"train": "a.txt", "validation": "b.txt"}});
        let found = config(Path::new("root"), change).together(Path::new(path));
        found.map(|(image, own)| [image, own].map(|path| path.display().to_string()))
    };
    let found = |image: &str, own: &str| Some([image.to_string(), own.to_string()]);
    // Pages of one file, and files of two folders, below any other.
    let pages = ("images/{}.tif#page=0", ["images/{}.tif#page=1"]);
    let both = "new/images/a.tif#page=0|new/images/a.tif#page=1";
    assert_eq!(of(pages.0, &pages.1, "new/images/a.tif"), found(both, "new/images/a.tif"));
    let folders = ("red/{}.tif", ["nir/{}_8.tif"]);
    assert_eq!(
        of(folders.0, &folders.1, "/x/red/in/a.tif"),
        found("/x/red/in/a.tif|/x/nir/in/a_8.tif", "/x/red/in/a.tif")
    );
    assert_eq!(of(folders.0, &folders.1, "/x/nir/in/a_8.tif"), None, "one of the further files");
    let alone = |path: &str| of(folders.0, &folders.1, path) == found(path, path);
    assert!(alone("/x/a.tif") && alone("/x/infrared/a.tif") && alone("red/.tif") && alone("red/a.png"));
    let whole = ("{}", ["nir/{}"]);
    assert_eq!(of(whole.0, &whole.1, "y/a.tif"), found("y/a.tif|y/nir/a.tif", "y/a.tif"));
}
