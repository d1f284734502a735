//! Extraction of the code from the archive.

use flate2::read::DeflateDecoder;
use std::io::{Cursor, Read};
use zip::{CompressionMethod, ZipArchive};

/// Maximum number of bytes of code: fifty times those of the largest network here. Compressed code may claim any size.
const LONGEST: u64 = 1 << 20;

/// Returns the archive's only file of code. No other file in it is read.
pub fn code(archive: &[u8]) -> Result<String, String> {
    let damaged = |error: zip::result::ZipError| format!("it is no TorchScript, or a damaged one: {error}");
    let mut archive = ZipArchive::new(Cursor::new(archive)).map_err(damaged)?;
    let is_code = |name: &&str| name.ends_with(".py") && name.split('/').nth(1) == Some("code");
    let names: Vec<String> = archive.file_names().filter(is_code).map(String::from).collect();
    let [name] = &names[..] else {
        return Err(format!("it has {} files of code, and an export has one", names.len()));
    };
    let number = archive.index_for_name(name).unwrap_or_default();
    let file = archive.by_index_raw(number).map_err(damaged)?;
    let mut code = String::new();
    let read = match file.compression() {
        CompressionMethod::Stored => file.take(LONGEST + 1).read_to_string(&mut code),
        CompressionMethod::DEFLATE => DeflateDecoder::new(file).take(LONGEST + 1).read_to_string(&mut code),
        other => return Err(format!("{name} is compressed by {other}")),
    };
    read.map_err(|error| format!("{name}: {error}"))?;
    match code.len() as u64 <= LONGEST {
        true => Ok(code),
        false => Err(format!("{name} has more than {LONGEST} bytes, and no network of an export is so long")),
    }
}
