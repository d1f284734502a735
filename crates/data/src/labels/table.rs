//! The class id of everything that a mask file may hold, in a form that millions of pixels can be looked up in.

use super::Label;
use crate::classes::Color;
use crate::dataset::IGNORE;
use crate::error::Error;
use std::path::Path;

/// The class id of each value or colour that a mask file may hold.
#[derive(Debug, Clone)]
pub(crate) struct LabelTable {
    /// What is listed.
    listed: Listed,
    /// What is not listed becomes this, or is an error.
    unlisted: Option<u8>,
    /// The labels there are, for messages.
    expected: String,
}

/// What a label table knows.
#[derive(Debug, Clone)]
enum Listed {
    /// For each value of 16 bits its class id, [`IGNORE`] or [`NONE`].
    Values(Box<[u16]>),
    /// Class ids or [`IGNORE`], by colour.
    Colors(Vec<(Color, u8)>),
}

/// In a table of values: no label.
const NONE: u16 = 256;

impl LabelTable {
    /// The table of `class`, which gives `None` for values that are no label; `expected` says which there are.
    pub(crate) fn new(expected: &str, class: impl Fn(u8) -> Option<u8>) -> Self {
        let listed = (0..=u8::MAX).filter_map(|value| class(value).map(|id| (u16::from(value), id)));
        Self::of_values(expected.into(), listed, None)
    }

    /// A table of numbers and their class ids; all others become `unlisted`, or are errors.
    pub(crate) fn of_values(
        expected: String,
        listed: impl IntoIterator<Item = (u16, u8)>,
        unlisted: Option<u8>,
    ) -> Self {
        let mut ids = vec![unlisted.map_or(NONE, u16::from); 1 << 16].into_boxed_slice();
        listed.into_iter().for_each(|(value, id)| ids[usize::from(value)] = id.into());
        Self { listed: Listed::Values(ids), unlisted, expected }
    }

    /// A table of colours and their class ids; all others become `unlisted`, or are errors.
    pub(crate) fn of_colors(
        expected: String,
        listed: impl IntoIterator<Item = (Color, u8)>,
        unlisted: Option<u8>,
    ) -> Self {
        let mut colors: Vec<_> = listed.into_iter().collect();
        colors.sort_unstable();
        Self { listed: Listed::Colors(colors), unlisted, expected }
    }

    /// Turns the values of the mask at `path`, `width` pixels wide, into class ids.
    pub(crate) fn translate(&self, mask: &mut [u8], path: &Path, width: usize) -> Result<(), Error> {
        let Listed::Values(ids) = &self.listed else { return Ok(()) };
        // A loop with no way out can be vectorised.
        if mask.iter().fold(false, |bad, &value| bad | (ids[usize::from(value)] == NONE)) {
            let place = mask.iter().position(|&value| ids[usize::from(value)] == NONE).unwrap_or_default();
            return Err(self.unexpected(Label::Value(mask[place].into()), path, place, width));
        }
        mask.iter_mut().for_each(|value| *value = u8::try_from(ids[usize::from(*value)]).unwrap_or(IGNORE));
        Ok(())
    }

    fn unexpected(&self, found: Label, path: &Path, place: usize, width: usize) -> Error {
        let (row, column) = (place / width, place % width);
        Error::Label { path: path.into(), found, row, column, expected: self.expected.clone() }
    }
}
