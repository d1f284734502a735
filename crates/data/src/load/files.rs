//! A data set of image and mask files, whatever the source of its paths.

use crate::decode::header::dimensions;
use crate::decode::remarks::{Remark, remarks, remarks_of_mask};
use crate::decode::turn::Orientation;
use crate::error::Error;
use crate::label::table::LabelTable;
use crate::list::paths::Paths;
use crate::load::config::LoaderConfig;
use crate::load::dataset::{Dataset, Source};
use crate::load::pipeline::Normalize;
use crate::load::reader::with_reader;
use crate::load::{Sample, Target, ends};
use crate::transform::resize::{Placement, Resize};
use crate::transform::{Transform, usual};
use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Conversion of files to the network's input: the keys that all data sets of files share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Preparation {
    /// Height and width of the network's input, in pixels.
    pub size: [u32; 2],
    /// Channels of the network's input: 3 for red, green and blue, 1 for grey.
    pub channels: u32,
    /// Handling of the orientation noted in an image file.
    pub orientation: Orientation,
    /// Resizing of images and masks to `size`.
    pub resize: Resize,
    /// Augmentation of training samples: a list of transforms, applied in order.
    pub transforms: Vec<Transform>,
    /// Mean and standard deviation of the channels; without them, values are divided by 255.
    pub normalize: Option<Normalize>,
    /// Batching and loading of samples.
    pub loader: LoaderConfig,
}

impl Default for Preparation {
    fn default() -> Self {
        Self {
            size: [128, 128],
            channels: 3,
            orientation: Orientation::default(),
            resize: Resize::default(),
            transforms: usual(),
            normalize: None,
            loader: LoaderConfig::default(),
        }
    }
}

impl Preparation {
    /// Refuses invalid `channels` and `resize`; the other keys are common to all data sets, and
    /// [`Config`](crate::Config) checks them.
    pub(crate) fn check(&self) -> Result<(), Invalid> {
        Invalid::unless(matches!(self.channels, 1 | 3), "channels", || {
            format!("must be 3 (red, green, blue) or 1 (grey), is {}", self.channels)
        })?;
        let within = |Invalid { key, problem }| Invalid { key: format!("resize.{key}"), problem };
        self.resize.check().map_err(within)
    }
}

/// One split of a data set of files.
pub(crate) struct Files {
    /// Paths of images and masks.
    paths: Paths,
    /// Meaning of the masks' pixels.
    labels: LabelTable,
    /// Height and width of the network's input, in pixels.
    size: [u32; 2],
    /// Bytes a pixel of the images.
    channels: u32,
    /// Handling of the orientation that the files note.
    orientation: Orientation,
    /// Resizing to `size`.
    resize: Resize,
}

impl Files {
    /// Creates a data set of the samples at `paths`.
    pub(crate) fn new(paths: Paths, labels: LabelTable, preparation: &Preparation) -> Self {
        let Preparation { size, channels, orientation, resize, .. } = *preparation;
        Self { paths, labels, size, channels, orientation, resize }
    }

    /// Loads a sample, placed as `place` decides from the size of its image.
    fn read(
        &self,
        index: u64,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
        sample: &mut Sample,
    ) -> Result<(), Error> {
        let (image, mask) = (self.paths.image(index)?, self.paths.mask(index)?);
        with_reader(|reader| {
            let (size, place) = reader.image(&image, self.channels, self.orientation, place, &mut sample.image)?;
            sample.size = place.size;
            reader.mask(&mask, &self.labels, self.orientation, (&image, size), place, sample.target.classes_mut())
        })
    }

    /// Loads the mask of a sample, placed as `place` decides from the size of its image, and returns that size too.
    fn read_mask(
        &self,
        index: u64,
        place: impl FnOnce([u32; 2]) -> Result<Placement, Error>,
    ) -> Result<([u32; 2], Vec<u8>), Error> {
        let (image, mask) = (self.paths.image(index)?, self.paths.mask(index)?);
        let size = dimensions(&image, self.orientation)?;
        let place = place(size)?;
        let mut ids = Vec::new();
        with_reader(|reader| reader.mask(&mask, &self.labels, self.orientation, (&image, size), place, &mut ids))?;
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
        self.channels
    }

    fn name(&self, index: u64) -> String {
        self.paths.name(index).into()
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.read(index, |size| self.resize.place(size, self.size), sample)
    }

    fn whole(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        self.read(index, |size| Ok(Placement::filling(size)), sample)
    }

    fn target(&self, index: u64) -> Result<Target, Error> {
        ends::look(&self.paths.image(index)?, self.channels)?;
        Ok(Target::Classes(self.read_mask(index, |size| self.resize.place(size, self.size))?.1))
    }

    fn whole_mask(&self, index: u64) -> Result<([u32; 2], Vec<u8>), Error> {
        self.read_mask(index, |size| Ok(Placement::filling(size)))
    }

    fn paths(&self, index: u64) -> Result<Vec<PathBuf>, Error> {
        Ok(vec![self.paths.image(index)?, self.paths.mask(index)?])
    }

    fn remarks(&self, index: u64) -> Vec<(Remark, PathBuf)> {
        let [Ok(image), Ok(mask)] = [self.paths.image(index), self.paths.mask(index)] else { return Vec::new() };
        let of_image = remarks(&image, self.orientation).into_iter().map(|remark| (remark, image.clone()));
        of_image.chain(remarks_of_mask(&mask).into_iter().map(|remark| (remark, mask.clone()))).collect()
    }

    fn source(&self, index: u64) -> Result<Source, Error> {
        Source::of([self.paths.image(index)?.as_path(), self.paths.mask(index)?.as_path()])
    }
}
