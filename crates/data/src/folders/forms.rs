//! Images and masks without a partner of exactly the same name, which may have one in another Unicode form.

use super::find;
use super::scan::Found;
use crate::forms::composed;
use std::collections::HashMap;

/// Files by the composed form of their names, for names that may have several forms.
type ByForm<'f> = HashMap<String, Vec<&'f Found>>;

/// Images and masks without a partner of exactly the same name.
pub(super) struct Forms<'f> {
    images: ByForm<'f>,
    masks: ByForm<'f>,
}

impl<'f> Forms<'f> {
    /// Collects them from sorted `images` and `masks`.
    pub(super) fn new(images: &'f [Found], masks: &'f [Found]) -> Self {
        Self { images: alone(images, masks), masks: alone(masks, images) }
    }

    /// Returns the images and the masks whose names have the same composed form.
    pub(super) fn of(&self, name: &str) -> [&[&'f Found]; 2] {
        if name.is_ascii() {
            return [&[], &[]];
        }
        let name = composed(name);
        [&self.images, &self.masks].map(|by_form| by_form.get(&name).map_or(&[][..], Vec::as_slice))
    }
}

fn alone<'f>(files: &'f [Found], others: &[Found]) -> ByForm<'f> {
    let mut by_form = ByForm::new();
    for file in files.iter().filter(|file| !file.name.is_ascii() && find(others, &file.name).is_empty()) {
        by_form.entry(composed(&file.name)).or_default().push(file);
    }
    by_form
}
