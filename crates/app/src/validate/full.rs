//! `app validate --full`: scores class maps of whole images, as `app predict` writes them, against the masks at their
//! own size.

use super::masked::Masked;
use super::samples::{self, Measured};
use crate::cli::How;
use crate::common::images::{Image, sum};
use crate::common::network::Trained;
use crate::common::output;
use crate::common::postprocessing::{Cleaning, Postprocessing};
use crate::common::usage::usage;
use crate::predict::{self, Cleaned, Numbered, Progress, Wanted, Work};
use anyhow::{Context, Result};
use data::IGNORE;
use metric::{Boundaries, Tally, scores_of};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};

/// Description of the pixels that are scored.
const SCORED_ON: &str = "all pixels of the masks, in the masks' own size";

/// Predicts the validation images of the first network and compares them with their masks, pixel by pixel; their
/// `boundaries` too, if these are wanted. The scores are those of the post-processed class maps.
///
/// Drawn samples have no other size than the one that the network sees, so they are scored as without `--full`.
pub fn measure(
    networks: Vec<Trained>,
    how: &How,
    postprocessing: Option<&Postprocessing>,
    boundaries: Option<Boundaries>,
) -> Result<Measured> {
    let first = networks.first().context("no network is named")?;
    let classes = first.network.classes.clone();
    let Some(masked) = Masked::open(&first.config.data, classes.len() as u64)? else {
        if networks.len() > 1 || how.scales != [1.0] || postprocessing.is_some() {
            return Err(usage(
                "the validation data are drawn and not files: --ensemble, --scales and --postprocess need images",
            ));
        }
        return samples::measure(first, boundaries);
    };
    let (cleaning, weights) =
        (postprocessing.and_then(Postprocessing::cleaning), postprocessing.and_then(Postprocessing::weights));
    let pictures = &masked.pictures;
    let begun = predict::Begun::new();
    let mut progress = Progress::new("Validation", pictures, &begun);
    let told = |told| progress.add(told);
    let wanted = Wanted { pictures, how, weights: weights.as_deref(), probabilities: false, begun: &begun };
    let (cleaning, images) = (cleaning.as_ref(), Mutex::default());
    let compared = Compared { masked: &masked, cleaning, classes: classes.len(), boundaries, images };
    let (broken, images) =
        predict::beside(|work| compared.all(work), |writer| predict::each(networks, &wanted, writer, told))?;
    let samples = (pictures.len() - broken.len()) as u64;
    log::info!("{samples} samples{}", output::at_rate(progress.rate(), 1));
    drop(progress);
    masked.report(&broken)?;
    let scores = scores_of(&sum(&images, classes.len()), &classes);
    Ok(Measured { scores, images, samples, scored_on: SCORED_ON.into() })
}

/// State shared by the threads that compare.
struct Compared<'a> {
    masked: &'a Masked,
    cleaning: Option<&'a Cleaning>,
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
        let mut begun: Option<(Cleaned, Begun)> = None;
        for (number, work) in work {
            match work {
                Work::Image(image) => {
                    let mask = self.masked.mask(&image.name, &image.file, image.size)?;
                    let cleaned = Cleaned::new(self.cleaning, image.size);
                    begun = Some((cleaned, Begun::new(image.name, image.size, mask, self.classes)));
                }
                Work::Rows(rows) => {
                    let Some((mut cleaned, mut image)) = begun.take() else { continue };
                    let name = image.name.clone();
                    cleaned.add(&rows.read()?.ids, &name, |ids| {
                        image.add(ids, self.boundaries.is_some());
                        Ok(())
                    })?;
                    if image.done < image.mask.len() {
                        begun = Some((cleaned, image));
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
    /// Creates an image of which no row came.
    fn new(name: String, size: [u32; 2], mask: Vec<u8>, classes: usize) -> Self {
        Self { name, size, mask, tallies: vec![Tally::default(); classes], done: 0, predicted: Vec::new() }
    }

    /// Counts the next rows, which are final.
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
