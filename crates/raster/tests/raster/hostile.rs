//! Damaged files: cut off anywhere, with any byte changed. Errors are fine; panics and gigabytes are not.

use super::build::Scratch;
use super::fixtures::{cases, random};
use raster::{Depth, Options, Pixels, Raster};
use std::fs;
use std::path::Path;

/// Opens a file and reads some of it, as far as it lets itself be read.
fn read(path: &Path, options: &Options) -> bool {
    let Ok(mut raster) = Raster::open_with(path, options) else { return false };
    let info = raster.info().clone();
    let size = info.size.map(|side| side.min(64));
    let bands: Vec<u32> = (0..info.bands.min(4)).collect();
    let mut pixels = Pixels::default();
    let first = raster.window([0, 0], size, &bands, Depth::F32, &mut pixels);
    let corner = [info.size[0] - size[0], info.size[1] - size[1]];
    let last = raster.window(corner, size, &bands, info.depth, &mut pixels);
    first.is_ok() && last.is_ok()
}

#[test]
fn a_file_with_any_byte_changed_is_read_or_refused() {
    let scratch = Scratch::new();
    let (mut sound, mut all) = (0, 0);
    for case in cases() {
        let bytes = fs::read(case.path()).unwrap();
        let mut random = random(bytes.len() as u64);
        for turn in 0..60 {
            let mut changed = bytes.clone();
            for _ in 0..=turn % 3 {
                // Headers and directories lie at either end.
                let near = random(300).min(bytes.len() as u32 - 1) as usize;
                let at = match turn % 4 {
                    0 => near,
                    1 => bytes.len() - 1 - near,
                    _ => random(bytes.len() as u32) as usize,
                };
                changed[at] = match random(4) {
                    0 => 0,
                    1 => u8::MAX,
                    2 => changed[at] ^ (1 << random(8)),
                    _ => random(256) as u8,
                };
            }
            let path = scratch.write(&case.file, &changed);
            sound += u32::from(read(&path, &case.options()));
            all += 1;
        }
    }
    assert!(sound > all / 10 && sound < all, "{sound} of {all} are read: the changes hit nothing, or all");
}

#[test]
fn a_file_that_is_cut_off_is_named_as_that() {
    let scratch = Scratch::new();
    for case in cases() {
        let bytes = fs::read(case.path()).unwrap();
        let mut random = random(bytes.len() as u64);
        for length in (0..12).chain((0..12).map(|_| random(bytes.len() as u32) as usize)) {
            let path = scratch.write(&case.file, &bytes[..length.min(bytes.len() - 1)]);
            read(&path, &case.options());
        }
    }
}
