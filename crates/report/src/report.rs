//! The runs that a page is about.

use crate::Run;

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
}
