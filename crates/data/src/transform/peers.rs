//! Transforms of any depth against other programs (`reference/augment.py`).

use super::clahe::equalise;
use super::copy_paste::connected;
use super::elastic::displacements;
use super::field::{warp_image, warp_nearest};
use super::grid_distortion::sources;
use super::intensity::{brighten, raise, stretch};
use super::jpeg::compress;
use super::low_resolution::{blur_band, coarsen};
use super::picture::{Picture, levels};
use super::rand_augment::tone::{auto_contrast, equalize, posterize, solarize};
use super::sharpen::sharpen;
use crate::load::IGNORE;
use raster::Element;
use serde::Deserialize;
use std::collections::BTreeMap;

/// Bytes in hexadecimal, or a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Numbers {
    Bytes(String),
    List(Vec<f32>),
}

#[derive(Deserialize)]
pub(super) struct Reference {
    clahe: Vec<Equalised>,
    intensity: Vec<Changed>,
    sharpen: Vec<Sharpened>,
    tone: Vec<Toned>,
    elastic: Vec<Displaced>,
    warped: BTreeMap<String, Numbers>,
    grid: Vec<Divided>,
    connected: Connected,
    jpeg: Vec<Compressed>,
    pub(super) magnitudes: BTreeMap<String, [f64; 3]>,
}

#[derive(Deserialize)]
struct Equalised {
    size: [u32; 2],
    tiles: [usize; 2],
    clip: f64,
    kind: String,
    image: Numbers,
}

#[derive(Deserialize)]
struct Changed {
    kind: String,
    name: String,
    arguments: Vec<f64>,
    image: Numbers,
}

#[derive(Deserialize)]
struct Sharpened {
    kind: String,
    factor: f32,
    image: Numbers,
}

#[derive(Deserialize)]
struct Toned {
    name: String,
    argument: u32,
    image: Numbers,
}

#[derive(Deserialize)]
struct Displaced {
    alpha: f32,
    sigma: f32,
    displacements: Numbers,
}

#[derive(Deserialize)]
struct Divided {
    size: [usize; 2],
    cells: [Vec<f64>; 2],
    columns: Numbers,
    rows: Numbers,
}

#[derive(Deserialize)]
struct Connected {
    ids: Numbers,
    /// The class of each object, then its places.
    objects: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Compressed {
    quality: u8,
    bands: usize,
    image: Numbers,
}

pub(super) fn reference() -> Reference {
    serde_json::from_str(include_str!("../../reference/augment.json")).unwrap()
}

impl Numbers {
    fn list(&self) -> Vec<f32> {
        match self {
            Self::List(numbers) => numbers.clone(),
            Self::Bytes(text) => {
                let byte = |start: usize| u8::from_str_radix(&text[start..start + 2], 16).unwrap();
                (0..text.len()).step_by(2).map(|start| byte(start).into()).collect()
            }
        }
    }

    /// Checks that `found` are these numbers, none further off than `most`.
    #[track_caller]
    fn check<T: Element>(&self, found: &[T], most: f32, what: &str) {
        let expected = self.list();
        assert_eq!(found.len(), expected.len(), "{what}");
        for (place, (found, expected)) in found.iter().zip(expected).enumerate() {
            let found = found.to_f32();
            assert!((found - expected).abs() <= most, "{what}: {found} at {place}, not {expected}");
        }
    }
}

/// Returns the range of numbers of this kind.
pub(super) fn range<T: Element>() -> [f32; 2] {
    [0.0, levels::<T>().map_or(1.0, |levels| (levels - 1) as f32)]
}

/// Returns numbers without any order; floats are below 0 and above 1, too.
pub(super) fn noise<T: Element>(size: [u32; 2], bands: usize) -> Vec<T> {
    let number = |place: i64| ((place * 40_503 + place * place * 9_973 + 17) % 65_536) as f32;
    let scaled = |number: f32| match levels::<T>() {
        Some(256) => (number / 256.0).floor(),
        Some(_) => number,
        None => number / 32_768.0 - 0.5,
    };
    (0..size.iter().product::<u32>() as usize * bands).map(|place| T::from_f32(scaled(number(place as i64)))).collect()
}

fn picture<T: Element>(numbers: &mut [T], size: [u32; 2], bands: usize) -> Picture<'_, T> {
    Picture { numbers, size, bands, range: range::<T>(), unit: range::<T>() }
}

fn each<T: Element>(kind: &str) -> bool {
    kind == match levels::<T>() {
        Some(256) => "u8",
        Some(_) => "u16",
        None => "f32",
    }
}

#[test]
fn histograms_are_equalised_to_the_bit_as_opencv_equalises_them() {
    fn all<T: Element>() -> usize {
        let reference = reference().clahe;
        let own = reference.iter().filter(|made| each::<T>(&made.kind)).map(|made| {
            let halved = |number: T| T::from_f32((number.to_f32() / 2.0).floor() + number.to_f32() % 16.0);
            let mut image: Vec<T> = noise(made.size, 1).into_iter().map(halved).collect();
            equalise(&mut picture(&mut image, made.size, 1), 0, made.clip, made.tiles);
            made.image.check(&image, 0.0, &format!("{:?} {:?} {}", made.size, made.tiles, made.kind));
        });
        own.count()
    }
    assert_eq!((all::<u8>(), all::<u16>()), (4, 4));
}

#[test]
fn bands_change_as_in_nnunet() {
    /// Checks all changes of numbers of one kind, up to this difference.
    fn all<T: Element>(most: f32) -> usize {
        let size = [9, 11];
        let reference = reference().intensity;
        let own =
            reference.iter().filter(|made| each::<T>(&made.kind)).map(|Changed { name, arguments, image, .. }| {
                let mut numbers: Vec<T> = noise(size, 3);
                let mut picture = picture(&mut numbers, size, 3);
                match (name.as_str(), &arguments[..]) {
                    ("brightness", [factor]) => brighten(&mut picture, 0, *factor as f32),
                    ("contrast", [factor, preserve]) => stretch(&mut picture, 0, *factor as f32, *preserve == 1.0),
                    ("gamma", [gamma, invert, retain]) => {
                        raise(&mut picture, 0, *gamma as f32, *invert == 1.0, *retain == 1.0);
                    }
                    ("low_resolution", [rows, columns]) => {
                        coarsen(&mut picture, 0, [*rows as usize, *columns as usize])
                    }
                    ("band_blur", [down, along]) => blur_band(&mut picture, 0, [*down, *along]),
                    (name, arguments) => panic!("{name} {arguments:?}"),
                }
                let changed: Vec<T> = numbers.iter().step_by(3).copied().collect();
                image.check(&changed, most, &format!("{name} {arguments:?}"));
            });
        own.count()
    }
    // A number near a half may be rounded the other way.
    assert_eq!((all::<u8>(1.0), all::<u16>(1.0), all::<f32>(2e-6)), (18, 18, 18));
}

#[test]
fn images_are_sharpened_as_pillow_and_torchvision_sharpen_them() {
    let size = [9, 11];
    for Sharpened { kind, factor, image } in reference().sharpen {
        let what = format!("{kind} {factor}");
        if kind == "u8" {
            let mut numbers: Vec<u8> = noise(size, 3);
            sharpen(&mut picture(&mut numbers, size, 3), factor);
            // Pillow rounds the smoothed image, and cuts off the fraction of the result.
            image.check(&numbers, 1.0 + factor.abs(), &what);
        } else {
            let mut numbers: Vec<f32> = noise(size, 3).into_iter().map(|number: f32| number / 16.0 + 0.5).collect();
            sharpen(&mut picture(&mut numbers, size, 3), factor);
            image.check(&numbers, 1e-6, &what);
        }
    }
}

#[test]
fn tones_change_as_in_pillow() {
    let size = [9, 40];
    for Toned { name, argument, image } in reference().tone {
        let mut numbers: Vec<u8> = noise(size, 3).into_iter().map(|number: u8| number / 2 + 30).collect();
        let mut picture = picture(&mut numbers, size, 3);
        match name.as_str() {
            "posterize" => posterize(&mut picture, argument),
            "solarize" => solarize(&mut picture, argument as f32 / 255.0),
            "auto_contrast" => auto_contrast(&mut picture),
            _ => equalize(&mut picture),
        }
        // Pillow cuts off the fraction of a stretched number.
        image.check(&numbers, if name == "auto_contrast" { 1.0 } else { 0.0 }, &name);
    }
}

#[test]
fn displacements_are_smoothed_as_scipy_smooths_them() {
    for Displaced { alpha, sigma, displacements: expected } in reference().elastic {
        let noise = noise::<f32>([12, 15], 2).into_iter().step_by(2).collect();
        expected.check(&displacements(noise, [12, 15], alpha, sigma), 2e-6 * alpha, &format!("{alpha} {sigma}"));
    }
}

#[test]
fn images_are_warped_as_scipy_and_numpy_warp_them() {
    let size = [12, 15];
    let displaced = noise::<f32>(size, 2);
    let shifted =
        |(place, shift): (usize, &[f32])| [(place % 15) as f32 + 3.0 * shift[1], (place / 15) as f32 + 3.0 * shift[0]];
    let field: Vec<[f32; 2]> = displaced.chunks(2).enumerate().map(shifted).collect();
    let reference = reference();
    fn warped<T: Element>(expected: &Numbers, field: &[[f32; 2]], most: f32) {
        let (from, mut to) = (noise::<T>([12, 15], 3), vec![T::default(); 12 * 15 * 3]);
        warp_image((&from, &mut to), [12, 15], 3, field, 0.0);
        expected.check(&to, most, "warped");
    }
    warped::<u8>(&reference.warped["u8"], &field, 1.0);
    warped::<u16>(&reference.warped["u16"], &field, 1.0);
    warped::<f32>(&reference.warped["f32"], &field, 1e-5);
    let ids: Vec<u8> = (0..12 * 15).map(|place| (place % 200) as u8).collect();
    let mut to = vec![0u8; ids.len()];
    warp_nearest((&ids, &mut to), size, &field, IGNORE);
    assert!(to.contains(&IGNORE));
    reference.warped["mask"].check(&to, 0.0, "mask");
}

#[test]
fn grids_are_distorted_as_albumentations_distorts_them() {
    for Divided { size, cells: [across, down], columns, rows } in reference().grid {
        columns.check(&sources(size[1], across), 2e-4, "columns");
        rows.check(&sources(size[0], down), 2e-4, "rows");
    }
}

#[test]
fn objects_are_those_of_scipy() {
    let Connected { ids, objects } = reference().connected;
    let ids: Vec<u8> = ids.list().into_iter().map(|id| id as u8).collect();
    let wanted: [bool; 256] = std::array::from_fn(|id| matches!(id, 1 | 2));
    let found = connected(&ids, [14, 17], &wanted).into_iter().map(|mut places| {
        places.sort_unstable();
        let class = usize::from(ids[places[0]]);
        std::iter::once(class).chain(places).collect::<Vec<usize>>()
    });
    assert_eq!(found.collect::<Vec<_>>(), objects);
}

#[test]
fn artefacts_are_those_of_libjpeg() {
    let size = [26u32, 35];
    for Compressed { quality, bands, image } in reference().jpeg {
        let mut numbers = Vec::new();
        for (row, column) in (0..size[0] as i32).flat_map(|row| (0..size[1] as i32).map(move |column| (row, column))) {
            for band in 0..bands as i32 {
                let slope = 40 + row * (3 + band) + column * (5 - band) + (row * 7 + column * 5 + band * 3) % 6;
                numbers.push((slope + if column > row + 4 { 40 } else { 0 }).clamp(0, 255) as u8);
            }
        }
        let before = numbers.clone();
        compress(&mut numbers, size, bands, quality).unwrap();
        let image = image.list();
        let mean = |a: &[u8]| {
            let pairs = a.iter().zip(&image);
            pairs.map(|(a, b)| (f32::from(*a) - b).abs()).sum::<f32>() / image.len() as f32
        };
        // Our encoder rounds coefficients twice, which shows where the steps are fine.
        let (off, whole) = (mean(&numbers), mean(&before));
        assert!(off < 0.5 * whole && off < 0.75, "{quality} {bands}: {off} of {whole}");
        assert!(quality > 50 || off < 0.12 * whole, "{quality} {bands}: {off} of {whole}");
    }
}
