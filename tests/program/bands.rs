//! Images of many bands and bits, from training to prediction: a set of Sentinel's kind with 13 bands of 16 bits and a
//! place on earth, and volumes that are cut into slices.

use super::support::{Place, Ran};
use raster::{Depth, Geo, GeoTiffWriter, Pixels, Raster, TiffSettings};
use serde_json::Value;
use std::fs::{self, File};
use std::path::Path;

const SIDE: u32 = 32;
const BANDS: u32 = 13;

/// UTM zone 33, pixels of 10 m; each image lies elsewhere.
fn place(number: u32) -> Geo {
    Geo::of_epsg([500_000.0 + 320.0 * f64::from(number), 10.0, 0.0, 5_400_000.0, 0.0, -10.0], 32_633)
}

/// Draws a field (class 1) on ground: it shows in band 9 alone, in numbers that 8 bits do not hold apart.
fn draw(number: u32) -> (Vec<u16>, Vec<u8>) {
    let inside = |row: u32, column: u32| (row / 8 + column / 8 + number).is_multiple_of(3);
    let places = || (0..SIDE).flat_map(|row| (0..SIDE).map(move |column| (row, column)));
    let noise = |row: u32, column: u32, band: u32| ((row * 31 + column * 17 + band * 7 + number * 5) % 11) as u16;
    let image = places().flat_map(|(row, column)| {
        (0..BANDS).map(move |band| {
            let field = if band == 8 && inside(row, column) { 100 } else { 0 };
            4096 + field + noise(row, column, band)
        })
    });
    (image.collect(), places().map(|(row, column)| u8::from(inside(row, column))).collect())
}

fn write(path: &Path, settings: TiffSettings, rows: &Pixels) {
    let mut writer = GeoTiffWriter::new(File::create(path).unwrap(), settings).unwrap();
    writer.rows(rows).unwrap();
    writer.finish().unwrap();
}

/// Writes `count` GeoTIFFs with their masks. The first two rows of the first image are without data.
fn satellite(folder: &Path, count: u32) {
    fs::create_dir_all(folder.join("images")).unwrap();
    fs::create_dir_all(folder.join("masks")).unwrap();
    for number in 0..count {
        let (mut image, mask) = draw(number);
        if number == 0 {
            image[..(2 * SIDE * BANDS) as usize].fill(0);
        }
        let settings = TiffSettings::new([SIDE; 2], BANDS, Depth::U16);
        let settings = TiffSettings { geo: Some(place(number)), no_data: Some(0.0), ..settings };
        write(&folder.join(format!("images/{number:02}.tif")), settings, &image.into());
        let settings = TiffSettings::new([SIDE; 2], 1, Depth::U8);
        write(&folder.join(format!("masks/{number:02}.tif")), settings, &mask.into());
    }
}

/// A configuration of under 25 lines, as a person writes it.
const SATELLITE: &str = r#"{
  "data": {
    "kind": "folders",
    "root": "satellite",
    "classes": ["ground", "field"],
    "size": [32, 32],
    "channels": 13,
    "depth": "u16",
    "range": [4000, 4400],
    "transforms": [{ "kind": "horizontal_flip" }, { "kind": "rotate90" }],
    "split": { "validation_fraction": 0.25 },
    "loader": { "batch_size": 4 }
  },
  "model": { "kind": "unet", "width": 8, "depth": 2 },
  "optimizer": { "learning_rate": 0.01 },
  "train": { "epochs": 12, "threads": 1, "device": "cpu" }
}"#;

fn trained(place: &Place, config: &str) -> Ran {
    fs::write(place.path("config.json"), config).unwrap();
    place.app("train --config config.json --run run").ok()
}

fn score(ran: &Ran) -> f64 {
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    value["mean_iou"].as_f64().or_else(|| value["scores"]["mean_iou"].as_f64()).unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn thirteen_bands_of_16_bits_are_learnt_and_predictions_have_the_place_of_their_image() {
    let here = Place::new();
    satellite(&here.path("satellite"), 16);
    trained(&here, SATELLITE);
    let scored = here.app("validate --run run --json").ok();
    assert!(score(&scored) > 0.9, "{}", scored.stdout);
    let full = here.app("validate --run run --full --json").ok();
    assert!(score(&full) > 0.9, "{}", full.stdout);
    here.app(
        "predict satellite/images --run run --output out --also geotiff --also geotiff-probabilities --also polygons \
         --also overlay",
    )
    .ok();
    let mut classes = Raster::open(&here.path("out/00_classes.tif")).unwrap();
    let info = classes.info().clone();
    assert_eq!((info.size, info.bands, info.no_data), ([SIDE; 2], 1, Some(255.0)));
    assert_eq!(info.geo, Raster::open(&here.path("satellite/images/00.tif")).unwrap().info().geo);
    let mut ids = Pixels::default();
    classes.whole(&mut ids).unwrap();
    let unknown = (2 * SIDE) as usize;
    assert!(ids.bytes()[..unknown].iter().all(|id| *id == 255), "rows without data");
    assert!(ids.bytes()[unknown..].iter().all(|id| *id < 2));
    let map = image::open(here.path("out/00.png")).unwrap().into_luma8();
    assert_eq!(map.into_raw(), ids.bytes());

    let mut shares = Raster::open(&here.path("out/03_probabilities.tif")).unwrap();
    assert_eq!((shares.info().bands, shares.info().geo.clone()), (2, Some(place(3))));
    let mut numbers = Pixels::default();
    shares.whole(&mut numbers).unwrap();
    let Pixels::F32(numbers) = numbers else { panic!("{:?}", numbers.depth()) };
    let of = |name: &str| {
        let mut all = Pixels::default();
        Raster::open(&here.path(name)).unwrap().whole(&mut all).unwrap();
        all
    };
    assert!(numbers.chunks(2).all(|pixel| (pixel[0] + pixel[1] - 1.0).abs() < 1e-5));

    let text = fs::read_to_string(here.path("out/03.geojson")).unwrap();
    let polygons: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(polygons["crs"]["properties"]["name"], "urn:ogc:def:crs:EPSG::32633");
    let features = polygons["features"].as_array().unwrap();
    let area: f64 = features.iter().map(|feature| feature["properties"]["area"].as_f64().unwrap()).sum();
    assert!((area - f64::from(SIDE * SIDE) * 100.0).abs() < 1e-6, "square metres of the image, not {area}");
    let corner = &features[0]["geometry"]["coordinates"][0][0];
    assert!(corner[0].as_f64().unwrap() >= 500_960.0 && corner[1].as_f64().unwrap() <= 5_400_000.0, "{corner}");
    let Pixels::F32(first) = of("out/00_probabilities.tif") else { panic!() };
    assert!(
        first[..2 * unknown].iter().all(|share| share.is_nan())
            && first[2 * unknown..].iter().all(|share| *share <= 1.0)
    );
    // They are known as predictions, and made again.
    here.app("predict satellite/images --run run --output out --also geotiff --also polygons").ok();
}

#[test]
fn eight_bits_do_not_hold_what_sixteen_do() {
    let here = Place::new();
    satellite(&here.path("satellite"), 4);
    fs::write(here.path("config.json"), SATELLITE).unwrap();
    let offered = here.app("data stats --config config.json").ok().stdout;
    let range = offered.lines().find_map(|line| line.split("\"range\": ").nth(1)?.split(", \"clip\"").next());
    let range = range.unwrap_or_else(|| panic!("{offered}")).replace(' ', "");
    assert!(range.starts_with("[[40") && !range.contains("[0"), "pixels without data do not count: {range}");
    here.app(&format!("data stats --config config.json --set data.range={range} --set data.depth=f32")).ok();
    let train = |more: &str| here.app(&format!("train --config config.json --run run {more}"));
    train("--set data.depth=u8").refused(2, "data.range: is 0 to 255 where depth is \"u8\"");
    train("--set data.depth=u8 --set data.range=null").refused(1, "set it to \"u16\"");
    train("--set data.channels=12").refused(1, "has 13 bands, and data.channels asks for 12");
    train("--set data.channels=[1,14]").refused(1, "has 13 bands, and data.channels names band 14");
    train("--set data.channels=65").refused(2, "data.channels: must be 1 to 64");
    train("--set data.range=[5,5]").refused(2, "data.range: must begin below its end");
    train("--set data.channels=[0]").refused(2, "data.channels: counts bands from 1");
    train("--set data.channels=many").refused(2, "data.channels: expected a number of channels");
}

/// Writes a volume as NIfTI-1: numbers of 16 bits with a scale, x running fastest.
fn nifti(path: &Path, shape: [u16; 3], kind: (i16, i16), scale: [f32; 2], numbers: &[u8]) {
    let mut header = vec![0u8; 352];
    header[..4].copy_from_slice(&348i32.to_le_bytes());
    for (at, length) in [(40, 3), (42, shape[0]), (44, shape[1]), (46, shape[2]), (48, 1), (50, 1), (52, 1), (54, 1)] {
        header[at..at + 2].copy_from_slice(&length.to_le_bytes());
    }
    header[70..72].copy_from_slice(&kind.0.to_le_bytes());
    header[72..74].copy_from_slice(&kind.1.to_le_bytes());
    header[108..112].copy_from_slice(&352f32.to_le_bytes());
    for (at, number) in [(112, scale[0]), (116, scale[1])] {
        header[at..at + 4].copy_from_slice(&number.to_le_bytes());
    }
    header[344..348].copy_from_slice(b"n+1\0");
    header.extend_from_slice(numbers);
    fs::write(path, header).unwrap();
}

const VOLUMES: &str = r#"{
  "data": {
    "kind": "folders",
    "root": "volumes",
    "classes": ["rest", "organ"],
    "size": [24, 32],
    "channels": 1,
    "depth": "f32",
    "normalize": "image",
    "slices": "z",
    "resize": { "kind": "fit" },
    "split": { "validation_fraction": 0.3 },
    "loader": { "batch_size": 4 }
  },
  "model": { "kind": "unet", "width": 8, "depth": 2 },
  "optimizer": { "learning_rate": 0.01 },
  "train": { "epochs": 10, "threads": 1, "device": "cpu" }
}"#;

#[test]
fn slices_of_volumes_are_samples_and_stay_together_in_a_split() {
    let here = Place::new();
    for name in ["volumes/images", "volumes/masks"] {
        fs::create_dir_all(here.path(name)).unwrap();
    }
    let shape = [32u16, 24, 5];
    for number in 0..6u16 {
        let inside = |x: u16, y: u16| (x / 8 + y / 8 + number).is_multiple_of(2);
        let places = || (0..5).flat_map(move |z| (0..24).flat_map(move |y| (0..32).map(move |x| (x, y, z))));
        let value = |(x, y, z): (u16, u16, u16)| i16::from(inside(x, y)) * 40 + ((x * 7 + y * 3 + z) % 5) as i16 - 20;
        let numbers: Vec<u8> = places().flat_map(|place| value(place).to_le_bytes()).collect();
        nifti(&here.path(&format!("volumes/images/case{number}.nii")), shape, (4, 16), [2.5, -7.0], &numbers);
        let mask: Vec<u8> = places().map(|(x, y, _)| u8::from(inside(x, y))).collect();
        nifti(&here.path(&format!("volumes/masks/case{number}.nii")), shape, (2, 8), [0.0, 0.0], &mask);
    }
    trained(&here, VOLUMES);
    let scored = here.app("validate --run run --json").ok();
    assert!(score(&scored) > 0.9, "{}", scored.stdout);
    here.app("predict volumes/images/case2.nii --run run --output out").ok();
    let names: Vec<String> = (0..5).map(|slice| format!("out/case2_z{slice:03}.png")).collect();
    assert!(names.iter().all(|name| here.path(name).exists()));
    here.app("validate --run run --csv scores.csv").ok();
    let text = fs::read_to_string(here.path("scores.csv")).unwrap();
    let cases: Vec<&str> = text.lines().skip(1).filter_map(|line| line.split('_').next()).collect();
    assert!(!cases.is_empty() && cases.len().is_multiple_of(5), "{text}");
    for five in cases.chunks(5) {
        assert!(five.iter().all(|case| *case == five[0]), "{text}");
    }
    let checked = here.app("data stats --config config.json --json").ok();
    let statistics: Value = serde_json::from_str(&checked.stdout).unwrap();
    assert!(statistics.to_string().contains("ranges"), "{statistics}");
    // The volumes repeat each other, which is an error.
    let checked = here.app("data check --config config.json");
    assert!(!checked.stdout.contains("look nearly the same") && !checked.stdout.contains("nothing but the first"));
}

#[test]
fn a_band_may_be_a_file() {
    let here = Place::new();
    satellite(&here.path("satellite"), 4);
    // The same image, its ninth band and two others each in a file.
    for name in ["apart/images", "apart/masks"] {
        fs::create_dir_all(here.path(name)).unwrap();
    }
    for number in 0..4 {
        let mut image = Raster::open(&here.path(&format!("satellite/images/{number:02}.tif"))).unwrap();
        for (place, band) in [8u32, 2, 3].into_iter().enumerate() {
            let mut numbers = Pixels::default();
            image.window([0, 0], [SIDE; 2], &[band], Depth::U16, &mut numbers).unwrap();
            let settings = TiffSettings { no_data: Some(0.0), ..TiffSettings::new([SIDE; 2], 1, Depth::U16) };
            write(&here.path(&format!("apart/images/{number:02}_{place:04}.tif")), settings, &numbers);
        }
        let mask = format!("masks/{number:02}.tif");
        fs::copy(here.path("satellite").join(&mask), here.path("apart").join(&mask)).unwrap();
    }
    let whole = SATELLITE.replace("13,", "[9, 3, 4],").replace("\"epochs\": 12", "\"epochs\": 2");
    let apart = whole
        .replace("\"root\": \"satellite\"", "\"root\": \"apart\"")
        .replace("[9, 3, 4],", "3, \"image_name\": \"{}_0000\", \"more_images\": [\"{}_0001\", \"{}_0002\"],");
    for (name, config) in [("whole", &whole), ("apart", &apart)] {
        fs::write(here.path("config.json"), config).unwrap();
        here.app(&format!("train --config config.json --run {name}")).ok();
    }
    assert_eq!(here.metrics("whole"), here.metrics("apart"));
    here.app("predict satellite/images --run whole --output of_whole").ok();
    here.app("predict apart/images --run apart --output of_apart").ok();
    for number in 0..4 {
        let of = |folder: &str| fs::read(here.path(folder).join(format!("{number:02}.png"))).unwrap();
        assert!(of("of_whole") == of("of_apart"), "{number}");
    }
    fs::remove_file(here.path("apart/images/01_0002.tif")).unwrap();
    here.app("train --config config.json --run gone").refused(1, "01_0002.tif");
    let settings = TiffSettings::new([SIDE, 8], 1, Depth::U16);
    let small: Pixels = vec![5000u16; (SIDE * 8) as usize].into();
    write(&here.path("apart/images/01_0002.tif"), settings, &small);
    here.app("train --config config.json --run small").refused(1, "32x8 pixels (height x width), and ");
}
