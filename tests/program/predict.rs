//! `app predict` on images of many kinds.

use super::support::{Place, Ran, python};
use image::{ImageFormat, Rgb, RgbImage};
use serde_json::Value;
use std::fs;

fn draw(place: &Place, name: &str, width: u32, height: u32, format: ImageFormat) {
    let path = place.path(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let picture = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, 90]));
    picture.save_with_format(path, format).unwrap();
}

#[test]
fn each_image_gets_a_class_map_of_its_own_size() {
    let place = Place::new();
    place.train("").ok();
    draw(&place, "one.jpg", 40, 23, ImageFormat::Jpeg);
    draw(&place, "many/a.png", 16, 16, ImageFormat::Png);
    draw(&place, "many/deep/really_a_gif.jpg", 7, 61, ImageFormat::Gif);
    fs::write(place.path("many/notes.txt"), "no image").unwrap();

    let ran = place.app("predict --output out --also overlay one.jpg many").ok();
    assert!(ran.stderr.contains("grey values: 0 background, 1 circle, 2 square, 3 triangle"), "{}", ran.stderr);
    for (name, size) in [("one", (40, 23)), ("a", (16, 16)), ("deep/really_a_gif", (7, 61))] {
        let map = image::open(place.path(&format!("out/{name}.png"))).unwrap();
        assert_eq!(map.as_luma8().map(|map| map.dimensions()), Some(size), "{name}");
        assert!(map.as_luma8().unwrap().pixels().all(|pixel| pixel.0[0] < 4));
        let overlay = image::open(place.path(&format!("out/{name}_overlay.png"))).unwrap();
        assert_eq!(overlay.as_rgb8().map(|overlay| overlay.dimensions()), Some(size));
    }
    assert_eq!(
        fs::read_dir(place.path("out")).unwrap().count(),
        6,
        "two images here, what their values mean, and the folder of the third"
    );

    let first = fs::read(place.path("out/a.png")).unwrap();
    place.app("predict --output alone many/a.png").ok();
    assert_eq!(fs::read(place.path("alone/a.png")).unwrap(), first, "what is predicted with it changes nothing");
}

#[test]
fn what_is_no_image_is_named_and_nothing_is_overwritten() {
    let place = Place::new();
    place.train("").ok();
    draw(&place, "a.png", 8, 8, ImageFormat::Png);
    draw(&place, "b/a.jpg", 8, 8, ImageFormat::Jpeg);
    fs::write(place.path("text.png"), "no image").unwrap();
    fs::create_dir(place.path("empty")).unwrap();
    place.app("predict --output out text.png").refused(1, "text.png");
    place.app("predict --output out missing.png").refused(1, "missing.png");
    place.app("predict --output out empty").refused(2, "no image in empty");
    place.app("predict --output out a.png b/a.jpg").refused(2, "would both be written to a.png");
    assert!(!place.path("out").exists());

    let mut torn = fs::read(place.path("b/a.jpg")).unwrap();
    torn.truncate(torn.len() / 2);
    fs::write(place.path("torn.jpg"), torn).unwrap();
    let ran = place.app("predict --output out torn.jpg").refused(1, "torn.jpg");
    assert_eq!(ran.stderr.matches("torn.jpg").count(), 1, "said once: {}", ran.stderr);
}

/// Returns a picture without symmetry that is none of the training data.
fn picture(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 11 + y * 3) as u8, (x * y) as u8, if x > y { 220 } else { 30 }]))
}

#[test]
fn large_images_are_predicted_in_tiles_and_small_ones_as_they_are() {
    let place = Place::new();
    place.train("").ok();
    picture(150, 101).save(place.path("large.png")).unwrap();
    picture(16, 16).save(place.path("small.png")).unwrap();
    let map = |file: &str| image::open(place.path(file)).unwrap().into_luma8();
    place.app("predict --output tiled --tile 64 --also overlay large.png small.png").ok();
    assert_eq!((map("tiled/large.png").dimensions(), map("tiled/small.png").dimensions()), ((150, 101), (16, 16)));
    assert!(place.path("tiled/large_overlay.png").exists() && place.path("tiled/classes.json").exists());
    // An image of the network's own size has the same result, resized to it or in one tile.
    place.app("predict --output whole small.png").ok();
    assert_eq!(map("whole/small.png"), map("tiled/small.png"));
    // One tile that is large enough, and several without overlap.
    place.app("predict --output once --tile 160 large.png").ok();
    place.app("predict --output cut --tile 64 --overlap 0 large.png").ok();
    let same = |other: &str| {
        let (once, other) = (map("once/large.png"), map(other));
        once.pixels().zip(other.pixels()).filter(|(a, b)| a == b).count() as f64 / (150.0 * 101.0)
    };
    assert!(same("tiled/large.png") > 0.9 && same("cut/large.png") > 0.8, "{}", same("tiled/large.png"));
    place.app("predict --output bad --tile 50 large.png").refused(2, "--tile: must be a multiple of 32 pixels, is 50");
    place
        .app("predict --output bad --tile 64 --overlap 2 large.png")
        .refused(2, "--overlap: must be from 0 to 0.9, is 2");
    place.app("predict --output bad --overlap 0.5 large.png").refused(2, "--tile");
    assert!(!place.path("bad").exists());
}

#[test]
fn with_mirror_images_a_mirror_image_has_the_mirrored_prediction() {
    let place = Place::new();
    place.train("").ok();
    picture(16, 16).save(place.path("a.png")).unwrap();
    image::imageops::flip_horizontal(&picture(16, 16)).save(place.path("b.png")).unwrap();
    let map = |file: &str| image::open(place.path(file)).unwrap().into_luma8();
    for (mirror, mode) in [("horizontal", ""), ("both", "--tile 32")] {
        place.app(&format!("predict --output {mirror} --mirror {mirror} {mode} a.png b.png")).ok();
        assert_eq!(map(&format!("{mirror}/a.png")), image::imageops::flip_horizontal(&map(&format!("{mirror}/b.png"))));
    }
}

#[test]
fn a_broken_image_is_reported_and_the_others_are_predicted() {
    let place = Place::new();
    place.train("").ok();
    fs::create_dir(place.path("all")).unwrap();
    for name in ["a", "b", "c", "d", "e", "f", "g"] {
        picture(40, 33).save(place.path(&format!("all/{name}.jpg"))).unwrap();
    }
    let whole = fs::read(place.path("all/a.jpg")).unwrap();
    for name in ["b", "f"] {
        fs::write(place.path(&format!("all/{name}.jpg")), &whole[..whole.len() / 2]).unwrap();
    }
    for (output, options) in [("whole", ""), ("tiled", "--tile 32")] {
        let ran = place
            .app(&format!("predict --output {output} {options} all"))
            .refused(1, "2 of 7 images could not be read: b, f");
        assert!(ran.stderr.contains("Skipped sample 'b': ") && ran.stderr.contains("5 images at"), "{}", ran.stderr);
        let mut names: Vec<_> =
            fs::read_dir(place.path(output)).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["a.png", "c.png", "classes.json", "d.png", "e.png", "g.png"]);
    }
    // No readable image.
    place.app("predict --output none all/b.jpg").refused(1, "1 of 1 images could not be read: b");
}

#[test]
fn what_else_is_asked_for_is_written_and_areas_are_told() {
    let place = Place::new();
    place.train("").ok();
    picture(50, 41).save(place.path("a.png")).unwrap();
    fs::write(place.path("torn.png"), &fs::read(place.path("a.png")).unwrap()[..700]).unwrap();
    for (output, mode) in [("whole", ""), ("tiled", "--tile 32")] {
        let also = "--also overlay,contour,color,png16,npy";
        let ran = place.app(&format!("predict --output {output} {mode} {also} --json a.png torn.png"));
        let ran = ran.refused(1, "1 of 2 images could not be read: torn");
        let mut lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        lines.sort_by_key(|line| line["name"].to_string());
        let [told, torn] = &lines[..] else { panic!("{}", ran.stdout) };
        assert_eq!((&torn["name"], torn["error"].as_str().unwrap().is_empty()), (&"torn".into(), false));
        assert_eq!(
            (&told["name"], &told["file"], &told["height"], &told["width"]),
            (&"a".into(), &"a.png".into(), &41.into(), &50.into())
        );
        let map = image::open(place.path(&format!("{output}/a.png"))).unwrap().into_luma8();
        for (id, class) in told["classes"].as_array().unwrap().iter().enumerate() {
            let pixels = map.pixels().filter(|pixel| usize::from(pixel.0[0]) == id).count();
            assert_eq!((&class["pixels"], &class["id"]), (&pixels.into(), &id.into()));
            assert_eq!(class["share"], pixels as f64 / 2050.0);
        }
        assert_eq!(told["classes"][1]["name"], "circle");
        // The class is the most likely one, and the probabilities add up to 1.
        let of =
            |id: usize| image::open(place.path(&format!("{output}/a_probability_{id}.png"))).unwrap().into_luma16();
        let shares = [of(0), of(1), of(2), of(3)];
        for (x, y, pixel) in map.enumerate_pixels() {
            let values = shares.each_ref().map(|share| share.get_pixel(x, y).0[0]);
            assert_eq!(Some(&values[usize::from(pixel.0[0])]), values.iter().max());
            assert!(values.iter().map(|value| u32::from(*value)).sum::<u32>().abs_diff(65535) <= 2);
        }
        let npy = fs::read(place.path(&format!("{output}/a_probabilities.npy"))).unwrap();
        let value = |at: usize| f32::from_le_bytes(*npy[128 + 4 * at..].first_chunk().unwrap());
        assert_eq!(npy.len(), 128 + 4 * 4 * 2050);
        assert_eq!((value(2050 + 77) * 65535.0).round() as u16, shares[1].get_pixel(27, 1).0[0]);
        if let Some(mut python) = python() {
            let load = "import numpy as n; a = n.load('a_probabilities.npy'); print(a.shape, a.dtype, abs(a.sum(0) - 1).max() < 1e-5)";
            let said =
                Ran::new(python.args(["-c", load]).current_dir(place.path(output)).output().unwrap()).ok().stdout;
            assert_eq!(said.trim(), "(4, 41, 50) float32 True");
        }
        // Colours are those of the classes; contours are where an overlay has its full colour.
        let [color, contour] = ["color", "contour"]
            .map(|what| image::open(place.path(&format!("{output}/a_{what}.png"))).unwrap().into_rgb8());
        let red = |id: u8| [0xe6, 0x56, 0x00, 0xf0][usize::from(id)];
        assert!(map.pixels().zip(color.pixels()).all(|(id, color)| color.0[0] == red(id.0[0])));
        let photograph = picture(50, 41);
        let lines = |x: u32, y: u32| {
            let differs = |x: u32, y: u32, other: u8| map.get_pixel(x, y).0[0] != other;
            let id = map.get_pixel(x, y).0[0];
            x > 0 && differs(x - 1, y, id) || y > 0 && differs(x, y - 1, id)
        };
        for (x, y, pixel) in contour.enumerate_pixels() {
            assert_eq!(pixel, if lines(x, y) { color.get_pixel(x, y) } else { photograph.get_pixel(x, y) });
        }
        assert_eq!(fs::read_dir(place.path(output)).unwrap().count(), 10, "nothing of the torn one");
    }
    place
        .app("predict --output x --also everything a.png")
        .refused(2, "possible values: overlay, contour, color, png16, npy");
}

#[test]
fn what_is_meant_as_an_image_and_cannot_be_read_is_named_and_other_files_are_counted() {
    let place = Place::new();
    place.train("").ok();
    draw(&place, "p/good.png", 20, 17, ImageFormat::Png);
    draw(&place, "p/.hidden.png", 20, 17, ImageFormat::Png);
    draw(&place, "p/.thumbnails/t.png", 20, 17, ImageFormat::Png);
    for (name, bytes) in [
        ("empty.jpg", b"".as_slice()),
        ("page.jpg", b"<html>"),
        ("zeros.png", &[0; 5000]),
        ("scan.tif", b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0"),
        ("photo.heic", b"\0\0\0\x18ftypheic"),
        ("avif", b"\0\0\0\x20ftypavif\0\0\0\0"),
        ("notes.txt", b"BM is how bitmaps begin"),
        ("list", b"good"),
    ] {
        fs::write(place.path("p").join(name), bytes).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", place.path("p/gone.jpg")).unwrap();
    std::os::unix::fs::symlink("nowhere", place.path("p/link")).unwrap();
    let broken = ["empty", "gone", "page", "photo", "scan", "zeros"];
    let ran = place.app("predict --output out --json p").refused(1, "7 of 8 images could not be read: ");
    for name in broken.iter().chain(&["avif"]) {
        assert!(ran.stderr.contains(&format!("Skipped sample '{name}")), "{name}: {}", ran.stderr);
    }
    assert!(ran.stderr.contains("1 image at") && ran.stderr.contains("; skipped 3 other files"), "{}", ran.stderr);
    let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    assert_eq!(lines.filter(|line| line["error"].is_string()).count(), 7);
    // Named files are all meant to be images, and a bad one does not keep the others from being predicted.
    let ran = place.app("predict --output named p/empty.jpg p/good.png p/notes.txt p/list p/.hidden.png missing.png");
    ran.refused(1, "4 of 6 images could not be read: empty, notes, list, missing");
    for (out, count) in [("out", 2), ("named", 3)] {
        assert_eq!(fs::read_dir(place.path(out)).unwrap().count(), count, "class maps and what they mean");
    }
    place.app("predict --output none p/empty.jpg p/list").refused(1, "2 of 2 images could not be read");
    assert!(!place.path("none").exists());
}

#[test]
fn every_image_is_predicted_under_its_own_name() {
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::symlink;
    let place = Place::new();
    place.train("").ok();
    draw(&place, "p/first.png", 20, 17, ImageFormat::Png);
    draw(&place, "elsewhere/linked.png", 20, 17, ImageFormat::Png);
    let names: [&[u8]; 8] = [
        b"caf\xe9",
        b"caf\xe8",
        "n\u{e9}".as_bytes(),
        "ne\u{301}".as_bytes(),
        b"a\nb",
        b"-x",
        b"a b #1 %20",
        br"caf\xE9",
    ];
    let file = |folder: &str, name: &[u8]| {
        let mut path = place.path(folder).join(std::ffi::OsStr::from_bytes(name)).into_os_string();
        path.push(".png");
        std::path::PathBuf::from(path)
    };
    let long = [b'l'; 251];
    for name in names.iter().copied().chain([long.as_slice()]) {
        fs::copy(place.path("p/first.png"), file("p", name)).unwrap();
    }
    fs::copy(place.path("p/first.png"), place.path("p/noext")).unwrap();
    symlink(place.path("elsewhere"), place.path("p/folder")).unwrap();
    symlink(place.path("p"), place.path("p/folder/back")).unwrap();
    symlink("..", place.path("p/above")).unwrap();
    for (out, mode) in [("out", ""), ("tiled", "--tile 32 --also overlay,npy")] {
        let ran = place.app(&format!("predict --output {out} {mode} --json p"));
        if !mode.is_empty() {
            // One name is too long for the suffixes of the outputs.
            ran.refused(1, "File name too long");
            fs::remove_file(file("p", &long)).unwrap();
            place.app(&format!("predict --output {out} {mode} --json p")).ok();
        } else {
            assert_eq!(ran.ok().stdout.lines().count(), 12);
        }
        for name in names.iter().copied().chain([b"first".as_slice(), b"noext", b"folder/linked"]) {
            assert!(file(out, name).is_file(), "{name:?}");
        }
    }
    let maps = fs::read_dir(place.path("out")).unwrap().count();
    assert_eq!(maps, 11 + 1 + 1, "the class maps, a folder and what they mean");
}
