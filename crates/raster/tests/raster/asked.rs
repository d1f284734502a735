//! Windows, bands, pages and slices that a file does not have, and choices that its format does not know.

use super::build::{Built, Scratch};
use super::fixtures::cases;
use raster::{Axes, Depth, Error, Options, Pixels, Raster, Slice};

fn open(file: &str, options: &Options) -> Result<Raster, Error> {
    let case = cases().into_iter().find(|case| case.file == file).unwrap();
    Raster::open_with(&case.path(), options)
}

/// Checks the message of an error about what was asked for.
fn refuses(result: Result<Raster, Error>, expected: &str) {
    match result.map(|_| ()) {
        Err(Error::Asked { path, problem }) => {
            assert!(problem.contains(expected), "{problem}");
            assert!(path.file_name().is_some());
        }
        other => panic!("{expected}: {other:?}"),
    }
}

#[test]
fn choices_that_a_format_does_not_have_are_named() {
    let (page, slice) = (Options { page: 1, ..Options::default() }, Some(Slice { axis: 0, index: 0 }));
    let slice = Options { slice, ..Options::default() };
    let all = Options { pages_as_bands: true, ..Options::default() };
    let axes = Options { axes: Axes::BandsFirst, ..Options::default() };
    let array = Options { array: Some("image".into()), ..Options::default() };
    for (file, options, expected) in [
        ("grey-8.png", &page, "it is PNG, and `page` is a choice for TIFF only"),
        ("u1-le.npy", &page, "`page` is a choice for TIFF only"),
        ("grey-8.png", &all, "`pages_as_bands` is a choice for TIFF only"),
        ("rgba.tif", &slice, "it is TIFF, and `slice` is a choice for NIfTI, npy and npz only"),
        ("flat.nii", &axes, "it is NIfTI, and `axes` is a choice for npy and npz only"),
        ("u1-le.npy", &array, "`array` is a choice for npz only"),
    ] {
        refuses(open(file, options), expected);
    }
}

#[test]
fn pages_slices_and_arrays_that_are_not_there_are_named() {
    let page = |page| Options { page, ..Options::default() };
    let slice = |axis, index| Options { slice: Some(Slice { axis, index }), ..Options::default() };
    let array = |name: &str| Options { array: Some(name.into()), ..Options::default() };
    let both = Options { page: 1, pages_as_bands: true, ..Options::default() };
    for (file, options, expected) in [
        ("pages.tif", page(4), "it has 4 pages, counted from 0: there is no page 4"),
        ("pyramid.tif", page(1), "it has 1 pages"),
        ("pages.tif", both, "either one page is chosen or all are taken as bands"),
        ("i2-le.nii", Options::default(), "it is a volume of 7 x 6 x 8: choose a slice"),
        ("i2-le.nii", slice(3, 0), "the axes 0, 1 and 2, and no 3"),
        ("i2-le.nii", slice(2, 8), "its axis 2 has 8 slices, counted from 0: there is no 8"),
        ("volume.npy", Options::default(), "either end may be the bands"),
        ("volume.npy", slice(3, 0), "it has no axis 3"),
        ("volume.npy", slice(0, 4), "its axis 0 has 4 slices"),
        ("deep.npz", Options::default(), "has more than three axes: choose a slice"),
        ("packed.npz", Options::default(), "it holds 2 arrays: choose one of `image`, `other` (`array`)"),
        ("packed.npz", array("third"), "it holds no array `third`, but `image`, `other`"),
    ] {
        refuses(open(file, &options), expected);
    }
}

#[test]
fn windows_outside_the_image_are_named() {
    let scratch = Scratch::new();
    let path = scratch.write("image.tif", &Built::new(20, 30).bytes());
    let mut raster = Raster::open(&path).unwrap();
    let mut pixels = Pixels::default();
    let mut said = |top_left, size, bands: &[u32], depth| {
        raster.window(top_left, size, bands, depth, &mut pixels).unwrap_err().to_string()
    };
    for (top_left, size) in
        [([0, 0], [21, 1]), ([0, 30], [1, 1]), ([19, 0], [2, 1]), ([u32::MAX, 0], [2, 1]), ([0, 0], [0, 1])]
    {
        let said = said(top_left, size, &[0], Depth::U8);
        assert!(said.contains("does not lie within the image of 20 x 30"), "{said}");
        assert!(said.contains("image.tif"), "{said}");
    }
    assert!(said([0, 0], [1, 1], &[], Depth::U8).contains("no bands"));
    assert!(said([0, 0], [1, 1], &[0, 1], Depth::U8).contains("it has no band 1: its 1 are counted from 0"));
    let mut wide = open("grey-16.png", &Options::default()).unwrap();
    let error = wide.window([0, 0], [1, 1], &[0], Depth::U8, &mut pixels).unwrap_err().to_string();
    assert!(error.ends_with("its numbers (u16) do not fit into 8 bits: read them as U16"), "{error}");
    let mut signed = open("plain-i1-le.tif", &Options::default()).map(|_| ()).err();
    assert!(signed.take().is_none());
}

#[test]
fn an_image_that_no_memory_holds_is_read_in_parts_alone() {
    let scratch = Scratch::new();
    let mut built = Built::new(200_000, 200_000).without(278).with_type(322, 4, &[16_384]).with_type(323, 4, &[16_384]);
    built.blocks = vec![Vec::new(); 169];
    let path = scratch.write("huge.tif", &built.bytes());
    let mut raster = Raster::open(&path).unwrap();
    let mut pixels = Pixels::default();
    let error = raster.whole(&mut pixels).unwrap_err().to_string();
    assert!(
        error.contains("the window needs 40000000000 bytes, and 17179869184 are the most: read it in parts"),
        "{error}"
    );
    raster.window([199_999, 199_999], [1, 1], &[0], Depth::U8, &mut pixels).unwrap();
    assert_eq!(pixels.bytes(), [0]);
}
