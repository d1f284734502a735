//! `app validate --full`: scores class maps of whole images, as `app predict` writes them, against the masks at their
//! own size.

use super::samples::{self, Measured};
use crate::cli::How;
use crate::common::network::Trained;
use crate::common::output;
use crate::predict::{self, Numbered, Picture, Pictures, Work};
use anyhow::{Context, Result, ensure};
use data::{Dataset, IGNORE, Split};
use metric::Confusion;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, PoisonError};
use terminal::{Step, Watch};

/// Description of the pixels that are scored.
const SCORED_ON: &str = "all pixels of the masks, in the masks' own size";

/// Predicts the validation images and compares them with their masks, pixel by pixel.
///
/// Drawn samples have no other size than the one that the network sees, so they are scored as without `--full`.
pub fn measure(trained: Trained, how: &How) -> Result<Measured> {
    let dataset = trained.config.data.open(Split::Validation)?;
    if dataset.paths(0)?.is_empty() {
        return samples::measure(trained);
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
    let (broken, confusion) = predict::beside(
        |work| count(work, dataset.as_ref(), &indices, classes.len()),
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
    Ok(Measured { scores: confusion.scores(&classes), samples, scored_on: SCORED_ON.into() })
}

/// Compares the predictions with the masks, several images at a time.
fn count(
    work: Receiver<Work>,
    dataset: &dyn Dataset,
    indices: &HashMap<String, u64>,
    classes: usize,
) -> Result<Confusion> {
    let all = Mutex::new(vec![0; classes * classes]);
    let add = |counted: &[i64]| {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter_mut().zip(counted).for_each(|(all, counted)| *all += counted);
    };
    predict::shared(work, predict::threads(), &|work, _| count_some(work, dataset, indices, classes, &add))?;
    Ok(Confusion::new(classes, &all.into_inner().unwrap_or_else(PoisonError::into_inner)))
}

/// Compares the predictions of one thread, and gives the counts of each image to `add`.
fn count_some(
    work: Receiver<Numbered>,
    dataset: &dyn Dataset,
    indices: &HashMap<String, u64>,
    classes: usize,
    add: &(dyn Fn(&[i64]) + Sync),
) -> Result<()> {
    // Mask and counts of the current image.
    let (mut mask, mut counted) = (Vec::new(), Vec::new());
    let mut done = 0;
    for (_, work) in work {
        match work {
            Work::Image(image) => {
                let index = indices.get(&image.name).with_context(|| format!("no sample '{}'", image.name))?;
                let size;
                (size, mask) = dataset.whole_mask(*index)?;
                ensure!(size == image.size, "{} was changed while it was predicted", image.file.display());
                counted = vec![0; classes * classes];
                done = 0;
            }
            Work::Rows(rows) => {
                let rows = rows.read()?;
                let targets = mask.get(done..done + rows.ids.len()).unwrap_or_default();
                for (target, predicted) in targets.iter().zip(&rows.ids) {
                    let cell = usize::from(*target) * classes + usize::from(*predicted);
                    if let Some(count) = counted.get_mut(cell).filter(|_| *target != IGNORE) {
                        *count += 1;
                    }
                }
                done += rows.ids.len();
                if done == mask.len() {
                    add(&counted);
                }
            }
            // An image counts only once all its rows came.
            Work::Broken(_) => {}
        }
    }
    Ok(())
}
