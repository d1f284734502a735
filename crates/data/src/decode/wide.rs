//! Images of any number of bands and any depth, as a [`Layout`] asks for them.

use super::file::open;
use super::part;
use super::problem::{MOST_MEMORY, Problem, fits, sides};
use super::stack::Stack;
use super::turn::{Orientation, Turn};
use super::{kind, note};
use crate::error::Error;
use crate::load::layout::{Channels, Layout, Scale};
use crate::transform::resize::Rectangle;
use contract::listed;
use raster::{Depth, Element, Info, Pixels, on_pixels};
use std::convert::Infallible;
use std::io::BufRead;
use std::path::Path;

/// Least standard deviation of an image that is standardised, as nnU-Net has it.
const LEAST_DEVIATION: f64 = 1e-8;

/// Number of rows that are read at once to measure an image.
const ROWS: u32 = 256;

/// Number of first bytes that tell files of numbers.
const SNIFFED: usize = 1024;

/// Returns whether the image at `path`, whose file begins with `start`, is of a kind that only this module reads.
pub(super) fn only_raster(path: &Path, start: &[u8]) -> bool {
    let start = &start[..start.len().min(SNIFFED)];
    part::is_part(path) || kind::known(start).is_none() && raster::is_raster(start)
}

/// Looks into the file at `path` for [`only_raster`].
pub(super) fn is_only_wide(path: &Path) -> Result<bool, Error> {
    if part::is_part(path) {
        return Ok(true);
    }
    let mut reader = open(path)?;
    let start = reader.fill_buf().map_err(|source| Error::Io { path: path.into(), source })?;
    Ok(only_raster(path, start))
}

/// Opens the image at `path`, unless it is of a format that holds 8 bits only. Returns it with its bands to take.
pub(super) fn raster(path: &Path, layout: &Layout) -> Result<Option<(Stack, Vec<u32>)>, Error> {
    let pieces = part::pieces(path);
    for piece in &pieces {
        let mut reader = open(part::file(piece))?;
        let start = reader.fill_buf().map_err(|source| Error::Io { path: piece.clone(), source })?;
        if !raster::is_raster(start) {
            if pieces.len() == 1 {
                return Ok(None);
            }
            let problem = "is one of the files of an image, which must be TIFF, PNG, NIfTI or NumPy's";
            return Err(Problem::Refused(problem.into()).of(piece));
        }
    }
    let wanted = match &layout.channels {
        Channels::Count(count) => *count,
        Channels::Bands(bands) => bands.iter().copied().max().unwrap_or_default(),
    };
    let stack = Stack::open(path, wanted)?;
    let bands = bands(stack.info(), layout).map_err(|problem| Problem::Refused(problem).of(path))?;
    Ok(Some((stack, bands)))
}

/// Decodes the image at `path` into `numbers` and tells its `unknown` pixels. Returns its height and width, or `None`
/// for a format that holds 8 bits only.
pub(super) fn read(
    path: &Path,
    layout: &Layout,
    orientation: Orientation,
    (numbers, unknown): (&mut Pixels, &mut Vec<bool>),
) -> Result<Option<[u32; 2]>, Error> {
    let Some((mut raster, bands)) = raster(path, layout)? else { return Ok(None) };
    let channels = bands.len();
    let (size, info) = (raster.info().size, raster.info().clone());
    let bytes_a_pixel = (channels * layout.depth.bytes()) as u64;
    fits(size, bytes_a_pixel, MOST_MEMORY).map_err(|problem| problem.of(path))?;
    raster.window([0, 0], size, &bands, layout.depth, numbers)?;
    let tag = match info.format {
        "PNG" if !part::is_part(path) => note::of_file(image::ImageFormat::Png, &mut open(path)?),
        _ => Turn::of(info.orientation.into()),
    };
    let turn = tag.wanted(orientation);
    on_pixels!(&mut *numbers, numbers => turn.apply_to(numbers, size, channels));
    find_unknown(numbers, channels, [info.no_data, layout.no_data], unknown);
    scale(numbers, channels, layout, (None, unknown));
    Ok(Some(turn.size(size)))
}

/// Decodes a part of the image at `path`: that which `choose` returns for the image's height and width. Returns both,
/// or `None` where only the whole can be decoded: 8 bits, turned, or standardised images.
pub(super) fn part(
    path: &Path,
    layout: &Layout,
    orientation: Orientation,
    choose: &mut dyn FnMut([u32; 2]) -> Rectangle,
    (numbers, unknown): (&mut Pixels, &mut Vec<bool>),
) -> Result<Option<([u32; 2], Rectangle)>, Error> {
    if layout.is_plain() || layout.standardize {
        return Ok(None);
    }
    let Some((mut raster, bands)) = raster(path, layout)? else { return Ok(None) };
    let info = raster.info().clone();
    if info.format == "PNG" || Turn::of(info.orientation.into()).wanted(orientation) != Turn::NONE {
        return Ok(None);
    }
    sides(info.size).map_err(|problem| problem.of(path))?;
    let part = choose(info.size);
    let Rectangle { top, left, height, width } = part;
    raster.window([top, left], [height, width], &bands, layout.depth, numbers)?;
    find_unknown(numbers, bands.len(), [info.no_data, layout.no_data], unknown);
    scale(numbers, bands.len(), layout, (None, unknown));
    Ok(Some((info.size, part)))
}

/// Returns the channels in which an image of 8 bits is decoded for `layout`, and which of them it takes (0-based), or
/// what is wrong.
pub(super) fn bands_of_bytes(layout: &Layout) -> Result<(u32, Vec<usize>), String> {
    let stored = if layout.channels == Channels::Count(1) { 1 } else { 3 };
    Ok((
        stored,
        match &layout.channels {
            Channels::Count(1 | 3) => (0..stored as usize).collect(),
            Channels::Count(count) => return Err(too_few(3, *count)),
            Channels::Bands(bands) => {
                if let Some(beyond) = bands.iter().find(|band| **band > 3) {
                    return Err(missing(3, *beyond));
                }
                bands.iter().map(|band| *band as usize - 1).collect()
            }
        },
    ))
}

/// Puts the `bands` of pixels of `stored` bytes each into `numbers`, as `layout` says, and tells the `unknown` pixels.
pub(super) fn of_bytes(
    (found, stored): (&[u8], u32),
    bands: &[usize],
    layout: &Layout,
    (numbers, unknown): (&mut Pixels, &mut Vec<bool>),
) {
    *numbers = Pixels::new(layout.depth);
    on_pixels!(&mut *numbers, numbers => take(found, stored as usize, bands, numbers));
    find_unknown(numbers, bands.len(), [None, layout.no_data], unknown);
    scale(numbers, bands.len(), layout, (None, unknown));
}

/// Appends the `bands` of pixels of so many bytes.
fn take<T: Element>(found: &[u8], stored: usize, bands: &[usize], numbers: &mut Vec<T>) {
    for pixel in found.chunks_exact(stored) {
        numbers.extend(bands.iter().map(|band| T::from_f32(f32::from(pixel[*band]))));
    }
}

/// Returns the bands (0-based) of a file that `layout` asks for, or what is wrong.
fn bands(info: &Info, layout: &Layout) -> Result<Vec<u32>, String> {
    let [held, wanted] = [info.depth, layout.depth].map(rank);
    if held > wanted {
        let deep = if info.depth == Depth::U16 { "u16" } else { "f32" };
        return Err(format!(
            "holds numbers of the kind {}, which data.depth \"{}\" does not hold: set it to \"{deep}\"",
            info.stored,
            ["u8", "u16", "f32"][wanted]
        ));
    }
    // Transparency is no band that a network sees unless it is named.
    let opaque = || (0..info.bands).filter(|band| info.alpha != Some(*band)).collect::<Vec<u32>>();
    match &layout.channels {
        Channels::Bands(bands) => match bands.iter().find(|band| **band > info.bands) {
            Some(beyond) => Err(missing(info.bands, *beyond)),
            None => Ok(bands.iter().map(|band| band - 1).collect()),
        },
        Channels::Count(count) => match opaque() {
            bands if bands.len() == *count as usize => Ok(bands),
            _ if info.bands == *count => Ok((0..info.bands).collect()),
            // A grey image is one whose colours are equal.
            bands if *count == 3 && bands.len() == 1 => Ok(vec![bands[0]; 3]),
            bands => Err(too_few(bands.len() as u32, *count)),
        },
    }
}

fn rank(depth: Depth) -> usize {
    match depth {
        Depth::U8 => 0,
        Depth::U16 => 1,
        Depth::F32 => 2,
    }
}

fn missing(held: u32, band: u32) -> String {
    let noun = if held == 1 { "band" } else { "bands" };
    format!("has {held} {noun}, and data.channels names band {band} (the first is 1)")
}

fn too_few(held: u32, wanted: u32) -> String {
    let all: Vec<u32> = (1..=held).collect();
    let (noun, all) = (if held == 1 { "band" } else { "bands" }, listed(&all, 16));
    format!(
        "has {held} {noun}, and data.channels asks for {wanted}: set it to {held}, or list the bands to take (it has \
         {all})"
    )
}

/// Finds the pixels with a band that is not finite or one of `no_data`. Leaves `unknown` empty where there is none.
fn find_unknown(numbers: &Pixels, channels: usize, no_data: [Option<f64>; 2], unknown: &mut Vec<bool>) {
    fn find<T: Element>(numbers: &[T], channels: usize, no_data: &[f32], unknown: &mut Vec<bool>) {
        let is_unknown = |number: &T| {
            let number = number.to_f32();
            !number.is_finite() || no_data.contains(&number)
        };
        if numbers.iter().any(is_unknown) {
            unknown.extend(numbers.chunks_exact(channels).map(|pixel| pixel.iter().any(is_unknown)));
        }
    }
    let no_data: Vec<f32> = no_data.into_iter().flatten().map(|number| number as f32).collect();
    if numbers.depth() == Depth::F32 || !no_data.is_empty() {
        on_pixels!(numbers, numbers => find(numbers, channels.max(1), &no_data, unknown));
    }
}

/// Changes numbers as `layout` says, and blackens the pixels that are `unknown`. Without `moments` the numbers are
/// those of a whole image.
fn scale(numbers: &mut Pixels, channels: usize, layout: &Layout, (moments, unknown): (Option<&Moments>, &[bool])) {
    let channels = channels.max(1);
    match (layout.scale(), &mut *numbers) {
        (Scale::Stored, numbers) if layout.clip => {
            let range = layout.range();
            on_pixels!(numbers, numbers => clip(numbers, range));
        }
        (Scale::Stored, _) => {}
        (Scale::Ranges(ranges), Pixels::F32(numbers)) => {
            for (number, [low, high]) in numbers.iter_mut().zip(ranges.iter().cycle()) {
                let unit = (*number - low) / (high - low);
                *number = if layout.clip { unit.clamp(0.0, 1.0) } else { unit };
            }
        }
        (Scale::Standardized, Pixels::F32(numbers)) => match moments {
            Some(moments) => moments.apply(numbers),
            None => {
                let own = Moments::of(channels, |take| {
                    take((numbers, unknown));
                    Ok::<_, Infallible>(())
                });
                own.unwrap_or_else(|never| match never {}).apply(numbers);
            }
        },
        // A layout that scales has floats: see its check.
        (Scale::Ranges(_) | Scale::Standardized, _) => {}
    }
    if !unknown.is_empty() {
        let black = layout.black();
        on_pixels!(numbers, numbers => blacken(numbers, channels, unknown, black));
    }
}

fn clip<T: Element>(numbers: &mut [T], [low, high]: [f32; 2]) {
    numbers.iter_mut().for_each(|number| *number = T::from_f32(number.to_f32().clamp(low, high)));
}

fn blacken<T: Element>(numbers: &mut [T], channels: usize, unknown: &[bool], black: f32) {
    let pixels = numbers.chunks_exact_mut(channels).zip(unknown);
    pixels.filter(|(_, unknown)| **unknown).for_each(|(pixel, _)| pixel.fill(T::from_f32(black)));
}

/// Mean and standard deviation of each band of an image, over its known pixels.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Moments(Vec<[f64; 2]>);

/// A row or more of an image: its numbers, and for each pixel whether it is unknown (empty where all are known).
type Piece<'p> = (&'p [f32], &'p [bool]);

impl Moments {
    /// Computes them in f64 from the pieces that `visit` hands over, in two passes. How an image is cut into pieces
    /// changes no digit.
    pub(super) fn of<E>(
        channels: usize,
        mut visit: impl FnMut(&mut dyn FnMut(Piece)) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut sums = vec![[0.0; 2]; channels];
        let mut count = 0.0f64;
        visit(&mut |piece| {
            each_known(piece, channels, |pixel| {
                count += 1.0;
                sums.iter_mut().zip(pixel).for_each(|(sums, value)| sums[0] += f64::from(*value));
            });
        })?;
        let count = count.max(1.0);
        sums.iter_mut().for_each(|[sum, _]| *sum /= count);
        visit(&mut |piece| {
            each_known(piece, channels, |pixel| {
                let bands = sums.iter_mut().zip(pixel);
                bands.for_each(|([mean, squares], value)| *squares += (f64::from(*value) - *mean).powi(2));
            });
        })?;
        let deviation = |squares: f64| (squares / count).sqrt().max(LEAST_DEVIATION);
        Ok(Self(sums.into_iter().map(|[mean, squares]| [mean, deviation(squares)]).collect()))
    }

    fn apply(&self, numbers: &mut [f32]) {
        for (value, [mean, deviation]) in numbers.iter_mut().zip(self.0.iter().cycle()) {
            *value = ((f64::from(*value) - mean) / deviation) as f32;
        }
    }
}

fn each_known((numbers, unknown): Piece, channels: usize, mut take: impl FnMut(&[f32])) {
    for (number, pixel) in numbers.chunks_exact(channels).enumerate() {
        if !unknown.get(number).copied().unwrap_or_default() {
            take(pixel);
        }
    }
}

/// Rows of an image of any layout, read one after another.
pub(super) struct WideRows {
    raster: Stack,
    bands: Vec<u32>,
    layout: Layout,
    /// Number of rows that were read.
    done: u32,
    /// Those of the whole image, where it is standardised.
    moments: Option<Moments>,
    unknown: Vec<bool>,
}

impl WideRows {
    /// Opens the image at `path`, unless it is of a format that holds 8 bits only or is to be turned.
    pub(super) fn open(path: &Path, layout: &Layout, orientation: Orientation) -> Result<Option<Self>, Error> {
        let Some((raster, bands)) = raster(path, layout)? else { return Ok(None) };
        let is_png = raster.info().format == "PNG";
        let tag = Turn::of(raster.info().orientation.into()).wanted(orientation);
        if is_png || tag != Turn::NONE {
            return Ok(None);
        }
        let mut rows = Self { raster, bands, layout: layout.clone(), done: 0, moments: None, unknown: Vec::new() };
        if layout.standardize {
            rows.moments = Some(rows.measured()?);
        }
        Ok(Some(rows))
    }

    /// Returns height and width.
    pub(super) fn size(&self) -> [u32; 2] {
        self.raster.info().size
    }

    /// Passes over the next `count` rows without decoding them.
    pub(super) fn skip(&mut self, count: u32) {
        self.done = self.done.saturating_add(count).min(self.size()[0]);
    }

    fn measured(&mut self) -> Result<Moments, Error> {
        let channels = self.bands.len();
        let mut numbers = Pixels::default();
        Moments::of(channels, |take| {
            self.done = 0;
            while self.stored(ROWS, &mut numbers)? > 0 {
                take((f32::of(&numbers).unwrap_or_default(), &self.unknown));
            }
            self.done = 0;
            Ok(())
        })
    }

    /// Reads up to `count` rows as they are stored, and finds the unknown pixels. Returns the number of rows.
    fn stored(&mut self, count: u32, numbers: &mut Pixels) -> Result<u32, Error> {
        let [height, width] = self.size();
        let count = count.min(height - self.done);
        self.unknown.clear();
        if count > 0 {
            self.raster.window([self.done, 0], [count, width], &self.bands, self.layout.depth, numbers)?;
            let no_data = [self.raster.info().no_data, self.layout.no_data];
            find_unknown(numbers, self.bands.len(), no_data, &mut self.unknown);
            self.done += count;
        }
        Ok(count)
    }

    /// Tells for each pixel of the rows that were read last whether it is unknown; empty where all are known.
    pub(super) fn unknown(&self) -> &[bool] {
        &self.unknown
    }

    /// Reads up to `count` rows as the network sees them, in place of what `numbers` holds.
    pub(super) fn read(&mut self, count: u32, numbers: &mut Pixels) -> Result<(), Error> {
        if self.stored(count, numbers)? == 0 {
            numbers.clear();
        } else {
            scale(numbers, self.bands.len(), &self.layout, (self.moments.as_ref(), &self.unknown));
        }
        Ok(())
    }
}
