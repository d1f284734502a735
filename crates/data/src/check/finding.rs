//! Findings: the kinds of problems of a data set, and their severity.

use crate::decode::remarks::Remark;
use crate::error::Error;
use crate::list::split::Split;
use serde::{Serialize, Serializer};
use std::io::ErrorKind;
use std::path::PathBuf;

/// Kind of a finding, from the worst to the mildest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A file is not there.
    Missing,
    /// Images and masks that cannot be matched.
    Unmatched,
    /// A file cannot be read, decoded, or ends too early.
    Unreadable,
    /// A mask is stored in a way that has no labels in it.
    MaskFormat,
    /// An image and its mask differ in size.
    SizeMismatch,
    /// A mask holds a value that is no class.
    Label,
    /// An annotation that cannot be painted, so its pixels count as those of something else.
    Annotation,
    /// No class, or only one of several, counts in training, because values that the configuration does not mention are
    /// ignored.
    Unlabelled,
    /// A name is listed more than once, or in both splits.
    RepeatedName,
    /// The same picture is in the training and in the validation data.
    DuplicateAcross,
    /// The same picture is there twice, with different masks.
    Contradiction,
    /// The same picture is there twice in one split.
    Duplicate,
    /// Nearly the same picture is in the training and in the validation data.
    NearDuplicateAcross,
    /// Nearly the same picture is there twice in one split.
    NearDuplicate,
    /// Only one class counts in a split, so every network is perfect there; or, in validation, none does.
    OneClass,
    /// A mask in which nothing counts, or that shows only the first of several classes.
    EmptyMask,
    /// An annotation that was left out and covers no pixel of an image of the data set, or none that is known.
    OddAnnotation,
    /// An image of one colour.
    ConstantImage,
    /// A class that no mask of a split shows.
    AbsentClass,
    /// An image with 16 bits a channel, of which 8 are used.
    Wide,
    /// A file with unused bands.
    Bands,
    /// A file with unused pages or frames.
    Pages,
    /// An image that is brought upright by its orientation tag.
    Turned,
    /// A file whose content is of another format than its name says.
    Misnamed,
    /// A file among those of the data set that belongs to no sample.
    Stray,
}

/// Severity of a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Training would fail, or its scores would not be true.
    Error,
    /// It deserves a check by hand.
    Warning,
}

/// A problem, or an oddity, of a data set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Kind of problem.
    pub kind: Kind,
    /// Severity, which follows from `kind`.
    pub severity: Severity,
    /// Samples concerned, as `train/NAME` and `validation/NAME`.
    pub samples: Vec<String>,
    /// Files concerned.
    #[serde(serialize_with = "as_text")]
    pub files: Vec<PathBuf>,
    /// Description.
    pub message: String,
}

/// Serializes paths as text: they need not be UTF-8, JSON must be.
fn as_text<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(paths.iter().map(|path| path.to_string_lossy()))
}

impl Kind {
    /// Returns the severity of this kind.
    pub fn severity(self) -> Severity {
        if self <= Self::Contradiction { Severity::Error } else { Severity::Warning }
    }
}

impl Finding {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, severity: kind.severity(), samples: Vec::new(), files: Vec::new(), message: message.into() }
    }

    pub(super) fn samples<'a>(mut self, samples: impl IntoIterator<Item = (Split, &'a str)>) -> Self {
        self.samples.extend(samples.into_iter().map(|(split, name)| format!("{}/{name}", split.name())));
        self
    }

    pub(super) fn files(mut self, files: impl IntoIterator<Item = PathBuf>) -> Self {
        self.files.extend(files);
        self
    }

    /// Adds the sample that it is about.
    pub(super) fn of(self, split: Split, name: &str) -> Self {
        self.samples([(split, name)])
    }

    /// Converts an error of loading a sample.
    pub(super) fn from_error(error: &Error) -> Self {
        let (kind, files) = match error {
            Error::Io { path, source } if source.kind() == ErrorKind::NotFound => (Kind::Missing, vec![path]),
            Error::Io { path, .. }
            | Error::Image { path, .. }
            | Error::Refused { path, .. }
            | Error::Truncated { path } => (Kind::Unreadable, vec![path]),
            Error::MaskFormat { path, .. } => (Kind::MaskFormat, vec![path]),
            Error::Label { path, .. } => (Kind::Label, vec![path]),
            Error::Annotated(_) => (Kind::SizeMismatch, Vec::new()),
            Error::SizeMismatch { image, mask, .. } => (Kind::SizeMismatch, vec![image, mask]),
            _ => (Kind::Unreadable, Vec::new()),
        };
        Self::new(kind, error.to_string()).files(files.into_iter().cloned())
    }
}

/// Returns the finding for a remark on a file.
pub(super) fn remarked(remark: Remark, path: PathBuf) -> Finding {
    let kind = match remark {
        Remark::Wide => Kind::Wide,
        Remark::Bands => Kind::Bands,
        Remark::Pages => Kind::Pages,
        Remark::Turned => Kind::Turned,
    };
    Finding::new(kind, remark.of(&path)).files([path])
}

/// Returns the finding for an annotation that was left out.
pub(crate) fn annotated(problem: &annotation::Problem, is_wrong: bool) -> Finding {
    let kind = if is_wrong { Kind::Annotation } else { Kind::OddAnnotation };
    Finding::new(kind, problem.to_string()).files([PathBuf::from(&problem.file)])
}

/// Returns a finding for each group of files that an error names as unmatched.
pub(crate) fn unmatched(error: &Error) -> Vec<Finding> {
    let Error::Unmatched { what, folder, groups, hint } = error else { return vec![Finding::from_error(error)] };
    let message = format!("{} {what}; {hint}", groups.len());
    let paths = |group: &Vec<String>| group.iter().map(|path| folder.join(path)).collect::<Vec<_>>();
    groups.iter().map(|group| Finding::new(Kind::Unmatched, message.clone()).files(paths(group))).collect()
}
