//! No command replaces a user's files with its outputs.

use super::support::Place;
use image::{GrayImage, Luma, Rgb, RgbImage};
use std::fs;
use std::os::unix::fs::symlink;

fn draw(place: &Place, name: &str) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture = RgbImage::from_fn(20, 17, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, 90]));
    picture.save_with_format(path, image::ImageFormat::Png).unwrap();
}

#[test]
fn predict_replaces_no_image_and_nothing_that_somebody_else_made() {
    let place = Place::new();
    place.train("").ok();
    for name in ["pics/a.png", "pics/b.png", "two/x.png", "two/x_overlay.png"] {
        draw(&place, name);
    }
    fs::create_dir(place.path("links")).unwrap();
    symlink(place.path("pics/a.png"), place.path("links/a.png")).unwrap();
    fs::hard_link(place.path("pics/b.png"), place.path("links/b.png")).unwrap();
    let photograph = fs::read(place.path("pics/a.png")).unwrap();
    for (arguments, says) in [
        ("--output pics pics", "pics/a.png is an input (pics/a.png) and would be replaced"),
        ("--output pics/../pics/. --overwrite pics", "and would be replaced"),
        ("--output links --overwrite pics", "links/a.png is an input (pics/a.png)"),
        ("--output links --overwrite pics/b.png", "links/b.png is an input (pics/b.png)"),
        (
            "--output out --also overlay two",
            "two/x.png and two/x_overlay.png would both be written to out/x_overlay.png",
        ),
        ("--output tiny.json pics", "tiny.json is no folder"),
    ] {
        place.app(&format!("predict {arguments}")).refused(2, says);
    }
    for name in ["pics/a.png", "pics/b.png", "links/a.png", "links/b.png"] {
        assert_eq!(fs::read(place.path(name)).unwrap(), photograph, "{name}");
    }
    assert!(!place.path("out").exists() && !place.path("pics/classes.json").exists());

    // Masks drawn by hand, and an unrelated list of classes.
    fs::create_dir(place.path("masks")).unwrap();
    fs::write(place.path("masks/b.png"), "by hand").unwrap();
    let hint = "masks/b.png; name another --output, or add --overwrite";
    place.app("predict --output masks pics").refused(2, hint);
    assert_eq!(fs::read_dir(place.path("masks")).unwrap().count(), 1, "nothing is written before all is known");
    fs::rename(place.path("masks/b.png"), place.path("masks/c.png")).unwrap();
    fs::write(place.path("masks/classes.json"), "{}").unwrap();
    place.app("predict --output masks pics").refused(2, "masks/classes.json says something else");
    place.app("predict --output masks --overwrite pics").ok();
    assert_eq!(fs::read(place.path("masks/c.png")).unwrap(), b"by hand");
    assert!(fs::read_to_string(place.path("masks/classes.json")).unwrap().contains("circle"));
}

#[test]
fn predictions_may_be_replaced_but_not_one_that_a_person_corrected() {
    let place = Place::new();
    place.train("").ok();
    draw(&place, "a.png");
    fs::write(place.path("victim"), "mine").unwrap();
    fs::create_dir(place.path("out")).unwrap();
    for planted in ["a.png.partial", "a_overlay.png.partial", "a_probabilities.npy.partial", "classes.json.partial"] {
        symlink(place.path("victim"), place.path(&format!("out/{planted}"))).unwrap();
    }
    let all = "predict --output out --also overlay,contour,color,png16,npy a.png";
    place.app(all).ok();
    let map = fs::read(place.path("out/a.png")).unwrap();
    place.app("predict --output out a.png").ok();
    place.app(all).ok();
    assert_eq!(fs::read(place.path("out/a.png")).unwrap(), map, "what is predicted again is the same");
    assert_eq!(fs::read(place.path("victim")).unwrap(), b"mine", "nothing is written through a link");
    // A link in the place of an output is a user's too.
    fs::rename(place.path("out/a_color.png"), place.path("elsewhere.png")).unwrap();
    symlink(place.path("elsewhere.png"), place.path("out/a_color.png")).unwrap();
    place.app(all).refused(2, "out/a_color.png; name another --output");
    fs::rename(place.path("elsewhere.png"), place.path("out/a_color.png")).unwrap();

    let mut corrected = image::load_from_memory(&map).unwrap().into_luma8();
    corrected.put_pixel(3, 3, Luma([(corrected.get_pixel(3, 3).0[0] + 1) % 4]));
    corrected.save(place.path("out/a.png")).unwrap();
    let hand = fs::read(place.path("out/a.png")).unwrap();
    // Probabilities count as ours by the class map that they were written with.
    place.app(all).refused(2, "or changed since, and would be replaced: out/a.png, out/a_probabilities.npy;");
    assert_eq!(fs::read(place.path("out/a.png")).unwrap(), hand);
    place.app(&format!("{all} --overwrite")).ok();
    assert_eq!(fs::read(place.path("out/a.png")).unwrap(), map);
}

#[test]
fn predictions_are_never_taken_for_images() {
    let place = Place::new();
    place.train("").ok();
    for name in ["pics/a.png", "pics/deep/b.png"] {
        draw(&place, name);
    }
    let all = "predict --output pics/out --also overlay,png16 pics";
    place.app(all).ok();
    let count = || walkdir(&place.path("pics"));
    let files = count();
    let again = place.app(all).ok();
    assert!(again.stderr.contains("2 images at") && again.stderr.contains("skipped 1 other file and 12 earlier"));
    assert_eq!(count(), files);
    // Outputs are recognised in any place, even after a correction by hand.
    fs::rename(place.path("pics/out"), place.path("pics/old")).unwrap();
    GrayImage::from_pixel(20, 17, Luma([2])).save(place.path("pics/old/a.png")).unwrap();
    let again = place.app("predict --output other pics").ok();
    assert!(again.stderr.contains("2 images at"), "{}", again.stderr);
    place.app("predict --output other pics/old/deep/b.png").refused(1, "b.png is a prediction that this program made");
}

/// Returns the number of files in a folder and its subfolders.
fn walkdir(folder: &std::path::Path) -> usize {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.map(|path| if path.is_dir() { walkdir(&path) } else { 1 }).sum()
}

#[test]
fn reports_previews_and_runs_replace_nothing_of_a_person_either() {
    let place = Place::new();
    place.train("").ok();
    fs::write(place.path("mine.html"), "a page of mine").unwrap();
    let kept = ["config.json", "metrics.jsonl", "environment.json", "checkpoints/step-0000000010/manifest.json"];
    let run = |name: &str| place.path("runs/tiny").join(name);
    let before = kept.map(|name| fs::read(run(name)).unwrap());
    for name in kept {
        let report = format!("report --overwrite --output runs/../runs/tiny/{name}");
        place.app(&report).refused(2, "is part of a run and no report");
    }
    assert_eq!(kept.map(|name| fs::read(run(name)).unwrap()), before);
    place.app("report --output mine.html").refused(2, "mine.html is there, and is no report of this program");
    place.app("report --output missing/report.html").refused(2, "there is no folder missing");
    place.app("report --output runs").refused(2, "runs is there");
    assert_eq!(fs::read(place.path("mine.html")).unwrap(), b"a page of mine");
    for arguments in ["--overwrite --output mine.html", "--output mine.html", "--output new.html", ""] {
        place.app(&format!("report {arguments}")).ok();
    }

    let preview = "data preview --config tiny.json --epochs 2 --samples 2 --output sheets";
    place.app(preview).ok();
    place.app(preview).ok();
    fs::write(place.path("sheets/train-epoch-2.png"), "mine").unwrap();
    place.app(preview).refused(2, "sheets/train-epoch-2.png; name another --output, or add --overwrite");
    place.app(&format!("{preview} --overwrite")).ok();
    // Not even with --overwrite if it is an image of the data.
    for name in ["d/images/validation.png", "d/images/b.png"] {
        draw(&place, name);
    }
    fs::create_dir(place.path("d/masks")).unwrap();
    for name in ["validation", "b"] {
        GrayImage::new(20, 17).save(place.path(&format!("d/masks/{name}.png"))).unwrap();
    }
    fs::write(
        place.path("d.json"),
        r#"{"data": {"kind": "folders", "root": "d", "classes": ["a", "b"], "size": [16, 16],
            "split": {"validation_fraction": 0.5}}}"#,
    )
    .unwrap();
    let preview = "data preview --config d.json --epochs 1 --output d/images --overwrite";
    place.app(preview).refused(2, "d/images/validation.png is an input");

    // A folder with a configuration written by hand is no run.
    fs::create_dir(place.path("project")).unwrap();
    fs::copy(place.path("tiny.json"), place.path("project/config.json")).unwrap();
    place.app("train --config project/config.json --run project").refused(2, "project/config.json belongs to no run");
    assert_eq!(fs::read(place.path("project/config.json")).unwrap(), fs::read(place.path("tiny.json")).unwrap());
    assert_eq!(walkdir(&place.path("project")), 1);
}
