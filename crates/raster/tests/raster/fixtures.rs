//! Every fixture of `reference/make.py`: values, facts, and windows as parts of the whole.

use raster::{Axes, Depth, Info, Options, Pixels, Raster, Slice, is_raster, on_pixels};
use serde::Deserialize;
use std::fs;
use std::path::{Path, PathBuf};

/// A case of `expected.json`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    pub name: String,
    pub file: String,
    pub oracle: String,
    size: [u32; 2],
    bands: u32,
    stored: String,
    depth: String,
    crc: u32,
    near: Option<u8>,
    values: Option<String>,
    #[serde(default)]
    page: u32,
    #[serde(default)]
    pages_as_bands: bool,
    #[serde(default)]
    raw: bool,
    slice: Option<(u8, u32)>,
    axes: Option<String>,
    array: Option<String>,
    pages: Option<u32>,
    colors: Option<String>,
    alpha: Option<u32>,
    transform: Option<[f64; 6]>,
    epsg: Option<u32>,
    no_data: Option<serde_json::Value>,
}

impl Case {
    pub fn path(&self) -> PathBuf {
        folder().join("files").join(&self.file)
    }

    pub fn options(&self) -> Options {
        Options {
            page: self.page,
            pages_as_bands: self.pages_as_bands,
            slice: self.slice.map(|(axis, index)| Slice { axis, index }),
            axes: match self.axes.as_deref() {
                None => Axes::Guess,
                Some("first") => Axes::BandsFirst,
                Some(_) => Axes::BandsLast,
            },
            array: self.array.clone(),
            raw: self.raw,
            cache: None,
        }
    }

    fn check(&self, info: &Info) {
        assert_eq!((info.size, info.bands), (self.size, self.bands));
        assert_eq!(info.stored.to_string(), self.stored);
        let depth = match self.depth.as_str() {
            "u8" => Depth::U8,
            "u16" => Depth::U16,
            _ => Depth::F32,
        };
        assert_eq!(info.depth, depth);
        assert_eq!(info.pages, self.pages.unwrap_or(1));
        assert_eq!(format!("{:?}", info.colors), self.colors.as_deref().unwrap_or("Plain"));
        assert_eq!(info.alpha, self.alpha);
        let no_data = self.no_data.as_ref().map(|value| value.as_f64().unwrap_or(f64::NAN));
        assert_eq!(info.no_data.map(f64::to_bits), no_data.map(f64::to_bits));
        assert_eq!(info.geo.as_ref().map(|geo| geo.transform), self.transform);
        assert_eq!(info.geo.as_ref().and_then(|geo| geo.epsg), self.epsg);
    }
}

fn folder() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reference"))
}

pub fn cases() -> Vec<Case> {
    serde_json::from_str(&fs::read_to_string(folder().join("expected.json")).unwrap()).unwrap()
}

/// Returns the numbers as little-endian bytes.
pub fn bytes(pixels: &Pixels) -> Vec<u8> {
    on_pixels!(pixels, numbers => numbers.iter().flat_map(|number| number.to_le_bytes()).collect())
}

/// Returns numbers that look random, the same in every run.
pub fn random(seed: u64) -> impl FnMut(u32) -> u32 {
    let mut state = seed;
    move |below| {
        // Knuth's MMIX.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) % u64::from(below)) as u32
    }
}

#[test]
fn every_number_is_the_one_that_the_oracle_found() {
    let mut wrong = Vec::new();
    for case in cases() {
        let found = Raster::open_with(&case.path(), &case.options()).and_then(|mut raster| {
            let mut pixels = Pixels::default();
            raster.whole(&mut pixels).map(|()| (raster, pixels))
        });
        let (raster, pixels) = match found {
            Ok(found) => found,
            Err(error) => {
                wrong.push(format!("{}: {error}", case.name));
                continue;
            }
        };
        let info = raster.info().clone();
        if let Err(panic) = std::panic::catch_unwind(|| case.check(&info)) {
            wrong.push(format!("{}: {}", case.name, panic.downcast_ref::<String>().unwrap()));
        }
        let found = bytes(&pixels);
        match (&case.near, &case.values) {
            (Some(near), Some(values)) => {
                let expected = values
                    .as_bytes()
                    .as_chunks::<2>()
                    .0
                    .iter()
                    .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap());
                let off = found.iter().zip(expected).map(|(a, b)| a.abs_diff(b)).max().unwrap();
                if off > *near || found.len() * 2 != values.len() {
                    wrong.push(format!("{}: off by {off} from {}", case.name, case.oracle));
                }
            }
            _ if crc32fast::hash(&found) != case.crc => {
                wrong.push(format!(
                    "{}: other numbers than {}'s: {:?}",
                    case.name,
                    case.oracle,
                    &found[..24.min(found.len())]
                ));
            }
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn a_window_is_that_part_of_the_whole_whatever_its_bands_depth_and_cache() {
    for case in cases() {
        let mut raster = Raster::open_with(&case.path(), &case.options()).unwrap();
        let mut whole = Pixels::default();
        raster.whole(&mut whole).unwrap();
        let ([height, width], count, own) = (raster.info().size, raster.info().bands, raster.info().depth);
        let mut random = random(u64::from(case.crc));
        for turn in 0..24 {
            // From the third on with a cache that holds a block at most.
            if turn == 2 {
                let options = Options { cache: Some(1), ..case.options() };
                raster = Raster::open_with(&case.path(), &options).unwrap();
            }
            let size = [random(height) + 1, random(width) + 1];
            let top_left = [random(height - size[0] + 1), random(width - size[1] + 1)];
            let bands: Vec<u32> = (0..=random(5)).map(|_| random(count)).collect();
            let depth = if turn % 3 == 0 { Depth::F32 } else { own };
            let mut pixels = Pixels::from(vec![9_u16; 3]);
            raster.window(top_left, size, &bands, depth, &mut pixels).unwrap();
            let places = (0..size[0]).flat_map(|row| (0..size[1]).map(move |column| (row, column)));
            let places = places.flat_map(|(row, column)| bands.iter().map(move |band| (row, column, *band)));
            let index =
                |(row, column, band)| (((top_left[0] + row) * width + top_left[1] + column) * count + band) as usize;
            let expected: Vec<u8> = places
                .flat_map(|place| match (&whole, depth) {
                    (Pixels::U8(numbers), Depth::U8) => vec![numbers[index(place)]],
                    (Pixels::U16(numbers), Depth::U16) => numbers[index(place)].to_le_bytes().to_vec(),
                    (whole, _) => {
                        let value = on_pixels!(whole, numbers => raster::Element::to_f32(numbers[index(place)]));
                        value.to_le_bytes().to_vec()
                    }
                })
                .collect();
            assert_eq!(pixels.depth(), depth);
            assert!(bytes(&pixels) == expected, "{}: {size:?} at {top_left:?}, bands {bands:?}", case.name);
        }
    }
}

#[test]
fn reading_row_by_row_gives_the_whole() {
    for case in cases() {
        let mut raster = Raster::open_with(&case.path(), &case.options()).unwrap();
        let (mut whole, mut row, mut rows) = (Pixels::default(), Pixels::default(), Vec::new());
        raster.whole(&mut whole).unwrap();
        let info = raster.info().clone();
        let bands: Vec<u32> = (0..info.bands).collect();
        let mut raster = Raster::open_with(&case.path(), &case.options()).unwrap();
        for index in 0..info.size[0] {
            raster.window([index, 0], [1, info.size[1]], &bands, info.depth, &mut row).unwrap();
            rows.extend(bytes(&row));
        }
        assert!(rows == bytes(&whole), "{}", case.name);
    }
}

#[test]
fn files_are_known_by_their_first_bytes() {
    for case in cases() {
        let start = fs::read(case.path()).unwrap();
        // An .img holds nothing but numbers.
        let known = is_raster(&start[..start.len().min(1024)]);
        assert_eq!(known, !case.file.ends_with(".img"), "{}", case.file);
    }
}
