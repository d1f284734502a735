//! NIfTI-1 and NIfTI-2: 2-D slices of `.nii`, `.nii.gz` and `.hdr`/`.img`.
//!
//! A slice has the volume's earlier axis from left to right, and its later one downwards, like nibabel's
//! `np.asanyarray(img.dataobj)[:, :, k].T`. A fourth or fifth axis (time, channels) and the colours of RGB volumes are
//! the bands. Numbers are `stored · scl_slope + scl_inter`, calculated in `f64`, unless they are read raw.

mod header;

pub(crate) use self::header::is_header;

use self::header::{Header, parse};
use crate::error::{Problem, asked, damaged, refused};
use crate::info::{Colors, Info};
use crate::opened::Opened;
use crate::options::{Options, Slice};
use crate::plane::{Seeking, Streaming, Strided};
use crate::source::Source;
use crate::window::Grid;
use flate2::bufread::MultiGzDecoder;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

/// Opens a slice of a volume.
pub(crate) fn open(mut source: Source, path: &Path, options: &Options) -> Result<Opened, Problem> {
    // `.img` holds numbers only; its header lies beside it.
    let start = source.start(560)?;
    if !is_header(&start) && !start.starts_with(b"\x1f\x8b") {
        let beside = sibling(path, "hdr").unwrap_or_default();
        let mut header = Source::open(&beside)?;
        return volume(&header.start(560)?, source, path, options);
    }
    let zipped = start.starts_with(b"\x1f\x8b");
    let start = if zipped { unzipped(&source, 560)? } else { start };
    if header::is_pair(&start) {
        let Some(numbers) = sibling(path, "img") else {
            return asked(
                "it is the header of a pair, whose name must end in .hdr: its numbers lie in the .img beside",
            );
        };
        let numbers = Source::open(&numbers)?;
        return volume(&start, numbers, path, options);
    }
    volume(&start, source, path, options)
}

/// Checks that a file named `.img` or `.hdr` is NIfTI's: an `.img` has no magic number of its own.
pub(crate) fn pair(start: &[u8], path: &Path) -> Result<(), Problem> {
    if matches!(
        start.first_chunk().map(|size| (i32::from_le_bytes(*size), i32::from_be_bytes(*size))),
        Some((348, _) | (_, 348))
    ) {
        return refused(
            "is Analyze 7.5, which does not say which side is left: convert it to NIfTI (nib.save of nibabel)",
        );
    }
    let beside = sibling(path, "hdr").filter(|beside| beside != path && beside.exists());
    let Some(beside) = beside else {
        return refused("is of no format that is known here: an .img of NIfTI has its .hdr beside it");
    };
    let header = Source::open(&beside)?.start(560)?;
    if is_header(&header) {
        Ok(())
    } else {
        refused(format!("has a header of no NIfTI beside it ({})", beside.display()))
    }
}

/// Returns the other file of a pair, in the case of this one's name.
fn sibling(path: &Path, extension: &str) -> Option<PathBuf> {
    let own = path.extension()?.to_str()?;
    let upper = own.chars().all(|letter| letter.is_ascii_uppercase());
    let extension = if upper { extension.to_ascii_uppercase() } else { extension.to_owned() };
    matches!(own.to_ascii_lowercase().as_str(), "hdr" | "img").then(|| path.with_extension(extension))
}

fn unzipped(source: &Source, most: u64) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let stream = MultiGzDecoder::new(BufReader::new(source.stream(0)?));
    stream.take(most).read_to_end(&mut bytes).map_err(crate::plane::of_stream)?;
    Ok(bytes)
}

/// Opens the slice in `source`, which may be compressed.
fn volume(start: &[u8], mut source: Source, path: &Path, options: &Options) -> Result<Opened, Problem> {
    let zipped = source.start(2)?.starts_with(b"\x1f\x8b");
    let header = parse(start)?;
    let (array, pages) = slice(&header, options)?;
    let size = match [array.shape[0], array.shape[1]].map(u32::try_from) {
        [Ok(rows), Ok(columns)] => [rows, columns],
        _ => return damaged(format!("its sizes {:?} are none of an image", header.shape)),
    };
    let bands = match u32::try_from(array.shape[2]) {
        Ok(bands @ 1..=65_535) => bands,
        _ => return refused(format!("has {} volumes, and 65,535 are the most that are read as bands", array.shape[2])),
    };
    let scale = header.scale.filter(|_| !options.raw);
    let colors = if header.colors > 1 { Colors::Rgb } else { Colors::Plain };
    let alpha = (header.colors == 4).then_some(3);
    let info = Info { pages, colors, alpha, ..Info::plain("NIfTI", size, bands, header.stored) };
    let cell = header.cell;
    if zipped {
        let grid = Grid { size, block: size, samples: bands, cell, scale };
        let open = move || -> Result<Box<dyn Read>, Problem> {
            Ok(Box::new(BufReader::new(MultiGzDecoder::new(BufReader::new(source.stream(0)?)))))
        };
        return Ok(Opened { info, grid, decoder: Box::new(Streaming { open, array, grid }) });
    }
    if header.end().is_none_or(|end| end > source.length()) {
        return damaged(format!(
            "a volume of {:?} numbers of {} from byte {} on does not fit into the {} bytes of {}: it seems cut off",
            header.shape,
            header.stored,
            header.at,
            source.length(),
            path.display()
        ));
    }
    let samples = if array.is_planar() { 1 } else { bands };
    let grid = Grid { size, block: array.block(), samples, cell, scale };
    Ok(Opened { info, grid, decoder: Box::new(Seeking { source, array, grid }) })
}

/// Returns the places of the chosen slice, and the number of slices along its axis.
fn slice(header: &Header, options: &Options) -> Result<(Strided, u32), Problem> {
    let [x, y, z, bands] = header.shape;
    let slice = match options.slice {
        Some(slice) => slice,
        None if z == 1 => Slice { axis: 2, index: 0 },
        None => {
            return asked(format!(
                "it is a volume of {x} x {y} x {z}: choose a slice (an axis, 0 to 2, and its index)"
            ));
        }
    };
    let axis = usize::from(slice.axis);
    let Some(count) = [x, y, z].get(axis).copied() else {
        return asked(format!("a volume has the axes 0, 1 and 2, and no {axis}"));
    };
    if u64::from(slice.index) >= count {
        return asked(format!("its axis {axis} has {count} slices, counted from 0: there is no {}", slice.index));
    }
    let strides = header.strides();
    let (across, down) = match axis {
        0 => (1, 2),
        1 => (0, 2),
        _ => (0, 1),
    };
    // The colours of a voxel lie side by side; volumes one behind the other.
    let step = if header.colors > 1 { header.item as u64 } else { strides[3] };
    let array = Strided {
        at: header.at + u64::from(slice.index) * strides[axis],
        shape: [header.shape[down], header.shape[across], bands.max(header.colors)],
        strides: [strides[down], strides[across], step],
        item: header.item,
        endian: header.endian,
    };
    Ok((array, u32::try_from(count).unwrap_or(u32::MAX)))
}
