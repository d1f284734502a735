//! Predicts images in tiles, which other threads read and write: at their own size, or at the scale of training if that
//! had no single size. On a GPU the tiles of several images share a pass of the network.

use super::find::{Picture, Pictures};
use super::writer::{Image, MapWriter, RowsWriter, Work};
use crate::common::output;
use anyhow::{Context, Error, Result, bail};
use contract::{TorchError, caught};
use data::{Dataset, Images, Orientation, Passed, Rectangle, Sample, Strips};
use executors::{Finished, Tiled, Tiling};
use saved::Enlarger;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use tch::nn::ModuleT;
use tch::{Device, Kind, TchError, Tensor};
use torch_ext::Uploads;

/// Rows per read, and maximum number of reads that wait.
const ROWS: u32 = 64;
const QUEUE: usize = 4;

/// Passes whose tiles may be on their way to the device. With two, one is copied while the next one is sent.
const ON_THEIR_WAY: usize = 2;

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

/// What stands between the tiles of images.
enum Mark {
    Image(Image, View),
    /// All tiles of the image were before it.
    Done,
    Broken(Passed),
}

/// Tiles whose pixels were read.
type Tiles<'t> = Tiled<'t, Cut, Mark>;

/// Pixels of a tile, row by row, and its height and width.
struct Cut {
    pixels: Vec<u8>,
    size: [i64; 2],
}

impl InTiles<'_> {
    /// Predicts `pictures` and returns those that cannot be read. Calls `told` after each.
    pub fn predict(&self, pictures: &Pictures, writer: &MapWriter, told: impl FnMut()) -> Result<Vec<Passed>> {
        thread::scope(|scope| {
            let (sender, receiver) = sync_channel(QUEUE);
            let Self { scaled, channels, orientation, .. } = *self;
            let reader = Reader { scaled, channels, orientation, sender };
            scope.spawn(move || reader.read(pictures));
            let rows = RowsWriter::new(writer, self.device, self.with_probabilities)?;
            let mut finished = InOrder { writer, rows, told, enlarger: None, broken: Vec::new() };
            let mut uploads = Uploads::new(self.device, ON_THEIR_WAY)?;
            let gather = |tiles| Ok(self.inputs(tiles, &mut uploads)?);
            let mut tiles = Tiled::new(self.model, &self.tiling, self.at_once, gather)?;
            while let Ok(read) = receiver.recv() {
                match read {
                    Read::Image(image, seen) => self.image(image, seen, &receiver, &mut tiles, &mut finished)?,
                    Read::Broken(passed) => tiles.mark(Mark::Broken(passed)),
                    Read::Rows(_) => continue,
                }
                finished.take(&mut tiles)?;
            }
            tiles.finish().map_err(Error::from_boxed).context("predicting the last images")?;
            finished.take(&mut tiles)?;
            drop(tiles);
            Ok(finished.broken)
        })
    }

    /// Puts in the tiles of an image, whose rows follow in `parts`.
    fn image(
        &self,
        image: Image,
        seen: View,
        parts: &Receiver<Read>,
        tiles: &mut Tiles,
        finished: &mut InOrder<impl FnMut()>,
    ) -> Result<()> {
        let shown = image.file.display().to_string();
        let [height, width] = seen.size.map(i64::from);
        let mut band = Band { row: width as usize * self.channels as usize, first: 0, pixels: Vec::new() };
        tiles.mark(Mark::Image(image, seen));
        for tile in self.tiling.tiles([height, width]) {
            let (place, size) = (tile.place(), tile.size());
            while !band.reaches(place[0], size[0]) {
                match parts.recv() {
                    Ok(Read::Rows(mut rows)) => band.pixels.append(&mut rows),
                    Ok(Read::Broken(passed)) => {
                        tiles.mark(Mark::Broken(passed));
                        return Ok(());
                    }
                    _ => bail!("predicting {shown}: the thread that reads has ended"),
                }
            }
            let cut = Cut { pixels: band.cut(place, size, self.channels), size };
            let added = tiles.add(tile, cut).map_err(Error::from_boxed);
            added.and_then(|()| finished.take(tiles)).with_context(|| self.predicting(&shown))?;
        }
        tiles.mark(Mark::Done);
        Ok(())
    }

    /// Describes the work that failed when a tile of the image `shown` was put in.
    fn predicting(&self, shown: &str) -> String {
        let others = if self.at_once > 1 { ", or an image before it whose tiles share a pass" } else { "" };
        format!("predicting {shown}{others}")
    }

    /// Returns tiles of one size as `[N, C, height, width]` from 0 to 1, on the device.
    fn inputs(&self, tiles: Vec<Cut>, uploads: &mut Uploads) -> Result<Tensor, TorchError> {
        let [height, width] = tiles.first().map_or([0, 0], |tile| tile.size);
        let form = [tiles.len() as i64, height, width, self.channels.into()];
        let tiles_nhwc = match &tiles[..] {
            [tile] if self.device == Device::Cpu => Tensor::f_from_data_size(&tile.pixels, &form, Kind::Uint8)?,
            _ => {
                let room = uploads.room(&form, Kind::Uint8)?;
                for (number, tile) in (0..).zip(&tiles) {
                    room.tensor().f_get(number)?.f_copy_(&Tensor::f_from_data_size(
                        &tile.pixels,
                        &form[1..],
                        Kind::Uint8,
                    )?)?;
                }
                uploads.send(room, form[0])?
            }
        };
        Ok(values(&tiles_nhwc)?)
    }
}

/// Returns bytes `[N, H, W, C]` as numbers `[N, C, H, W]` from 0 to 1.
fn values(bytes_nhwc: &Tensor) -> Result<Tensor, TchError> {
    bytes_nhwc.f_permute([0, 3, 1, 2])?.f_to_kind(Kind::Float)?.f_div_scalar(255.0)
}

/// Hands on what comes out of the tiles, image by image.
struct InOrder<'a, T> {
    writer: &'a MapWriter,
    rows: RowsWriter<'a>,
    /// To be called after each image.
    told: T,
    /// Brings the current image to its own size, if the network saw it at another.
    enlarger: Option<Enlarger>,
    broken: Vec<Passed>,
}

impl<T: FnMut()> InOrder<'_, T> {
    /// Hands on all that is finished.
    fn take(&mut self, tiles: &mut Tiles) -> Result<()> {
        while let Some(finished) = tiles.take().map_err(Error::from_boxed)? {
            match finished {
                Finished::Rows(_, probabilities) => match &mut self.enlarger {
                    Some(enlarger) => enlarger.add(&probabilities, |rows| self.rows.send(rows))?,
                    None => self.rows.send(&probabilities)?,
                },
                Finished::Mark(Mark::Image(image, seen)) => {
                    let [height, width] = image.size;
                    let is_as_it_is =
                        seen.size == image.size && seen.part == Rectangle { top: 0, left: 0, height, width };
                    self.enlarger = (!is_as_it_is).then(|| Enlarger::new(seen.part, image.size));
                    self.writer.send(Work::Image(image))?;
                }
                Finished::Mark(Mark::Done) => (self.told)(),
                Finished::Mark(Mark::Broken(passed)) => {
                    output::skipped(std::slice::from_ref(&passed));
                    self.writer.send(Work::Broken(passed.clone()))?;
                    self.broken.push(passed);
                    (self.told)();
                }
            }
        }
        Ok(())
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
    /// Drops the rows above `top`. Returns whether the next `height` rows are there.
    fn reaches(&mut self, top: i64, height: i64) -> bool {
        let bytes = |rows: i64| rows as usize * self.row;
        let above = bytes(top - self.first).min(self.pixels.len());
        self.pixels.drain(..above);
        self.first = top;
        self.pixels.len() >= bytes(height)
    }

    /// Returns the pixels of a tile, row by row.
    fn cut(&self, [top, left]: [i64; 2], [height, width]: [i64; 2], channels: u32) -> Vec<u8> {
        let channels = channels as usize;
        let skipped = (top - self.first) as usize * self.row + left as usize * channels;
        let rows = (0..height as usize).map(|row| skipped + row * self.row);
        rows.flat_map(|at| &self.pixels[at..at + width as usize * channels]).copied().collect()
    }
}
