//! Windows: from decoded blocks to numbers of the depth that was asked for.

use crate::cache::{At, Blocks, Cache};
use crate::error::{Problem, damaged};
use crate::number::{Cell, half};
use crate::pixels::{Depth, Element, Pixels};
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
            if pixel_step == 1 && self.into[1] == 1 {
                // Side by side: a loop that is compiled to vectors.
                to.iter_mut().zip(&from[..columns.len()]).for_each(|(number, cell)| *number = convert(*cell));
                continue;
            }
            let from = from.iter().step_by(pixel_step);
            for (number, cell) in to.iter_mut().step_by(self.into[1]).take(columns.len()).zip(from) {
                *number = convert(*cell);
            }
        }
        Some(())
    }

    /// Copies numbers into a window of any depth.
    fn dispatch(&self, grid: &Grid, to: &mut Pixels, At { row, column, .. }: At) -> Result<(), Problem> {
        match self.by_kind(grid.cell, grid.scale, to) {
            Some(()) => Ok(()),
            None => damaged(format!("the block at row {row}, column {column} is too short")),
        }
    }

    fn by_kind(&self, cell: Cell, scale: Option<[f64; 2]>, to: &mut Pixels) -> Option<()> {
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

/// Part of an image: a window that lies within it, bands that it has, and a depth that holds its numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) top_left: [u32; 2],
    pub(crate) size: [u32; 2],
    pub(crate) bands: &'a [u32],
    pub(crate) depth: Depth,
}

impl Window<'_> {
    /// Returns the number of numbers.
    pub(crate) fn count(&self) -> usize {
        self.size[0] as usize * self.size[1] as usize * self.bands.len()
    }

    /// Returns the blocks that an axis of the window touches.
    fn blocks(&self, grid: &Grid, axis: usize) -> Range<u32> {
        let end = self.top_left[axis] + self.size[axis];
        self.top_left[axis] / grid.block[axis]..end.div_ceil(grid.block[axis])
    }

    /// Returns the rows (axis 0) or columns of a block that the window covers, within the block, and the first one's
    /// place in the window.
    fn part(&self, grid: &Grid, axis: usize, index: u32) -> (Range<usize>, usize) {
        let (block, top_left) = (u64::from(grid.block[axis]), u64::from(self.top_left[axis]));
        let start = u64::from(index) * block;
        let first = start.max(top_left);
        let end = (start + block).min(top_left + u64::from(self.size[axis]));
        ((first - start) as usize..(end - start) as usize, (first - top_left) as usize)
    }
}

/// Reads a window.
pub(crate) fn read(
    grid: &Grid,
    decoder: &mut dyn Blocks,
    cache: &mut Cache,
    window: Window<'_>,
    into: &mut Pixels,
) -> Result<(), Problem> {
    let (wanted, width) = (window.bands.len(), window.size[1] as usize);
    let mut planes: Vec<u32> = window.bands.iter().map(|band| band / grid.samples).collect();
    planes.sort_unstable();
    planes.dedup();
    let samples = grid.samples as usize;
    // All bands of a block in their order are copied like one wide band.
    let in_order =
        planes.len() == 1 && wanted == samples && (0..).zip(window.bands).all(|(at, band)| band % grid.samples == at);
    let mut sized = false;
    for row in window.blocks(grid, 0) {
        let (rows, down) = window.part(grid, 0, row);
        for column in window.blocks(grid, 1) {
            let (columns, right) = window.part(grid, 1, column);
            for plane in planes.iter().copied() {
                let at = At { plane, row, column };
                let block = cache.get(at, grid.block_bytes() as usize, decoder)?;
                // Only now: the header of a damaged file may claim any size.
                if !std::mem::replace(&mut sized, true) {
                    resize(into, window.depth, window.count());
                }
                if in_order {
                    let copy = Copy {
                        block,
                        steps: [grid.block[1] as usize * samples, 1],
                        part: [rows.clone(), columns.start * samples..columns.end * samples],
                        first: [0, (down * width + right) * wanted],
                        into: [width * wanted, 1],
                    };
                    copy.dispatch(grid, into, at)?;
                    continue;
                }
                for (slot, band) in window.bands.iter().enumerate().filter(|(_, band)| *band / grid.samples == plane) {
                    let copy = Copy {
                        block,
                        steps: [grid.block[1] as usize * samples, samples],
                        part: [rows.clone(), columns.clone()],
                        first: [(band % grid.samples) as usize, (down * width + right) * wanted + slot],
                        into: [width * wanted, wanted],
                    };
                    copy.dispatch(grid, into, at)?;
                }
            }
        }
    }
    Ok(())
}

/// Gives `pixels` the depth and the number of numbers. What they held stays where it is not overwritten.
fn resize(pixels: &mut Pixels, depth: Depth, count: usize) {
    fn sized<T: Element>(pixels: &mut Pixels, count: usize) {
        let numbers = T::buffer(pixels);
        if numbers.capacity() < count {
            // Memory of zeros from the system is not written before it is used.
            *numbers = vec![T::default(); count];
        } else {
            numbers.resize(count, T::default());
        }
    }
    match depth {
        Depth::U8 => sized::<u8>(pixels, count),
        Depth::U16 => sized::<u16>(pixels, count),
        Depth::F32 => sized::<f32>(pixels, count),
    }
}
