//! `app validate --full`: scores class maps of whole images, as `app predict` writes them, against the masks at their
//! own size.

use super::masked::Masked;
use super::samples::{self, Measured};
use crate::cli::How;
use crate::common::network::Trained;
use crate::common::output;
use crate::common::postprocessing::{Cleaning, Postprocessing};
use crate::common::usage::usage;
use crate::predict::{self, Cleaned, Numbered, Wanted, Work};
use anyhow::{Context, Result};
use data::IGNORE;
use metric::Confusion;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use terminal::{Step, Watch};

/// Description of the pixels that are scored.
const SCORED_ON: &str = "all pixels of the masks, in the masks' own size";

/// Predicts the validation images of the first network and compares them with their masks, pixel by pixel.
///
/// Drawn samples have no other size than the one that the network sees, so they are scored as without `--full`.
pub fn measure(networks: Vec<Trained>, how: &How, postprocessing: Option<&Postprocessing>) -> Result<Measured> {
    let first = networks.first().context("no network is named")?;
    let classes = first.network.classes.clone();
    let Some(masked) = Masked::open(&first.config.data, classes.len() as u64)? else {
        if networks.len() > 1 || how.scales != [1.0] || postprocessing.is_some() {
            return Err(usage(
                "the validation data are drawn and not files: --ensemble, --scales and --postprocess need images",
            ));
        }
        return samples::measure(first);
    };
    let (cleaning, weights) =
        (postprocessing.and_then(Postprocessing::cleaning), postprocessing.and_then(Postprocessing::weights));
    let pictures = &masked.pictures;
    let mut watch = Watch::new("Validation", 0, pictures.len() as u64);
    let told = || watch.step(&Step { samples: 1, ..Step::default() });
    let wanted = Wanted { pictures, how, weights: weights.as_deref(), probabilities: false };
    let (broken, confusion) = predict::beside(
        |work| count(work, &masked, cleaning.as_ref(), classes.len()),
        |writer| predict::each(networks, &wanted, writer, told),
    )?;
    let samples = (pictures.len() - broken.len()) as u64;
    log::info!("{samples} samples{}", output::at_rate(watch.rate(), 1));
    drop(watch);
    masked.report(&broken)?;
    Ok(Measured { scores: confusion.scores(&classes), samples, scored_on: SCORED_ON.into() })
}

/// Compares the predictions with the masks, several images at a time.
fn count(work: Receiver<Work>, masked: &Masked, cleaning: Option<&Cleaning>, classes: usize) -> Result<Confusion> {
    let all = Mutex::new(vec![0; classes * classes]);
    let add = |counted: &[i64]| {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(counted).for_each(|(all, counted)| *all += counted);
    };
    predict::shared(work, predict::threads(), &|work, _| count_some(work, masked, cleaning, classes, &add))?;
    Ok(Confusion::new(classes, &all.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// An image that is being compared.
struct Compared<'c> {
    name: String,
    mask: Vec<u8>,
    cleaned: Cleaned<'c>,
    counted: Vec<i64>,
    /// Number of compared pixels.
    done: usize,
}

/// Compares the predictions of one thread, and gives the counts of each image to `add`.
fn count_some(
    work: Receiver<Numbered>,
    masked: &Masked,
    cleaning: Option<&Cleaning>,
    classes: usize,
    add: &(dyn Fn(&[i64]) + Sync),
) -> Result<()> {
    let mut current: Option<Compared> = None;
    for (_, work) in work {
        match work {
            Work::Image(image) => {
                let mask = masked.mask(&image.name, &image.file, image.size)?;
                let (cleaned, counted) = (Cleaned::new(cleaning, image.size), vec![0; classes * classes]);
                current = Some(Compared { name: image.name, mask, cleaned, counted, done: 0 });
            }
            Work::Rows(rows) => {
                let Some(Compared { name, mask, cleaned, counted, done }) = &mut current else { continue };
                cleaned.add(&rows.read()?.ids, name, |ids| {
                    let targets = mask.get(*done..*done + ids.len()).unwrap_or_default();
                    for (target, predicted) in targets.iter().zip(ids) {
                        let cell = usize::from(*target) * classes + usize::from(*predicted);
                        if let Some(count) = counted.get_mut(cell).filter(|_| *target != IGNORE) {
                            *count += 1;
                        }
                    }
                    *done += ids.len();
                    Ok(())
                })?;
                if *done == mask.len() {
                    add(counted);
                }
            }
            // An image counts only once all its rows came.
            Work::Broken(_) => {}
        }
    }
    Ok(())
}
