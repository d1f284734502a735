//! Tests that images are read as meant: orientation, bit depth, files that are not regular.

use super::support::{Place, Ran};
use image::codecs::png::PngEncoder;
use image::{DynamicImage, ExtendedColorType, GrayImage, ImageBuffer, ImageEncoder, Luma, Rgb, RgbImage};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use tch::Device;

fn scene(width: u32, height: u32) -> RgbImage {
    RgbImage::from_fn(width, height, |x, y| Rgb([(x * 7) as u8, (y * 5) as u8, if x > y { 220 } else { 30 }]))
}

/// Writes a PNG with an EXIF orientation.
fn write_noted(path: &Path, picture: &RgbImage, orientation: u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut encoder = PngEncoder::new(File::create(path).unwrap());
    let note = [&b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0"[..], &[orientation, 0, 0, 0, 0, 0, 0, 0]].concat();
    encoder.set_exif_metadata(note).unwrap();
    encoder.write_image(picture, picture.width(), picture.height(), ExtendedColorType::Rgb8).unwrap();
}

/// Writes photographs of 12x20 pixels (height x width), stored on their side with an EXIF orientation, masks as viewers
/// show them, and `data.json`.
fn noted_folders(place: &Place, mask: [u32; 2]) {
    let stored = image::imageops::rotate270(&scene(20, 12));
    fs::create_dir_all(place.path("d/masks")).unwrap();
    for number in 0..4 {
        write_noted(&place.path(&format!("d/images/{number}.png")), &stored, 6);
        GrayImage::from_fn(mask[1], mask[0], |x, _| Luma([(x % 2) as u8]))
            .save(place.path(&format!("d/masks/{number}.png")))
            .unwrap();
    }
    let config = r#"{"data": {"kind": "folders", "root": "d", "size": [16, 16], "split": {"fold": "1/2"},
                              "classes": ["a", "b"], "loader": {"batch_size": 2}},
                     "model": {"kind": "unet", "width": 4, "depth": 2}, "export": {"at_end": false},
                     "train": {"epochs": 1, "threads": 1, "device": "cpu"}}"#;
    fs::write(place.path("data.json"), config).unwrap();
}

fn train(place: &Place, more: &str) -> Ran {
    place.app(&format!("train --config data.json --run r {more}"))
}

#[test]
fn a_photograph_on_its_side_is_predicted_as_viewers_show_it() {
    let place = Place::new();
    place.train("").ok();
    let upright = scene(40, 24);
    upright.save(place.path("upright.png")).unwrap();
    write_noted(&place.path("quarter.png"), &image::imageops::rotate270(&upright), 6);
    write_noted(&place.path("mirrored.png"), &image::imageops::flip_horizontal(&upright), 2);
    for options in ["", "--tile 32"] {
        place.app(&format!("predict --output out --also contour {options} upright.png quarter.png mirrored.png")).ok();
        for suffix in ["", "_contour"] {
            let map = |name: &str| image::open(place.path(&format!("out/{name}{suffix}.png"))).unwrap().into_rgb8();
            assert_eq!(map("upright").dimensions(), (40, 24));
            assert!(map("quarter") == map("upright") && map("mirrored") == map("upright"), "{options} {suffix}");
        }
        fs::remove_dir_all(place.path("out")).unwrap();
    }
}

/// Writes images of all kinds into a folder, and returns their paths in the order of their names.
fn photographs(folder: &Path) -> Vec<PathBuf> {
    fs::create_dir(folder).unwrap();
    let upright = scene(40, 24);
    let as_it_is = DynamicImage::ImageRgb8(upright.clone());
    write_noted(&folder.join("quarter.png"), &image::imageops::rotate270(&upright), 6);
    write_noted(&folder.join("mirrored.png"), &image::imageops::flip_horizontal(&upright), 2);
    let mut transparent = as_it_is.to_rgba8();
    transparent.pixels_mut().enumerate().for_each(|(place, pixel)| pixel.0[3] = place as u8);
    transparent.save(folder.join("transparent.png")).unwrap();
    as_it_is.to_luma8().save(folder.join("grey.png")).unwrap();
    as_it_is.to_luma_alpha8().save(folder.join("grey_alpha.png")).unwrap();
    as_it_is.to_rgb16().save(folder.join("wide.png")).unwrap();
    as_it_is.save(folder.join("photograph.jpg")).unwrap();
    scene(16, 16).save(folder.join("trained_size.png")).unwrap();
    scene(9, 70).save(folder.join("narrow.png")).unwrap();
    scene(1, 1).save(folder.join("dot.png")).unwrap();
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[test]
fn other_programs_get_the_class_maps_that_predict_writes() {
    let place = Place::new();
    noted_folders(&place, [12, 20]);
    let files = photographs(&place.path("photographs"));
    for (run, resize, format) in [
        ("stretch", "stretch", "safetensors"),
        ("script", "stretch", "torchscript"),
        ("fit", "fit", "safetensors"),
        ("shorter", "shorter_side", "safetensors"),
    ] {
        let set = format!(r#"--set data.resize={{"kind":"{resize}"}} --set optimizer.learning_rate=0.03"#);
        place.app(&format!("train --config data.json --run {run} {set}")).ok();
        place.app(&format!("export --run {run} --formats {format} --output saved/{run}/1")).ok();
        place.app(&format!("predict --model saved/{run}/1 --output {run}/out photographs")).ok();
        let model = saved::Model::open_on(place.path(&format!("saved/{run}/1")), Device::Cpu).unwrap();
        let images: Vec<saved::Image> = files.iter().map(saved::Image::from).collect();
        let mut seen = [0; 256];
        for (file, prediction) in files.iter().zip(model.predict_batch(&images).unwrap()) {
            let map = Path::new(run).join("out").join(file.file_stem().unwrap()).with_extension("png");
            let map = image::open(place.path(&map.display().to_string())).unwrap().into_luma8();
            let (height, width) = (map.height(), map.width());
            assert_eq!(prediction.size(), [height, width], "{run} {}", file.display());
            assert!(prediction.class_map() == map.as_raw(), "{run} {}", file.display());
            map.as_raw().iter().for_each(|id| seen[usize::from(*id)] += 1);
        }
        assert!(seen[0] > 0 && seen[1] > 0, "{run} knows one class: {seen:?}");
    }
}

#[test]
fn masks_that_fit_only_as_stored_are_told_which_key_to_set() {
    let place = Place::new();
    noted_folders(&place, [12, 20]);
    let ran = train(&place, "").ok();
    let turned: Vec<&str> =
        ran.stderr.lines().filter(|line| line.contains("carries a note of its orientation")).collect();
    assert_eq!(turned.len(), 2, "once for each split: {}", ran.stderr);
    let key = "brought upright by the note of its orientation it fits: set data.orientation to \"apply\"";
    place.app("data check --config data.json --set data.orientation=ignore").refused_with(1, key);

    let stored = Place::new();
    noted_folders(&stored, [20, 12]);
    let key = "set data.orientation to \"ignore\"";
    train(&stored, "").refused(1, key);
    stored.app("data check --config data.json").refused_with(1, key);
    train(&stored, "--set data.orientation=ignore").ok();
    // A change of this setting has to be allowed.
    train(&stored, "--set train.epochs=2 --set data.orientation=apply").refused(2, "--allow data.orientation");
}

trait RefusedWith {
    /// Asserts that it ended with `status` and said so on stdout.
    fn refused_with(self, status: i32, says: &str);
}

impl RefusedWith for Ran {
    fn refused_with(self, status: i32, says: &str) {
        assert_eq!(self.status, status, "{}\n{}", self.stdout, self.stderr);
        assert!(self.stdout.contains(says), "expected \"{says}\" in:\n{}", self.stdout);
    }
}

#[test]
fn bits_that_are_not_used_are_said_once_with_the_values_that_were_found() {
    let place = Place::new();
    noted_folders(&place, [12, 20]);
    for number in 0..4 {
        let wide = ImageBuffer::from_fn(20, 12, |x, y| Luma([600 + (30 * x + y) as u16]));
        DynamicImage::ImageLuma16(wide).save(place.path(&format!("d/images/{number}.png"))).unwrap();
    }
    let says = "has 16 bits a channel, and only the upper 8 are used, values 600 to 1181 of 65535";
    let count = |text: &str| text.matches(says).count();
    let ran = train(&place, "").ok();
    assert_eq!(count(&ran.stderr), 2, "once for each split: {}", ran.stderr);
    assert_eq!(count(&place.app("data check --config data.json").stdout), 4);
    let ran = place.app("predict --run r --output out d/images").ok();
    assert!(count(&ran.stderr) == 1 && ran.stderr.contains("(4 files are like this)"), "{}", ran.stderr);
}

#[cfg(unix)]
#[test]
fn a_pipe_among_the_files_ends_a_command_and_is_not_waited_for() {
    let place = Place::new();
    noted_folders(&place, [12, 20]);
    let pipe = |name: &str| {
        let _ = fs::remove_file(place.path(name));
        assert!(std::process::Command::new("mkfifo").arg(place.path(name)).status().unwrap().success());
    };
    let says = "only regular files are read";
    pipe("weights.safetensors");
    train(&place, "--set model.weights={\"path\":\"weights.safetensors\"}").refused(1, says);
    pipe("pipe.json");
    place.app("train --config pipe.json").refused(2, says);
    let mask = place.path("d/masks/0.png");
    let kept = fs::read(&mask).unwrap();
    pipe("d/masks/0.png");
    let ran = train(&place, "");
    assert!(ran.status != 0 && ran.stderr.contains("0.png"), "{}", ran.stderr);
    fs::remove_file(&mask).unwrap();
    fs::write(&mask, kept).unwrap();
    train(&place, "").ok();
    pipe("r/metrics.jsonl");
    let ran = place.app("report --run r");
    assert!(ran.status == 1 && ran.stderr.contains(says), "{}", ran.stderr);
}
