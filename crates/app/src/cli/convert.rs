//! Arguments of `app data convert`.

use clap::{ArgGroup, Args, ValueEnum};
use std::path::PathBuf;

/// `app data convert`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("direction").required(true).args(["from", "to"]))]
pub struct Convert {
    /// Annotation file, or folder of annotation files; with --to, folder of class maps
    #[arg(value_name = "PATH")]
    pub source: PathBuf,
    /// Paint class maps from annotations of this tool
    #[arg(long, value_name = "TOOL", requires = "images")]
    pub from: Option<Tool>,
    /// Write annotations of this kind from class maps
    #[arg(long, value_name = "KIND")]
    pub to: Option<Target>,
    /// Folder of the images that were annotated. With --to, images give the annotations their file names; without it,
    /// the class maps do
    #[arg(long, value_name = "DIR")]
    pub images: Option<PathBuf>,
    /// Folder of the PNGs of COCO's panoptic file, which PATH then is
    #[arg(long, value_name = "DIR", requires = "from")]
    pub panoptic: Option<PathBuf>,
    /// Folder of the class maps to write, with classes.json; with --to, the file of annotations
    #[arg(long, value_name = "DIR|FILE")]
    pub output: PathBuf,
    /// File of the categories' names in the order of their ids: a text with a name a line, or a data.yaml [default: the
    /// annotation files' own, or YOLO's data.yaml near its texts; with --to, classes.json among the class maps]
    #[arg(long, value_name = "FILE")]
    pub names: Option<PathBuf>,
    /// Also replace files that this program did not make, or that were changed since. Images and annotations are never
    /// replaced
    #[arg(long)]
    pub overwrite: bool,
}

/// Tools whose annotations are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Tool {
    /// COCO's file of instances.
    Coco,
    /// LabelMe's files.
    Labelme,
    /// Ultralytics' texts of segments.
    Yolo,
    /// Label Studio's export as JSON.
    LabelStudio,
    /// CVAT for images 1.1.
    Cvat,
}

/// Kinds of annotations that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Target {
    /// COCO's file of instances: a polygon for each connected area, or run lengths where it has holes.
    Coco,
}
