//! Windows: from decoded blocks to numbers of the depth that was asked for.

use crate::cache::{At, Blocks, Cache};
use crate::error::{Problem, damaged};
use crate::number::{Cell, half};
use crate::pixels::{Depth, Pixels};
use std::ops::Range;

/// Division of an image into blocks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Grid {
    /// Height and width of the image.
    pub(crate) size: [u32; 2],
    /// Height and width of a block.
    pub(crate) block: [u32; 2],
    /// Bands that lie side by side in a block. Band `b` is sample `b % samples` of plane `b / samples`.
    pub(crate) samples: u32,
    pub(crate) cell: Cell,
    /// Slope and intercept of the numbers.
    pub(crate) scale: Option<[f64; 2]>,
}

impl Grid {
    /// Returns the bytes of a block.
    pub(crate) fn block_bytes(&self) -> u64 {
        let [height, width] = self.block.map(u64::from);
        height.saturating_mul(width).saturating_mul(self.samples.into()).saturating_mul(self.cell.bytes() as u64)
    }

    /// Returns the number of blocks across.
    pub(crate) fn columns(&self) -> u32 {
        self.size[1].div_ceil(self.block[1])
    }
}

/// One copy from a block into the window.
struct Copy<'a> {
    block: &'a [u8],
    /// Numbers a row of the block, and from one pixel to the next.
    steps: [usize; 2],
    /// Rows and columns of the block, within it.
    part: [Range<usize>; 2],
    /// First number in the block, and in the window.
    first: [usize; 2],
    /// Numbers a row of the window, and from one pixel to the next.
    into: [usize; 2],
}

impl Copy<'_> {
    /// Copies numbers of `N` bytes, each converted by `convert`. None if the block is shorter than its grid says.
    fn run<const N: usize, T>(&self, to: &mut [T], convert: impl Fn([u8; N]) -> T) -> Option<()> {
        let cells = self.block.as_chunks::<N>().0;
        let [row_step, pixel_step] = self.steps;
        let [rows, columns] = &self.part;
        for (down, row) in rows.clone().enumerate() {
            let from = cells.get(row * row_step + columns.start * pixel_step + self.first[0]..)?;
            let to = to.get_mut(self.first[1] + down * self.into[0]..)?;
            if from.len() < (columns.len().max(1) - 1) * pixel_step + 1 {
                return None;
            }
            let from = from.iter().step_by(pixel_step);
            for (number, cell) in to.iter_mut().step_by(self.into[1]).take(columns.len()).zip(from) {
                *number = convert(*cell);
            }
        }
        Some(())
    }

    fn dispatch(&self, cell: Cell, scale: Option<[f64; 2]>, to: &mut Pixels) -> Option<()> {
        let floats = match to {
            Pixels::U8(to) => return if cell == Cell::U8 { self.run(to, |[byte]| byte) } else { None },
            Pixels::U16(to) => {
                return match cell {
                    Cell::U8 => self.run(to, |[byte]| byte.into()),
                    Cell::U16 => self.run(to, u16::from_ne_bytes),
                    _ => None,
                };
            }
            Pixels::F32(to) => to,
        };
        macro_rules! floats {
            ($number:ty, $nearest:expr) => {
                match scale {
                    None => self.run(floats, |bytes| $nearest(<$number>::from_ne_bytes(bytes))),
                    Some([slope, intercept]) => self.run(floats, |bytes| {
                        (f64::from($nearest(<$number>::from_ne_bytes(bytes))) * slope + intercept) as f32
                    }),
                }
            };
            (wide $number:ty) => {
                match scale {
                    None => self.run(floats, |bytes| <$number>::from_ne_bytes(bytes) as f32),
                    Some([slope, intercept]) => {
                        self.run(floats, |bytes| (<$number>::from_ne_bytes(bytes) as f64 * slope + intercept) as f32)
                    }
                }
            };
        }
        match cell {
            Cell::U8 => floats!(u8, f32::from),
            Cell::U16 => floats!(u16, f32::from),
            Cell::I8 => floats!(i8, f32::from),
            Cell::I16 => floats!(i16, f32::from),
            Cell::F16 => floats!(u16, half),
            Cell::F32 => floats!(f32, f32::from),
            Cell::U32 => floats!(wide u32),
            Cell::U64 => floats!(wide u64),
            Cell::I32 => floats!(wide i32),
            Cell::I64 => floats!(wide i64),
            Cell::F64 => floats!(wide f64),
        }
    }
}

/// Reads a window that lies within the image, of bands that it has.
pub(crate) fn read(
    grid: &Grid,
    decoder: &mut dyn Blocks,
    cache: &mut Cache,
    top_left: [u32; 2],
    size: [u32; 2],
    bands: &[u32],
    into: &mut Pixels,
) -> Result<(), Problem> {
    let wanted = bands.len();
    let mut planes: Vec<u32> = bands.iter().map(|band| band / grid.samples).collect();
    planes.sort_unstable();
    planes.dedup();
    let blocks = [0, 1].map(|axis| {
        let end = top_left[axis] + size[axis];
        top_left[axis] / grid.block[axis]..end.div_ceil(grid.block[axis])
    });
    let samples = grid.samples as usize;
    for row in blocks[0].clone() {
        for column in blocks[1].clone() {
            for plane in planes.iter().copied() {
                let at = At { plane, row, column };
                let block = cache.get(at, grid.block_bytes() as usize, decoder)?;
                let [(rows, down), (columns, right)] = [(0, row), (1, column)].map(|(axis, index)| {
                    // Products stay within the image's size, but for the last block's end.
                    let start = u64::from(index) * u64::from(grid.block[axis]);
                    let first = start.max(top_left[axis].into());
                    let end = (start + u64::from(grid.block[axis])).min(u64::from(top_left[axis] + size[axis]));
                    ((first - start) as usize..(end - start) as usize, (first - u64::from(top_left[axis])) as usize)
                });
                for (slot, band) in bands.iter().enumerate().filter(|(_, band)| *band / grid.samples == plane) {
                    let copy = Copy {
                        block,
                        steps: [grid.block[1] as usize * samples, samples],
                        part: [rows.clone(), columns.clone()],
                        first: [(band % grid.samples) as usize, (down * size[1] as usize + right) * wanted + slot],
                        into: [size[1] as usize * wanted, wanted],
                    };
                    if copy.dispatch(grid.cell, grid.scale, into).is_none() {
                        return damaged(format!("the block at row {row}, column {column} is too short"));
                    }
                }
            }
        }
    }
    Ok(())
}

/// Gives `pixels` the depth and the number of numbers. What they held stays where it is not overwritten.
pub(crate) fn resize(pixels: &mut Pixels, depth: Depth, count: usize) {
    match (&mut *pixels, depth) {
        (Pixels::U8(numbers), Depth::U8) => numbers.resize(count, 0),
        (Pixels::U16(numbers), Depth::U16) => numbers.resize(count, 0),
        (Pixels::F32(numbers), Depth::F32) => numbers.resize(count, 0.0),
        _ => {
            *pixels = Pixels::new(depth);
            resize(pixels, depth, count);
        }
    }
}
