//! Validation images with the masks that whole predictions are compared with.

use crate::common::files::Replace;
use crate::common::output;
use crate::common::targets::{Inputs, Targets};
use crate::predict::{Picture, Pictures};
use anyhow::{Context, Result, bail, ensure};
use data::{Dataset, Passed, Split};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Validation images that lie in files, each with its mask.
pub struct Masked {
    dataset: Box<dyn Dataset>,
    /// Images that can be read.
    pub pictures: Pictures,
    indices: HashMap<String, u64>,
    /// Samples that are left out.
    passed: Vec<Passed>,
    /// Maximum number of those.
    max_skipped: u64,
}

impl Masked {
    /// Opens the validation images, and verifies their masks for this many classes. `None` if they are drawn, and not
    /// files.
    pub fn open(data: &data::Config, classes: u64) -> Result<Option<Self>> {
        let dataset = data.open(Split::Validation)?;
        if dataset.paths(0)?.is_empty() {
            return Ok(None);
        }
        let loader = data.loader();
        // Comes before the first prediction: a wrong label ends this early.
        let verified = data::verify_all_but(loader.max_skipped, dataset.as_ref(), classes, loader.workers)?;
        output::skipped_of(Split::Validation, verified.passed.iter().map(|(_, passed)| passed));
        output::noted(&verified.noted);
        let (mut pictures, mut indices) = (Pictures::new(), HashMap::new());
        for index in 0..dataset.len() {
            let mut name = dataset.name(index);
            if verified.passed.iter().any(|(at, _)| *at == index) {
                continue;
            }
            if pictures.contains_key(&name) {
                name = format!("{name} ({index})");
            }
            let paths = dataset.paths(index)?;
            let file = paths.first().cloned().context("the data set has no files")?;
            let size = data::dimensions(&file, &data.layout(), data.orientation())?;
            indices.insert(name.clone(), index);
            pictures.insert(name, Picture { file, base: PathBuf::new(), size });
        }
        let passed = verified.passed.into_iter().map(|(_, passed)| passed).collect();
        Ok(Some(Self { dataset, pictures, indices, passed, max_skipped: loader.max_skipped }))
    }

    /// Returns the class ids of an image's mask, row by row. The image `file` must have this `size`.
    pub fn mask(&self, name: &str, file: &Path, size: [u32; 2]) -> Result<Vec<u8>> {
        let index = self.indices.get(name).with_context(|| format!("no sample '{name}'"))?;
        let (of_mask, mask) = self.dataset.whole_mask(*index)?;
        ensure!(of_mask == size, "{} was changed while it was predicted", file.display());
        Ok(mask)
    }

    /// Fails if `path` is one of the images or masks, or no file that can be replaced.
    pub fn refuse_to_replace(&self, path: &Path) -> Result<()> {
        let mut inputs = Inputs::default();
        for index in 0..self.dataset.len() {
            self.dataset.paths(index)?.iter().for_each(|file| inputs.add(file));
        }
        Targets::new(inputs, Replace::All).add(path, path)
    }

    /// Reports the samples that are left out, also those that turned out to be `broken`. Fails if they are too many.
    pub fn report(&self, broken: &[Passed]) -> Result<()> {
        let passed = [&self.passed, broken].concat();
        if let Some(last) = passed.last().filter(|_| passed.len() as u64 > self.max_skipped) {
            let most = self.max_skipped;
            bail!("sample '{}': {}; data.loader.max_skipped allows {most}", last.name, last.reason);
        }
        output::all_skipped(&passed);
        Ok(())
    }
}
