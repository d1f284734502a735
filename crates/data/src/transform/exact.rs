//! Exact properties of the transforms of any depth, on one, three and thirteen bands.

use super::channel::{ChannelDropout, ChannelShuffle};
use super::clahe::equalise;
use super::copy_paste::{CopyPaste, Object, paste_objects};
use super::elastic::{Elastic, random_field};
use super::field::{warp_image, warp_nearest, warp_plane};
use super::grid_distortion::GridDistortion;
use super::intensity::{Brightness, Contrast, Gamma, Invert, brighten, invert, raise, stretch};
use super::jpeg::{Jpeg, compress};
use super::low_resolution::{BandBlur, LowResolution, blur_band, coarsen};
use super::peers::{noise, range};
use super::picture::Picture;
use super::rand_augment::tone::{auto_contrast, equalize, posterize, solarize};
use super::random::Random;
use super::sharpen::{Sharpen, sharpen};
use crate::label::ClassRef;
use crate::load::{Interpolation, Values};
use raster::{Depth, Element};

const SIZE: [u32; 2] = [19, 23];

fn stream(index: u64) -> Random {
    Random::of_transform(11, 0, 0, index)
}

/// Applies `change` to numbers without any order.
fn changed<T: Element>(bands: usize, change: impl Fn(&mut Picture<T>)) -> (Vec<T>, Vec<T>) {
    let before: Vec<T> = noise(SIZE, bands);
    let mut after = before.clone();
    change(&mut Picture { numbers: &mut after, size: SIZE, bands, range: range::<T>(), unit: range::<T>() });
    (before, after)
}

/// Checks that a change of all bands is the change of each band alone.
fn check_bands<T: Element>(what: &str, change: impl Fn(&mut Picture<T>)) {
    for bands in [1, 3, 13] {
        let (before, after) = changed(bands, &change);
        for band in 0..bands {
            let mut alone: Vec<T> = before.iter().skip(band).step_by(bands).copied().collect();
            change(&mut Picture { numbers: &mut alone, size: SIZE, bands: 1, range: range::<T>(), unit: range::<T>() });
            let found: Vec<T> = after.iter().skip(band).step_by(bands).copied().collect();
            assert!(found == alone, "{what}: band {band} of {bands}");
        }
        assert!(before != after, "{what} of {bands} bands changes nothing");
    }
}

fn check_all<T: Element>(floats: bool) {
    fn every<T: Element>(picture: &mut Picture<T>, change: impl Fn(&mut Picture<T>, usize)) {
        (0..picture.bands).for_each(|band| change(picture, band));
    }
    check_bands::<T>("brightness", |picture| every(picture, |picture, band| brighten(picture, band, 0.8)));
    check_bands::<T>("contrast", |picture| every(picture, |picture, band| stretch(picture, band, 1.2, true)));
    check_bands::<T>("gamma", |picture| every(picture, |picture, band| raise(picture, band, 1.4, true, true)));
    check_bands::<T>("low", |picture| every(picture, |picture, band| coarsen(picture, band, [11, 14])));
    check_bands::<T>("blur", |picture| every(picture, |picture, band| blur_band(picture, band, [0.9, 1.7])));
    check_bands::<T>("sharpen", |picture| sharpen(picture, 1.9));
    check_bands::<T>("invert", invert);
    check_bands::<T>("posterize", |picture| posterize(picture, 3));
    check_bands::<T>("solarize", |picture| solarize(picture, 0.4));
    check_bands::<T>("auto contrast", |picture| {
        every(picture, |picture, band| brighten(picture, band, 0.5));
        auto_contrast(picture);
    });
    if !floats {
        check_bands::<T>("clahe", |picture| every(picture, |picture, band| equalise(picture, band, 2.0, [3, 4])));
    }
}

#[test]
fn each_band_is_changed_as_if_it_were_alone() {
    check_all::<u8>(false);
    check_all::<u16>(false);
    check_all::<f32>(true);
    check_bands::<u8>("equalize", equalize);
}

fn check_neutral<T: Element>() {
    type Neutral<T> = fn(&mut Picture<T>);
    let neutral: [(&str, Neutral<T>); 9] = [
        ("brightness", |picture| brighten(picture, 0, 1.0)),
        ("contrast", |picture| stretch(picture, 0, 1.0, true)),
        ("gamma", |picture| raise(picture, 0, 1.0, false, false)),
        ("gamma, inverted", |picture| raise(picture, 0, 1.0, true, true)),
        ("low resolution", |picture| coarsen(picture, 0, [19, 23])),
        ("sharpen", |picture| sharpen(picture, 1.0)),
        ("posterize", |picture| posterize(picture, 8)),
        ("solarize", |picture| solarize(picture, 2.0)),
        ("invert twice", |picture| (0..2).for_each(|_| invert(picture))),
    ];
    for (what, change) in neutral {
        for bands in [1, 3, 13] {
            let (before, after) = changed::<T>(bands, change);
            // Eight bits are fewer than other kinds have.
            if what == "posterize" && range::<T>()[1] != 255.0 {
                continue;
            }
            let pairs = before.iter().zip(&after);
            let off = pairs.map(|(before, after)| (before.to_f32() - after.to_f32()).abs()).fold(0.0, f32::max);
            assert!(off <= if range::<T>()[1] == 1.0 { 1e-6 } else { 0.0 }, "{what}, {bands} bands: {off}");
        }
    }
}

#[test]
fn strengths_that_change_nothing_change_nothing() {
    check_neutral::<u8>();
    check_neutral::<u16>();
    check_neutral::<f32>();
}

#[test]
fn ranges_and_statistics_are_kept_where_that_is_said() {
    for index in 0..50 {
        let mut random = stream(index);
        let (factor, gamma) = (random.between(0.3, 3.0), random.between(0.3, 3.0));
        let (before, after) = changed::<f32>(1, |picture| stretch(picture, 0, factor, true));
        let ends = |numbers: &[f32]| numbers.iter().fold([f32::MAX, f32::MIN], |[a, b], n| [a.min(*n), b.max(*n)]);
        let ([least, most], [low, high]) = (ends(&before), ends(&after));
        assert!(low >= least && high <= most);
        let (_, after) = changed::<f32>(1, |picture| raise(picture, 0, gamma, index % 2 == 0, false));
        let [low, high] = ends(&after);
        assert!((low - least).abs() < 1e-6 && (high - most).abs() < 1e-6);
        let (_, mut after) = changed::<f32>(1, |picture| raise(picture, 0, gamma, index % 2 == 0, true));
        let mut before = before;
        let of = |numbers: &mut Vec<f32>| {
            let found = Picture { numbers, size: SIZE, bands: 1, range: [0.0, 1.0], unit: [0.0, 1.0] }.statistics(0);
            [found.mean, found.deviation]
        };
        let ([mean, deviation], [new_mean, new_deviation]) = (of(&mut before), of(&mut after));
        assert!((mean - new_mean).abs() < 1e-6 && (deviation - new_deviation).abs() < 1e-6);
    }
}

#[test]
fn a_uniform_band_stays_uniform_and_what_was_not_measured_stays_unmeasured() {
    for change in [
        (|picture| stretch(picture, 0, 1.3, true)) as fn(&mut Picture<f32>),
        |picture| raise(picture, 0, 0.7, false, true),
        |picture| coarsen(picture, 0, [3, 4]),
        |picture| sharpen(picture, 2.0),
        auto_contrast,
    ] {
        let mut numbers = vec![0.37f32; 19 * 23];
        change(&mut Picture { numbers: &mut numbers, size: SIZE, bands: 1, range: [0.0, 1.0], unit: [0.0, 1.0] });
        assert!(numbers.iter().all(|number| (number - 0.37).abs() < 1e-6), "{numbers:?}");
    }
    for change in [
        (|picture| brighten(picture, 0, 1.3)) as fn(&mut Picture<f32>),
        |picture| stretch(picture, 0, 1.3, true),
        |picture| raise(picture, 0, 0.7, true, true),
        auto_contrast,
        invert,
    ] {
        let mut numbers: Vec<f32> = noise(SIZE, 1);
        numbers[40] = f32::NAN;
        change(&mut Picture { numbers: &mut numbers, size: SIZE, bands: 1, range: [0.0, 1.0], unit: [0.0, 1.0] });
        assert!(numbers.iter().enumerate().all(|(place, number)| number.is_nan() == (place == 40)));
    }
}

fn check_channels<T: Element>() {
    for bands in [3usize, 13] {
        let mut counts = [0; 3];
        for index in 0..200 {
            let dropout = ChannelDropout { count: [1, 2], probability: 1.0 };
            let (before, after) = changed::<T>(bands, |picture| dropout.change(picture, &mut stream(index)));
            let of = |numbers: &[T], band: usize| numbers.iter().skip(band).step_by(bands).copied().collect::<Vec<T>>();
            let dropped = (0..bands).filter(|band| of(&after, *band).iter().all(|number| *number == T::default()));
            counts[dropped.count()] += 1;
            assert!((0..bands).all(|band| {
                let after = of(&after, band);
                after == of(&before, band) || after.iter().all(|number| *number == T::default())
            }));

            let shuffle = ChannelShuffle { probability: 1.0 };
            let (before, after) = changed::<T>(bands, |picture| shuffle.change(picture, &mut stream(index)));
            let order = stream_after_chance(index).permutation(bands as u64);
            assert!((0..bands).all(|band| of(&after, band) == of(&before, order[band] as usize)));
        }
        assert!(counts[0] == 0 && counts[1] > 70 && counts[2] > 70, "{counts:?}");
    }
}

/// Returns the stream after the draw that decides whether a transform is applied.
fn stream_after_chance(index: u64) -> Random {
    let mut random = stream(index);
    random.bits();
    random
}

#[test]
fn bands_are_dropped_and_shuffled_whole() {
    check_channels::<u8>();
    check_channels::<u16>();
    check_channels::<f32>();
}

/// Returns the sources of pixels that are displaced by random fields.
fn fields() -> impl Iterator<Item = Vec<[f32; 2]>> {
    (0..20).map(|index| match index % 2 {
        0 => {
            Elastic { alpha: [20.0, 60.0], sigma: [2.0, 3.0], probability: 1.0 }.draw(SIZE, &mut stream(index)).unwrap()
        }
        _ => GridDistortion { limit: 0.8, probability: 1.0, ..GridDistortion::default() }
            .draw(SIZE, &mut stream(index))
            .unwrap(),
    })
}

fn check_warp<T: Element>() {
    for (index, field) in fields().enumerate() {
        for bands in [1, 3, 13] {
            let image: Vec<T> = noise(SIZE, bands);
            let mut to = vec![T::default(); image.len()];
            warp_image((&image, &mut to), SIZE, bands, &field, 0.0);
            assert!(to != image, "{index}");
            // A map of numbers that is the image moves as the image does.
            for band in 0..bands {
                let plane: Vec<f32> = image.iter().skip(band).step_by(bands).map(|number| number.to_f32()).collect();
                let mut moved = vec![0.0; plane.len()];
                let values = Values { channels: None, interpolation: Interpolation::Bilinear, fill: 0.0 };
                warp_plane((&plane, &mut moved), SIZE, &field, values);
                let found = to.iter().skip(band).step_by(bands);
                assert!(found.zip(&moved).all(|(found, moved)| *found == T::from_f32(*moved)));
            }
        }
        // An image of a single number stays it, where no outside is mixed in.
        let flat = vec![T::from_f32(0.7 * range::<T>()[1]); 19 * 23];
        let mut to = vec![T::default(); flat.len()];
        warp_image((&flat, &mut to), SIZE, 1, &field, flat[0].to_f32());
        assert!(to == flat);
    }
}

#[test]
fn images_masks_and_maps_are_warped_together() {
    check_warp::<u8>();
    check_warp::<u16>();
    check_warp::<f32>();
    for field in fields() {
        let ids: Vec<u8> = (0..19 * 23).map(|place| (place % 200) as u8).collect();
        let mut to = vec![0; ids.len()];
        warp_nearest((&ids, &mut to), SIZE, &field, 255);
        let numbers: Vec<f32> = ids.iter().map(|id| f32::from(*id)).collect();
        let mut nearest = vec![0.0; ids.len()];
        let values = Values { channels: None, interpolation: Interpolation::Nearest, fill: 255.0 };
        warp_plane((&numbers, &mut nearest), SIZE, &field, values);
        assert!(to.iter().zip(&nearest).all(|(id, number)| f32::from(*id) == *number));
        // No number is made of an unknown one.
        let mut mixed = vec![0.0; ids.len()];
        warp_plane((&numbers, &mut mixed), SIZE, &field, Values::default());
        let pairs = to.iter().zip(&mixed);
        assert!(pairs.clone().all(|(id, mixed)| *id != 255 || mixed.is_nan()));
        assert!(pairs.filter(|(_, mixed)| !mixed.is_nan()).count() > 100);
    }
}

#[test]
fn a_field_without_strength_moves_nothing() {
    let field = random_field(SIZE, 0.0, 4.0, &mut stream(0));
    let image: Vec<u16> = noise(SIZE, 13);
    let mut to = vec![0; image.len()];
    warp_image((&image, &mut to), SIZE, 13, &field, 0.0);
    assert_eq!(to, image);
}

#[test]
fn a_grid_fills_the_image_and_never_folds() {
    for index in 0..200 {
        let distortion = GridDistortion { steps: 1 + index as u32 % 30, limit: 0.99, probability: 1.0 };
        let size = [1 + index as u32 % 37, 40];
        let field = distortion.draw(size, &mut stream(index)).unwrap();
        assert_eq!(field.len(), (size[0] * 40) as usize);
        for row in field.chunks(40) {
            assert!(row[0][0] == 0.0 && row[39][0] > 32.0, "{row:?}");
            assert!(row.windows(2).all(|pair| pair[0][0] <= pair[1][0] && pair[0][1] == pair[1][1]));
        }
        let inside = |place: &[f32; 2]| place[0] <= 39.0 && place[1] <= size[0] as f32 - 1.0;
        assert!(field.iter().all(inside));
    }
}

#[test]
fn whole_objects_are_pasted_and_nothing_else() {
    // Two objects of class 1, which touch at no corner, and one of class 2.
    let (size, mut ids) = ([8, 10], vec![0u8; 80]);
    for place in [11, 12, 21, 32, 15, 67, 68] {
        ids[place] = 1;
    }
    ids[16] = 2;
    let paste = |classes: &[u64], objects: f32, translate: f32| {
        let classes = classes.iter().map(|id| ClassRef::Id(*id)).collect();
        CopyPaste { classes, objects, translate, probability: 1.0 }
    };
    let found = paste(&[1], 1.0, 0.0).objects(&ids, size, &mut stream(0)).unwrap();
    let pixels: Vec<&[usize]> = found.iter().map(|object| object.pixels.as_slice()).collect();
    assert_eq!(pixels, [&[11, 12, 21, 32][..], &[15], &[67, 68]]);
    assert_eq!(paste(&[1, 2], 1.0, 0.0).objects(&ids, size, &mut stream(0)).unwrap().len(), 4);
    assert_eq!(paste(&[1], 0.0, 0.0).objects(&ids, size, &mut stream(0)).unwrap(), []);

    for bands in [1, 3, 13] {
        let other: Vec<u16> = noise(size, bands);
        let mut image = vec![7u16; other.len()];
        let mut mask = vec![9u8; 80];
        paste_objects(&other, &mut image, bands, size, &found);
        paste_objects(&ids, &mut mask, 1, size, &found);
        for (place, pixel) in image.chunks(bands).enumerate() {
            let is_object = ids[place] == 1;
            let expected = if is_object { &other[place * bands..][..bands] } else { &vec![7; bands][..] };
            assert_eq!((pixel, mask[place]), (expected, if is_object { 1 } else { 9 }));
        }
    }
    // Rows and columns are left at the edges, not continued at the other side.
    let object = |shift| [Object { pixels: vec![11, 12, 21], shift }];
    let pasted = |shift| {
        let mut mask = vec![0u8; 80];
        paste_objects(&ids, &mut mask, 1, size, &object(shift));
        (0..80).filter(|place| mask[*place] == 1).collect::<Vec<usize>>()
    };
    assert_eq!(pasted([0, -2]), [10]);
    assert_eq!(pasted([6, 7]), [78, 79]);
    assert_eq!(pasted([-9, 0]), Vec::<usize>::new());
}

#[test]
fn half_of_the_objects_are_pasted_and_moved_evenly() {
    let ids: Vec<u8> = (0..400).map(|place| u8::from(place % 2 == 0 && place / 20 % 2 == 0)).collect();
    let paste = CopyPaste { classes: vec![ClassRef::Id(1)], objects: 0.5, translate: 0.2, probability: 1.0 };
    let (mut count, mut down) = (0, [0i64; 2]);
    for index in 0..100 {
        for object in paste.objects(&ids, [20, 20], &mut stream(index)).unwrap() {
            count += 1;
            assert_eq!(object.pixels.len(), 1);
            assert!(object.shift.iter().all(|shift| shift.abs() <= 4));
            down = [down[0] + object.shift[0], down[1].max(object.shift[0])];
        }
    }
    assert!((4_800..5_200).contains(&count), "{count}");
    assert!(down[0].abs() < 800 && down[1] == 4, "{down:?}");
}

#[test]
fn jpeg_changes_bytes_of_one_or_three_bands_only() {
    for bands in [1, 3] {
        let before: Vec<u8> = noise(SIZE, bands);
        let worst = |quality: u8| {
            let mut after = before.clone();
            compress(&mut after, SIZE, bands, quality).unwrap();
            before.iter().zip(&after).map(|(a, b)| a.abs_diff(*b)).max().unwrap()
        };
        assert!(worst(100) < 8 && worst(10) > 30, "{} {}", worst(100), worst(10));
    }
    assert!(compress(&mut noise::<u8>(SIZE, 13), SIZE, 13, 50).unwrap_err().contains("13"));
    let jpeg = Jpeg::default();
    jpeg.suits(1, Depth::U8).unwrap();
    jpeg.suits(3, Depth::U8).unwrap();
    for (bands, depth) in [(13, Depth::U8), (1, Depth::U16), (3, Depth::F32)] {
        assert_eq!(jpeg.suits(bands, depth).unwrap_err().key, "kind");
    }
}

fn check_probability<T: Element>() {
    for index in 0..20 {
        for probability in [0.0, 1.0] {
            let check = |what: &str, change: &dyn Fn(&mut Picture<T>, &mut Random)| {
                let (before, after) = changed::<T>(3, |picture| change(picture, &mut stream(index)));
                assert_eq!(before != after, probability == 1.0, "{what} {index}");
                assert!(changed::<T>(3, |picture| change(picture, &mut stream(index))).1 == after);
            };
            let gamma = [0.5, 0.9];
            check("brightness", &|picture, random| {
                Brightness { factor: [1.1, 1.3], per_band: true, probability }.change(picture, random);
            });
            check("contrast", &|picture, random| {
                Contrast { factor: [0.5, 0.8], preserve_range: true, per_band: false, probability }
                    .change(picture, random);
            });
            check("gamma", &|picture, random| {
                Gamma { gamma, invert: true, retain: true, per_band: true, probability }.change(picture, random);
            });
            check("invert", &|picture, random| Invert { probability }.change(picture, random));
            check("sharpen", &|picture, random| Sharpen { factor: [1.5, 2.0], probability }.change(picture, random));
            check("low resolution", &|picture, random| {
                LowResolution { scale: [0.3, 0.6], bands: 1.0, probability }.change(picture, random);
            });
            check("blur", &|picture, random| {
                BandBlur { sigma: [0.8, 1.5], bands: 1.0, probability }.change(picture, random);
            });
        }
    }
}

#[test]
fn a_probability_of_0_changes_nothing_and_1_always_the_same() {
    check_probability::<u8>();
    check_probability::<u16>();
    check_probability::<f32>();
}
