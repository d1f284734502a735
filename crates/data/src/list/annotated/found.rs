//! Finds annotation files.

use super::config::Annotations;
use super::tool::Tool;
use crate::error::Error;
use crate::list::lines::missing;
use crate::list::split::Splitting;
use crate::list::walk::walk;
use std::ffi::OsStr;
use std::path::PathBuf;

/// Advice where a file or folder is missing.
pub(super) const HINT: &str = "data.root must name the folder that holds data.images and data.annotations; \
                               data.split.train and data.split.validation name files or folders below \
                               data.annotations, or below data.root without it";

/// Samples that annotation files are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Both splits.
    All,
    /// Training.
    Train,
    /// Validation.
    Validation,
}

/// Annotation files, and the folder of their images.
pub(super) struct Place {
    /// Samples that they are for.
    pub(super) part: Part,
    /// File or folder.
    pub(super) source: PathBuf,
    /// Files, in the order of their names.
    pub(super) files: Vec<PathBuf>,
    /// Folder below `images`; empty for all.
    pub(super) images: String,
}

impl Annotations {
    /// Finds the annotation files of both splits.
    pub(super) fn places(&self, tool: Tool) -> Result<Vec<Place>, Error> {
        let folder = self.annotations.as_ref().map_or_else(|| self.root.clone(), |below| self.root.join(below));
        match self.split.check()? {
            Splitting::Hashed(_) => Ok(vec![self.place(tool, Part::All, folder, String::new())?]),
            Splitting::Named { train, validation } => {
                let parts = [(Part::Train, train), (Part::Validation, validation)];
                let place = |(part, below): (Part, &str)| {
                    let images = self.root.join(&self.images).join(below);
                    let images = if images.is_dir() { below.into() } else { String::new() };
                    self.place(tool, part, folder.join(below), images)
                };
                parts.into_iter().map(place).collect()
            }
        }
    }

    fn place(&self, tool: Tool, part: Part, source: PathBuf, images: String) -> Result<Place, Error> {
        if tool == Tool::Yolo && part != Part::All && images.is_empty() {
            let key = if part == Part::Train { "data.split.train" } else { "data.split.validation" };
            let problem = "must name a folder below data.images and data.annotations, since images without a text are \
                           of the data set too";
            return Err(contract::Invalid { key: key.into(), problem: problem.into() }.into());
        }
        if source.is_file() {
            return Ok(Place { part, files: vec![source.clone()], source, images });
        }
        if !source.is_dir() {
            return Err(missing("file or folder of annotations", &source, HINT));
        }
        let mut files = Vec::new();
        for file in walk(&source) {
            let file = file?;
            let of_tool = file.extension().is_some_and(|found| found.eq_ignore_ascii_case(tool.extension()));
            // YOLO's lists of names lie among the texts.
            let is_list = tool == Tool::Yolo && file.file_name() == Some(OsStr::new("classes.txt"));
            if of_tool && !is_list {
                files.push(file);
            }
        }
        match files[..] {
            [] if tool == Tool::Yolo => Err(missing("YOLO's texts (.txt)", &source, HINT)),
            [] => Err(missing("annotation files", &source, HINT)),
            [_, _, ..] if tool == Tool::Coco => {
                let folder = source.display();
                let problem = format!("must name one of the {} JSON files in {folder}, with its path", files.len());
                Err(contract::Invalid { key: "data.annotations".into(), problem }.into())
            }
            _ => Ok(Place { part, source, files, images }),
        }
    }
}
