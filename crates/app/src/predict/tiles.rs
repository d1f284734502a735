//! Predicts images in tiles, which other threads read and write: at their own size, or at the scale of training if that
//! had no single size. On a GPU the tiles of several images share a pass of the network.

use super::find::Pictures;
use super::image::{Begun, Image};
use super::reader::{Read, Reader, View, start};
use super::source::{Said, Source};
use anyhow::{Context, Error, Result, bail};
use contract::TorchError;
use data::{Element, Images, Layout, Orientation, Passed, Pixels, Rectangle, on_pixels};
use executors::{Finished, Tile, Tiled, Tiling};
use saved::Enlarger;
use std::ops::Range;
use std::sync::mpsc::Receiver;
use std::thread::Scope;
use tch::nn::ModuleT;
use tch::{Device, Tensor};
use torch_ext::Uploads;

/// Passes whose tiles may be on their way to the device. With two, one is copied while the next one is sent.
const ON_THEIR_WAY: usize = 2;

/// A network that sees an image in tiles, and its settings.
pub struct InTiles<'a> {
    /// The network, which takes values from 0 to 1.
    pub model: &'a dyn ModuleT,
    pub device: Device,
    pub layout: Layout,
    pub orientation: Orientation,
    pub tiling: Tiling,
    /// Number of tiles in a pass.
    pub at_once: usize,
    /// Images at the scale of training, in the order of their names; None keeps their own size.
    pub scaled: Option<&'a Images>,
    /// Number of threads that read images.
    pub readers: usize,
    /// Images of which rows were predicted before: only the others come.
    pub begun: &'a Begun,
}

/// Mark between the tiles of images.
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
    pixels: Pixels,
    size: [i64; 2],
}

impl<'a> InTiles<'a> {
    /// Starts the predictions for `pictures`, and the threads that read them.
    pub fn start<'s>(self, scope: &'s Scope<'s, 'a>, pictures: &'a Pictures) -> Result<Predictions<'a>> {
        let Self { scaled, orientation, device, tiling, begun, .. } = self;
        let reader = |sender| Reader { scaled, layout: self.layout.clone(), orientation, tiling, begun, sender };
        let readers = start(scope, self.readers.max(1), reader, pictures);
        let mut uploads = Uploads::new(device, ON_THEIR_WAY)?;
        let layout = self.layout.clone();
        let gather = move |tiles| Ok(inputs(tiles, device, &layout, &mut uploads)?);
        let tiles = Tiled::new(self.model, &self.tiling, self.at_once, gather)?;
        let (images, settings) = (0..pictures.len(), self);
        Ok(Predictions { settings, readers, tiles, images, current: None, is_flushed: false, enlarger: None, done: 0 })
    }
}

/// Predictions of a network that sees images in tiles.
pub struct Predictions<'a> {
    settings: InTiles<'a>,
    readers: Vec<Receiver<Read>>,
    tiles: Tiles<'a>,
    /// Numbers of the images that were not begun.
    images: Range<usize>,
    /// The image whose tiles are put in.
    current: Option<Current>,
    /// No tile waits for others any more.
    is_flushed: bool,
    /// Brings the image that comes out to its own size, if the network saw it at another.
    enlarger: Option<Enlarger>,
    /// Number of rows of that image that were predicted before.
    done: i64,
}

/// An image whose tiles are being cut.
struct Current {
    /// Number of the thread that reads it.
    reader: usize,
    shown: String,
    band: Band,
    tiles: Box<dyn Iterator<Item = Tile>>,
}

impl Source for Predictions<'_> {
    fn next(&mut self) -> Result<Option<Said>> {
        loop {
            if let Some(enlarger) = &mut self.enlarger
                && let Some(rows) = enlarger.take()?
            {
                return Ok(Some(Said::Rows(rows)));
            }
            let finished = self.tiles.take().map_err(Error::from_boxed);
            match finished.with_context(|| self.predicting())? {
                // Those tiles are seen again for the rows below them alone.
                Some(Finished::Rows(top, _)) if top < self.done => {}
                Some(Finished::Rows(_, probabilities)) => match &mut self.enlarger {
                    Some(enlarger) => enlarger.put(&probabilities)?,
                    None => return Ok(Some(Said::Rows(probabilities))),
                },
                Some(Finished::Mark(Mark::Image(image, seen))) => {
                    let [height, width] = image.size;
                    let is_as_it_is =
                        seen.size == image.size && seen.part == Rectangle { top: 0, left: 0, height, width };
                    self.done = seen.done.into();
                    self.enlarger = (!is_as_it_is).then(|| Enlarger::new(seen.part, image.size));
                    return Ok(Some(Said::Image(image)));
                }
                Some(Finished::Mark(Mark::Done)) => return Ok(Some(Said::Done)),
                Some(Finished::Mark(Mark::Broken(passed))) => {
                    self.enlarger = None;
                    return Ok(Some(Said::Broken(passed)));
                }
                None if !self.feed()? => return Ok(None),
                None => {}
            }
        }
    }
}

impl Predictions<'_> {
    /// Puts in the next tile, begins the next image, or runs the last passes. Returns false if there is nothing left
    /// to do.
    fn feed(&mut self) -> Result<bool> {
        if let Some(current) = &mut self.current {
            match current.tiles.next() {
                Some(tile) => self.add(tile)?,
                None => {
                    self.tiles.mark(Mark::Done);
                    self.current = None;
                }
            }
        } else if let Some(image) = self.images.next() {
            self.begin(image % self.readers.len())?;
        } else if self.is_flushed {
            return Ok(false);
        } else {
            self.is_flushed = true;
            self.tiles.finish().map_err(Error::from_boxed).context("predicting the last images")?;
        }
        Ok(true)
    }

    /// Begins the next image, which this thread reads.
    fn begin(&mut self, reader: usize) -> Result<()> {
        match self.readers[reader].recv().context("the thread that reads has ended")? {
            Read::Image(image, seen) => {
                let (shown, [height, width]) = (image.file.display().to_string(), seen.size.map(i64::from));
                let row = width as usize * self.settings.layout.channels() as usize;
                let from = i64::from(seen.from);
                let tiles = Box::new(self.settings.tiling.tiles_from([height, width], from));
                let band = Band { row, first: from, pixels: Pixels::new(self.settings.layout.depth) };
                self.current = Some(Current { reader, shown, band, tiles });
                self.tiles.mark(Mark::Image(image, seen));
            }
            Read::Broken(passed) => self.tiles.mark(Mark::Broken(passed)),
            Read::Rows(_) => bail!("rows came without an image"),
        }
        Ok(())
    }

    /// Puts in a tile of the current image, once its rows came.
    fn add(&mut self, tile: Tile) -> Result<()> {
        let Some(Current { reader, shown, band, .. }) = &mut self.current else { return Ok(()) };
        let (place, size) = (tile.place(), tile.size());
        while !band.reaches(place[0], size[0]) {
            match self.readers[*reader].recv() {
                Ok(Read::Rows(rows)) => band.pixels.append(&rows),
                Ok(Read::Broken(passed)) => {
                    self.tiles.mark(Mark::Broken(passed));
                    self.current = None;
                    return Ok(());
                }
                _ => bail!("predicting {shown}: the thread that reads has ended"),
            }
        }
        let cut = Cut { pixels: band.cut(place, size, self.settings.layout.channels()), size };
        self.tiles.add(tile, cut).map_err(Error::from_boxed).with_context(|| self.predicting())
    }

    /// Describes the work that failed, after the tiles of the current image.
    fn predicting(&self) -> String {
        let others = if self.settings.at_once > 1 { ", or an image before it whose tiles share a pass" } else { "" };
        match &self.current {
            Some(current) => format!("predicting {}{others}", current.shown),
            None => "predicting the last images".into(),
        }
    }
}

/// Returns tiles of one size as `[N, C, height, width]` from 0 to 1, on the device.
fn inputs(tiles: Vec<Cut>, device: Device, layout: &Layout, uploads: &mut Uploads) -> Result<Tensor, TorchError> {
    let [height, width] = tiles.first().map_or([0, 0], |tile| tile.size);
    let form = [tiles.len() as i64, height, width, layout.channels().into()];
    let tiles_nhwc = match &tiles[..] {
        [tile] if device == Device::Cpu => layout.tensor(&tile.pixels, &form)?,
        _ => {
            let room = uploads.room(&form, layout.kind())?;
            for (number, tile) in (0..).zip(&tiles) {
                room.tensor().f_get(number)?.f_copy_(&layout.tensor(&tile.pixels, &form[1..])?)?;
            }
            uploads.send(room, form[0])?
        }
    };
    Ok(layout.values(&tiles_nhwc)?)
}

/// Rows of an image that tiles are cut from.
struct Band {
    /// Numbers per row.
    row: usize,
    /// Number of the first row.
    first: i64,
    pixels: Pixels,
}

impl Band {
    /// Drops the rows above `top`. Returns whether the next `height` rows are there.
    fn reaches(&mut self, top: i64, height: i64) -> bool {
        let numbers = |rows: i64| rows as usize * self.row;
        let above = numbers(top - self.first).min(self.pixels.len());
        on_pixels!(&mut self.pixels, pixels => _ = pixels.drain(..above));
        self.first = top;
        self.pixels.len() >= numbers(height)
    }

    /// Returns the pixels of a tile, row by row.
    fn cut(&self, [top, left]: [i64; 2], [height, width]: [i64; 2], channels: u32) -> Pixels {
        let (channels, mut tile) = (channels as usize, Pixels::default());
        let skipped = (top - self.first) as usize * self.row + left as usize * channels;
        let lines = (0..height as usize).map(|row| skipped + row * self.row);
        on_pixels!(&self.pixels, pixels => {
            for at in lines {
                Element::buffer(&mut tile).extend_from_slice(&pixels[at..at + width as usize * channels]);
            }
        });
        tile
    }
}

#[cfg(test)]
mod tests {
    use super::super::find::Picture;
    use super::super::predicted::Rows;
    use super::super::rows::RowsWriter;
    use super::super::source::{Told, hand_on};
    use super::super::writer::{MapWriter, Work, beside};
    use super::*;
    use data::Resize;
    use std::cell::Cell;
    use std::fs;
    use std::path::Path;
    use std::thread;
    use tch::{Kind, nn};

    static NONE: Begun = Begun::new();

    /// Draws images of many sizes, of which two are torn: one of a single read, and one of several.
    fn draw(folder: &Path) -> Pictures {
        let sizes =
            [[40, 33], [70, 90], [32, 32], [600, 700], [90, 70], [1, 5], [40, 33], [33, 140], [64, 64], [64, 64]];
        let draw = |(number, [height, width]): (u32, [u32; 2])| {
            let name = format!("{number:02}");
            let file = folder.join(format!("{name}.png"));
            let color = |x: u32, y: u32| image::Rgb([x * 7 + number, y * 5, x * y].map(|value| value as u8));
            image::RgbImage::from_fn(width, height, color).save(&file).unwrap();
            if number == 3 || number == 6 {
                let bytes = fs::read(&file).unwrap();
                fs::write(&file, &bytes[..bytes.len() * 4 / 5]).unwrap();
            }
            (name.clone(), Picture { file, base: name.into(), size: [height, width] })
        };
        (0..).zip(sizes).map(draw).collect()
    }

    /// Returns what the writing thread is sent: names and reasons, and the classes and probabilities of each image; and
    /// the number of images that were told.
    fn sent(pictures: &Pictures, in_tiles: InTiles) -> (Vec<String>, Vec<Rows>, usize) {
        let consume = |work: Receiver<Work>| {
            let (mut said, mut found) = (Vec::new(), Vec::<Rows>::new());
            for work in work {
                match work {
                    Work::Image(image) => {
                        said.push(format!("{} {:?}", image.name, image.size));
                        found.push(Rows { ids: Vec::new(), probabilities: Vec::new() });
                    }
                    Work::Rows(rows) => {
                        let (rows, found) = (rows.read()?, found.last_mut().context("rows of no image")?);
                        found.ids.extend(rows.ids);
                        found.probabilities.extend(rows.probabilities);
                    }
                    Work::Broken(passed) => {
                        said.push(format!("{} is broken", passed.name));
                    }
                }
            }
            Ok((said, found))
        };
        let told = Cell::new(0);
        let predict = |writer: &MapWriter| {
            thread::scope(|scope| {
                let rows = RowsWriter::new(writer, Device::Cpu, None, true)?;
                let count = |what| told.set(told.get() + usize::from(what == Told::Image));
                hand_on(&mut in_tiles.start(scope, pictures)?, writer, rows, count)
            })
        };
        let (broken, (said, found)) = beside(consume, predict).unwrap();
        assert_eq!(broken.iter().map(|broken| &*broken.name).collect::<Vec<_>>(), ["03", "06"]);
        (said, found, told.get())
    }

    #[test]
    fn tiles_across_images_and_many_readers_give_what_each_image_gives_alone() {
        let folder = tempfile::tempdir().unwrap();
        let pictures = draw(folder.path());
        let store = nn::VarStore::new(Device::Cpu);
        let conv = nn::conv2d(store.root(), 3, 4, 3, nn::ConvConfig { padding: 1, ..Default::default() });
        let weights = Tensor::arange(conv.ws.numel() as i64, (Kind::Float, Device::Cpu)).sin();
        tch::no_grad(|| conv.ws.shallow_clone().copy_(&weights.view_as(&conv.ws)));
        let model = nn::func_t(move |x: &Tensor, _| x.apply(&conv));
        let named = pictures.iter().map(|(name, picture)| (name.clone(), picture.file.clone().into())).collect();
        let smaller = Images::new(named, [24, 24], 3, Orientation::Ignore, Resize::ShorterSide { to: Some(24) });
        for scaled in [None, Some(&smaller)] {
            let in_tiles = |at_once, readers| InTiles {
                model: &model,
                device: Device::Cpu,
                layout: 3.into(),
                orientation: Orientation::Ignore,
                tiling: Tiling { tile: 32, overlap: 0.25 },
                at_once,
                scaled,
                readers,
                begun: &NONE,
            };
            let (said, found, told) = sent(&pictures, in_tiles(1, 1));
            assert_eq!((told, found.len() >= 8, said.len() >= 10), (10, true, true), "{said:?}");
            for (at_once, readers) in [(1, 3), (5, 1), (16, 4), (1000, 20)] {
                let (same, together, told) = sent(&pictures, in_tiles(at_once, readers));
                assert_eq!((&same, told), (&said, 10), "{at_once} tiles, {readers} readers");
                for (name, (expected, found)) in found.iter().zip(&together).enumerate() {
                    let numbers = [expected, found].map(|rows| rows.probabilities.len());
                    assert!(expected.ids == found.ids && numbers[0] == numbers[1], "{name}");
                    let off = |(one, other): (&f32, &f32)| (one - other).abs();
                    let both = expected.probabilities.iter().zip(&found.probabilities);
                    let worst = both.map(off).fold(0.0, f32::max);
                    assert!(worst < 1e-6 && (at_once > 1 || worst == 0.0), "{name}: {worst}");
                }
            }
        }
    }
}
