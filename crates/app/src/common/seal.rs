//! Recognises pictures that this program wrote, wherever they lie, by a checksum of the whole file at its end. An
//! edited file no longer matches its checksum, so a class map that a person corrected is that person's.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Suffix of files of probabilities, after the name of the image.
pub const PROBABILITIES: &str = "_probabilities.npy";

/// Suffixes of the GeoTIFFs of classes and of probabilities, and of the polygons.
pub const CLASSES_TIF: &str = "_classes.tif";
pub const PROBABILITIES_TIF: &str = "_probabilities.tif";
pub const POLYGONS: &str = ".geojson";

/// Keyword, with its end, of the text chunk that holds the checksum of the picture itself.
const PICTURE: &[u8] = b"oxiseg\0";

/// Files of other formats that belong to a class map: their suffixes, and the keywords of the chunks that hold their
/// checksums, since their own formats have no place for one.
const BESIDE: [(&str, &[u8; 11]); 4] = [
    (PROBABILITIES, b"oxiseg-npy\0"),
    (CLASSES_TIF, b"oxiseg-map\0"),
    (PROBABILITIES_TIF, b"oxiseg-tif\0"),
    (POLYGONS, b"oxiseg-geo\0"),
];

/// Checksums of files that belong to a class map, by their suffixes.
pub type Beside = BTreeMap<&'static str, String>;

/// The last chunk of every PNG file.
const END: &[u8] = b"\0\0\0\0IEND\xaeB`\x82";

/// Number of digits of a checksum.
const DIGITS: usize = 64;

/// Seals a complete PNG file, with the checksums of the files that belong to it.
pub fn seal(file: &mut File, beside: &Beside) -> io::Result<()> {
    let mut end = file.seek(SeekFrom::End(-(END.len() as i64)))?;
    let mut last = [0; END.len()];
    file.read_exact(&mut last)?;
    if last != END {
        return Err(ErrorKind::InvalidData.into());
    }
    file.seek(SeekFrom::Start(end))?;
    for (suffix, keyword) in BESIDE {
        if let Some(checksum) = beside.get(suffix) {
            let chunk = chunk(keyword, checksum);
            file.write_all(&chunk)?;
            end += chunk.len() as u64;
        }
    }
    let checksum = checksum(file, end)?;
    file.seek(SeekFrom::Start(end))?;
    file.write_all(&chunk(PICTURE, &checksum))?;
    file.write_all(END)
}

/// Returns the checksum of the first `bytes` of a file.
pub fn checksum(file: &mut File, bytes: u64) -> io::Result<String> {
    file.rewind()?;
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(file.take(bytes))?;
    Ok(hasher.finalize().to_hex().to_string())
}

/// Returns whether this program wrote the file at `path` and nobody changed it since. An unreadable file is not ours.
pub fn is_ours(path: &Path) -> bool {
    let ours = match path.extension().and_then(OsStr::to_str) {
        Some("png") => is_sealed(path),
        Some("npy" | "tif" | "geojson") => belongs(path),
        _ => Ok(false),
    };
    ours.unwrap_or(false)
}

/// Returns the checksums of the files that belong to the picture at `path`, if it is ours.
pub fn beside(path: &Path) -> Beside {
    let mut found = Beside::new();
    let Some(mut file) = is_ours(path).then(|| File::open(path).ok()).flatten() else { return found };
    let mut after = (chunk_length(PICTURE) + END.len()) as i64;
    // They stand before the picture's own, the last one first.
    for (suffix, keyword) in BESIDE.into_iter().rev() {
        let length = chunk_length(keyword);
        let mut bytes = vec![0; length];
        let at = file.seek(SeekFrom::End(-after - length as i64));
        if at.and_then(|_| file.read_exact(&mut bytes)).is_ok()
            && let Some(checksum) = read_chunk(keyword, &bytes)
        {
            after += length as i64;
            found.insert(suffix, checksum);
        }
    }
    found
}

fn is_sealed(path: &Path) -> io::Result<bool> {
    let Some((mut file, bytes)) = regular(path)? else { return Ok(false) };
    let sealed = (chunk_length(PICTURE) + END.len()) as u64;
    let Some(before) = bytes.checked_sub(sealed) else { return Ok(false) };
    file.seek(SeekFrom::Start(before))?;
    let mut found = vec![0; sealed as usize];
    file.read_exact(&mut found)?;
    let (seal, end) = found.split_at(chunk_length(PICTURE));
    match read_chunk(PICTURE, seal) {
        Some(expected) if end == END => Ok(checksum(&mut file, before)? == expected),
        _ => Ok(false),
    }
}

/// Returns whether a file matches the checksum in its class map.
fn belongs(path: &Path) -> io::Result<bool> {
    let Some((mut file, bytes)) = regular(path)? else { return Ok(false) };
    let expected = BESIDE.into_iter().find_map(|(suffix, _)| beside(&map_of(path, suffix)?).remove(suffix));
    Ok(expected.is_some() && checksum(&mut file, bytes).ok() == expected)
}

/// Returns the class map that a file with this suffix belongs to.
fn map_of(path: &Path, suffix: &str) -> Option<PathBuf> {
    let name = path.file_name()?.as_encoded_bytes().strip_suffix(suffix.as_bytes())?;
    #[cfg(unix)]
    let name: &OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
    #[cfg(not(unix))]
    let name = str::from_utf8(name).ok()?;
    let mut name = OsString::from(name);
    name.push(".png");
    Some(path.with_file_name(name))
}

/// Opens the file and returns it with its length, if it is a regular file and not a link.
fn regular(path: &Path) -> io::Result<Option<(File, u64)>> {
    let about = fs::symlink_metadata(path)?;
    if about.is_file() { Ok(Some((File::open(path)?, about.len()))) } else { Ok(None) }
}

/// Builds a text chunk.
fn chunk(keyword: &[u8], text: &str) -> Vec<u8> {
    let mut chunk = ((keyword.len() + text.len()) as u32).to_be_bytes().to_vec();
    for part in [b"tEXt", keyword, text.as_bytes()] {
        chunk.extend_from_slice(part);
    }
    let crc = crc32fast::hash(&chunk[4..]);
    chunk.extend(crc.to_be_bytes());
    chunk
}

const fn chunk_length(keyword: &[u8]) -> usize {
    12 + keyword.len() + DIGITS
}

/// Returns the checksum in a chunk that [`chunk`] built.
fn read_chunk(keyword: &[u8], found: &[u8]) -> Option<String> {
    let text = found.get(8 + keyword.len()..8 + keyword.len() + DIGITS)?;
    let text = str::from_utf8(text).ok()?;
    (chunk(keyword, text) == found).then(|| text.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{GrayImage, ImageFormat, Luma};

    #[test]
    fn a_sealed_picture_is_known_anywhere_until_somebody_changes_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let picture = GrayImage::from_fn(9, 7, |x, y| Luma([(x * y) as u8]));
        picture.save(path("a.png")).unwrap();
        assert!(!is_ours(&path("a.png")));
        fs::write(path("a_probabilities.npy"), b"numbers").unwrap();
        let numbers = checksum(&mut File::open(path("a_probabilities.npy")).unwrap(), 7).unwrap();
        let mut file = fs::OpenOptions::new().read(true).write(true).open(path("a.png")).unwrap();
        let of_numbers = Beside::from([(PROBABILITIES, numbers)]);
        seal(&mut file, &of_numbers).unwrap();
        // Every reader still reads it.
        assert_eq!(image::open(path("a.png")).unwrap().into_luma8(), picture);
        assert!(is_ours(&path("a.png")) && is_ours(&path("a_probabilities.npy")));
        assert_eq!(beside(&path("a.png")), of_numbers);
        fs::copy(path("a.png"), path("b.png")).unwrap();
        fs::copy(path("a.png"), path("c.jpg")).unwrap();
        assert!(is_ours(&path("b.png")) && !is_ours(&path("c.jpg")) && !is_ours(&path("d.png")));

        // Saved again by an editor; a byte flipped; cut; the numbers changed.
        let bytes = fs::read(path("a.png")).unwrap();
        image::open(path("b.png")).unwrap().save_with_format(path("b.png"), ImageFormat::Png).unwrap();
        assert!(!is_ours(&path("b.png")));
        for at in [0, 40, bytes.len() / 2, bytes.len() - 1] {
            let mut bytes = bytes.clone();
            bytes[at] ^= 1;
            fs::write(path("b.png"), bytes).unwrap();
            assert!(!is_ours(&path("b.png")), "{at}");
        }
        for length in 0..bytes.len() {
            fs::write(path("b.png"), &bytes[..length]).unwrap();
            assert!(!is_ours(&path("b.png")), "{length}");
        }
        fs::write(path("a_probabilities.npy"), b"nUmbers").unwrap();
        assert!(!is_ours(&path("a_probabilities.npy")) && is_ours(&path("a.png")));
        assert!(seal(&mut File::open(path("a_probabilities.npy")).unwrap(), &Beside::new()).is_err());
    }
}
