//! Sizes against Pillow, positions against exact coordinates.

use super::*;
use proptest::prelude::*;
use serde_json::{from_value, json, to_value};

#[derive(Deserialize)]
struct Case {
    from: [u32; 2],
    to: [u32; 2],
    rgb: Vec<u8>,
    bilinear: Vec<u8>,
    mask: Vec<u8>,
    nearest: Vec<u8>,
}

fn cases() -> Vec<Case> {
    serde_json::from_str(include_str!("../../../reference/resize.json")).unwrap()
}

fn image(pixels: &[u8], from: [u32; 2], channels: u32, place: Placement) -> Vec<u8> {
    let mut resized = Pixels::from(vec![77u8; 5]);
    Scaler::default().image(&mut pixels.to_vec().into(), from, channels, (place, 0.0), &mut resized).unwrap();
    resized.bytes().to_vec()
}

fn mask(ids: &[u8], from: [u32; 2], place: Placement) -> Vec<u8> {
    let mut resized = vec![77; 5];
    Scaler::default().mask(&mut ids.to_vec(), from, place, &mut resized);
    resized
}

/// Cuts out the part of a picture that `place` covers, `channels` bytes a pixel.
fn part(picture: &[u8], place: Placement, channels: usize) -> Vec<u8> {
    let Rectangle { top, left, height, width } = place.image;
    let rows = picture.chunks(place.size[1] as usize * channels).skip(top as usize).take(height as usize);
    rows.flat_map(|row| row[left as usize * channels..][..width as usize * channels].to_vec()).collect()
}

fn worst(ours: &[u8], theirs: &[u8]) -> Option<u8> {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b)).max()
}

#[test]
fn images_are_resized_as_pillow_does_in_colour_and_in_grey() {
    for case in cases() {
        let place = Placement::filling(case.to);
        let ours = image(&case.rgb, case.from, 3, place);
        assert!(worst(&ours, &case.bilinear) <= Some(1), "{:?} to {:?}", case.from, case.to);
        let red = |rgb: &[u8]| rgb.iter().copied().step_by(3).collect::<Vec<u8>>();
        let ours = image(&red(&case.rgb), case.from, 1, place);
        assert!(worst(&ours, &red(&case.bilinear)) <= Some(1), "{:?} to {:?}", case.from, case.to);
    }
}

#[test]
fn masks_are_resized_as_pillow_does() {
    for case in cases() {
        let ours = mask(&case.mask, case.from, Placement::filling(case.to));
        assert_eq!(ours, case.nearest, "{:?} to {:?}", case.from, case.to);
    }
}

#[test]
fn what_is_fitted_in_is_what_pillow_resizes_with_nothing_around_it() {
    for case in cases() {
        let size = [case.to[0] + 3, case.to[1] + 2];
        let inner = Rectangle { top: 1, left: 2, height: case.to[0], width: case.to[1] };
        let place = Placement { size, image: inner };
        let (picture, ids) = (image(&case.rgb, case.from, 3, place), mask(&case.mask, case.from, place));
        assert_eq!((picture.len(), ids.len()), (pixels(size) * 3, pixels(size)));
        assert!(worst(&part(&picture, place, 3), &case.bilinear) <= Some(1));
        assert_eq!(part(&ids, place, 1), case.nearest);
        let outside = pixels(size) - pixels(case.to);
        assert_eq!(ids.iter().filter(|id| **id == IGNORE).count(), outside);
        for (pixel, id) in picture.chunks(3).zip(&ids) {
            assert!(*id != IGNORE || pixel == [0; 3]);
        }
    }
}

#[test]
fn places_are_where_they_are_said_to_be() {
    let place = |resize: Resize, from| {
        let Placement { size, image: Rectangle { top, left, height, width } } = resize.place(from, [64, 96]).unwrap();
        (size, [top, left, height, width])
    };
    let (stretch, fit, shorter) =
        (Resize::Stretch { to: None }, Resize::Fit { to: None }, Resize::ShorterSide { to: None });
    assert_eq!(place(stretch, [10, 1000]), ([64, 96], [0, 0, 64, 96]));
    assert_eq!(place(Resize::Stretch { to: Some([5, 6]) }, [10, 1000]), ([5, 6], [0, 0, 5, 6]));
    // Twice as large; limited by the height; by the width, 96 * 333 / 500 = 63.9 rows; 32.5 columns become 33.
    assert_eq!(place(fit, [32, 48]), ([64, 96], [0, 0, 64, 96]));
    assert_eq!(place(fit, [100, 100]), ([64, 96], [0, 16, 64, 64]));
    assert_eq!(place(fit, [333, 500]), ([64, 96], [0, 0, 64, 96]));
    assert_eq!(place(fit, [128, 65]), ([64, 96], [0, 31, 64, 33]));
    assert_eq!(place(fit, [1, 1000]), ([64, 96], [31, 0, 1, 96]));
    assert_eq!(place(Resize::Fit { to: Some([10, 10]) }, [10, 20]), ([10, 10], [2, 0, 5, 10]));
    assert_eq!(place(shorter, [128, 200]), ([64, 100], [0, 0, 64, 100]));
    assert_eq!(place(Resize::ShorterSide { to: Some(10) }, [45, 30]), ([15, 10], [0, 0, 15, 10]));
    let endless = shorter.place([1, 1000], [64, 96]).unwrap_err().to_string();
    assert!(endless.contains("64x64000") && endless.contains("32768"), "{endless}");
    // The same, padded to the size of a sample.
    let whole = shorter.place_whole([100, 100], [64, 96]).unwrap();
    assert_eq!(whole, fit.place([100, 100], [64, 96]).unwrap());
    assert_eq!(shorter.place_whole([128, 200], [64, 96]).unwrap(), shorter.place([128, 200], [64, 96]).unwrap());
    assert_eq!((stretch.size([1, 2]), shorter.size([1, 2])), (Some([1, 2]), None));
}

#[test]
fn the_configuration_knows_three_ways() {
    let read = |value| from_value::<Resize>(value).map_err(|error| error.to_string());
    assert_eq!(read(json!({"kind": "stretch"})).unwrap(), Resize::default());
    assert_eq!(read(json!({"kind": "fit", "to": [4, 5]})).unwrap(), Resize::Fit { to: Some([4, 5]) });
    let shorter = Resize::ShorterSide { to: Some(7) };
    assert_eq!(read(to_value(shorter).unwrap()).unwrap(), shorter);
    assert!(read(json!({"kind": "fit", "size": [4, 5]})).unwrap_err().contains("`size`"));
    assert!(read(json!({"kind": "crop"})).unwrap_err().contains("`crop`"));
    for wrong in [Resize::Stretch { to: Some([0, 5]) }, Resize::ShorterSide { to: Some(9000) }] {
        assert_eq!(wrong.check().unwrap_err().key, "to");
    }
    shorter.check().unwrap();
}

#[test]
fn what_cannot_be_resized_is_an_error() {
    let place = Placement::filling([4, 4]);
    let result = Scaler::default().image(&mut vec![0u8; 5].into(), [2, 2], 3, (place, 0.0), &mut Pixels::default());
    assert!(matches!(result, Err(Error::Resize { .. })));
}

proptest! {
    #[test]
    fn an_image_fits_in_and_touches_two_sides(from in [1u32..3000, 1u32..3000], size in [1u32..300, 1u32..300]) {
        let Placement { image: Rectangle { top, left, height, width }, .. } = Placement::fitting(from, size);
        prop_assert!(height >= 1 && width >= 1 && (height == size[0] || width == size[1]));
        for (before, length, whole) in [(top, height, size[0]), (left, width, size[1])] {
            let after = whole - before - length;
            prop_assert!(after == before || after == before + 1);
        }
        // The scale of both sides is the smaller one, to within half a pixel.
        let scale = (f64::from(size[0]) / f64::from(from[0])).min(f64::from(size[1]) / f64::from(from[1]));
        for (length, old) in [(height, from[0]), (width, from[1])] {
            let exact = f64::from(old) * scale;
            prop_assert!((f64::from(length) - exact).abs() <= 0.5 + 1e-6 || (length == 1 && exact < 1.0));
        }
    }

    #[test]
    fn a_pixel_and_its_label_stay_together(from in [1u32..40, 1u32..40], size in [1u32..40, 1u32..40], at: [u16; 2]) {
        // A picture of two parts, and a mask that tells them apart.
        let column = u32::from(at[0]) % from[1];
        let ids: Vec<u8> = (0..from[0] * from[1]).map(|pixel| u8::from(pixel % from[1] > column)).collect();
        let grey: Vec<u8> = ids.iter().map(|id| id * 200 + 20).collect();
        let place = Placement::fitting(from, size);
        let (grey, ids) = (image(&grey, from, 1, place), mask(&ids, from, place));
        for (grey, id) in grey.iter().zip(&ids) {
            let right = match *grey {
                0 => *id == IGNORE,
                20 => *id == 0,
                220 => *id == 1,
                _ => *id <= 1,
            };
            prop_assert!(right, "{} is of class {}", grey, id);
        }
    }
}
