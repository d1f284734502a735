//! NumPy's arrays: `.npy` read in parts, `.npz` (stored or deflated) whole.
//!
//! Two axes are `H×W`; three are `H×W×C` or `C×H×W`, see [`Axes`]. A slice takes one axis away first.

mod header;

use self::header::{Array, parse};
use crate::error::{Problem, asked, damaged, refused};
use crate::info::Info;
use crate::opened::Opened;
use crate::options::{Axes, Options};
use crate::plane::{Seeking, Streaming, Strided, of_stream};
use crate::source::Source;
use crate::window::Grid;
use std::fs::File;
use std::io::{BufReader, Read};
use zip::ZipArchive;

/// Longest axis that [`Axes::Guess`] takes for the bands.
const MOST_GUESSED: u64 = 32;

/// Longest header that is read.
const MOST_HEADER: u64 = 1 << 16;

/// Opens `.npy`.
pub(crate) fn open(mut source: Source, options: &Options) -> Result<Opened, Problem> {
    let start = source.start(MOST_HEADER)?;
    let array = parse(&start)?;
    let (strided, pages) = layout(&array, options)?;
    if strided.end().is_none_or(|end| end > source.length()) {
        return damaged(format!(
            "an array of shape {:?} with {} bytes a number does not fit into its {} bytes: it seems cut off",
            array.shape,
            array.item,
            source.length()
        ));
    }
    let mut block = strided.block();
    let size = size(&strided)?;
    block = [block[0].min(size[0]), block[1].min(size[1])];
    let samples = if strided.is_planar() { 1 } else { strided.shape[2] as u32 };
    let grid = Grid { size, block, samples, cell: array.cell, scale: None };
    let info = Info { pages, ..Info::plain("npy", size, bands(&strided)?, array.stored) };
    Ok(Opened { info, grid, decoder: Box::new(Seeking { source, array: strided, grid }) })
}

/// Opens the only array of an `.npz`, or the one that is named.
pub(crate) fn open_zip(source: Source, options: &Options) -> Result<Opened, Problem> {
    let mut archive = ZipArchive::new(BufReader::new(source.stream(0)?)).map_err(of_zip)?;
    let names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    let arrays = || names.iter().filter_map(|name| name.strip_suffix(".npy"));
    let listed = || arrays().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let name = match (&options.array, arrays().count()) {
        (Some(name), _) if arrays().any(|other| other == name) => format!("{name}.npy"),
        (Some(name), _) => return asked(format!("it holds no array `{name}`, but {}", listed())),
        (None, 1) => format!("{}.npy", arrays().next().unwrap_or_default()),
        (None, 0) => return refused("holds no array (no entry ends in .npy): save it with numpy.savez"),
        (None, count) => return asked(format!("it holds {count} arrays: choose one of {} (`array`)", listed())),
    };
    let mut start = Vec::new();
    archive.by_name(&name).map_err(of_zip)?.take(MOST_HEADER).read_to_end(&mut start).map_err(of_stream)?;
    let array = parse(&start)?;
    let (strided, pages) = layout(&array, options)?;
    let Some(_) = strided.end() else { return damaged(format!("an array of shape {:?} is too large", array.shape)) };
    let size = size(&strided)?;
    let bands = bands(&strided)?;
    let grid = Grid { size, block: size, samples: bands, cell: array.cell, scale: None };
    let info = Info { pages, ..Info::plain("npz", size, bands, array.stored) };
    let entry = move || stream(&source, &name);
    Ok(Opened { info, grid, decoder: Box::new(Streaming { open: entry, array: strided, grid }) })
}

/// Returns an entry of an archive, as a stream of its own.
fn stream(source: &Source, name: &str) -> Result<Box<dyn Read>, Problem> {
    let mut archive = ZipArchive::new(BufReader::new(source.stream(0)?)).map_err(of_zip)?;
    let entry = archive.by_name(name).map_err(of_zip)?;
    let start = entry.data_start().ok_or_else(|| Problem::Damaged(format!("its entry {name} has no data")))?;
    let (packed, method) = (entry.compressed_size(), entry.compression());
    let raw: std::io::Take<BufReader<File>> = BufReader::new(source.stream(start)?).take(packed);
    match method {
        zip::CompressionMethod::Stored => Ok(Box::new(raw)),
        zip::CompressionMethod::Deflated => Ok(Box::new(BufReader::new(flate2::bufread::DeflateDecoder::new(raw)))),
        other => refused(format!("holds an array packed with {other:?}: save it with numpy.savez_compressed")),
    }
}

fn of_zip(error: zip::result::ZipError) -> Problem {
    match error {
        zip::result::ZipError::Io(source) => of_stream(source),
        zip::result::ZipError::UnsupportedArchive(what) => {
            Problem::Refused(format!("is a ZIP file of a kind that is not read ({what}): save it with numpy.savez"))
        }
        other => Problem::Damaged(format!("its ZIP directory cannot be read ({other})")),
    }
}

/// Returns the places of the image that the options choose, and the number of images along the axis of slices.
fn layout(array: &Array, options: &Options) -> Result<(Strided, u32), Problem> {
    let mut axes: Vec<(u64, u64)> = array.shape.iter().copied().zip(array.strides()?).collect();
    let mut at = array.at;
    let mut pages = 1;
    if let Some(slice) = options.slice {
        let axis = usize::from(slice.axis);
        let Some(&(count, stride)) = axes.get(axis) else {
            return asked(format!("its shape is {:?}: it has no axis {axis} (they are counted from 0)", array.shape));
        };
        if u64::from(slice.index) >= count {
            return asked(format!("its axis {axis} has {count} slices, counted from 0: there is no {}", slice.index));
        }
        axes.remove(axis);
        at += u64::from(slice.index) * stride;
        pages = u32::try_from(count).unwrap_or(u32::MAX);
    }
    let [rows, columns, bands] = match *axes {
        [rows, columns] => [rows, columns, (1, array.item as u64)],
        [first, second, third] => match (options.axes, first.0 <= MOST_GUESSED, third.0 <= MOST_GUESSED) {
            (Axes::BandsFirst, ..) | (Axes::Guess, true, false) => [second, third, first],
            (Axes::BandsLast, ..) | (Axes::Guess, false, true) => [first, second, third],
            _ => {
                return asked(format!(
                    "of its shape {:?} either end may be the bands: say which (`axes`: bands first or last)",
                    array.shape
                ));
            }
        },
        _ if axes.len() > 3 => {
            return asked(format!("its shape {:?} has more than three axes: choose a slice", array.shape));
        }
        _ => {
            let count = axes.len();
            return refused(format!("is an array of {count} axes, and an image has two or three: reshape it"));
        }
    };
    let axes = [rows, columns, bands];
    let strided = Strided {
        at,
        shape: axes.map(|axis| axis.0),
        strides: axes.map(|axis| axis.1),
        item: array.item,
        endian: array.endian,
    };
    Ok((strided, pages))
}

fn size(array: &Strided) -> Result<[u32; 2], Problem> {
    let [rows, columns, _] = array.shape;
    match (u32::try_from(rows), u32::try_from(columns)) {
        (Ok(rows @ 1..=0x7fff_ffff), Ok(columns @ 1..=0x7fff_ffff)) => Ok([rows, columns]),
        _ => refused(format!("has {rows} x {columns} pixels, and a side has 1 to 2,147,483,647")),
    }
}

fn bands(array: &Strided) -> Result<u32, Problem> {
    match u32::try_from(array.shape[2]) {
        Ok(bands @ 1..=65_535) => Ok(bands),
        _ => refused(format!("has {} bands, and 1 to 65,535 are read", array.shape[2])),
    }
}
