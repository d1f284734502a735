//! Very large images: predicted in bounded memory, resumed after `kill -9`, and shown in the brightness of their own.

use super::life::Life;
use super::support::Place;
use raster::{Colors, Depth, Geo, GeoTiffWriter, Layout, TiffSettings};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

/// Four bands of 16 bits, and a network that predicts quickly.
const CONFIG: &str = r#"{
  "data": {
    "kind": "folders",
    "root": "tiles",
    "classes": ["ground", "field", "water"],
    "size": [32, 32],
    "channels": 4,
    "depth": "u16",
    "range": [0, 4000],
    "split": { "validation_fraction": 0.25 },
    "loader": { "batch_size": 4 }
  },
  "model": { "kind": "unet", "width": 2, "depth": 1 },
  "train": { "epochs": 1, "threads": 1, "device": "cpu" },
  "export": { "at_end": false }
}"#;

/// Numbers of a row of a scene: ramps, and fields that repeat. The first row has no data.
fn numbers(row: u32, width: u32, bands: u32) -> impl Iterator<Item = u16> {
    let places = (0..width).flat_map(move |column| (0..bands).map(move |band| (column, band)));
    places.map(move |(column, band)| {
        let field = (row / 200 + column / 300 + band) % 3 * 700;
        if row == 0 { 0 } else { 500 + (field + row % 97 + column % 101) as u16 }
    })
}

/// Writes a scene with a place on earth.
fn draw(path: &Path, [height, width]: [u32; 2], settings: TiffSettings) {
    let geo = Geo::of_epsg([500_000.0, 10.0, 0.0, 5_400_000.0, 0.0, -10.0], 32_633);
    let (bands, depth) = (settings.bands, settings.depth);
    let settings = TiffSettings { geo: Some(geo), no_data: Some(0.0), ..settings };
    let mut writer = GeoTiffWriter::new(File::create(path).unwrap(), settings).unwrap();
    for row in 0..height {
        let row: Vec<u16> = numbers(row, width, bands).collect();
        let row = if depth == Depth::U8 { row.iter().map(|number| (number / 8) as u8).collect() } else { row.into() };
        writer.rows(&row).unwrap();
    }
    writer.finish().unwrap();
}

/// Writes colours of 8 bits as one strip without compression, by the specification (Adobe, 1992, section 6).
fn one_strip(path: &Path, [height, width]: [u32; 2]) {
    let mut file = BufWriter::new(File::create(path).unwrap());
    // Tag, type (3 is u16, 4 is u32), count, value or its offset. The bits of the three colours stand behind them.
    let entries = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 3, 8 + 2 + 12 * 9 + 4),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (273, 4, 1, 128),
        (277, 3, 1, 3),
        (278, 4, 1, height),
        (279, 4, 1, 3 * height * width),
    ];
    let mut head = b"II*\0\x08\0\0\0".to_vec();
    head.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, count, value) in entries {
        head.extend([tag as u16, kind as u16].iter().flat_map(|value| value.to_le_bytes()));
        head.extend([count, value].iter().flat_map(|value: &u32| value.to_le_bytes()));
    }
    head.extend([0, 0, 0, 0, 8, 0, 8, 0, 8, 0]);
    assert_eq!(head.len(), 128);
    file.write_all(&head).unwrap();
    for row in 0..height {
        file.write_all(&numbers(row, width, 3).map(|number| (number / 8) as u8).collect::<Vec<u8>>()).unwrap();
    }
    file.flush().unwrap();
}

/// Trains a network for the bands and depth of the scenes in a moment.
fn trained(config: &str, bands: u32, depth: Depth) -> Place {
    let here = Place::new();
    for folder in ["tiles/images", "tiles/masks"] {
        fs::create_dir_all(here.path(folder)).unwrap();
    }
    for number in 0..4 {
        let settings = TiffSettings::new([32, 32], bands, depth);
        let colors = if bands == 3 { Colors::Rgb } else { Colors::Plain };
        draw(&here.path(&format!("tiles/images/{number}.tif")), [32, 32], TiffSettings { colors, ..settings });
        let mask: Vec<u8> = (0..1024).map(|place| (place / 32 / 11) as u8).collect();
        let mut writer = GeoTiffWriter::new(
            File::create(here.path(&format!("tiles/masks/{number}.tif"))).unwrap(),
            TiffSettings::new([32, 32], 1, Depth::U8),
        )
        .unwrap();
        writer.rows(&mask.into()).unwrap();
        writer.finish().unwrap();
    }
    fs::write(here.path("config.json"), config).unwrap();
    here.app("train --config config.json --run run").ok();
    here
}

/// Runs a prediction to its end. Returns the most memory that was resident, in MB.
fn peak(here: &Place, arguments: &str) -> f64 {
    let mut life = Life::start(here, arguments);
    let status = format!("/proc/{}/status", life.pid());
    let (mut most, since) = (0.0, Instant::now());
    while !life.is_over() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        most = line.and_then(|number| number.trim().parse().ok()).map_or(most, |kb: f64| kb / 1e3);
        assert!(since.elapsed() < Duration::from_secs(300), "waited too long; it said:\n{}", life.said());
        sleep(Duration::from_millis(5));
    }
    let end = life.end();
    assert_eq!(end.status, Some(0), "{}", end.said);
    most
}

#[test]
fn memory_does_not_grow_with_the_height_of_an_image() {
    let plain = CONFIG.replace("\"channels\": 4,", "").replace("\"depth\": \"u16\",", "");
    let plain = plain.replace("\"range\": [0, 4000],", "");
    let own = CONFIG.replace("\"u16\"", "\"f32\"").replace("\"range\": [0, 4000],", "\"normalize\": \"image\",");
    for (config, bands, layout, also) in [
        (CONFIG, 4, Layout::Tiles(256), "geotiff"),
        (&*own, 4, Layout::Strips, "geotiff"),
        (&*plain, 3, Layout::Strips, "geotiff,overlay"),
    ] {
        let depth = if bands == 3 { Depth::U8 } else { Depth::U16 };
        let here = trained(config, bands, depth);
        for (name, height) in [("low", 2048), ("high", 6000)] {
            let (path, size) = (here.path(&format!("{name}.tif")), [height, 4096]);
            match depth {
                Depth::U8 => one_strip(&path, size),
                _ => draw(&path, size, TiffSettings { layout, ..TiffSettings::new(size, bands, depth) }),
            }
        }
        let [low, high] = ["low", "high"]
            .map(|name| peak(&here, &format!("predict {name}.tif --run run --output out --tile 256 --also {also}")));
        // What is missing in the low image is 130 MB as 16 bits, 260 MB as floats and 49 MB as bytes.
        let most = if depth == Depth::U8 { 30.0 } else { 60.0 };
        assert!(high < low + most, "{bands} bands, {layout:?}: {low} MB, then {high} MB");
        assert!(high < 900.0, "{bands} bands, {layout:?}: {high} MB");
    }
}

/// Files of a folder with their bytes, by name.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().map(Result::unwrap);
    let file = |entry: fs::DirEntry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap());
    let mut files: Vec<_> = entries.map(file).filter(|(name, _)| !name.ends_with(".partial")).collect();
    files.sort();
    files
}

const RESUMED: &str = "predict scene.tif --run run --tile 256 --also geotiff,npy,overlay --output";

/// Rows of tiles begin every 192 rows; each portion has the class and three probabilities of each pixel.
const PORTION: u64 = 192 * 4096 * 13;

/// Starts the prediction and kills it once its part file has so many portions. Returns what it said.
fn killed(here: &Place, portions: u64) -> String {
    let mut life = Life::start(here, &format!("{RESUMED} out"));
    let part = here.path("out/.scene.oxiseg-part");
    let is_reached = |_: &Life| fs::metadata(&part).is_ok_and(|about| about.len() > portions * PORTION);
    assert!(life.until(is_reached), "it ended before: {}", life.said());
    let end = life.kill();
    assert_eq!(end.signal, Some(9));
    assert!(!here.path("out/scene.png").exists());
    end.said
}

#[test]
fn a_killed_prediction_goes_on_where_it_stopped_and_ends_as_if_it_had_not_been() {
    let here = trained(CONFIG, 4, Depth::U16);
    let size = [4200, 4096];
    draw(&here.path("scene.tif"), size, TiffSettings::new(size, 4, Depth::U16));
    here.app(&format!("{RESUMED} whole")).ok();
    let whole = files(&here.path("whole"));
    let names: Vec<&str> = whole.iter().map(|(name, _)| name.as_str()).collect();
    let expected = ["classes.json", "scene.png", "scene_classes.tif", "scene_overlay.png", "scene_probabilities.npy"];
    assert_eq!(names, expected, "no part file is left");

    let said = killed(&here, 0);
    assert!(!said.contains("goes on"), "{said}");
    let mut before = 0;
    for portions in [3, 9, 17] {
        let said = killed(&here, portions);
        let row = said.split_once("goes on from row ").map_or("0", |(_, rest)| rest.split(' ').next().unwrap());
        let row: u64 = row.parse().unwrap();
        assert!(row >= before, "{said}");
        before = portions * 192;
    }
    let ran = here.app(&format!("{RESUMED} out")).ok();
    let row = ran.stderr.split_once("goes on from row ").map(|(_, rest)| rest.split(' ').next().unwrap());
    assert!(row.is_some_and(|row| row.parse::<u64>().unwrap() >= before), "{}", ran.stderr);
    assert!(files(&here.path("out")) == whole, "{:?}", files(&here.path("out")).iter().map(|file| &file.0));

    // The image is another one now, or another way of predicting it is asked for.
    fs::remove_dir_all(here.path("out")).unwrap();
    killed(&here, 2);
    File::options().write(true).open(here.path("scene.tif")).unwrap().set_modified(SystemTime::now()).unwrap();
    let mut life = Life::start(&here, &format!("{RESUMED} out"));
    assert!(life.until_said("starts over", 1), "{}", life.said());
    let said = life.kill().said;
    assert!(said.contains("starts over: its rows in ") && said.contains("another time of the image"), "{said}");
    let ran = here.app("predict scene.tif --run run --tile 512 --also geotiff --output out").ok();
    assert!(ran.stderr.contains("made with another probabilities, tile"), "{}", ran.stderr);
    assert!(!here.path("out/.scene.oxiseg-part").exists());
}

#[test]
fn a_scene_that_is_shrunk_is_warned_of_and_one_in_tiles_is_not() {
    let here = trained(CONFIG, 4, Depth::U16);
    let size = [4100, 4100];
    draw(&here.path("scene.tif"), size, TiffSettings::new(size, 4, Depth::U16));
    let shrunk = here.app("predict scene.tif tiles/images --run run --output out").ok();
    let expected = "scene (4100x4100 pixels) is made 128 times smaller for the network";
    assert!(shrunk.stderr.contains(expected) && shrunk.stderr.contains("add --tile 32"), "{}", shrunk.stderr);
    let small = here.app("predict tiles/images --run run --output small").ok();
    let tiled = here.app("predict scene.tif --run run --output tiled --tile 512").ok();
    assert!(!small.stderr.contains("smaller") && !tiled.stderr.contains("smaller"), "{}", tiled.stderr);
}

#[test]
fn previews_of_dark_images_are_bright() {
    let here = trained(&CONFIG.replace("4000", "60000"), 4, Depth::U16);
    here.app("predict tiles/images --run run --output out --also contour").ok();
    here.app("data preview --config config.json --output sheets").ok();
    let picture = image::open(here.path("out/0_contour.png")).unwrap().into_rgb8();
    // The row without data is black; all else is 500 to 1,932 of 60,000, which would be 2 to 8 of 255.
    assert!(picture.rows().next().unwrap().all(|pixel| pixel.0 == [0; 3]));
    let bright = |picture: &image::RgbImage| {
        let bytes = picture.as_raw();
        bytes.iter().filter(|byte| **byte > 128).count() as f64 / bytes.len() as f64
    };
    assert!(bright(&picture) > 0.3, "{}", bright(&picture));
    let sheet = image::open(here.path("sheets/validation.png")).unwrap().into_rgb8();
    assert!(bright(&sheet) > 0.1, "{}", bright(&sheet));
}
