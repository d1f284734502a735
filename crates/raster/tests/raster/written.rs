//! Written GeoTIFFs are read again here. `reference/check_written.py` reads them with rasterio and tifffile, from the
//! folder that `RASTER_WRITTEN` names.

use super::build::Scratch;
use super::fixtures::{bytes, cases, random};
use raster::{Colors, Depth, Geo, GeoTiffWriter, Layout, Pixels, Raster, TiffSettings, WriteError, on_pixels};
use std::fs::{self, File};
use std::io::Cursor;
use std::path::PathBuf;

/// Returns an image of numbers of all sizes.
fn image(settings: &TiffSettings) -> Pixels {
    let count = (settings.size[0] * settings.size[1] * settings.bands) as usize;
    let mut random = random(count as u64);
    match settings.depth {
        Depth::U8 => (0..count).map(|_| random(256) as u8).collect::<Vec<_>>().into(),
        Depth::U16 => (0..count).map(|_| random(65_536) as u16).collect::<Vec<_>>().into(),
        Depth::F32 => (0..count).map(|_| f32::from_bits(random(u32::MAX))).collect::<Vec<_>>().into(),
    }
}

/// Returns rows `from` to `to` of an image.
fn part(pixels: &Pixels, line: usize, from: usize, to: usize) -> Pixels {
    on_pixels!(pixels, numbers => numbers[from * line..to * line].to_vec().into())
}

fn write(path: &PathBuf, settings: &TiffSettings, pixels: &Pixels, step: usize) {
    let mut writer = GeoTiffWriter::new(File::create(path).unwrap(), settings.clone()).unwrap();
    let (height, line) = (settings.size[0] as usize, (settings.size[1] * settings.bands) as usize);
    for from in (0..height).step_by(step) {
        writer.rows(&part(pixels, line, from, (from + step).min(height))).unwrap();
    }
    writer.finish().unwrap();
}

#[test]
fn what_is_written_is_read_again() {
    let scratch = Scratch::new();
    let folder = std::env::var_os("RASTER_WRITTEN").map(PathBuf::from);
    let path = |name: &str| folder.as_ref().map_or(scratch.path(name), |folder| folder.join(name));
    let places: Vec<Option<Geo>> = [None].into_iter().chain(places().into_iter().map(Some)).collect();
    let mut number = 0;
    for depth in [Depth::U8, Depth::U16, Depth::F32] {
        for bands in [1, 3, 4, 13] {
            for layout in [Layout::Strips, Layout::Tiles(16), Layout::Tiles(64)] {
                let settings = TiffSettings {
                    geo: places[number % places.len()].clone(),
                    no_data: no_data(depth, number),
                    colors: if bands >= 3 && number % 2 == 0 { Colors::Rgb } else { Colors::Plain },
                    layout,
                    ..TiffSettings::new([70, 53], bands, depth)
                };
                let pixels = image(&settings);
                let name = format!("{number:02}.tif");
                write(&path(&name), &settings, &pixels, [1, 7, 70][number % 3]);
                fs::write(path(&format!("{number:02}.bin")), bytes(&pixels)).unwrap();
                let mut raster = Raster::open(&path(&name)).unwrap();
                let mut again = Pixels::default();
                raster.whole(&mut again).unwrap();
                assert!(bytes(&again) == bytes(&pixels), "{name}");
                let info = raster.info();
                assert_eq!((info.size, info.bands, info.depth), ([70, 53], bands, depth));
                assert_eq!((&info.geo, info.colors), (&settings.geo, settings.colors));
                assert_eq!(info.no_data.map(f64::to_bits), settings.no_data.map(f64::to_bits));
                number += 1;
            }
        }
    }
}

/// Returns a value of pixels without data, of those that the depth can hold.
fn no_data(depth: Depth, number: usize) -> Option<f64> {
    match (number % 5, depth) {
        (0, _) => None,
        (1, _) => Some(0.0),
        (_, Depth::U8) => Some(255.0),
        (_, Depth::U16) => Some(65_535.0),
        (2, _) => Some(-9999.5),
        (3, _) => Some(f64::NAN),
        _ => Some(f64::from(f32::MIN)),
    }
}

/// Returns the places of all fixtures that have one.
fn places() -> Vec<Geo> {
    let open =
        |case: super::fixtures::Case| Raster::open_with(&case.path(), &case.options()).unwrap().info().geo.clone();
    let found: Vec<Geo> = cases().into_iter().filter_map(open).collect();
    assert!(found.len() > 8);
    found
}

#[test]
fn settings_and_rows_that_do_not_fit_are_refused() {
    let sound = TiffSettings::new([4, 5], 2, Depth::U8);
    let asked = |settings: TiffSettings| match GeoTiffWriter::new(Cursor::new(Vec::new()), settings) {
        Err(WriteError::Asked(what)) => what,
        other => panic!("{:?}", other.map(|_| ())),
    };
    assert!(asked(TiffSettings { size: [0, 5], ..sound.clone() }).contains("0 x 5 pixels"));
    assert!(asked(TiffSettings { bands: 0, ..sound.clone() }).contains("0 bands"));
    assert!(asked(TiffSettings { colors: Colors::Rgb, ..sound.clone() }).contains("2 bands of the colours Rgb"));
    assert!(asked(TiffSettings { colors: Colors::Cmyk, ..sound.clone() }).contains("inks"));
    for side in [0, 8, 20, 1 << 20] {
        assert!(asked(TiffSettings { layout: Layout::Tiles(side), ..sound.clone() }).contains("a multiple of 16"));
    }
    for value in [-1.0, 0.5, 256.0, f64::NAN] {
        assert!(asked(TiffSettings { no_data: Some(value), ..sound.clone() }).contains("none of 0 to 255"));
    }
    let mut writer = GeoTiffWriter::new(Cursor::new(Vec::new()), sound).unwrap();
    for wrong in [Pixels::from(vec![0_u8; 9]), Pixels::from(vec![0_u16; 10]), Pixels::from(vec![0_u8; 50])] {
        let said = writer.rows(&wrong).unwrap_err().to_string();
        assert!(said.contains("after 0 of 4 rows come"), "{said}");
    }
    writer.rows(&Pixels::from(vec![0_u8; 30])).unwrap();
    let said = writer.finish().unwrap_err().to_string();
    assert!(said.ends_with("3 of its 4 rows were written"), "{said}");
}
