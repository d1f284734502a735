//! Checks that labels leave enough of a split's masks to train on or to measure with.

use super::{Label, LabelTable, Labels, MOST_SHOWN};
use crate::classes::Class;
use crate::config::{Config, Split};
use crate::dataset::{Dataset, IGNORE};
use crate::decode::{Decoder, Orientation};
use contract::{Invalid, listed};
use std::collections::BTreeSet;
use std::sync::PoisonError;

/// Maximum number of a split's masks that are read again to report their content.
const READ_AGAIN: u64 = 1000;

impl Config {
    /// Judges the labels in a split's masks: `shown` tells whether an id occurs in them, `dataset` knows their files.
    /// Returns a warning if only one class counts, so that every network is perfect, or if none does in validation.
    ///
    /// # Errors
    ///
    /// Fails if no class is left to train on, or if one of several classes is left because values were dropped that
    /// `labels` does not mention. The message lists the masks' values and suggests a configuration.
    pub fn check_shown(
        &self,
        split: Split,
        dataset: &dyn Dataset,
        shown: impl Fn(u8) -> bool,
    ) -> Result<Option<String>, Invalid> {
        let (classes, labels) = self.labelled();
        let ids: Vec<u8> = (0..IGNORE).filter(|id| shown(*id)).collect();
        // If not even ignored pixels were seen, no mask could be read, which is another error.
        if ids.len() > 1 || ids.is_empty() && !shown(IGNORE) {
            return Ok(None);
        }
        let own = matches!(self, Self::Folders(_) | Self::List(_));
        let held = if own && shown(IGNORE) { held(dataset, !labels.colors.is_empty()) } else { BTreeSet::new() };
        let unsaid: Vec<Label> = held.iter().copied().filter(|label| !labels.says(*label, &classes)).collect();
        let map = labels.suggestion(&held, &unsaid, &classes);
        let Some(only) = ids.first().and_then(|id| classes.get(usize::from(*id))) else {
            let reason = match (held.is_empty(), unsaid.is_empty()) {
                (true, _) => String::new(),
                (_, true) => format!("; they hold {}, which it ignores", listed(&held, MOST_SHOWN)),
                _ => format!(
                    "; they hold {}, of which it says nothing: write {map} if that is what they mean",
                    listed(&unsaid, MOST_SHOWN)
                ),
            };
            let purpose = if split == Split::Train { "train on" } else { "measure with" };
            let problem = format!("leaves nothing to {purpose}: no pixel of the {split} masks counts{reason}");
            return match split {
                Split::Train => Err(Invalid { key: "labels".into(), problem }),
                Split::Validation => Ok(Some(format!("data.labels {problem}"))),
            };
        };
        let name = &only.name;
        if classes.len() == 1 {
            return Ok(Some(format!(
                "data.classes names '{name}' alone, so every network is perfect on the {split} data: name the rest \
                 too, such as \"classes\": [\"background\", \"{name}\"], and say in data.labels what it is in the masks"
            )));
        }
        // Next to a class other than the first, 255 is void, which is why it is ignored by default.
        let is_void = ids != [0] && unsaid == [Label::Value(IGNORE.into())];
        if unsaid.is_empty() || is_void {
            let held =
                if held.is_empty() { String::new() } else { format!(" (which hold {})", listed(&held, MOST_SHOWN)) };
            return Ok(Some(format!(
                "only the class '{name}' counts in the {split} masks{held}, so a network that knows nothing else is \
                 perfect there: change data.labels, data.classes or data.split"
            )));
        }
        let ignore: Vec<String> = unsaid.iter().take(MOST_SHOWN).map(|label| label.in_json()).collect();
        let (they, are) = if unsaid.len() == 1 { ("it", "it is") } else { ("they", "they are") };
        Err(Invalid {
            key: "labels".into(),
            problem: format!(
                "says nothing of {}, so {are} ignored; but the {split} masks hold nothing else than that and the class \
                 '{name}': write {map} if {they} stand for other classes, or {{\"ignore\": [{}]}} if {are} to be \
                 ignored",
                listed(&unsaid, MOST_SHOWN),
                ignore.join(", ")
            ),
        })
    }
}

impl Labels {
    /// Returns whether the label is one of `classes` or listed in `ignore`.
    fn says(&self, label: Label, classes: &[Class]) -> bool {
        self.class_of(label, classes).is_some() || self.ignore.contains(&label)
    }

    /// Returns the id of the label's class.
    fn class_of(&self, label: Label, classes: &[Class]) -> Option<u8> {
        let class = match label {
            Label::Value(value) if self.map.is_empty() && self.colors.is_empty() => {
                return u8::try_from(value).ok().filter(|id| usize::from(*id) < classes.len());
            }
            Label::Value(value) => self.map.get(&value),
            Label::Color(color) => self.colors.get(&color),
        };
        class?.id("", classes).ok()
    }

    /// Returns a suggestion for `labels`, given the masks' labels. Assigns the unused classes to the labels in
    /// `unsaid`.
    fn suggestion(&self, held: &BTreeSet<Label>, unsaid: &[Label], classes: &[Class]) -> String {
        let known: Vec<(Label, u8)> =
            held.iter().filter_map(|label| Some((*label, self.class_of(*label, classes)?))).collect();
        let free = (0..IGNORE).take(classes.len()).filter(|id| known.iter().all(|(_, used)| used != id));
        let mut pairs: Vec<(Label, u8)> = known.iter().copied().chain(unsaid.iter().copied().zip(free)).collect();
        pairs.sort_unstable();
        let key = if pairs.iter().any(|(label, _)| matches!(label, Label::Color(_))) { "colors" } else { "map" };
        let pairs: Vec<String> =
            pairs.iter().take(MOST_SHOWN).map(|(label, id)| format!("\"{label}\": {id}")).collect();
        format!("{{\"{key}\": {{{}}}}}", pairs.join(", "))
    }
}

impl Label {
    fn in_json(&self) -> String {
        match self {
            Self::Value(value) => value.to_string(),
            Self::Color(color) => format!("\"{color}\""),
        }
    }
}

/// Returns the labels in the masks of `dataset`; reads at most [`READ_AGAIN`] masks, evenly spaced. Skips unreadable
/// masks: they were reported in the pass over all masks.
fn held(dataset: &dyn Dataset, as_colors: bool) -> BTreeSet<Label> {
    let (table, seen) = LabelTable::survey(as_colors);
    let (mut decoder, mut ids) = (Decoder::default(), Vec::new());
    let every = dataset.len().div_ceil(READ_AGAIN).max(1);
    for index in (0..dataset.len()).step_by(every as usize) {
        if let Some(mask) = dataset.paths(index).ok().and_then(|paths| paths.into_iter().nth(1)) {
            let _ = decoder.mask(&mask, &table, Orientation::Ignore, &mut ids);
        }
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    seen.clone()
}
