//! Large images: memory stays small, and no block is decoded twice.

use super::build::{Built, Scratch};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use raster::{Depth, Pixels, Raster};
use std::fs::File;
use std::io::Write;

const SIDE: u64 = 20_000;
const TILE: u64 = 256;

/// Returns the number at a place of the tile of a kind.
fn number(kind: u64, row: u64, column: u64) -> u16 {
    (kind * 5000 + row * 7 + column) as u16
}

/// Returns a TIFF of 20,000 x 20,000 16-bit numbers, whose 6,241 tiles are seven that lie in the file.
fn tiled() -> Vec<u8> {
    let mut built = Built::new(SIDE, SIDE).without(278).with(258, &[16]).with(259, &[8]);
    built.big = true;
    built.blocks = (0..7)
        .map(|kind| {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
            for row in 0..TILE {
                for column in 0..TILE {
                    encoder.write_all(&number(kind, row, column).to_le_bytes()).unwrap();
                }
            }
            encoder.finish().unwrap()
        })
        .collect();
    let lengths: Vec<u64> = built.blocks.iter().map(|block| block.len() as u64).collect();
    let places: Vec<u64> = lengths.iter().scan(16, |at, length| Some(std::mem::replace(at, *at + length))).collect();
    let count = SIDE.div_ceil(TILE).pow(2);
    let of = |all: &[u64]| (0..count).map(|tile| all[tile as usize % 7]).collect::<Vec<_>>();
    built = built.with_type(324, 16, &of(&places)).with_type(325, 16, &of(&lengths));
    built.with_type(322, 4, &[TILE]).with_type(323, 4, &[TILE]).bytes()
}

fn expected(row: u64, column: u64) -> u16 {
    let tile = row / TILE * SIDE.div_ceil(TILE) + column / TILE;
    number(tile % 7, row % TILE, column % TILE)
}

#[test]
fn windows_of_a_large_tiled_image_take_little_memory() {
    let scratch = Scratch::new();
    let path = scratch.write("large.tif", &tiled());
    let mut wrong = 0;
    let measured = allocation_counter::measure(|| {
        let mut raster = Raster::open(&path).unwrap();
        assert_eq!((raster.info().size, raster.info().block), ([SIDE as u32; 2], [TILE as u32; 2]));
        let mut pixels = Pixels::default();
        for (top, left) in [(0, 0), (19_000, 19_000), (255, 255), (10_000, 3), (19_488, 0), (1, 19_488)] {
            raster.window([top, left], [512; 2], &[0], Depth::U16, &mut pixels).unwrap();
            let Pixels::U16(numbers) = &pixels else { panic!() };
            for (index, found) in numbers.iter().enumerate().step_by(37) {
                let (row, column) = (u64::from(top) + index as u64 / 512, u64::from(left) + index as u64 % 512);
                wrong += usize::from(*found != expected(row, column));
            }
        }
    });
    assert_eq!(wrong, 0);
    assert!(measured.bytes_max < 40 << 20, "{} bytes", measured.bytes_max);
}

#[test]
fn rows_of_a_large_tiled_image_decode_each_tile_once_within_bounds() {
    let scratch = Scratch::new();
    let path = scratch.write("large.tif", &tiled());
    let mut wrong = 0;
    let measured = allocation_counter::measure(|| {
        let mut raster = Raster::open(&path).unwrap();
        let mut row = Pixels::default();
        for index in 0..768 {
            raster.window([index, 0], [1, SIDE as u32], &[0], Depth::U16, &mut row).unwrap();
            let Pixels::U16(numbers) = &row else { panic!() };
            let index = u64::from(index);
            wrong += (0..SIDE).step_by(97).filter(|at| numbers[*at as usize] != expected(index, *at)).count();
        }
    });
    assert_eq!(wrong, 0);
    assert!(measured.bytes_max < 48 << 20, "{} bytes", measured.bytes_max);
    // Each decoded tile takes a handful of allocations, the buffer of inflation among them: 3 x 79 tiles, not 768 x 79.
    assert!(measured.count_total < 3 * 79 * 40, "{} allocations", measured.count_total);
}

#[test]
fn a_strip_that_is_the_whole_image_is_read_in_parts() {
    let scratch = Scratch::new();
    let path = scratch.path("strip.tif");
    // A file with a hole: 20,000 x 20,000 bytes that take no room on the disk.
    let mut built = Built::new(SIDE, SIDE).with_type(273, 4, &[8]).with_type(279, 4, &[SIDE * SIDE]);
    built.blocks.clear();
    let directory = built.bytes();
    let mut file = File::create(&path).unwrap();
    let at = 8 + SIDE * SIDE;
    file.write_all(&directory[..4]).unwrap();
    file.write_all(&(at as u32).to_le_bytes()).unwrap();
    file.set_len(at).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(at)).unwrap();
    // All values of the tags lie within their entries.
    let start = u32::from_le_bytes(directory[4..8].try_into().unwrap()) as usize;
    file.write_all(&directory[start..]).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(8 + 19_999 * SIDE + 5)).unwrap();
    file.write_all(&[77]).unwrap();
    let mut pixels = Pixels::default();
    let measured = allocation_counter::measure(|| {
        let mut raster = Raster::open(&path).unwrap();
        raster.window([19_998, 4], [2, 3], &[0], Depth::U8, &mut pixels).unwrap();
    });
    assert_eq!(pixels.bytes(), [0, 0, 0, 0, 77, 0]);
    assert!(measured.bytes_max < 4 << 20, "{} bytes", measured.bytes_max);
}

#[test]
fn windows_of_a_large_array_read_what_they_need() {
    let scratch = Scratch::new();
    for (fortran, name) in [(false, "c.npy"), (true, "f.npy")] {
        let path = scratch.path(name);
        let order = if fortran { "True" } else { "False" };
        let mut header = format!("{{'descr': '<f4', 'fortran_order': {order}, 'shape': (20000, 20000), }}");
        header += &" ".repeat(117 - header.len());
        header.push('\n');
        let mut file = File::create(&path).unwrap();
        file.write_all(b"\x93NUMPY\x01\0\x76\0").unwrap();
        file.write_all(header.as_bytes()).unwrap();
        file.set_len(128 + 4 * SIDE * SIDE).unwrap();
        let (row, column) = (19_000, 123);
        let index = if fortran { column * SIDE + row } else { row * SIDE + column };
        std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(128 + 4 * index)).unwrap();
        file.write_all(&1.5_f32.to_le_bytes()).unwrap();
        let mut pixels = Pixels::default();
        let measured = allocation_counter::measure(|| {
            let mut raster = Raster::open(&path).unwrap();
            raster.window([18_999, 122], [2, 2], &[0], Depth::F32, &mut pixels).unwrap();
        });
        assert_eq!(pixels, Pixels::from(vec![0.0_f32, 0.0, 0.0, 1.5]));
        assert!(measured.bytes_max < 6 << 20, "{} bytes", measured.bytes_max);
    }
}
