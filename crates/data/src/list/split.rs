//! Splits samples into training and validation: by a hash of their names, or by files and folders.
//!
//! **Invariant:** by hash, the split of a sample depends on its own name alone. Adding, removing or reordering others
//! moves none, except the one that stands in where a share leaves a split empty ([`Rule::splits`]).

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Ways to split, for messages.
const WAYS: &str = "give validation_fraction, or fold, or train and validation";

/// Maximum number of folds; more is a typing error.
const MOST_FOLDS: u64 = 1000;

/// The two parts of a data set. No sample is in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Split {
    /// The samples that the weights are fitted to.
    Train,
    /// The samples that the network is evaluated on.
    Validation,
}

impl Split {
    /// Returns `train` or `validation`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
        }
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Train => "training",
            Self::Validation => "validation",
        })
    }
}

/// Split of the samples into training and validation: exactly one of `validation_fraction`, `fold`, and `train`
/// together with `validation`. With the first two, `group` keeps samples together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "SplitBy")]
pub struct SplitConfig {
    /// Approximate share of the samples for validation, chosen by a hash of their names; above 0 and below 1. With at
    /// least two samples, each split has at least one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation_fraction: Option<f64>,
    /// Fold such as `"1/5"`: of five parts, chosen by a hash of the names, the first is for validation and the others
    /// for training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<String>,
    /// Part of a name that samples of one patient, film or scene have in common, as `{}` in a pattern where `*` is
    /// anything: `"{}_*"` is what stands before the first underscore. The hash is then that of the part, so all samples
    /// of a group are in one split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Source of the training samples: a list file below `root`, or (`folders` only) a folder below `images` and
    /// `masks`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub train: Option<String>,
    /// Source of the validation samples, like `train`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<String>,
}

impl Default for SplitConfig {
    fn default() -> Self {
        Self { validation_fraction: Some(0.2), fold: None, group: None, train: None, validation: None }
    }
}

/// A [`SplitConfig`] that was checked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Splitting<'a> {
    /// By a hash of the name, or of a part of it.
    Hashed(Hashing<'a>),
    /// By lists or folders.
    Named {
        /// List or folder of the training samples.
        train: &'a str,
        /// List or folder of the validation samples.
        validation: &'a str,
    },
}

/// Split by hashes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Hashing<'a> {
    /// Rule from a hash to a split.
    pub(crate) rule: Rule,
    /// Pattern of the part of a name that is hashed; None for all of it.
    pub(crate) group: Option<&'a str>,
}

impl Hashing<'_> {
    /// Returns the split of each of `names`.
    ///
    /// # Errors
    ///
    /// Fails if a name has no such part.
    pub(crate) fn splits<'n>(self, names: impl Iterator<Item = &'n str>) -> Result<Vec<Split>, Invalid> {
        let Some(pattern) = self.group else { return Ok(self.rule.splits(names)) };
        let of = |name| {
            group(pattern, name).ok_or_else(|| Invalid {
                key: "data.split.group".into(),
                problem: format!("'{pattern}' finds no group in the name '{name}'"),
            })
        };
        Ok(self.rule.splits(names.map(of).collect::<Result<Vec<_>, _>>()?.into_iter()))
    }
}

/// Returns the part of `name` that `{}` stands for in the pattern: the first and shortest that fits.
fn group<'n>(pattern: &str, name: &'n str) -> Option<&'n str> {
    let (before, after) = pattern.split_once("{}")?;
    let places = || name.char_indices().map(|(at, _)| at).chain([name.len()]);
    let start = places().find(|at| matches(before, &name[..*at]))?;
    let end = places().find(|at| *at > start && matches(after, &name[*at..]))?;
    Some(&name[start..end])
}

/// Returns whether `text` is as the pattern says, in which `*` is anything.
fn matches(pattern: &str, text: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == text };
    let places = |text: &str| text.char_indices().map(|(at, _)| at).chain([text.len()]).collect::<Vec<_>>();
    text.strip_prefix(head).is_some_and(|text| places(text).iter().any(|at| matches(rest, &text[*at..])))
}

/// Rule from the hash of a name to a split.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Rule {
    /// This share is for validation.
    Fraction(f64),
    /// Part `part` of `of` is for validation.
    Fold {
        /// From 0.
        part: u64,
        /// At least 2.
        of: u64,
    },
}

impl Rule {
    /// Returns the split of the sample `name`: with `h` the first 8 bytes of the name's BLAKE3 as a little-endian
    /// number, it is for validation if `h / 2^64 < fraction`, or if `h mod of = part`.
    #[cfg(test)]
    pub(crate) fn split(self, name: &str) -> Split {
        self.of_number(number(name))
    }

    fn of_number(self, number: u64) -> Split {
        let validation = match self {
            Self::Fraction(fraction) => number as f64 / 2f64.powi(64) < fraction,
            Self::Fold { part, of } => number % of == part,
        };
        if validation { Split::Validation } else { Split::Train }
    }

    /// Returns the split of each of `names`. With at least two names, a share leaves no split empty: if none would
    /// validate, the one with the smallest number does, which a larger share would take first; if all would validate,
    /// the one with the largest number trains. Folds stay as they are: a stand-in would be in two of them.
    pub(crate) fn splits<'n>(self, names: impl Iterator<Item = &'n str>) -> Vec<Split> {
        let numbers: Vec<u64> = names.map(number).collect();
        let mut splits: Vec<Split> = numbers.iter().map(|number| self.of_number(*number)).collect();
        let (least, most) = (numbers.iter().min(), numbers.iter().max());
        if let (Self::Fraction(_), Some(least), Some(most)) = (self, least, most)
            && least != most
        {
            // Both are monotonic in the number, so the extremes show whether all are in one split. A name that is
            // listed twice stays in one.
            let lacking = match (self.of_number(*least), self.of_number(*most)) {
                (Split::Train, _) => Some((least, Split::Validation)),
                (_, Split::Validation) => Some((most, Split::Train)),
                _ => None,
            };
            if let Some((of, split)) = lacking {
                let stand_ins = splits.iter_mut().zip(&numbers).filter(|(_, number)| *number == of);
                stand_ins.for_each(|(place, _)| *place = split);
            }
        }
        splits
    }
}

/// Returns the first 8 bytes of the name's hash as a little-endian number.
fn number(name: &str) -> u64 {
    blake3::hash(name.as_bytes()).as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}

impl SplitConfig {
    /// Refuses invalid ways to split; keys are relative to the section that contains `split`.
    pub(crate) fn check(&self) -> Result<Splitting<'_>, Invalid> {
        let invalid = |key: &str, problem: String| Err(Invalid { key: key.into(), problem });
        if let Some(pattern) = &self.group {
            if self.train.is_some() {
                return invalid(
                    "split.group",
                    "is for splits by a hash, but train and validation name the samples".into(),
                );
            }
            if pattern.matches("{}").count() != 1 {
                return invalid("split.group", format!("must hold {{}} once, such as \"{{}}_*\", is '{pattern}'"));
            }
        }
        let hashed = |rule| Ok(Splitting::Hashed(Hashing { rule, group: self.group.as_deref() }));
        match (self.validation_fraction, &self.fold, &self.train, &self.validation) {
            (Some(fraction), None, None, None) if fraction > 0.0 && fraction < 1.0 => hashed(Rule::Fraction(fraction)),
            (Some(fraction), None, None, None) => {
                invalid("split.validation_fraction", format!("must be above 0 and below 1, is {fraction}"))
            }
            (None, Some(fold), None, None) => match parse_fold(fold) {
                Some(rule) => hashed(rule),
                None => invalid(
                    "split.fold",
                    format!("must be 'i/k', part i of k with i from 1 to k and k from 2 to {MOST_FOLDS}, is '{fold}'"),
                ),
            },
            (None, None, Some(train), Some(validation)) if train == validation => {
                invalid("split.validation", format!("must be another than split.train, both are '{train}'"))
            }
            (None, None, Some(train), Some(validation)) => Ok(Splitting::Named { train, validation }),
            (fraction, fold, train, validation) => {
                let given = [
                    ("validation_fraction", fraction.is_some()),
                    ("fold", fold.is_some()),
                    ("train", train.is_some()),
                    ("validation", validation.is_some()),
                ];
                let given: Vec<&str> = given.into_iter().filter(|(_, given)| *given).map(|(key, _)| key).collect();
                let found = if given.is_empty() { "nothing".into() } else { given.join(", ") };
                invalid("split", format!("must say one way to split, says {found}: {WAYS}"))
            }
        }
    }
}

fn parse_fold(text: &str) -> Option<Rule> {
    let (part, of) = text.split_once('/')?;
    let (part, of): (u64, u64) = (part.parse().ok()?, of.parse().ok()?);
    ((2..=MOST_FOLDS).contains(&of) && (1..=of).contains(&part)).then(|| Rule::Fold { part: part - 1, of })
}

#[cfg(test)]
mod tests;
