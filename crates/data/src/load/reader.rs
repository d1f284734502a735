//! Reads image and mask files at the wanted size, into buffers that each thread keeps: the files of a data set have
//! similar sizes, so after the first ones the allocator has little to do.

use crate::decode::header::dimensions;
use crate::decode::turn::Orientation;
use crate::decode::{Decoder, trim};
use crate::error::Error;
use crate::label::table::LabelTable;
use crate::load::image::Pixels;
use crate::load::{Sample, Target, Targets, pixels};
use crate::transform::resize::{Placement, Resize, Scaler};
use std::cell::RefCell;
use std::mem::swap;
use std::path::Path;

thread_local! {
    static READER: RefCell<Reader> = RefCell::default();
}

/// Buffers of one thread for reading files.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    decoder: Decoder,
    scaler: Scaler,
    /// The decoded file, at its own size.
    decoded: Vec<u8>,
    /// The target of a sample that is being resized.
    target: Target,
}

/// Runs `work` with this thread's reader. `work` must not call this function again.
pub(crate) fn with_reader<T>(work: impl FnOnce(&mut Reader) -> T) -> T {
    READER.with_borrow_mut(|reader| {
        let done = work(reader);
        reader.decoder.trim();
        trim(&mut reader.decoded);
        done
    })
}

impl Reader {
    /// Reads the image at `path` into `image`, `channels` bytes a pixel, placed as `place` decides from its height and
    /// width. Returns that size and the placement.
    pub(crate) fn image(
        &mut self,
        path: &Path,
        channels: u32,
        orientation: Orientation,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
        image: &mut Vec<u8>,
    ) -> Result<([u32; 2], Placement), Error> {
        let size = self.decoder.image(path, channels, orientation, &mut self.decoded)?;
        let place = place(size)?;
        self.scaler.image(&mut self.decoded, size, channels, place, image)?;
        Ok((size, place))
    }

    /// Places pixels in memory as [`image`](Self::image) does those of a file.
    pub(crate) fn pixels(
        &mut self,
        pixels: &Pixels,
        channels: u32,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
        image: &mut Vec<u8>,
    ) -> Result<([u32; 2], Placement), Error> {
        let place = place(pixels.size)?;
        self.decoder.convert(&pixels.bytes, (pixels.size, pixels.channels), channels, &mut self.decoded);
        self.scaler.image(&mut self.decoded, pixels.size, channels, place, image)?;
        Ok((pixels.size, place))
    }

    /// Decodes the image at `path` only to check that it can be decoded.
    pub(crate) fn decodes(&mut self, path: &Path, channels: u32) -> Result<(), Error> {
        self.decoder.image(path, channels, Orientation::Ignore, &mut self.decoded).map(drop)
    }

    /// Reads the class ids of the mask at `path` into `mask`, at `place`. The file must have the `size` of its `image`,
    /// whose path is for the error.
    pub(crate) fn mask(
        &mut self,
        path: &Path,
        labels: &LabelTable,
        orientation: Orientation,
        (image, size): (&Path, [u32; 2]),
        place: Placement,
        mask: &mut Vec<u8>,
    ) -> Result<(), Error> {
        // Every pixel of the file is checked, even those that resizing drops.
        let mask_size = self.decoder.mask(path, labels, orientation, &mut self.decoded)?;
        if mask_size != size {
            let hint = hint(image, orientation, mask_size);
            return Err(Error::SizeMismatch {
                image: image.into(),
                image_size: size,
                mask: path.into(),
                mask_size,
                hint,
            });
        }
        self.scaler.mask(&mut self.decoded, size, place, mask);
        Ok(())
    }
}

impl Resize {
    /// Brings a sample of a data set of your own to the size that it has for a network with inputs of `size`, as data
    /// sets of files do. To be called in [`Dataset::load`](crate::Dataset::load), with the form of its targets.
    ///
    /// ```
    /// use data::{Resize, Sample, Target, Targets, Values};
    ///
    /// let mut sample = Sample { size: [1, 2], image: vec![0, 90], target: Target::Values(vec![1.0, 3.0]) };
    /// let targets = Targets::Values(Values { fill: 0.0, ..Values::default() });
    /// Resize::Fit { to: None }.apply(&mut sample, [2, 2], targets)?;
    /// assert_eq!((sample.size, sample.image), ([2, 2], vec![0, 90, 0, 0]));
    /// assert_eq!(sample.target.values(), [1.0, 3.0, 0.0, 0.0]);
    /// # Ok::<(), data::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Resize`] where a side would become too long, or where image or target do not have the sample's size.
    pub fn apply(&self, sample: &mut Sample, size: [u32; 2], targets: Targets) -> Result<(), Error> {
        let (from, place) = (sample.size, self.place(sample.size, size)?);
        if place == Placement::filling(from) {
            return Ok(());
        }
        let (area, image, target) = (pixels(from), sample.image.len(), sample.target.len());
        let channels = [1, 3].into_iter().find(|channels| area > 0 && image == area * channels);
        let Some(channels) = channels.filter(|_| target == area * targets.planes()) else {
            let problem = format!("the image has {image} bytes, and the target {target} numbers");
            return Err(Error::Resize { from, to: place.size, problem });
        };
        with_reader(|Reader { scaler, decoded, target, .. }| {
            let whole = Placement::filling(from).image;
            scaler.part_of_image(&sample.image, from, whole, channels as u32, place, decoded)?;
            scaler.part_of_target(&sample.target, from, whole, targets.values(), place, target);
            swap(&mut sample.image, decoded);
            swap(&mut sample.target, target);
            sample.size = place.size;
            Ok(())
        })
    }
}

/// Returns advice on a mask of another size than its image, if the other `data.orientation` gives the image the mask's
/// size; else an empty text.
fn hint(image: &Path, orientation: Orientation, mask_size: [u32; 2]) -> &'static str {
    let (other, hint) = match orientation {
        Orientation::Apply => (
            Orientation::Ignore,
            ", brought upright by the note of its orientation; as it is stored it fits: set data.orientation to \
             \"ignore\" if masks were drawn over the stored pixels",
        ),
        Orientation::Ignore => (
            Orientation::Apply,
            " as it is stored; brought upright by the note of its orientation it fits: set data.orientation to \
             \"apply\"",
        ),
    };
    if dimensions(image, other).is_ok_and(|size| size == mask_size) { hint } else { "" }
}
