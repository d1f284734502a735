//! A data set of image files with mask files, wherever its list of paths comes from.

use crate::dataset::{Dataset, Sample, Source};
use crate::decode::{dimensions, read_labels, read_rgb};
use crate::error::Error;
use crate::labels::LabelTable;
use crate::loader::LoaderConfig;
use crate::paths::Paths;
use crate::pipeline::Normalize;
use crate::resize::{bilinear, nearest};
use crate::transform::{Transform, usual};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How files become what the network is fed with: the keys that all data sets of files have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Preparation {
    /// Height and width of what the network is fed with, in pixels.
    pub size: [u32; 2],
    /// How training samples are varied: a list of transforms, applied one after the other.
    pub transforms: Vec<Transform>,
    /// Mean and standard deviation of the channels; without them values are divided by 255.
    pub normalize: Option<Normalize>,
    /// How samples are put together into batches.
    pub loader: LoaderConfig,
}

impl Default for Preparation {
    fn default() -> Self {
        Self { size: [128, 128], transforms: usual(), normalize: None, loader: LoaderConfig::default() }
    }
}

/// One split of a data set of files.
pub(crate) struct Files {
    pub(crate) paths: Paths,
    pub(crate) labels: LabelTable,
    pub(crate) size: [u32; 2],
}

impl Files {
    /// The mask at `path` at the data set's size, if it fits an image of `image_size`.
    fn read_mask(&self, index: u64, image: &Path, image_size: [u32; 2]) -> Result<Vec<u8>, Error> {
        let path = self.paths.mask(index)?;
        let values = read_labels(&path)?;
        let mask_size = [values.height(), values.width()];
        if mask_size != image_size {
            return Err(Error::SizeMismatch { image: image.into(), image_size, mask: path, mask_size });
        }
        let mut mask = values.into_raw();
        // Every value of the file counts, those too that resizing drops.
        self.labels.translate(&mut mask, &path, image_size[1] as usize)?;
        Ok(nearest(mask, mask_size, self.size))
    }
}

impl Dataset for Files {
    fn len(&self) -> u64 {
        self.paths.len()
    }

    fn size(&self) -> Option<[u32; 2]> {
        Some(self.size)
    }

    fn name(&self, index: u64) -> String {
        self.paths.name(index).into()
    }

    fn load(&self, index: u64, sample: &mut Sample) -> Result<(), Error> {
        let path = self.paths.image(index)?;
        let rgb = read_rgb(&path)?;
        let from = [rgb.height(), rgb.width()];
        let mask = self.read_mask(index, &path, from)?;
        *sample = Sample { size: self.size, image: bilinear(rgb.into_raw(), from, self.size)?, mask };
        Ok(())
    }

    fn mask(&self, index: u64) -> Result<Vec<u8>, Error> {
        let image = self.paths.image(index)?;
        self.read_mask(index, &image, dimensions(&image)?)
    }

    fn paths(&self, index: u64) -> Result<Vec<PathBuf>, Error> {
        Ok(vec![self.paths.image(index)?, self.paths.mask(index)?])
    }

    fn source(&self, index: u64) -> Result<Source, Error> {
        Source::of([self.paths.image(index)?.as_path(), self.paths.mask(index)?.as_path()])
    }
}
