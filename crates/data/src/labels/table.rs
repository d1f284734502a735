//! Lookup table from the values or colours of mask files to class ids, fast enough for millions of pixels.

use super::Label;
use crate::classes::Color;
use crate::dataset::IGNORE;
use crate::error::Error;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// Class ids of all values or colours that a mask file may hold.
#[derive(Debug, Clone)]
pub(crate) struct LabelTable {
    /// Listed labels.
    listed: Listed,
    /// Class id of unlisted labels: [`IGNORE`](crate::IGNORE), or [`NONE`].
    unlisted: u16,
    /// The valid labels, for messages.
    expected: String,
}

/// Content of a label table.
#[derive(Debug, Clone)]
enum Listed {
    /// Class id, [`IGNORE`](crate::IGNORE) or [`NONE`] for each 16-bit value.
    Values(Box<[u16]>),
    /// Class ids or [`IGNORE`](crate::IGNORE), sorted by colour.
    Colors(Vec<(Color, u8)>),
    /// Ignores all labels and records them: see [`LabelTable::survey`].
    Survey {
        /// True if masks are read as colours.
        as_colors: bool,
        /// Labels found in masks, at most [`MOST_SEEN`].
        seen: Arc<Mutex<BTreeSet<Label>>>,
    },
}

/// Maximum number of labels that a survey keeps: a file with more is a picture and not a mask.
const MOST_SEEN: usize = 1000;

/// Stands for a class id where there is no label; no byte has this value.
const NONE: u16 = 256;

/// Origin of pixels, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The file.
    pub(crate) path: &'a Path,
    /// Width of its image, in pixels.
    pub(crate) width: u32,
}

impl LabelTable {
    /// Creates the table of `class`, which returns `None` for values that are no label; `expected` lists the labels.
    pub(crate) fn new(expected: &str, class: impl Fn(u8) -> Option<u8>) -> Self {
        let listed = (0..=u8::MAX).filter_map(|value| class(value).map(|id| (u16::from(value), id)));
        Self::of_values(expected.into(), listed, None)
    }

    /// Creates a table of numbers and their class ids; all others become `unlisted`, or are errors.
    pub(crate) fn of_values(
        expected: String,
        listed: impl IntoIterator<Item = (u16, u8)>,
        unlisted: Option<u8>,
    ) -> Self {
        let unlisted = unlisted.map_or(NONE, u16::from);
        let mut ids = vec![unlisted; 1 << 16].into_boxed_slice();
        listed.into_iter().for_each(|(value, id)| ids[usize::from(value)] = id.into());
        Self { listed: Listed::Values(ids), unlisted, expected }
    }

    /// Creates a table of colours and their class ids; all others become `unlisted`, or are errors.
    pub(crate) fn of_colors(
        expected: String,
        listed: impl IntoIterator<Item = (Color, u8)>,
        unlisted: Option<u8>,
    ) -> Self {
        let mut colors: Vec<_> = listed.into_iter().collect();
        colors.sort_unstable();
        Self { listed: Listed::Colors(colors), unlisted: unlisted.map_or(NONE, u16::from), expected }
    }

    /// Creates a table that ignores every label, and the set of labels that it has met, to report the content of masks.
    /// `as_colors` reads masks as colours and not as numbers.
    pub(crate) fn survey(as_colors: bool) -> (Self, Arc<Mutex<BTreeSet<Label>>>) {
        let seen = Arc::<Mutex<BTreeSet<Label>>>::default();
        let listed = Listed::Survey { as_colors, seen: Arc::clone(&seen) };
        (Self { listed, unlisted: NONE, expected: String::new() }, seen)
    }

    /// Records a label that a mask holds, if this is a survey.
    fn keep(&self, label: Label) {
        let Listed::Survey { as_colors, seen } = &self.listed else { return };
        let label = match label {
            Label::Color(Color([red, green, blue])) if !as_colors && red == green && green == blue => {
                Label::Value(red.into())
            }
            label => label,
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if seen.len() < MOST_SEEN {
            seen.insert(label);
        }
    }

    /// Returns whether colours are looked up and not numbers.
    pub(crate) fn has_colors(&self) -> bool {
        matches!(self.listed, Listed::Colors(_) | Listed::Survey { as_colors: true, .. })
    }

    /// Returns the class id of a label, [`IGNORE`](crate::IGNORE) or [`NONE`]. In a table of numbers, a colour of three
    /// equal channels is looked up as their value: many programs store index masks in this way.
    fn id(&self, label: Label) -> u16 {
        match (&self.listed, label) {
            (Listed::Values(ids), Label::Value(value)) => ids[usize::from(value)],
            (Listed::Values(ids), Label::Color(Color([red, green, blue]))) if red == green && green == blue => {
                ids[usize::from(red)]
            }
            (Listed::Colors(colors), Label::Color(color)) => {
                let found = colors.binary_search_by_key(&color, |(color, _)| *color).ok();
                found.and_then(|place| colors.get(place)).map_or(self.unlisted, |(_, id)| u16::from(*id))
            }
            (Listed::Survey { .. }, _) => IGNORE.into(),
            _ => NONE,
        }
    }

    /// Converts one byte a pixel to class ids, where `label` gives the meaning of a byte.
    pub(crate) fn translate(&self, bytes: &mut [u8], label: impl Fn(u8) -> Label, place: Place) -> Result<(), Error> {
        if let Listed::Survey { .. } = self.listed {
            let mut held = [false; 256];
            bytes.iter().for_each(|byte| held[usize::from(*byte)] = true);
            (0..=u8::MAX).filter(|byte| held[usize::from(*byte)]).for_each(|byte| self.keep(label(byte)));
            bytes.fill(IGNORE);
            return Ok(());
        }
        let ids: [u16; 256] = std::array::from_fn(|byte| self.id(label(byte as u8)));
        // Pieces stay in the cache, and their loops have no exit: only after an error is its position searched.
        for (number, piece) in bytes.chunks_mut(PIECE).enumerate() {
            if piece.iter().fold(0, |all, &byte| all | ids[usize::from(byte)]) & NONE != 0 {
                let wrong = piece.iter().position(|&byte| ids[usize::from(byte)] == NONE).unwrap_or_default();
                return Err(self.unexpected(label(piece[wrong]), number * PIECE + wrong, place));
            }
            piece.iter_mut().for_each(|byte| *byte = ids[usize::from(*byte)] as u8);
        }
        Ok(())
    }

    /// Returns a function from numbers of `bits` bits to labels. Programs show the 1 of a 1-bit mask as 255, so it
    /// means 255 if 255 is a class and 1 is not listed.
    pub(crate) fn of_bits(&self, bits: u8) -> impl Fn(u8) -> Label + use<> {
        let id = |value| self.id(Label::Value(value));
        let white = if bits == 1 && id(1) == self.unlisted && id(255) < IGNORE.into() { 255 } else { 1 };
        move |value| Label::Value(u16::from(value) * white)
    }

    /// Puts the class ids of integers into `found`; those that cannot be labels count as unlisted.
    pub(crate) fn look_up_numbers(
        &self,
        numbers: impl Iterator<Item = i64> + Clone,
        found: &mut Vec<u8>,
        place: Place,
    ) -> Result<(), Error> {
        let label = |number: i64| u16::try_from(number).ok().map(Label::Value);
        if let Ok(unlisted) = u8::try_from(self.unlisted) {
            let of = |number| label(number).map_or(unlisted, |label| u8::try_from(self.id(label)).unwrap_or(unlisted));
            found.clear();
            found.extend(numbers.map(of));
            return Ok(());
        }
        if let Some((pixel, number)) = numbers.clone().enumerate().find(|(_, number)| label(*number).is_none()) {
            let (row, column) = (pixel / place.width as usize, pixel % place.width as usize);
            let problem =
                format!("holds {number} at row {row}, column {column}, and labels are 0 to 65535; {}", self.expected);
            return Err(Error::MaskFormat { path: place.path.into(), problem });
        }
        self.look_up(numbers.filter_map(label), found, place)
    }

    /// Puts the class ids of `labels` into `found`.
    pub(crate) fn look_up(
        &self,
        labels: impl Iterator<Item = Label>,
        found: &mut Vec<u8>,
        place: Place,
    ) -> Result<(), Error> {
        found.clear();
        // Neighbouring pixels mostly have the same label.
        let mut last: Option<(Label, u8)> = None;
        for label in labels {
            let id = match last.filter(|(before, _)| *before == label) {
                Some((_, id)) => id,
                None => {
                    self.keep(label);
                    u8::try_from(self.id(label)).map_err(|_| self.unexpected(label, found.len(), place))?
                }
            };
            last = Some((label, id));
            found.push(id);
        }
        Ok(())
    }

    fn unexpected(&self, found: Label, pixel: usize, Place { path, width }: Place) -> Error {
        let (row, column) = (pixel / width as usize, pixel % width as usize);
        let mut expected = self.expected.clone();
        match found {
            Label::Color(_) if !self.has_colors() => {
                expected.push_str("; for masks that hold colours data.labels.colors says what each means")
            }
            Label::Value(_) if self.has_colors() => {
                expected.push_str("; for masks that hold numbers data.labels.map says what each means")
            }
            _ => {}
        }
        Error::Label { path: path.into(), found, row, column, expected }
    }
}

/// Number of pixels that are translated together.
const PIECE: usize = 8192;
