//! The format of a file by its first bytes, and the formats that are refused by name.

use crate::error::{Problem, refused};
use crate::nifti;
use flate2::read::GzDecoder;
use std::io::Read;
use std::path::Path;

/// Bytes of a file's start that tell its format.
pub(crate) const SNIFFED: u64 = 1024;

/// Format that is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Tiff,
    Png,
    Npy,
    Npz,
    Nifti,
}

impl Format {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tiff => "TIFF",
            Self::Png => "PNG",
            Self::Npy => "npy",
            Self::Npz => "npz",
            Self::Nifti => "NIfTI",
        }
    }
}

const GDAL: &str = "convert it with gdal_translate -of GTiff";
const GDAL_PART: &str = "convert the array to GeoTIFF (gdal_translate -of GTiff) or to .npy (numpy.save)";
const MICROSCOPE: &str = "convert it to TIFF with bfconvert of Bio-Formats";
const DICOM: &str = "convert it to NIfTI with dcm2niix, or a single image to PNG with dcmj2pnm";
const PHOTO: &str = "convert it to PNG or TIFF (ImageMagick, or pillow with pillow-heif)";
const MEDICAL: &str = "convert it to NIfTI (SimpleITK: WriteImage(ReadImage(path), 'image.nii.gz'))";
const MATLAB: &str = "convert the array to .npy (scipy.io.loadmat, numpy.save)";
const ELSEWHERE: &str = "its pixels are bytes, which the reader of plain images reads";

/// Offset, first bytes, name and way out of formats that are not read.
const REFUSED: [(usize, &[u8], &str, &str); 37] = [
    (128, b"DICM", "DICOM", DICOM),
    (0, b"\x89HDF\r\n\x1a\n", "HDF5 (or NetCDF-4)", GDAL_PART),
    (512, b"\x89HDF\r\n\x1a\n", "HDF5 (or MATLAB 7.3)", GDAL_PART),
    (0, b"\x0e\x03\x13\x01", "HDF4", GDAL_PART),
    (0, b"CDF\x01", "NetCDF", GDAL_PART),
    (0, b"CDF\x02", "NetCDF", GDAL_PART),
    (0, b"CDF\x05", "NetCDF", GDAL_PART),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000", GDAL),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000", GDAL),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL", PHOTO),
    (0, b"\xff\x0a", "JPEG XL", PHOTO),
    (4, b"ftypavif", "AVIF", PHOTO),
    (4, b"ftypavis", "AVIF", PHOTO),
    (4, b"ftypmif1", "HEIC or AVIF", PHOTO),
    (4, b"ftypmsf1", "HEIC or AVIF", PHOTO),
    (4, b"ftyphe", "HEIC", PHOTO),
    (0, b"msid", "MrSID", GDAL),
    (0, b"NITF", "NITF", GDAL),
    (0, b"GRIB", "GRIB", GDAL),
    (0, b"EHFA_HEADER_TAG", "ERDAS Imagine", GDAL),
    (0, b"SIMPLE  =", "FITS", GDAL),
    (0, b"\x76\x2f\x31\x01", "OpenEXR", GDAL),
    (0, b"8BPS", "Photoshop", "save it as TIFF"),
    (0, b"ZISRAWFILE", "CZI (Zeiss)", MICROSCOPE),
    (0, b"\xda\xce\xbe\x0a", "ND2 (Nikon)", MICROSCOPE),
    (0, b"\0\0\0\x0cjP  ", "ND2 (Nikon) or JPEG 2000", MICROSCOPE),
    (0, b"\x70\0\0\0", "LIF (Leica)", MICROSCOPE),
    (0, b"NRRD", "NRRD", MEDICAL),
    (0, b"ObjectType", "MetaImage (.mha, .mhd)", MEDICAL),
    (0, b"NDims", "MetaImage (.mha, .mhd)", MEDICAL),
    (0, b"MATLAB 5.0 MAT-file", "MATLAB", MATLAB),
    (0, b"\xff\xd8\xff", "JPEG", ELSEWHERE),
    (0, b"GIF8", "GIF", ELSEWHERE),
    (0, b"BM", "BMP", ELSEWHERE),
    (8, b"WEBP", "WebP", ELSEWHERE),
    (0, b"P5", "PGM", "convert it to PNG"),
    (0, b"P6", "PPM", "convert it to PNG"),
];

/// Returns whether a file that starts with these bytes is TIFF, PNG, `.npy`, `.npz` or NIfTI (also compressed). It
/// takes the first 1,024 bytes, or all of a shorter file, to tell.
pub fn is_raster(start: &[u8]) -> bool {
    known(start).is_some()
}

/// Returns the format, if it is one of those that are read.
fn known(start: &[u8]) -> Option<Format> {
    if [b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"].iter().any(|magic| start.starts_with(*magic)) {
        Some(Format::Tiff)
    } else if start.starts_with(b"\x89PNG\r\n\x1a\n") {
        Some(Format::Png)
    } else if start.starts_with(b"\x93NUMPY") {
        Some(Format::Npy)
    } else if start.starts_with(b"PK\x03\x04") {
        // NumPy writes nothing before the first array, whose name ends so.
        let length = usize::from(u16::from_le_bytes([*start.get(26)?, *start.get(27)?]));
        start.get(30..30 + length)?.ends_with(b".npy").then_some(Format::Npz)
    } else if start.starts_with(b"\x1f\x8b") {
        nifti::is_header(&inflated(start)).then_some(Format::Nifti)
    } else {
        nifti::is_header(start).then_some(Format::Nifti)
    }
}

/// Returns the first bytes of what the start of a gzip file holds.
fn inflated(start: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 560];
    let (mut decoder, mut filled) = (GzDecoder::new(start), 0);
    // The start ends amid the stream, which is an error only behind what it holds.
    while let Ok(count) = decoder.read(&mut bytes[filled..]) {
        if count == 0 {
            break;
        }
        filled += count;
    }
    bytes.truncate(filled);
    bytes
}

/// Returns the format of a file that starts with `start`.
pub(crate) fn format(start: &[u8], path: &Path) -> Result<Format, Problem> {
    if let Some(format) = known(start) {
        return Ok(format);
    }
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default().to_ascii_lowercase();
    if start.is_empty() {
        return refused("is empty");
    }
    let name_says = |name: &str, way: &str| refused(format!("is {name}, which is not read: {way}"));
    let found = REFUSED.iter().find(|(at, magic, ..)| start.get(*at..).is_some_and(|rest| rest.starts_with(magic)));
    // Before the formats of short magic numbers, which any raw file may begin with.
    match extension.as_str() {
        "img" | "hdr" if found.is_none() => return nifti::pair(start, path).map(|()| Format::Nifti),
        "ecw" => return name_says("ECW", GDAL),
        "dcm" => return name_says("DICOM", DICOM),
        "mat" => return name_says("MATLAB", MATLAB),
        _ => {}
    }
    if let Some((_, _, name, way)) = found {
        return name_says(name, way);
    }
    match start {
        [0x1f, 0x8b, ..] => refused("is a gzip file that holds no NIfTI: unpack it (gunzip)"),
        [b'P', b'K', 3, 4, ..] => refused(
            "is a ZIP file whose first entry is no .npy array: unpack it (unzip), and name the files that it holds",
        ),
        _ => refused("is of no format that is known here: convert it to TIFF or PNG"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Format, REFUSED, format, is_raster};
    use crate::error::Problem;
    use std::path::Path;

    #[test]
    fn each_refused_format_is_named_with_what_converts_it() {
        for (at, magic, name, way) in REFUSED {
            let mut start = vec![0; at];
            start.extend(magic);
            start.resize(1024, 0);
            assert!(!is_raster(&start), "{name}");
            let Err(Problem::Refused(said)) = format(&start, Path::new("image")) else { panic!("{name} is read") };
            assert!(said.contains(way) || name.contains("ND2"), "{name}: {said}");
        }
        for (file, name) in [("a.ecw", "ECW"), ("a.DCM", "DICOM"), ("a.mat", "MATLAB")] {
            let Err(Problem::Refused(said)) = format(b"\x01\x02\x03\x04", Path::new(file)) else { panic!("{file}") };
            assert!(said.contains(&format!("is {name}, ")), "{said}");
        }
    }

    #[test]
    fn what_is_read_is_known_by_its_first_bytes() {
        for (start, expected) in [
            (&b"II*\0"[..], Format::Tiff),
            (b"MM\0*", Format::Tiff),
            (b"II+\0", Format::Tiff),
            (b"\x89PNG\r\n\x1a\n", Format::Png),
            (b"\x93NUMPY\x01\0", Format::Npy),
        ] {
            assert!(is_raster(start));
            assert_eq!(format(start, Path::new("image.jpg")).unwrap(), expected);
        }
        assert!(!is_raster(b"") && !is_raster(b"PK\x03\x04"));
    }
}
