//! Files that are damaged or of a kind that is not read: each says what it is and what to do.

use super::build::{Built, Scratch};
use super::fixtures::cases;
use raster::{Error, Options, Pixels, Raster, Slice};
use std::fs;
use std::path::Path;

/// Returns the message of a file that cannot be read, without its path.
fn said(path: &Path, options: &Options) -> String {
    let read = Raster::open_with(path, options).and_then(|mut raster| raster.whole(&mut Pixels::default()));
    match read {
        Err(Error::Damaged { problem, .. }) => format!("damaged: {problem}"),
        Err(Error::Refused { problem, .. }) => problem,
        other => panic!("{}: {other:?}", path.display()),
    }
}

#[test]
fn tiffs_that_are_not_read_say_why() {
    let scratch = Scratch::new();
    let built = || Built::new(8, 8);
    let tiled = |side: u64| built().without(278).with(322, &[side]).with(323, &[side]);
    let mut no_page = built().bytes();
    no_page[4..8].fill(0);
    let mut circle = built().bytes();
    let end = circle.len() - 8;
    let first: [u8; 4] = circle[4..8].try_into().unwrap();
    circle[end..end + 4].copy_from_slice(&first);
    let mut offsets_of_4 = Built { big: true, ..built() }.bytes();
    offsets_of_4[4] = 4;
    let mut text = built();
    text.texts.push((270, "ImageJ=1.53\nimages=90\n\0".into()));
    let deflated = |bytes: &[u8]| {
        let mut built = built().with(259, &[8]);
        built.blocks = vec![bytes.to_vec()];
        built.bytes()
    };
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (no_page, "damaged: it holds no page"),
        (circle, "damaged: its pages follow each other in a circle"),
        (offsets_of_4, "offsets are not of 8 bytes"),
        (text.bytes(), "is a stack of ImageJ with 90 pictures and directories of 1"),
        (built().with(259, &[4]).bytes(), "compressed with fax (CCITT) (number 4)"),
        (built().with(259, &[34_887]).bytes(), "compressed with LERC"),
        (built().with(259, &[12_345]).bytes(), "an unknown compression (number 12345)"),
        (built().with(262, &[8]).bytes(), "L*a*b* colours, which is not read: save it as RGB"),
        (built().with(262, &[6]).with(277, &[3]).bytes(), "YCbCr colours that are not compressed with JPEG"),
        (built().with(262, &[999]).bytes(), "the unknown colours 999"),
        (built().with(262, &[2]).bytes(), "damaged: it has 1 samples a pixel, and its colours need 3"),
        (built().with(262, &[3]).with(258, &[16]).bytes(), "a palette, 1 samples a pixel and u16 numbers"),
        (
            built().with(262, &[3]).with(320, &[1, 2, 3]).bytes(),
            "damaged: its palette has 3 numbers, and 768 are needed",
        ),
        (built().with(339, &[6]).bytes(), "complex numbers"),
        (built().with(339, &[9]).bytes(), "damaged: its format of numbers is 9"),
        (built().with(339, &[3]).with(258, &[24]).bytes(), "Float numbers of 24 bits"),
        (built().with(277, &[2]).with(258, &[8, 16]).bytes(), "bands differ in their bits (8 and 16)"),
        (built().with(277, &[0]).bytes(), "damaged: it has 0 samples a pixel"),
        (built().with(258, &[0]).bytes(), "Unsigned numbers of 0 bits"),
        (built().with(284, &[7]).bytes(), "damaged: its planar configuration is 7"),
        (built().with(317, &[3]).with(259, &[8]).bytes(), "the predictor 3 on u8 numbers"),
        (built().with(256, &[0]).bytes(), "damaged: its width is 0"),
        (built().without(257).bytes(), "damaged: its height is 0"),
        (built().with(278, &[0]).bytes(), "damaged: its strips have 0 rows"),
        (tiled(0).bytes(), "damaged: its tiles have 0 x 0 pixels"),
        (
            built().with(278, &[1]).bytes(),
            "damaged: it has the places of 1 and the lengths of 1 strips or tiles, and 8",
        ),
        (built().with_type(273, 4, &[1 << 30]).bytes(), "the file ends at"),
        (built().with_type(279, 4, &[63]).bytes(), "damaged: a strip or tile of 63 bytes is too short for its pixels"),
        (built().with_type(256, 2, &[8]).bytes(), "damaged: its tag 256 holds no whole numbers (type 2)"),
        (built().with_type(256, 99, &[8]).bytes(), "damaged: its tag 256 is of the unknown type 99"),
        (
            built().with_type(256, 4, &[1 << 12]).with_type(257, 4, &[1 << 12]).with_type(278, 4, &[1 << 12]).bytes(),
            "is too short for its pixels",
        ),
        (
            built()
                .with_type(256, 4, &[1 << 30])
                .with_type(257, 4, &[4])
                .with_type(278, 4, &[4])
                .with(259, &[5])
                .bytes(),
            "are the most: save it in tiles (gdal_translate -co TILED=YES)",
        ),
        (
            built().with_type(257, 4, &[1 << 30]).with_type(278, 4, &[1]).bytes(),
            "1073741824 strips or tiles, and 16777216 are the most",
        ),
        (deflated(b"nothing that is deflated"), "damaged: a block cannot be unpacked"),
        (deflated(&[0x78, 0x9c, 0x03, 0x00, 0x00, 0x00, 0x00, 0x01]), "damaged: a block unpacks to 0 bytes"),
    ];
    assert!(cases.len() > 30);
    for (index, (bytes, expected)) in cases.iter().enumerate() {
        let path = scratch.write(&format!("{index}.tif"), bytes);
        let said = said(&path, &Options::default());
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn other_files_that_are_not_read_say_why() {
    let scratch = Scratch::new();
    let fixture = |file: &str| fs::read(cases().iter().find(|case| case.file == file).unwrap().path()).unwrap();
    let changed = |file: &str, at: usize, to: &[u8]| {
        let mut bytes = fixture(file);
        bytes[at..at + to.len()].copy_from_slice(to);
        bytes
    };
    let npy = |descr: &str, shape: &str| {
        let header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n");
        [b"\x93NUMPY\x01\0", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), &[0; 64]].concat()
    };
    let nifti = |at: usize, to: &[u8]| changed("u1-le.nii", at, to);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("empty.tif", vec![], "is empty"),
        ("text.tif", b"no image at all".to_vec(), "is of no format that is known here"),
        ("a.npy", npy("<c16", "(2, 2)"), "holds elements of the kind <c16"),
        ("b.npy", npy("<f4", "(2,)"), "is an array of 1 axes, and an image has two or three"),
        ("c.npy", npy("<f4", "(0, 2)"), "holds no numbers"),
        ("d.npy", npy("<f4", "(100, 100)"), "damaged: an array of shape [100, 100] with 4 bytes a number does not fit"),
        ("e.npy", npy("<f4", "(4294967296, 4294967296, 99)"), "damaged: an array of shape"),
        ("f.npy", npy("<f4", "(2, -2)"), "damaged: its shape is not one"),
        ("g.npy", changed("u1-le.npy", 6, &[9]), "is of version 9 of .npy"),
        ("a.nii", nifti(70, &[32, 0]), "holds complex numbers (datatype 32)"),
        ("b.nii", nifti(70, &[1, 0]), "holds single bits (datatype 1)"),
        ("c.nii", nifti(40, &[9, 0]), "damaged: its number of axes is 9"),
        ("d.nii", nifti(42, &[0, 0]), "damaged: its axis 0 has a length of 0"),
        (
            "e.nii",
            nifti(42, &[0, 0x20]),
            "damaged: a volume of [8192, 6, 8, 1] numbers of u8 from byte 352 on does not fit",
        ),
        ("f.nii", nifti(108, &[0, 0, 0x80, 0x3f]), "damaged: its numbers begin at byte 1"),
        (
            "g.nii",
            changed("times.nii", 40, &[5, 0, 5, 0, 6, 0, 4, 0, 3, 0, 2, 0]),
            "has the axes [5, 6, 4, 3, 2, 1, 1]",
        ),
        ("h.nii", nifti(112, &[0, 0, 0, 0x40, 0, 0, 0xc0, 0x7f]), "damaged: its scl_inter is NaN"),
        ("a.hdr", [&348_u32.to_le_bytes()[..], &[0; 344]].concat(), "is Analyze 7.5"),
        ("alone.hdr", fixture("scaled.hdr"), "damaged: its numbers cannot be read from"),
        ("none.img", vec![0; 400], "an .img of NIfTI has its .hdr beside it"),
        ("a.gz", fixture("second.nii.gz")[..12].to_vec(), "is a gzip file that holds no NIfTI"),
        (
            "a.zip",
            b"PK\x03\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0a".to_vec(),
            "is a ZIP file whose first",
        ),
        ("a.npz", fixture("stored.npz")[..90].to_vec(), "damaged: its ZIP directory cannot be read"),
        ("a.png", changed("grey-8.png", 24, &[7]), "damaged"),
        ("b.png", fixture("grey-8.png")[..60].to_vec(), "damaged"),
        ("a.jpg", b"\xff\xd8\xff\xe0".to_vec(), "is JPEG, which is not read"),
        (
            "a.jp2",
            b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(),
            "is JPEG 2000, which is not read: convert it with gdal_translate",
        ),
        ("a.h5", b"\x89HDF\r\n\x1a\n".to_vec(), "is HDF5 (or NetCDF-4), which is not read"),
        ("a.heic", b"\0\0\0\x18ftypheic".to_vec(), "is HEIC, which is not read"),
        ("a.avif", b"\0\0\0\x18ftypavif".to_vec(), "is AVIF, which is not read"),
        ("a.dcm", [&[0; 128][..], b"DICM"].concat(), "is DICOM, which is not read: convert it to NIfTI with dcm2niix"),
        ("a.ecw", vec![1, 2, 3], "is ECW, which is not read"),
    ];
    assert!(cases.len() >= 30);
    let slice = |name: &str| (name.ends_with(".nii") || name == "alone.hdr").then_some(Slice { axis: 2, index: 0 });
    for (name, bytes, expected) in cases {
        let path = scratch.write(name, &bytes);
        let said = said(&path, &Options { slice: slice(name), ..Options::default() });
        assert!(said.contains(expected), "{name}: {said}");
    }
}

#[test]
fn what_is_no_file_is_an_error_of_the_system() {
    let scratch = Scratch::new();
    for path in [scratch.path("missing.tif"), scratch.path("")] {
        assert!(matches!(Raster::open(&path).map(|_| ()), Err(Error::Read { .. })));
    }
}
