//! The runs that a page is about.

use crate::{Run, mean_and_deviation};

/// Beginning of the names of runs that are the folds of one data set.
pub const FOLD: &str = "fold-";

/// A run, and others to compare it with.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Run that the page is about.
    pub run: Run,
    /// Runs whose curves, scores and configurations are shown next to it.
    pub compare: Vec<Run>,
}

impl Report {
    /// Returns the run, then those it is compared with. The place of a run in this order is its number on the page.
    pub(crate) fn runs(&self) -> impl Iterator<Item = &Run> {
        std::iter::once(&self.run).chain(&self.compare)
    }

    /// Returns mean and standard deviation of the best scores, if all runs are folds of one data set.
    pub(crate) fn spread(&self) -> Option<(f64, f64)> {
        let best = |run: &Run| run.best().filter(|best| best.metric == self.run.deciding().0);
        let scores: Option<Vec<f64>> = self.runs().map(|run| Some(best(run)?.score)).collect();
        let are_folds = !self.compare.is_empty() && self.runs().all(|run| run.name.starts_with(FOLD));
        scores.filter(|_| are_folds).map(|scores| mean_and_deviation(&scores))
    }
}
