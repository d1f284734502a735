//! Images in their own size, tile by tile, read and written beside.

use super::rows;
use super::writer::{Image, Work, Writer};
use crate::report;
use anyhow::{Error, Result};
use contract::{BoxError, TorchError, caught};
use data::{Orientation, Passed, Strips};
use executors::{Tiling, predict_tiles};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use tch::nn::ModuleT;
use tch::{Device, Kind, TchError, Tensor};

/// Rows that are read at once, and how many times that may wait.
const ROWS: u32 = 64;
const QUEUE: usize = 4;

/// A network that sees an image in tiles.
pub struct InTiles<'a> {
    /// It takes values from 0 to 1.
    pub model: &'a dyn ModuleT,
    pub device: Device,
    pub channels: u32,
    pub orientation: Orientation,
    pub tiling: Tiling,
    pub with_probabilities: bool,
}

/// What comes of reading images, one after the other.
enum Read {
    Image(Image),
    /// The next rows, `W×C` bytes each.
    Rows(Vec<u8>),
    Broken(Passed),
}

impl InTiles<'_> {
    /// Predicts `files`, by their names, and gives those that cannot be read. `told` is called after each.
    pub fn predict(
        &self,
        files: &BTreeMap<String, PathBuf>,
        writer: &Writer,
        mut told: impl FnMut(),
    ) -> Result<Vec<Passed>> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(QUEUE);
            let seen = (self.channels, self.orientation);
            scope.spawn(move || read(files, seen, sender));
            let mut broken = Vec::new();
            while let Ok(read) = receiver.recv() {
                let failed = match read {
                    Read::Image(image) => self.image(image, &receiver, writer)?,
                    Read::Broken(passed) => Some(passed),
                    Read::Rows(_) => continue,
                };
                if let Some(passed) = failed {
                    report::skipped(std::slice::from_ref(&passed));
                    writer.send(Work::Broken(passed.clone()))?;
                    broken.push(passed);
                }
                told();
            }
            Ok(broken)
        })
    }

    /// Predicts an image whose rows are about to come; gives it back if they do not all come.
    fn image(&self, image: Image, parts: &Receiver<Read>, writer: &Writer) -> Result<Option<Passed>> {
        let size = image.size.map(i64::from);
        let shown = image.file.display().to_string();
        let mut band = Band { row: size[1] as usize * self.channels as usize, first: 0, pixels: Vec::new() };
        let mut broken = None;
        writer.send(Work::Image(image))?;
        let read = |place: [i64; 2], part: [i64; 2]| {
            band.fill(place[0], part[0], || match parts.recv() {
                Ok(Read::Rows(rows)) => Ok(rows),
                Ok(Read::Broken(passed)) => {
                    broken = Some(passed);
                    Err("the image ends here".into())
                }
                _ => Err("the thread that reads has ended".into()),
            })?;
            Ok(band.tile(place, part, self.channels, self.device).map_err(TorchError::from)?)
        };
        let write = |_, probabilities: &Tensor| {
            let rows = rows(probabilities, self.with_probabilities)?;
            Ok(writer.send(Work::Rows(rows))?)
        };
        let predicted = predict_tiles(self.model, size, &self.tiling, read, write);
        match (broken, predicted) {
            (Some(passed), _) => Ok(Some(passed)),
            (None, Ok(())) => Ok(None),
            (None, Err(error)) => Err(Error::from_boxed(error).context(format!("predicting {shown}"))),
        }
    }
}

/// Reads the images until nobody wants them any more.
fn read(files: &BTreeMap<String, PathBuf>, seen: (u32, Orientation), sender: SyncSender<Read>) {
    for (name, file) in files {
        // A decoder that panics on a strange file ends that file, not all the others.
        let read = caught(|| read_image(name, file, seen, &sender));
        let read = read.and_then(|read| read.map_err(|error| error.to_string()));
        let wanted =
            read.unwrap_or_else(|reason| sender.send(Read::Broken(Passed { name: name.clone(), reason })).is_ok());
        if !wanted {
            return;
        }
    }
}

/// Reads an image; whether it was wanted to its end.
fn read_image(
    name: &str,
    file: &Path,
    (channels, orientation): (u32, Orientation),
    sender: &SyncSender<Read>,
) -> Result<bool, data::Error> {
    let mut strips = Strips::open(file, channels, orientation)?;
    let size = strips.size();
    let image = Image { name: name.into(), file: file.into(), size };
    let mut wanted = sender.send(Read::Image(image)).is_ok();
    for first in (0..size[0]).step_by(ROWS as usize) {
        if !wanted {
            break;
        }
        let mut rows = Vec::new();
        strips.read(ROWS.min(size[0] - first), &mut rows)?;
        wanted = sender.send(Read::Rows(rows)).is_ok();
    }
    Ok(wanted)
}

/// The rows of an image that tiles are cut from.
struct Band {
    /// Bytes of a row.
    row: usize,
    /// The number of the first row.
    first: i64,
    pixels: Vec<u8>,
}

impl Band {
    /// Takes in rows until those are there that begin at `top`, and forgets those above.
    fn fill(
        &mut self,
        top: i64,
        height: i64,
        mut next: impl FnMut() -> Result<Vec<u8>, BoxError>,
    ) -> Result<(), BoxError> {
        let bytes = |rows: i64| rows as usize * self.row;
        let above = bytes(top - self.first).min(self.pixels.len());
        let needed = bytes(height);
        self.pixels.drain(..above);
        self.first = top;
        while self.pixels.len() < needed {
            self.pixels.append(&mut next()?);
        }
        Ok(())
    }

    /// `[1, C, height, width]` from 0 to 1.
    fn tile(
        &self,
        [top, left]: [i64; 2],
        [height, width]: [i64; 2],
        channels: u32,
        device: Device,
    ) -> Result<Tensor, TchError> {
        let channels = channels as usize;
        let skipped = (top - self.first) as usize * self.row + left as usize * channels;
        let rows = (0..height as usize).map(|row| skipped + row * self.row);
        let tile: Vec<u8> = rows.flat_map(|at| &self.pixels[at..at + width as usize * channels]).copied().collect();
        let tile_hwc = Tensor::f_from_data_size(&tile, &[height, width, channels as i64], Kind::Uint8)?;
        let tile_nchw = tile_hwc.f_to_device(device)?.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
        tile_nchw.f_to_kind(Kind::Float)?.f_div_scalar(255.0)
    }
}
