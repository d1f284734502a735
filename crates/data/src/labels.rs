//! What the values of mask files mean.

use crate::dataset::IGNORE;
use crate::error::Error;
use std::path::Path;

/// The class id of each value that a mask file may hold.
#[derive(Debug, Clone)]
pub(crate) struct LabelTable {
    /// For each value its class id or [`IGNORE`], or nothing if it is no label.
    ids: [Option<u8>; 256],
    /// The labels there are, for messages.
    expected: String,
}

impl LabelTable {
    /// The table of `class`, which gives `None` for values that are no label; `expected` says which there are.
    pub(crate) fn new(expected: &str, class: impl Fn(u8) -> Option<u8>) -> Self {
        Self { ids: std::array::from_fn(|value| class(value as u8)), expected: expected.into() }
    }

    /// Turns the values of the mask at `path`, `width` pixels wide, into class ids.
    pub(crate) fn translate(&self, mask: &mut [u8], path: &Path, width: usize) -> Result<(), Error> {
        // A loop with no way out can be vectorised.
        if mask.iter().fold(false, |bad, &label| bad | self.ids[label as usize].is_none()) {
            let place = mask.iter().position(|&label| self.ids[label as usize].is_none()).unwrap_or_default();
            let (row, column) = (place / width, place % width);
            let expected = self.expected.clone();
            return Err(Error::Label { path: path.into(), found: mask[place].into(), row, column, expected });
        }
        mask.iter_mut().for_each(|value| *value = self.ids[*value as usize].unwrap_or(IGNORE));
        Ok(())
    }
}
