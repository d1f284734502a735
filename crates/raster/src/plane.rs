//! Images that lie in a file as arrays: numbers at fixed steps, in the file itself or in a compressed stream.

use crate::cache::{At, Blocks};
use crate::error::{Problem, damaged};
use crate::source::{Endian, Source};
use crate::window::Grid;
use std::io::{self, Read};

/// Bytes that are read together, gaps between the numbers included.
const SPAN: u64 = 1 << 20;

/// Places of an image's numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Strided {
    /// Place of the first number.
    pub(crate) at: u64,
    /// Rows, columns and bands.
    pub(crate) shape: [u64; 3],
    /// Bytes from one row, column and band to the next.
    pub(crate) strides: [u64; 3],
    /// Bytes a number.
    pub(crate) item: usize,
    /// Bytes of a pixel's number that are reversed together.
    pub(crate) endian: Endian,
}

impl Strided {
    /// Returns the place behind the last number, if there is one that 64 bits hold.
    pub(crate) fn end(&self) -> Option<u64> {
        let mut end = self.at.checked_add(self.item as u64)?;
        for (count, stride) in self.shape.into_iter().zip(self.strides) {
            end = end.checked_add(count.checked_sub(1)?.checked_mul(stride)?)?;
        }
        Some(end)
    }

    /// Returns whether the bands lie apart, so that one can be read without the others.
    pub(crate) fn is_planar(&self) -> bool {
        self.shape[2] > 1 && self.strides[2] >= self.strides[0].max(self.strides[1])
    }

    /// Returns the rows and columns that are best read together: about one [`SPAN`], along the file.
    pub(crate) fn block(&self) -> [u32; 2] {
        let along = usize::from(self.strides[1] <= self.strides[0]);
        let mut block = [1; 2];
        let bands = if self.is_planar() { 1 } else { self.shape[2] };
        let number = self.strides[along].max(bands * self.item as u64).max(1);
        block[along] = (SPAN / 2 / number).clamp(1, self.shape[along]);
        // As many lines as the buffer of the block stays small with.
        let line = block[along] * bands * self.item as u64;
        block[1 - along] = (SPAN / 2 / line.max(1)).clamp(1, self.shape[1 - along]);
        block.map(|count| u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Returns the part that a block of a grid takes.
    fn part(&self, grid: &Grid, at: At) -> Self {
        let mut part = *self;
        for (axis, index) in [at.row, at.column].into_iter().enumerate() {
            let block = u64::from(grid.block[axis]);
            let first = u64::from(index) * block;
            part.at += first * self.strides[axis];
            part.shape[axis] = block.min(self.shape[axis].saturating_sub(first));
        }
        if grid.samples == 1 {
            part.at += u64::from(at.plane) * self.strides[2];
            part.shape[2] = 1;
        }
        part
    }

    /// Reads all numbers into `into`, whose rows have `width` pixels. `fetch` is called with rising places.
    fn gather(
        &self,
        width: usize,
        into: &mut Vec<u8>,
        mut fetch: impl FnMut(u64, &mut [u8]) -> Result<(), Problem>,
    ) -> Result<(), Problem> {
        let item = self.item;
        let steps = [width * self.shape[2] as usize * item, self.shape[2] as usize * item, item];
        // Axes in the order of the file, outermost first.
        let mut axes = [0, 1, 2];
        axes.sort_by_key(|axis| (self.shape[*axis] > 1, std::cmp::Reverse(self.strides[*axis])));
        let mut span = item as u64;
        let mut together = 3;
        while together > 0 {
            let axis = axes[together - 1];
            let wider = span + (self.shape[axis] - 1) * self.strides[axis];
            if wider > SPAN {
                break;
            }
            span = wider;
            together -= 1;
        }
        let mut buffer = vec![0; span as usize];
        let counts = |from: usize, to: usize| (from..to).map(|at| self.shape[axes[at]]).product::<u64>();
        into.clear();
        for outer in 0..counts(0, together) {
            let (mut place, mut target, mut rest) = (self.at, 0, outer);
            for axis in axes[..together].iter().rev() {
                let index = rest % self.shape[*axis];
                rest /= self.shape[*axis];
                place += index * self.strides[*axis];
                target += index as usize * steps[*axis];
            }
            fetch(place, &mut buffer)?;
            if into.is_empty() {
                // Only now, when there is something to read: a header may claim any size.
                // Memory that is all zeros costs nothing until it is written.
                *into = vec![0; self.shape[0] as usize * steps[0]];
            }
            self.scatter(&axes[together..], &steps, &buffer, &mut into[target..]);
        }
        self.endian.to_native(into, item);
        Ok(())
    }

    /// Moves the numbers of the axes `axes` from `buffer`, where they are as in the file, to their places.
    fn scatter(&self, axes: &[usize], steps: &[usize; 3], buffer: &[u8], into: &mut [u8]) {
        match axes {
            [] => into[..self.item].copy_from_slice(&buffer[..self.item]),
            [axis] if steps[*axis] == self.item && self.strides[*axis] == self.item as u64 => {
                let bytes = self.shape[*axis] as usize * self.item;
                into[..bytes].copy_from_slice(&buffer[..bytes]);
            }
            [axis, rest @ ..] => {
                for index in 0..self.shape[*axis] as usize {
                    let from = index * self.strides[*axis] as usize;
                    self.scatter(rest, steps, &buffer[from..], &mut into[index * steps[*axis]..]);
                }
            }
        }
    }
}

/// An array in a file, of which parts are read.
pub(crate) struct Seeking {
    pub(crate) source: Source,
    pub(crate) array: Strided,
    pub(crate) grid: Grid,
}

impl Blocks for Seeking {
    fn decode(&mut self, at: At, into: &mut Vec<u8>) -> Result<(), Problem> {
        let part = self.array.part(&self.grid, at);
        part.gather(self.grid.block[1] as usize, into, |place, bytes| self.source.read(place, bytes))
    }
}

/// An array in a compressed stream, which is read from its start for each block.
pub(crate) struct Streaming<F> {
    pub(crate) open: F,
    pub(crate) array: Strided,
    pub(crate) grid: Grid,
}

impl<F: Fn() -> Result<Box<dyn Read>, Problem> + Send> Blocks for Streaming<F> {
    fn decode(&mut self, at: At, into: &mut Vec<u8>) -> Result<(), Problem> {
        let mut stream = (self.open)()?;
        let part = self.array.part(&self.grid, at);
        let mut passed = 0;
        part.gather(self.grid.block[1] as usize, into, |place, bytes| {
            let Some(between) = place.checked_sub(passed) else {
                return damaged("its numbers overlap");
            };
            skip(&mut stream, between)?;
            stream.read_exact(bytes).map_err(of_stream)?;
            passed = place + bytes.len() as u64;
            Ok(())
        })
    }
}

/// Passes over `count` bytes.
fn skip(stream: &mut dyn Read, count: u64) -> Result<(), Problem> {
    if io::copy(&mut stream.take(count), &mut io::sink()).map_err(of_stream)? < count {
        return damaged("its compressed numbers end before the image does");
    }
    Ok(())
}

/// Converts an error of a decompressor.
pub(crate) fn of_stream(source: io::Error) -> Problem {
    match source.kind() {
        io::ErrorKind::UnexpectedEof => Problem::Damaged("its compressed numbers end before the image does".into()),
        io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData | io::ErrorKind::Other => {
            Problem::Damaged(format!("its compressed numbers cannot be unpacked: {source}"))
        }
        _ => Problem::Io(source),
    }
}
