//! `app validate --full`: scores class maps of whole images, as `app predict` writes them, against the masks at their
//! own size.

use super::samples::{self, Measured};
use crate::cli::How;
use crate::common::images::{Image, sum};
use crate::common::network::Trained;
use crate::common::output;
use crate::predict::{self, Numbered, Picture, Pictures, Work};
use anyhow::{Context, Result, ensure};
use data::{Dataset, IGNORE, Split};
use metric::{Boundaries, Tally, scores_of};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use terminal::{Step, Watch};

/// Description of the pixels that are scored.
const SCORED_ON: &str = "all pixels of the masks, in the masks' own size";

/// Predicts the validation images and compares them with their masks, pixel by pixel; their `boundaries` too, if these
/// are wanted.
///
/// Drawn samples have no other size than the one that the network sees, so they are scored as without `--full`.
pub fn measure(trained: Trained, how: &How, boundaries: Option<Boundaries>) -> Result<Measured> {
    let dataset = trained.config.data.open(Split::Validation)?;
    if dataset.paths(0)?.is_empty() {
        return samples::measure(trained, boundaries);
    }
    let Trained { config, network, .. } = trained;
    let data = &config.data;
    let (loader, classes) = (data.loader(), network.classes.clone());
    // Comes before the first prediction: a wrong label ends this early.
    let verified = data::verify_all_but(loader.max_skipped, dataset.as_ref(), classes.len() as u64, loader.workers)?;
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
        let size = data::dimensions(&file, data.orientation())?;
        indices.insert(name.clone(), index);
        pictures.insert(name, Picture { file, base: PathBuf::new(), size });
    }

    let mut watch = Watch::new("Validation", 0, pictures.len() as u64);
    let told = || watch.step(&Step { samples: 1, ..Step::default() });
    let images = Mutex::default();
    let compared =
        Compared { dataset: dataset.as_ref(), indices: &indices, classes: classes.len(), boundaries, images };
    let (broken, images) = predict::beside(
        |work| compared.all(work),
        |writer| predict::each(network, data, how, false, &pictures, writer, told),
    )?;
    let samples = (pictures.len() - broken.len()) as u64;
    log::info!("{samples} samples{}", output::at_rate(watch.rate(), 1));
    drop(watch);
    let passed: Vec<_> = verified.passed.into_iter().map(|(_, passed)| passed).chain(broken).collect();
    if let Some(last) = passed.last().filter(|_| passed.len() as u64 > loader.max_skipped) {
        let most = loader.max_skipped;
        anyhow::bail!("sample '{}': {}; data.loader.max_skipped allows {most}", last.name, last.reason);
    }
    output::all_skipped(&passed);
    let scores = scores_of(&sum(&images, classes.len()), &classes);
    Ok(Measured { scores, images, samples, scored_on: SCORED_ON.into() })
}

/// What the threads that compare share.
struct Compared<'a> {
    dataset: &'a dyn Dataset,
    indices: &'a HashMap<String, u64>,
    classes: usize,
    boundaries: Option<Boundaries>,
    /// Complete images with their numbers.
    images: Mutex<Vec<(u64, Image)>>,
}

impl Compared<'_> {
    /// Compares the predictions with the masks, several images at a time, and returns the images in their order.
    fn all(self, work: Receiver<Work>) -> Result<Vec<Image>> {
        predict::shared(work, predict::threads(), &|work, _| self.some(work))?;
        let mut images = self.images.into_inner().unwrap_or_else(PoisonError::into_inner);
        images.sort_by_key(|(number, _)| *number);
        Ok(images.into_iter().map(|(_, image)| image).collect())
    }

    /// Compares the predictions of one thread.
    fn some(&self, work: Receiver<Numbered>) -> Result<()> {
        let mut begun: Option<Begun> = None;
        for (number, work) in work {
            match work {
                Work::Image(image) => {
                    let index = self.indices.get(&image.name).with_context(|| format!("no sample '{}'", image.name))?;
                    let (size, mask) = self.dataset.whole_mask(*index)?;
                    ensure!(size == image.size, "{} was changed while it was predicted", image.file.display());
                    let tallies = vec![Tally::default(); self.classes];
                    begun = Some(Begun { name: image.name, size, mask, tallies, done: 0, predicted: Vec::new() });
                }
                Work::Rows(rows) => {
                    let Some(mut image) = begun.take() else { continue };
                    image.add(&rows.read()?.ids, self.boundaries.is_some());
                    if image.done < image.mask.len() {
                        begun = Some(image);
                        continue;
                    }
                    let image = image.finish(self.boundaries);
                    self.images.lock().unwrap_or_else(PoisonError::into_inner).push((number, image));
                }
                // An image counts only once all its rows came.
                Work::Broken(_) => begun = None,
            }
        }
        Ok(())
    }
}

/// An image of which rows are still to come.
struct Begun {
    name: String,
    size: [u32; 2],
    mask: Vec<u8>,
    tallies: Vec<Tally>,
    /// Number of pixels that came.
    done: usize,
    /// Their classes, if boundaries are wanted.
    predicted: Vec<u8>,
}

impl Begun {
    /// Counts the next rows.
    fn add(&mut self, ids: &[u8], with_boundaries: bool) {
        let targets = self.mask.get(self.done..self.done + ids.len()).unwrap_or_default();
        for (target, predicted) in targets.iter().zip(ids).filter(|(target, _)| **target != IGNORE) {
            let [target, predicted] = [target, predicted].map(|id| usize::from(*id));
            if target < self.tallies.len() && predicted < self.tallies.len() {
                self.tallies[target].support += 1;
                self.tallies[predicted].predicted += 1;
                self.tallies[target].hits += u64::from(target == predicted);
            }
        }
        if with_boundaries {
            self.predicted.extend_from_slice(ids);
        }
        self.done += ids.len();
    }

    fn finish(self, boundaries: Option<Boundaries>) -> Image {
        let size = self.size.map(|side| side as usize);
        let compare =
            |boundaries: Boundaries| boundaries.compare(size, &self.mask, &self.predicted, self.tallies.len());
        Image { boundaries: boundaries.map(compare).unwrap_or_default(), name: self.name, tallies: self.tallies }
    }
}
