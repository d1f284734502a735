//! A data set of image and mask files, whatever the source of its paths.

use crate::decode::header::dimensions;
use crate::decode::part::Axis;
use crate::decode::remarks::{Remark, remarks, remarks_of_mask};
use crate::decode::strips::Strips;
use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::label::table::LabelTable;
use crate::list::paths::{Paths, Pattern};
use crate::load::config::LoaderConfig;
use crate::load::dataset::{Dataset, Source};
use crate::load::drawn::drawing::Drawing;
use crate::load::drawn::{Drawn, Mask};
use crate::load::layout::{Channels, Layout, Range};
use crate::load::pipeline::{Normalization, Normalize, Statistics};
use crate::load::reader::with_reader;
use crate::load::{IGNORE, Sample, Target, ends};
use crate::transform::named::{NamedOrListed, named_or_listed};
use crate::transform::resize::{Placement, Rectangle, Resize};
use crate::transform::{Transform, usual};
use contract::Invalid;
use raster::{Depth, Pixels};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Conversion of files to the network's input: the keys that all data sets of files share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Preparation {
    /// Height and width of the network's input, in pixels.
    #[schemars(extend("x-resume" = "ask"))]
    pub size: [u32; 2],
    /// Channels of the network's input: 3 for red, green and blue, 1 for grey, the number of bands of the files, or a
    /// list of bands such as `[4, 3, 2]`, of which the first is 1.
    #[schemars(extend("x-resume" = "refuse"))]
    pub channels: Channels,
    /// Kind of the images' numbers on their way to the network. With `u8`, 16-bit files lose their lower 8 bits; `u16`
    /// holds those of 8 and 16 bits, and `f32` all others.
    #[schemars(extend("x-resume" = "ask"))]
    pub depth: Depth,
    /// Numbers that become 0 and 1, such as `[0, 10000]`, or a list of one such range for each channel; without it, the
    /// whole range of bytes or 16-bit numbers, and 0 to 1 for floats.
    #[schemars(extend("x-resume" = "ask"))]
    pub range: Option<Range>,
    /// Brings numbers outside `range` to its ends.
    #[schemars(extend("x-resume" = "ask"))]
    pub clip: bool,
    /// Number that stands for pixels that are unknown, besides the one that a file names and NaN. They are black, and
    /// ignored.
    #[schemars(extend("x-resume" = "ask"))]
    pub no_data: Option<f64>,
    /// Handling of the orientation noted in an image file.
    #[schemars(extend("x-resume" = "ask"))]
    pub orientation: Orientation,
    /// Patterns of the further files of an image, in the form of `image_name` or, in lists, of `image`. Their bands
    /// follow those of the first file.
    #[schemars(extend("x-resume" = "refuse"))]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub more_images: Vec<String>,
    /// Axis across which volumes are cut into slices, each of which is a sample: `x`, `y` or `z`, the first, second and
    /// third of the file. The mask of a slice is that of the mask's volume.
    #[schemars(extend("x-resume" = "refuse"))]
    pub slices: Option<Axis>,
    /// Resizing of images and masks to `size`.
    #[schemars(extend("x-resume" = "ask"))]
    pub resize: Resize,
    /// Augmentation of training samples: a list of transforms, applied in order, or the name of one: `"nnunet"`.
    #[serde(deserialize_with = "named_or_listed")]
    #[schemars(extend("x-resume" = "ask"))]
    #[schemars(with = "NamedOrListed")]
    pub transforms: Vec<Transform>,
    /// Mean and standard deviation of the channels, for values from 0 to 1, or `"image"`: those of each image itself.
    /// Without it, values are only brought to 0 to 1.
    #[schemars(extend("x-resume" = "ask"))]
    pub normalize: Option<Normalization>,
    /// Batching and loading of samples.
    pub loader: LoaderConfig,
}

impl Default for Preparation {
    fn default() -> Self {
        Self {
            size: [128, 128],
            channels: Channels::Count(3),
            depth: Depth::U8,
            range: None,
            clip: false,
            no_data: None,
            more_images: Vec::new(),
            slices: None,
            orientation: Orientation::default(),
            resize: Resize::default(),
            transforms: usual(),
            normalize: None,
            loader: LoaderConfig::default(),
        }
    }
}

impl Preparation {
    /// Returns the numbers of a pixel that the network sees.
    pub(crate) fn layout(&self) -> Layout {
        Layout {
            channels: self.channels.clone(),
            depth: self.depth,
            range: self.range.clone(),
            clip: self.clip,
            standardize: self.normalize == Some(Normalization::Of(Statistics::Image)),
            no_data: self.no_data,
        }
    }

    /// Returns whether files of numbers are images too.
    pub(crate) fn sees_numbers(&self) -> bool {
        self.slices.is_some() || !self.more_images.is_empty() || !self.layout().is_plain()
    }

    /// Returns the means and deviations that all images are normalised with.
    pub(crate) fn normalize(&self) -> Option<Normalize> {
        match &self.normalize {
            Some(Normalization::Constants(normalize)) => Some(normalize.clone()),
            Some(Normalization::Of(Statistics::Image)) | None => None,
        }
    }

    /// Refuses invalid `channels` and `resize`; the other keys are common to all data sets, and
    /// [`Config`](crate::Config) checks them.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        self.layout().check()?;
        for (place, pattern) in self.more_images.iter().enumerate() {
            Pattern::parse(&format!("more_images[{place}]"), pattern)?;
        }
        let within = |Invalid { key, problem }| Invalid { key: format!("resize.{key}"), problem };
        self.resize.check().map_err(within)
    }
}

/// Number of pixels that are read at once to find those without data.
const STRIP: u32 = 1 << 22;

/// One split of a data set of files.
pub(crate) struct Files {
    /// Paths of images and masks.
    paths: Paths,
    /// Meaning of the masks' pixels.
    labels: LabelTable,
    /// Height and width of the network's input, in pixels.
    size: [u32; 2],
    /// Numbers of a pixel of the images.
    layout: Layout,
    /// Handling of the orientation that the files note.
    orientation: Orientation,
    /// Resizing to `size`.
    resize: Resize,
    /// Annotations that masks are painted from, where these are no files.
    drawn: Option<Drawn>,
}

impl Files {
    /// Creates a data set of the samples at `paths`.
    pub(crate) fn new(mut paths: Paths, labels: LabelTable, preparation: &Preparation) -> Result<Self, Error> {
        let Preparation { size, orientation, resize, slices, .. } = *preparation;
        if let Some(axis) = slices {
            paths.slice(axis)?;
        }
        Ok(Self { paths, labels, size, layout: preparation.layout(), orientation, resize, drawn: None })
    }

    /// Creates a data set of images whose masks are painted; `drawn` has a sample for each of `paths`.
    pub(crate) fn drawn(
        paths: Paths,
        drawn: Drawn,
        labels: LabelTable,
        preparation: &Preparation,
    ) -> Result<Self, Error> {
        Ok(Self { drawn: Some(drawn), ..Self::new(paths, labels, preparation)? })
    }

    /// Returns the source of a sample's mask.
    fn mask(&self, index: u64) -> Result<Mask<'_>, Error> {
        match &self.drawn {
            Some(drawn) => drawn.mask(index),
            None => Ok(Mask::File(self.paths.mask(index)?)),
        }
    }

    /// Loads a sample, placed as `place` decides from the size of its image.
    fn read(
        &self,
        index: u64,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
        sample: &mut Sample,
    ) -> Result<(), Error> {
        let (image, mask) = (self.paths.image(index)?, self.mask(index)?);
        with_reader(|reader| {
            let (size, place) = reader.image(&image, &self.layout, self.orientation, place, &mut sample.image)?;
            sample.size = place.size;
            let seen = (&self.layout, self.orientation);
            reader.mask(&mask, &self.labels, seen, (&image, size, true), place, sample.target.classes_mut())
        })
    }

    /// Ignores the pixels of a mask, at the image's own size, where the image is without data. Reads the image.
    fn ignore_unknown(&self, index: u64, ids: &mut [u8]) -> Result<(), Error> {
        if self.layout.is_plain() {
            return Ok(());
        }
        let mut image = Strips::open(&self.paths.image(index)?, self.layout.clone(), self.orientation)?;
        let [height, width] = image.size();
        let rows = (STRIP / width.max(1)).max(1);
        let (mut numbers, mut rest) = (Pixels::new(self.layout.depth), ids);
        for first in (0..height).step_by(rows as usize) {
            numbers.clear();
            image.read(rows.min(height - first), &mut numbers)?;
            let (own, below) = rest.split_at_mut((rows as usize * width as usize).min(rest.len()));
            own.iter_mut().zip(image.unknown()).filter(|(_, unknown)| **unknown).for_each(|(id, _)| *id = IGNORE);
            rest = below;
        }
        Ok(())
    }

    /// Loads the mask of a sample, placed as `place` decides from the size of its image, and returns that size too.
    fn read_mask(
        &self,
        index: u64,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
    ) -> Result<([u32; 2], Vec<u8>), Error> {
        let (image, mask) = (self.paths.image(index)?, self.mask(index)?);
        let size = dimensions(&image, &self.layout, self.orientation)?;
        let place = place(size)?;
        let mut ids = Vec::new();
        let seen = (&self.layout, self.orientation);
        with_reader(|reader| reader.mask(&mask, &self.labels, seen, (&image, size, false), place, &mut ids))?;
        Ok((size, ids))
    }
}

impl Dataset for Files {
    fn len(&self) -> u64 {
        self.paths.len()
    }

    fn size(&self) -> Option<[u32; 2]> {
        self.resize.size(self.size)
    }

    fn channels(&self) -> u32 {
        self.layout.channels()
    }

    fn layout(&self) -> Layout {
        self.layout.clone()
    }

    fn name(&self, index: u64) -> String {
        self.paths.name(index)
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.read(index, |size| self.resize.place(size, self.size), sample)
    }

    fn whole(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.read(index, |size| Ok(Placement::filling(size)), sample)
    }

    fn part(
        &self,
        index: u64,
        choose: &mut dyn FnMut([u32; 2]) -> Rectangle,
        sample: &mut Sample,
    ) -> Result<bool, Error> {
        if self.resize != Resize::None {
            return Ok(false);
        }
        let (image, mask) = (self.paths.image(index)?, self.mask(index)?);
        with_reader(|reader| {
            let seen = (&self.layout, self.orientation);
            let Some((size, part)) = reader.part_of_image(&image, seen, choose, &mut sample.image)? else {
                return Ok(false);
            };
            sample.size = [part.height, part.width];
            reader.part_of_mask(&mask, &self.labels, seen, (&image, size, part), sample.target.classes_mut())?;
            Ok(true)
        })
    }

    fn target(&self, index: u64) -> Result<Target, Error> {
        ends::look(&self.paths.image(index)?, &self.layout)?;
        Ok(Target::Classes(self.read_mask(index, |size| self.resize.place(size, self.size))?.1))
    }

    fn mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        let mut placed = [0; 2];
        let place = |size| self.resize.place(size, self.size).inspect(|place| placed = place.size);
        let (_, ids) = self.read_mask(index, place)?;
        Ok((placed, ids))
    }

    fn whole_mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        let (size, mut ids) = self.read_mask(index, |size| Ok(Placement::filling(size)))?;
        self.ignore_unknown(index, &mut ids)?;
        Ok((size, ids))
    }

    fn paths(&self, index: u64) -> Result<Vec<PathBuf>, Error> {
        Ok(vec![self.paths.image(index)?, self.mask(index)?.path().into()])
    }

    fn remarks(&self, index: u64) -> Vec<(Remark, PathBuf)> {
        let (Ok(image), Ok(mask)) = (self.paths.image(index), self.mask(index)) else { return Vec::new() };
        let mut of_image = remarks(&image, self.orientation);
        // A layout of more than bytes of colours says itself which bits and bands are used.
        of_image.retain(|remark| self.layout.is_plain() || !matches!(remark, Remark::Wide | Remark::Bands));
        let of_image = of_image.into_iter().map(|remark| (remark, image.clone()));
        let Mask::File(mask) = mask else { return of_image.collect() };
        of_image.chain(remarks_of_mask(&mask).into_iter().map(|remark| (remark, mask.clone()))).collect()
    }

    fn left_out(&self) -> &[String] {
        self.drawn.as_ref().map_or(&[], |drawn| &drawn.left_out)
    }

    fn source(&self, index: u64) -> Result<Source, Error> {
        let image = self.paths.image(index)?;
        let Some(drawn) = &self.drawn else { return Source::of([image.as_path(), self.paths.mask(index)?.as_path()]) };
        // A file of annotations may hold those of all images, so each sample has a digest of its own.
        let source = match self.mask(index)? {
            Mask::Drawn(Drawing::Segments(_), _, png) => Source::of([image.as_path(), png])?,
            _ => Source::of([image.as_path()])?,
        };
        Ok(Source { bytes: source.bytes.wrapping_add(drawn.digest(index)?), ..source })
    }
}
