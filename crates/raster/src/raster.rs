//! An open image, and windows of it.

use crate::cache::{Blocks, Cache};
use crate::error::{Error, Problem, asked, refused};
use crate::foreign::{Format, SNIFFED, format};
use crate::info::Info;
use crate::opened::Opened;
use crate::options::Options;
use crate::pixels::{Depth, Pixels};
use crate::source::{MOST, Source};
use crate::window::{self, Grid};
use crate::{nifti, npy, png, tiff};
use std::path::{Path, PathBuf};

/// Smallest and largest cache that is chosen without [`Options::cache`].
const CACHES: [u64; 2] = [32 << 20, 512 << 20];

/// Largest window, in bytes.
const MOST_WINDOW: u64 = 16 << 30;

/// An image file, open: its header is read, its pixels are not.
///
/// Blocks are decoded when a window touches them, and the last ones are kept: reading a tiled file row by row decodes
/// each tile once.
pub struct Raster {
    path: PathBuf,
    info: Info,
    grid: Grid,
    decoder: Box<dyn Blocks>,
    cache: Cache,
}

impl Raster {
    /// Opens the only image of a file, or the first page of a TIFF. The format is that of the content, not of the name.
    ///
    /// # Errors
    ///
    /// Fails if the file cannot be read, is damaged or is of a kind that is not read.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::open_with(path, &Options::default())
    }

    /// Opens the image that `options` choose.
    ///
    /// # Errors
    ///
    /// Fails like [`Raster::open`], and if the format does not have what is chosen.
    pub fn open_with(path: &Path, options: &Options) -> Result<Self, Error> {
        Self::opened(path, options).map_err(|problem| problem.of(path))
    }

    fn opened(path: &Path, options: &Options) -> Result<Self, Problem> {
        let mut source = Source::open(path)?;
        let start = source.start(SNIFFED)?;
        let format = format(&start, path)?;
        check(format, options)?;
        let Opened { mut info, grid, decoder } = match format {
            Format::Tiff => tiff::open(source, options)?,
            Format::Png => png::open(source, options)?,
            Format::Npy => npy::open(source, options)?,
            Format::Npz => npy::open_zip(source, options)?,
            Format::Nifti => nifti::open(source, path, options)?,
        };
        let bytes = grid.block_bytes();
        if bytes > MOST {
            let [rows, columns] = grid.block;
            return refused(format!(
                "is decoded in parts of {rows} x {columns} pixels of {bytes} bytes, and {MOST} are the most: save it \
                 in tiles (gdal_translate -co TILED=YES)"
            ));
        }
        info.block = grid.block;
        if grid.scale.is_some() {
            info.depth = Depth::F32;
        }
        let row = bytes * u64::from(grid.columns()) * u64::from(info.bands.div_ceil(grid.samples));
        let cache = Cache::new(options.cache.unwrap_or(row.clamp(CACHES[0], CACHES[1]) as usize));
        Ok(Self { path: path.into(), info, grid, decoder, cache })
    }

    /// Returns what the header says.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Returns the file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the window of `size` (height, width) at `top_left` (row, column) as `H×W×C` numbers of `depth`: the bands
    /// in the order of `bands` (0-based), which may repeat. Decodes only the blocks that the window touches.
    ///
    /// # Errors
    ///
    /// Fails if the window or a band lies outside the image, if `depth` cannot hold the numbers, and if a block cannot
    /// be read. The content of `into` is then of no use.
    pub fn window(
        &mut self,
        top_left: [u32; 2],
        size: [u32; 2],
        bands: &[u32],
        depth: Depth,
        into: &mut Pixels,
    ) -> Result<(), Error> {
        let read = self.check(top_left, size, bands, depth).and_then(|count| {
            window::resize(into, depth, count);
            window::read(&self.grid, &mut *self.decoder, &mut self.cache, top_left, size, bands, into)
        });
        read.map_err(|problem| problem.of(&self.path))
    }

    /// Reads the whole image, with all bands, in its own depth.
    ///
    /// # Errors
    ///
    /// Fails if a block cannot be read.
    pub fn whole(&mut self, into: &mut Pixels) -> Result<(), Error> {
        let bands: Vec<u32> = (0..self.info.bands).collect();
        self.window([0, 0], self.info.size, &bands, self.info.depth, into)
    }

    /// Returns the number of numbers of a window, which is one that can be read.
    fn check(&self, top_left: [u32; 2], size: [u32; 2], bands: &[u32], depth: Depth) -> Result<usize, Problem> {
        let [height, width] = self.info.size;
        let fits = (0..2).all(|axis| {
            size[axis] > 0 && top_left[axis].checked_add(size[axis]).is_some_and(|end| end <= self.info.size[axis])
        });
        if !fits {
            let ([top, left], [rows, columns]) = (top_left, size);
            return asked(format!(
                "the window of {rows} x {columns} pixels at row {top}, column {left} does not lie within the image of \
                 {height} x {width}"
            ));
        }
        if bands.is_empty() {
            return asked("a window of no bands was asked for");
        }
        if let Some(band) = bands.iter().find(|band| **band >= self.info.bands) {
            return asked(format!("it has no band {band}: its {} are counted from 0", self.info.bands));
        }
        if depth.bytes() < self.info.depth.bytes() {
            return asked(format!(
                "its numbers ({}) do not fit into {} bits: read them as {:?}",
                self.info.stored,
                8 * depth.bytes(),
                self.info.depth
            ));
        }
        let count = u64::from(size[0]) * u64::from(size[1]);
        let bytes = count.saturating_mul(bands.len() as u64).saturating_mul(depth.bytes() as u64);
        if bytes > MOST_WINDOW {
            return asked(format!("the window needs {bytes} bytes, and {MOST_WINDOW} are the most: read it in parts"));
        }
        Ok(count as usize * bands.len())
    }
}

/// Refuses choices that the format does not have.
fn check(format: Format, options: &Options) -> Result<(), Problem> {
    let name = format.name();
    let (tiff, numpy) = (format == Format::Tiff, matches!(format, Format::Npy | Format::Npz));
    let foreign = [
        (options.page > 0 && !tiff, "page", "TIFF"),
        (options.pages_as_bands && !tiff, "pages_as_bands", "TIFF"),
        (options.slice.is_some() && !numpy && format != Format::Nifti, "slice", "NIfTI, npy and npz"),
        (options.axes != Default::default() && !numpy, "axes", "npy and npz"),
        (options.array.is_some() && format != Format::Npz, "array", "npz"),
    ];
    match foreign.iter().find(|(is, ..)| *is) {
        Some((_, option, of)) => asked(format!("it is {name}, and `{option}` is a choice for {of} only")),
        None => Ok(()),
    }
}
