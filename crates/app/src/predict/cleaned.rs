//! Class ids of an image on their way to files or scores, post-processed if that is wanted.

use crate::common::postprocessing::Cleaning;
use anyhow::{Result, ensure};
use postprocess::{Runs, clean};

/// Maximum number of runs of equal pixels in a class map whose components are examined: about 0.9 GB of memory. (A map
/// of 32,768² pixels in which a row has 100 runs has 3 million.)
const MOST_RUNS: usize = 1 << 26;

/// Number of pixels that are handed on at once.
const AT_ONCE: usize = 1 << 22;

/// Class ids of an image. Without rules for components they pass at once; with rules, when all came, held as runs of
/// equal pixels until then.
pub struct Cleaned<'a> {
    rules: Option<(&'a Cleaning, Runs)>,
    missing: usize,
}

impl<'a> Cleaned<'a> {
    /// Prepares an image of this height and width.
    pub fn new(cleaning: Option<&'a Cleaning>, [height, width]: [u32; 2]) -> Self {
        let rules = cleaning.map(|cleaning| (cleaning, Runs::new(width)));
        Self { rules, missing: height as usize * width as usize }
    }

    /// Takes the ids of the next rows of the image `name`. Hands those that are final to `write`, whole rows in order.
    pub fn add(&mut self, ids: &[u8], name: &str, mut write: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        self.missing = self.missing.saturating_sub(ids.len());
        let Some((cleaning, runs)) = &mut self.rules else { return write(ids) };
        runs.push(ids);
        ensure!(
            runs.len() <= MOST_RUNS,
            "the classes of {name} change more than {MOST_RUNS} times along its rows, too often to examine their \
             components: predict it without --postprocess"
        );
        if self.missing > 0 {
            return Ok(());
        }
        clean(runs, &cleaning.rules, cleaning.neighbours);
        let rows_at_once = (AT_ONCE / (runs.width() as usize).max(1)).max(1);
        for first in (0..runs.height()).step_by(rows_at_once) {
            write(&runs.pixels(first..(first + rows_at_once).min(runs.height())))?;
        }
        Ok(())
    }

    /// Returns true if all rows came.
    pub fn is_complete(&self) -> bool {
        self.missing == 0
    }
}
