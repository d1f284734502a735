//! The folds of a cross-validation: a folder with the runs `fold-1` to `fold-K`, each of which validates on another
//! part of the samples.

use crate::common::run::Run;
use crate::common::usage::usage;
use ::report::{FOLD, Stage, mean_and_deviation};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};

/// Runs that are the folds of one data set.
#[derive(Debug)]
pub struct Folds {
    folder: PathBuf,
    /// Runs of the folds, in order.
    pub runs: Vec<Run>,
}

/// A score of all folds.
#[derive(Debug, PartialEq)]
pub struct Spread {
    /// Its name in `metrics.jsonl`.
    pub name: String,
    /// Values of the folds, in order.
    pub values: Vec<f64>,
}

impl Folds {
    /// Returns the folds in `folder`, if it is no run itself and holds the first of them.
    ///
    /// # Errors
    ///
    /// Fails if they are not all there; the error says how to train the others.
    pub fn of(folder: &Path) -> Result<Option<Self>> {
        let first = run(folder, 1);
        if (Run { folder: folder.into() }).exists() || !first.folder.is_dir() || !first.exists() {
            return Ok(None);
        }
        let split = serde_json::to_value(&first.config()?.data)?;
        let fold = split["split"]["fold"].as_str().unwrap_or_default().to_owned();
        let count = fold.split_once('/').and_then(|(_, of)| of.parse().ok()).filter(|of| *of > 1);
        let shown = first.folder.display();
        let count = count.with_context(|| format!("{shown} is no fold: its data.split.fold is \"{fold}\""))?;
        let folds = Self::named(folder, count);
        let begun = folds.runs.iter().filter(|run| run.exists()).count();
        if begun < count {
            let shown = folder.display();
            return Err(usage(format!(
                "{shown} holds {begun} of {count} folds: train the others with app train --folds {count} --run {shown}"
            )));
        }
        Ok(Some(folds))
    }

    /// Returns the folds that are, or will be, in `folder`.
    pub fn named(folder: &Path, count: usize) -> Self {
        Self { folder: folder.into(), runs: (1..=count).map(|number| run(folder, number)).collect() }
    }

    /// Returns the scores of the last validation that all folds have: the loss, the means and the IoU of each class.
    ///
    /// # Errors
    ///
    /// Fails if a fold was not validated yet.
    pub fn scores(&self) -> Result<Vec<Spread>> {
        let mut last = Vec::new();
        for run in &self.runs {
            let about = ::report::Run::read(&run.folder)?;
            let line = about.history.of(Stage::Validation).next_back().cloned();
            last.push(line.with_context(|| format!("{} was not validated yet", run.folder.display()))?);
        }
        ensure!(last.len() > 1, "{} holds one fold", self.folder.display());
        let shown = |name: &&String| !name.contains('/') || name.starts_with("iou/");
        let names =
            last[0].scalars.keys().filter(shown).filter(|name| !["pixels", "learning_rate"].contains(&&***name));
        let spread = |name: &String| {
            let values: Option<Vec<f64>> = last.iter().map(|line| line.get(name)).collect();
            Some(Spread { name: name.clone(), values: values? })
        };
        Ok(names.filter_map(spread).collect())
    }
}

/// Returns the run of the fold with this number, from 1.
fn run(folder: &Path, number: usize) -> Run {
    Run { folder: folder.join(format!("{FOLD}{number}")) }
}

/// Formats mean, standard deviation and each fold of all scores.
pub fn table(scores: &[Spread]) -> String {
    let folds = scores.first().map_or(0, |score| score.values.len());
    let widest = scores.iter().map(|score| score.name.chars().count()).max().unwrap_or(0).max(8);
    let mut lines = vec![format!("{:<widest$}  {:>8}  {:>8}", "score", "mean", "sd")];
    lines[0].extend((1..=folds).map(|fold| format!("  {:>8}", format!("fold {fold}"))));
    for score in scores {
        let (mean, deviation) = mean_and_deviation(&score.values);
        let cells = [mean, deviation].into_iter().chain(score.values.iter().copied());
        let cells: String = cells.map(|value| format!("  {value:>8.4}")).collect();
        lines.push(terminal::clean_line(&format!("{:<widest$}{cells}", score.name)));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_the_mean_and_the_sample_deviation() {
        // numpy.mean and numpy.std(ddof=1) of 0.5, 0.7, 0.9.
        let spread = Spread { name: "mean_iou".into(), values: vec![0.5, 0.7, 0.9] };
        let (mean, deviation) = mean_and_deviation(&spread.values);
        assert!((mean - 0.7).abs() < 1e-12 && (deviation - 0.2).abs() < 1e-12);
        let lines = table(&[spread]);
        let lines: Vec<&str> = lines.lines().collect();
        assert_eq!(lines[0], "score         mean        sd    fold 1    fold 2    fold 3");
        assert_eq!(lines[1], "mean_iou    0.7000    0.2000    0.5000    0.7000    0.9000");
    }

    #[test]
    fn a_folder_without_folds_has_none_and_one_that_lacks_some_says_so() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Folds::of(folder.path()).unwrap().is_none() && Folds::of(Path::new("nowhere")).unwrap().is_none());
        std::fs::create_dir(folder.path().join("fold-1")).unwrap();
        assert!(Folds::of(folder.path()).unwrap().is_none(), "an empty folder");
    }
}
