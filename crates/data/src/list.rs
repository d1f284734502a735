//! Data sets made of files, and the lists and folders that name the files of each split.

pub(crate) mod annotated;
pub(crate) mod folders;
mod forms;
mod lines;
pub(crate) mod listed;
mod parse;
pub(crate) mod paths;
pub(crate) mod pets;
pub(crate) mod split;
pub(crate) mod walk;
