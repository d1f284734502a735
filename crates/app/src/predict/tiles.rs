//! Predicts images in tiles, which other threads read and write: at their own size, or at the scale of training if that
//! had no single size.

use super::find::{Picture, Pictures};
use super::outputs::Predicted;
use super::writer::{Image, MapWriter, Work};
use crate::common::output;
use anyhow::{Error, Result};
use contract::{BoxError, TorchError, caught};
use data::{Dataset, Images, Orientation, Passed, Rectangle, Sample, Strips};
use executors::{Tiling, predict_tiles};
use saved::Enlarger;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use tch::nn::ModuleT;
use tch::{Device, Kind, Tensor};
use torch_ext::Uploads;

/// Rows per read, and maximum number of reads that wait.
const ROWS: u32 = 64;
const QUEUE: usize = 4;

/// Tiles that may be on their way to the device.
const ON_THEIR_WAY: usize = 8;

/// A network that sees an image in tiles, and its settings.
pub struct InTiles<'a> {
    /// The network, which takes values from 0 to 1.
    pub model: &'a dyn ModuleT,
    pub device: Device,
    pub channels: u32,
    pub orientation: Orientation,
    pub tiling: Tiling,
    /// Number of tiles in a pass.
    pub at_once: usize,
    /// Images at the scale of training, in the order of their names; None keeps their own size.
    pub scaled: Option<&'a Images>,
    pub with_probabilities: bool,
}

/// Message of the reading thread, image by image.
enum Read {
    Image(Image, View),
    /// The next rows of the network's input, `W×C` bytes each.
    Rows(Vec<u8>),
    Broken(Passed),
}

/// The network's view of an image.
#[derive(Clone, Copy)]
struct View {
    /// Height and width of the whole view.
    size: [u32; 2],
    /// Part that shows the image.
    part: Rectangle,
}

impl InTiles<'_> {
    /// Predicts `pictures` and returns those that cannot be read. Calls `told` after each.
    pub fn predict(&self, pictures: &Pictures, writer: &MapWriter, mut told: impl FnMut()) -> Result<Vec<Passed>> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(QUEUE);
            let Self { scaled, channels, orientation, .. } = *self;
            let reader = Reader { scaled, channels, orientation, sender };
            scope.spawn(move || reader.read(pictures));
            let mut uploads = Uploads::new(self.device, ON_THEIR_WAY)?;
            let mut broken = Vec::new();
            while let Ok(read) = receiver.recv() {
                let failed = match read {
                    Read::Image(image, seen) => self.image(image, seen, &receiver, writer, &mut uploads)?,
                    Read::Broken(passed) => Some(passed),
                    Read::Rows(_) => continue,
                };
                if let Some(passed) = failed {
                    output::skipped(std::slice::from_ref(&passed));
                    writer.send(Work::Broken(passed.clone()))?;
                    broken.push(passed);
                }
                told();
            }
            Ok(broken)
        })
    }

    /// Predicts an image whose rows follow in `parts`. Returns it as unreadable if not all of them come.
    fn image(
        &self,
        image: Image,
        seen: View,
        parts: &Receiver<Read>,
        writer: &MapWriter,
        uploads: &mut Uploads,
    ) -> Result<Option<Passed>> {
        let size = seen.size.map(i64::from);
        let [height, width] = image.size;
        let as_it_is = seen.size == image.size && seen.part == Rectangle { top: 0, left: 0, height, width };
        let mut enlarger = (!as_it_is).then(|| Enlarger::new(seen.part, image.size));
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
            Ok(self.tile(&band.cut(place, part, self.channels), part, uploads)?)
        };
        let send =
            |probabilities: &Tensor| writer.send(Work::Rows(Predicted::of(probabilities, self.with_probabilities)?));
        let write = |_, probabilities: &Tensor| {
            match &mut enlarger {
                Some(enlarger) => enlarger.add(probabilities, send)?,
                None => send(probabilities)?,
            }
            Ok(())
        };
        let predicted = predict_tiles(self.model, size, &self.tiling, self.at_once, read, write);
        match (broken, predicted) {
            (Some(passed), _) => Ok(Some(passed)),
            (None, Ok(())) => Ok(None),
            (None, Err(error)) => Err(Error::from_boxed(error).context(format!("predicting {shown}"))),
        }
    }

    /// Returns a tile of this height and width as `[1, C, height, width]` from 0 to 1, on the device.
    fn tile(&self, pixels: &[u8], [height, width]: [i64; 2], uploads: &mut Uploads) -> Result<Tensor, TorchError> {
        let mut tile_hwc = Tensor::f_from_data_size(pixels, &[height, width, self.channels.into()], Kind::Uint8)?;
        if self.device != Device::Cpu {
            tile_hwc = uploads.upload(&tile_hwc)?;
        }
        let tile_nchw = tile_hwc.f_permute([2, 0, 1])?.f_unsqueeze(0)?;
        Ok(tile_nchw.f_to_kind(Kind::Float)?.f_div_scalar(255.0)?)
    }
}

/// The reading thread.
struct Reader<'a> {
    scaled: Option<&'a Images>,
    channels: u32,
    orientation: Orientation,
    sender: SyncSender<Read>,
}

impl Reader<'_> {
    /// Reads the images until the receiver is gone.
    fn read(self, pictures: &Pictures) {
        for (index, (name, picture)) in (0..).zip(pictures) {
            // A decoder that panics on a strange file fails that file, not all the others.
            let read = caught(|| match self.scaled {
                Some(images) => self.scaled(name, picture, images, index),
                None => self.own_size(name, picture),
            });
            let read = read.and_then(|read| read.map_err(|error| error.to_string()));
            let passed = |reason| Read::Broken(Passed { name: name.clone(), reason });
            if !read.unwrap_or_else(|reason| self.sender.send(passed(reason)).is_ok()) {
                return;
            }
        }
    }

    /// Reads an image at its own size. Returns false if the receiver is gone.
    fn own_size(&self, name: &str, picture: &Picture) -> Result<bool, data::Error> {
        let mut strips = Strips::open(&picture.file, self.channels, self.orientation)?;
        let [height, width] = strips.size();
        let image = Image { size: [height, width], ..Image::of(name, picture) };
        let seen = View { size: [height, width], part: Rectangle { top: 0, left: 0, height, width } };
        let mut wanted = self.sender.send(Read::Image(image, seen)).is_ok();
        for first in (0..height).step_by(ROWS as usize) {
            if !wanted {
                break;
            }
            let mut rows = Vec::new();
            strips.read(ROWS.min(height - first), &mut rows)?;
            wanted = self.sender.send(Read::Rows(rows)).is_ok();
        }
        Ok(wanted)
    }

    /// Reads an image at the scale of training. Returns false if the receiver is gone.
    fn scaled(&self, name: &str, picture: &Picture, images: &Images, index: u64) -> Result<bool, data::Error> {
        let mut sample = Sample::default();
        images.load(index, &mut sample)?;
        let seen = View { size: sample.size, part: images.rectangle(picture.size)? };
        let wanted = self.sender.send(Read::Image(Image::of(name, picture), seen)).is_ok();
        Ok(wanted && self.sender.send(Read::Rows(sample.image)).is_ok())
    }
}

/// Rows of an image that tiles are cut from.
struct Band {
    /// Bytes per row.
    row: usize,
    /// Number of the first row.
    first: i64,
    pixels: Vec<u8>,
}

impl Band {
    /// Reads rows until `height` rows from `top` on are there, and drops those above.
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

    /// Returns the pixels of a tile, row by row.
    fn cut(&self, [top, left]: [i64; 2], [height, width]: [i64; 2], channels: u32) -> Vec<u8> {
        let channels = channels as usize;
        let skipped = (top - self.first) as usize * self.row + left as usize * channels;
        let rows = (0..height as usize).map(|row| skipped + row * self.row);
        rows.flat_map(|at| &self.pixels[at..at + width as usize * channels]).copied().collect()
    }
}
