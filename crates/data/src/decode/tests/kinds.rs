//! Supported and unsupported files: TIFF against tifffile and Pillow (`reference/tiffs.py`), JPEG with fill bytes, and
//! files that are no supported images.

use super::*;
use crate::{Noted, Pixels, Remark, Strips, may_be_image, remarks};

#[derive(Deserialize)]
struct Reference {
    images: BTreeMap<String, Kind>,
    masks: BTreeMap<String, Kind>,
    refused: BTreeMap<String, Kind>,
}

#[derive(Deserialize)]
struct Kind {
    file: String,
    #[serde(default)]
    values: String,
    #[serde(default)]
    says: String,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../../../reference/tiffs.json")).unwrap()
}

#[test]
fn a_tiff_is_what_was_stored_or_refused_in_words() {
    let (_folder, path) = place();
    let all = reference();
    for (name, Kind { file, values, .. }) in all.images {
        fs::write(&path, unhex(&file)).unwrap();
        let expected = unhex(&values);
        // Decoders continue chroma at the edge inside a block in different ways.
        let tolerance = if name.starts_with("jpeg") { 4 } else { 0 };
        let ([height, width], found) = read_pixels(&path, 3, Orientation::Apply).expect(&name);
        assert_eq!(([height, width], found.len()), ([16, 20], expected.len()), "{name}");
        let worst = found.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
        assert!(worst <= tolerance, "{name}: off by {worst}");
        let mut strips = Strips::open(&path, 3, Orientation::Apply).unwrap();
        let mut rows = Pixels::default();
        (0..16).for_each(|_| strips.read(1, &mut rows).unwrap());
        assert_eq!(rows.bytes(), found, "{name}");
        let remarks = remarks(&path, Orientation::Apply);
        let has = |remark: Remark| remarks.contains(&remark);
        assert_eq!(has(Remark::Bands), name.starts_with("infrared"), "{name}");
        assert_eq!(has(Remark::Pages), name.starts_with("pages"), "{name}");
        assert_eq!(has(Remark::Wide), name.ends_with("16"), "{name}");
    }
    for (name, Kind { file, says, .. }) in all.refused {
        fs::write(&path, unhex(&file)).unwrap();
        let errors = [
            read_pixels(&path, 3, Orientation::Apply).map(drop).unwrap_err(),
            dimensions(&path, &3.into(), Orientation::Apply).map(drop).unwrap_err(),
            Strips::open(&path, 3, Orientation::Apply).map(drop).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Refused { .. }), "{name}: {error}");
            assert!(error.to_string().contains(&format!("image.jpg is a TIFF {says}")), "{name}: {error}");
        }
    }
}

#[test]
fn labels_of_a_tiff_are_the_numbers_that_were_stored() {
    let (_folder, path) = place();
    for (name, Kind { file, values, .. }) in reference().masks {
        fs::write(&path, unhex(&file)).unwrap();
        assert_eq!(mask(&path, &labels(json!({}), 9)).expect(&name), unhex(&values), "{name}");
        let error = mask(&path, &labels(json!({}), 1)).unwrap_err();
        assert!(matches!(error, Error::Label { found: Label::Value(_), .. }), "{name}: {error}");
    }
    // Numbers that cannot be labels: an error with the place, or ignored like other unlisted values.
    let mut file = unhex(&reference().masks["int32"].file);
    let at = file.len() - 16 * 20 * 4;
    file[at..at + 4].copy_from_slice(&(-9999i32).to_le_bytes());
    fs::write(&path, file).unwrap();
    let error = mask(&path, &labels(json!({}), 9)).unwrap_err().to_string();
    assert!(
        error.contains("holds -9999 at row 0, column 0, and labels are 0 to 65535; expected 0 (class 0)"),
        "{error}"
    );
    let found = mask(&path, &labels(json!({"unlisted": "ignore"}), 9)).unwrap();
    assert!(found[0] == 255 && found[1..] == unhex(&reference().masks["int32"].values)[1..]);
    // Formats that cannot hold labels have errors that say so.
    for (name, says) in [("float", "floating-point"), ("zstd", "ZSTD"), ("palette", "PNG")] {
        fs::write(&path, unhex(&reference().refused[name].file)).unwrap();
        let error = mask(&path, &labels(json!({}), 9)).unwrap_err().to_string();
        assert!(error.contains(says), "{error}");
    }
    fs::write(&path, unhex(&reference().images["white_is_zero"].file)).unwrap();
    assert!(mask(&path, &labels(json!({}), 9)).unwrap_err().to_string().contains("0 is white"));
}

#[test]
fn the_1_of_a_mask_of_one_bit_is_255_where_only_that_is_listed() {
    let (_folder, path) = place();
    let tiffs = reference().masks;
    for (file, values) in [
        (unhex(&tiffs["one_bit"].file), unhex(&tiffs["one_bit"].values)),
        (
            fs::read(of_reference("mask_grey_1.png")).unwrap(),
            super::reference().masks["mask_grey_1.png"].iter().map(|v| *v as u8).collect(),
        ),
        (
            fs::read(of_reference("mask_palette_1.png")).unwrap(),
            super::reference().masks["mask_palette_1.png"].iter().map(|v| *v as u8).collect(),
        ),
    ] {
        fs::write(&path, file).unwrap();
        for map in [json!({"0": 0, "255": 1}), json!({"0": 0, "1": 1}), json!({"0": 0, "1": 1, "255": 0})] {
            assert_eq!(mask(&path, &labels(json!({ "map": map }), 2)).unwrap(), values, "{map}");
        }
        assert_eq!(mask(&path, &labels(json!({}), 2)).unwrap(), values);
        let lenient = json!({"map": {"0": 0, "255": 1}, "unlisted": "ignore"});
        assert_eq!(mask(&path, &labels(lenient, 2)).unwrap(), values);
    }
}

#[test]
fn fill_bytes_may_stand_before_every_marker_of_a_jpeg() {
    let (_folder, path) = place();
    for name in ["baseline.jpg", "progressive.jpg", "grey.jpg", "subsampled.jpg", "restarts.jpg"] {
        let jpeg = fs::read(of_reference(name)).unwrap();
        let expected = read_pixels(&of_reference(name), 3, Orientation::Apply).unwrap();
        let (mut filled, mut rest) = (jpeg[..2].to_vec(), &jpeg[2..]);
        while let [0xff, marker, high, low, ..] = *rest {
            let length = 2 + usize::from(u16::from_be_bytes([high, low]));
            filled.extend([0xff; 3]);
            filled.extend(&rest[..length]);
            rest = &rest[length..];
            if marker == 0xda {
                break;
            }
        }
        for fills in [0, 2] {
            let end = rest.len() - 2;
            let file = [&filled[..], &rest[..end], &vec![0xff; fills], &rest[end..]].concat();
            fs::write(&path, &file).unwrap();
            assert_eq!(read_pixels(&path, 3, Orientation::Apply).expect(name), expected, "{name}");
            assert_eq!(dimensions(&path, &3.into(), Orientation::Apply).unwrap(), expected.0);
            fs::write(&path, &file[..file.len() - 1]).unwrap();
            assert!(matches!(read_pixels(&path, 3, Orientation::Apply), Err(Error::Truncated { .. })), "{name}");
        }
    }
}

#[test]
fn what_is_no_image_that_is_read_is_told_by_name() {
    let (folder, path) = place();
    let container = |brand: &str| [b"\0\0\0\x18ftyp", brand.as_bytes(), &[0; 12]].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (Vec::new(), "is empty"),
        (b"\n<!DOCTYPE html><html><body>404".to_vec(), "is a web page or XML"),
        (vec![0; 4000], "holds nothing but zeros"),
        (b"just text".to_vec(), "is no image that is read"),
        (container("avif"), "is an AVIF image"),
        (container("avis"), "is an AVIF image"),
        (b"\0\0\0\x0cjP  \r\n\x87\n".to_vec(), "is a JPEG 2000 image"),
    ];
    let heic =
        ["heic", "heix", "heim", "heis", "hevc", "mif1", "msf1"].map(|brand| (container(brand), "is a HEIC image"));
    for (content, says) in cases.into_iter().chain(heic) {
        fs::write(&path, content).unwrap();
        for error in [
            read_pixels(&path, 3, Orientation::Apply).map(drop).unwrap_err(),
            dimensions(&path, &3.into(), Orientation::Apply).map(drop).unwrap_err(),
            Strips::open(&path, 3, Orientation::Apply).map(drop).unwrap_err(),
            mask(&path, &labels(json!({}), 1)).map(drop).unwrap_err(),
        ] {
            assert!(error.to_string().contains(&format!("image.jpg {says}")), "{error}");
        }
        assert!(may_be_image(&path));
        let unnamed = folder.path().join("unnamed");
        fs::copy(&path, &unnamed).unwrap();
        assert_eq!(
            may_be_image(&unnamed),
            !["is empty", "web page", "zeros", "no image"].iter().any(|none| says.contains(none))
        );
    }
    for (name, holds) in [("a.JPE", true), ("a.jfif", true), ("a.heif", true), ("a.txt", false), ("notes", false)] {
        let path = folder.path().join(name);
        fs::write(&path, "BM and other words, more than a header of a bitmap has").unwrap();
        assert_eq!(may_be_image(&path), holds, "{name}");
    }
}

#[test]
fn every_format_that_was_cut_off_says_so() {
    let (_folder, path) = place();
    for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::Bmp, ImageFormat::Tiff, ImageFormat::WebP] {
        picture().save_with_format(&path, format).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() * 2 / 3]).unwrap();
        let error = read_rgb(&path, Orientation::Apply).unwrap_err().to_string();
        assert!(error.contains("image.jpg is cut off") || format == ImageFormat::Tiff, "{format:?}: {error}");
    }
}

#[test]
fn half_a_megabyte_that_unpacks_to_gigabytes_is_refused_before_it_is_decoded() {
    let (_folder, path) = place();
    // A grey picture of which only one row exists: 529 MB as it is stored, 1.59 GB in colours.
    fs::write(&path, png_header(23_000)).unwrap();
    let error = read_pixels(&path, 3, Orientation::Apply).unwrap_err().to_string();
    let says = ["image.jpg is 23000x23000 pixels", "1.59 GB", "0.54 GB", "cut it into pieces", "predict --tile"];
    assert!(says.iter().all(|says| error.contains(says)), "{error}");
    assert_eq!(dimensions(&path, &3.into(), Orientation::Apply).unwrap(), [23_000; 2]);
    assert!(Strips::open(&path, 3, Orientation::Apply).is_ok());
}

#[cfg(unix)]
#[test]
fn what_is_no_regular_file_is_an_error_at_once() {
    let folder = tempdir().unwrap();
    let pipe = folder.path().join("pipe.png");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let socket = folder.path().join("socket.png");
    let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    for path in [&pipe, &socket, Path::new("/dev/zero"), folder.path()] {
        let error = read_rgb(path, Orientation::Apply).unwrap_err();
        assert!(
            matches!(error, Error::Io { .. }) && error.to_string().contains(&path.display().to_string()),
            "{error}"
        );
        assert!(dimensions(path, &3.into(), Orientation::Apply).is_err() && mask(path, &labels(json!({}), 1)).is_err());
        assert!(Strips::open(path, 3, Orientation::Apply).is_err());
        assert!(remarks(path, Orientation::Apply).is_empty());
    }
}

#[test]
fn remarks_are_made_once_and_name_the_first_file_and_its_range() {
    let folder = tempdir().unwrap();
    let mut noted = Noted::default();
    for number in [3u64, 1, 2] {
        let path = folder.path().join(format!("{number}.png"));
        let wide = image::ImageBuffer::from_fn(4, 2, |x, _| Luma([600 * number as u16 + 100 * x as u16]));
        image::DynamicImage::ImageLuma16(wide).save(&path).unwrap();
        let found = remarks(&path, Orientation::Apply);
        assert_eq!(found, [Remark::Wide]);
        noted.add(found[0], number, path);
    }
    let lines = noted.lines();
    let says = ["1.png has 16 bits", "values 600 to 900 of 65535", "2 of 256 shades", "(3 files are like this)"];
    assert!(lines.len() == 1 && says.iter().all(|says| lines[0].contains(says)), "{lines:?}");
    // Frames of a GIF and of a WebP.
    let frames = remarks(&of_reference("frames.gif"), Orientation::Apply);
    assert_eq!((frames, remarks(&of_reference("transparent.gif"), Orientation::Apply)), (vec![Remark::Pages], vec![]));
}
