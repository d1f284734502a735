//! Reads image and mask files at the wanted size, into buffers that each thread keeps: the files of a data set have
//! similar sizes, so after the first ones the allocator has little to do.

use crate::decode::Decoder;
use crate::decode::header::dimensions;
use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::label::table::LabelTable;
use crate::load::drawn::Mask;
use crate::load::image::InMemory;
use crate::load::layout::Layout;
use crate::load::{IGNORE, Sample, Target, Targets, pixels};
use crate::transform::resize::{Placement, Rectangle, Resize, Scaler};
use raster::Pixels;
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
    decoded: Pixels,
    /// For each pixel of the image that was read last, whether it is unknown; empty where none is.
    unknown: Vec<bool>,
    /// The target of a sample that is being resized.
    target: Target,
}

/// Runs `work` with this thread's reader. `work` must not call this function again.
pub(crate) fn with_reader<T>(work: impl FnOnce(&mut Reader) -> T) -> T {
    READER.with_borrow_mut(|reader| {
        let done = work(reader);
        reader.decoder.trim();
        reader.decoded.trim();
        done
    })
}

impl Reader {
    /// Reads the image at `path` into `image`, as `layout` says, placed as `place` decides from its height and width.
    /// Returns that size and the placement.
    pub(crate) fn image(
        &mut self,
        path: &Path,
        layout: &Layout,
        orientation: Orientation,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
        image: &mut Pixels,
    ) -> Result<([u32; 2], Placement), Error> {
        let Self { decoder, decoded, unknown, scaler, .. } = self;
        let size = decoder.layout(path, layout, orientation, (decoded, unknown))?;
        let place = place(size)?;
        scaler.image(decoded, size, layout.channels(), (place, layout.black()), image)?;
        Ok((size, place))
    }

    /// Places pixels in memory as [`image`](Self::image) does those of a file.
    pub(crate) fn pixels(
        &mut self,
        pixels: &InMemory,
        layout: &Layout,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
        image: &mut Pixels,
    ) -> Result<([u32; 2], Placement), Error> {
        let place = place(pixels.size)?;
        let channels = layout.channels();
        self.decoder.convert(&pixels.bytes, (pixels.size, pixels.channels), channels, self.decoded.bytes_mut());
        self.scaler.image(&mut self.decoded, pixels.size, channels, (place, layout.black()), image)?;
        Ok((pixels.size, place))
    }

    /// Decodes the image at `path` only to check that it can be decoded.
    pub(crate) fn decodes(&mut self, path: &Path, layout: &Layout) -> Result<(), Error> {
        let into = (&mut self.decoded, &mut self.unknown);
        self.decoder.layout(path, layout, Orientation::Ignore, into).map(drop)
    }

    /// Reads a part of the image at `path` into `image`: that which `choose` returns for the image's height and width.
    /// Returns both, or `None` if the image can be read only as a whole.
    pub(crate) fn part_of_image(
        &mut self,
        path: &Path,
        (layout, orientation): (&Layout, Orientation),
        choose: &mut dyn FnMut([u32; 2]) -> Rectangle,
        image: &mut Pixels,
    ) -> Result<Option<([u32; 2], Rectangle)>, Error> {
        self.decoder.part(path, layout, orientation, choose, (image, &mut self.unknown))
    }

    /// Reads the class ids of the same part of the mask; see [`mask`](Self::mask).
    pub(crate) fn part_of_mask(
        &mut self,
        from: &Mask,
        labels: &LabelTable,
        (layout, orientation): (&Layout, Orientation),
        (image, size, part): (&Path, [u32; 2], Rectangle),
        mask: &mut Vec<u8>,
    ) -> Result<(), Error> {
        let Self { decoder, decoded, scaler, unknown, .. } = self;
        let whole = decoded.bytes_mut();
        let mask_size = match from.part(decoder, labels, part, mask)? {
            Some(size) => size,
            None => {
                let mask_size = from.read(decoder, labels, orientation, whole)?;
                if mask_size == size {
                    let place = Placement::filling([part.height, part.width]);
                    scaler.part_of_mask(whole, size, part, place, mask);
                }
                mask_size
            }
        };
        if mask_size != size {
            return Err(mismatch((image, size), (from.path(), mask_size), layout, orientation));
        }
        mask.iter_mut().zip(&*unknown).filter(|(_, unknown)| **unknown).for_each(|(id, _)| *id = IGNORE);
        Ok(())
    }

    /// Reads the class ids of the mask `from` its source into `mask`, at `place`. It must have the `size` of its
    /// `image`, whose path is for the error. With `knows`, the image was read just before, and its unknown pixels are
    /// ignored.
    pub(crate) fn mask(
        &mut self,
        from: &Mask,
        labels: &LabelTable,
        (layout, orientation): (&Layout, Orientation),
        (image, size, knows): (&Path, [u32; 2], bool),
        place: Placement,
        mask: &mut Vec<u8>,
    ) -> Result<(), Error> {
        // Every pixel of the file is checked, even those that resizing drops.
        let ids = self.decoded.bytes_mut();
        let mask_size = from.read(&mut self.decoder, labels, orientation, ids)?;
        if mask_size != size {
            return Err(mismatch((image, size), (from.path(), mask_size), layout, orientation));
        }
        if knows {
            ids.iter_mut().zip(&self.unknown).filter(|(_, unknown)| **unknown).for_each(|(id, _)| *id = IGNORE);
        }
        self.scaler.mask(ids, size, place, mask);
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
    /// let mut sample = Sample { size: [1, 2], image: vec![0u8, 90].into(), target: Target::Values(vec![1.0, 3.0]) };
    /// let targets = Targets::Values(Values { fill: 0.0, ..Values::default() });
    /// Resize::Fit { to: None }.apply(&mut sample, [2, 2], targets)?;
    /// assert_eq!((sample.size, sample.image), ([2, 2], vec![0u8, 90, 0, 0].into()));
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
        let channels = (area > 0 && image > 0 && image % area == 0).then(|| image / area);
        let Some(channels) = channels.filter(|_| target == area * targets.planes()) else {
            let problem = format!("the image has {image} numbers, and the target {target} numbers");
            return Err(Error::Resize { from, to: place.size, problem });
        };
        with_reader(|Reader { scaler, decoded, target, .. }| {
            let whole = Placement::filling(from).image;
            scaler.part_of_image(&sample.image, from, whole, channels as u32, (place, 0.0), decoded)?;
            scaler.part_of_target(&sample.target, from, whole, targets.values(), place, target);
            swap(&mut sample.image, decoded);
            swap(&mut sample.target, target);
            sample.size = place.size;
            Ok(())
        })
    }
}

/// Returns the error for a mask of another size than its image.
fn mismatch(
    (image, image_size): (&Path, [u32; 2]),
    (mask, mask_size): (&Path, [u32; 2]),
    layout: &Layout,
    orientation: Orientation,
) -> Error {
    let hint = hint(image, layout, orientation, mask_size);
    Error::SizeMismatch { image: image.into(), image_size, mask: mask.into(), mask_size, hint }
}

/// Returns advice on a mask of another size than its image, if the other `data.orientation` gives the image the mask's
/// size; else an empty text.
fn hint(image: &Path, layout: &Layout, orientation: Orientation, mask_size: [u32; 2]) -> &'static str {
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
    if dimensions(image, layout, other).is_ok_and(|size| size == mask_size) { hint } else { "" }
}
