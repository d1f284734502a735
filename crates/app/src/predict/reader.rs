//! Reads images row by row, in threads of their own, for tiles that are cut out of them.

use super::find::{Picture, Pictures};
use super::image::{Begun, Image};
use contract::caught;
use data::{Dataset, Images, Layout, Orientation, Passed, Pixels, Rectangle, Sample, Strips};
use executors::Tiling;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::Scope;

/// Minimum number of rows per read, and number of bytes up to which more are read at once.
const ROWS: u32 = 64;
const BYTES: u32 = 1 << 20;

/// Maximum number of reads of a thread that wait.
const QUEUE: usize = 4;

/// Message of a reading thread, image by image.
pub enum Read {
    Image(Image, View),
    /// The next rows of the network's input, `W×C` numbers each.
    Rows(Pixels),
    Broken(Passed),
}

/// The network's view of an image.
#[derive(Clone, Copy)]
pub struct View {
    /// Height and width of the whole view.
    pub size: [u32; 2],
    /// Part that shows the image.
    pub part: Rectangle,
    /// Number of rows that were predicted before, and the row from which the view is read nevertheless.
    pub done: u32,
    pub from: u32,
}

/// Starts `count` threads that read `pictures` in turn. Returns their messages: those about the first image come from
/// the first one, and so on.
pub fn start<'s, 'p: 's>(
    scope: &'s Scope<'s, 'p>,
    count: usize,
    reader: impl Fn(SyncSender<Read>) -> Reader<'p>,
    pictures: &'p Pictures,
) -> Vec<Receiver<Read>> {
    let start = |first| {
        let (sender, receiver) = sync_channel(QUEUE);
        let reader = reader(sender);
        scope.spawn(move || reader.read(pictures, first, count));
        receiver
    };
    (0..count).map(start).collect()
}

/// A reading thread.
pub struct Reader<'a> {
    /// Images at the scale of training, in the order of their names; None keeps their own size.
    pub scaled: Option<&'a Images>,
    pub layout: Layout,
    pub orientation: Orientation,
    pub tiling: Tiling,
    /// Images of which rows were predicted before.
    pub begun: &'a Begun,
    pub sender: SyncSender<Read>,
}

impl Reader<'_> {
    /// Reads every `step`-th image from image number `first` on, until the receiver is gone.
    pub fn read(self, pictures: &Pictures, first: usize, step: usize) {
        for (index, (name, picture)) in (0..).zip(pictures).skip(first).step_by(step) {
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
        let mut strips = Strips::open(&picture.file, self.layout.clone(), self.orientation)?;
        let [height, width] = strips.size();
        let image = Image { size: [height, width], ..Image::of(name, picture) };
        let part = Rectangle { top: 0, left: 0, height, width };
        let begun = self.begun.get(name).copied().unwrap_or_default();
        let restart = self.tiling.restart(height.into(), begun.into()).and_then(|from| u32::try_from(from).ok());
        let (done, from) = restart.map_or((0, 0), |from| (begun, from));
        let seen = View { size: [height, width], part, done, from };
        let mut wanted = self.sender.send(Read::Image(image, seen)).is_ok();
        let bytes = width.saturating_mul(self.layout.channels() * self.layout.depth.bytes() as u32);
        let rows_at_once = (BYTES / bytes.max(1)).max(ROWS);
        strips.skip(from)?;
        for first in (from..height).step_by(rows_at_once as usize) {
            if !wanted {
                break;
            }
            let mut rows = Pixels::new(self.layout.depth);
            strips.read(rows_at_once.min(height - first), &mut rows)?;
            wanted = self.sender.send(Read::Rows(rows)).is_ok();
        }
        Ok(wanted)
    }

    /// Reads an image at the scale of training. Returns false if the receiver is gone.
    fn scaled(&self, name: &str, picture: &Picture, images: &Images, index: u64) -> Result<bool, data::Error> {
        let mut sample = Sample::default();
        images.load(index, &mut sample)?;
        let seen = View { size: sample.size, part: images.rectangle(picture.size)?, done: 0, from: 0 };
        let wanted = self.sender.send(Read::Image(Image::of(name, picture), seen)).is_ok();
        Ok(wanted && self.sender.send(Read::Rows(sample.image)).is_ok())
    }
}
