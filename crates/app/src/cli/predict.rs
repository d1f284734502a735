//! Options of predictions.

use crate::cli::network::Networks;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Additional outputs for an image, next to its class map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Also {
    /// NAME_overlay.png: the photograph with the class colours over it.
    Overlay,
    /// NAME_contour.png: the photograph with lines where two classes meet.
    Contour,
    /// NAME_color.png: the class colours alone.
    Color,
    /// NAME_probability_ID.png for each class: 16 bits, from 0 (never) to 65535 (certainly).
    Png16,
    /// NAME_probabilities.npy: f32, classes × height × width.
    Npy,
    /// NAME_classes.tif: the class map as GeoTIFF, with the place of the image; 255 is no data.
    Geotiff,
    /// NAME_probabilities.tif: the probabilities as GeoTIFF, f32, a band for each class.
    GeotiffProbabilities,
    /// NAME.geojson: polygons of each class along the pixels' edges, in the coordinates of the image.
    Polygons,
}

/// Mirror images that are predicted too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mirror {
    /// None.
    None,
    /// Flipped left to right: twice the time.
    Horizontal,
    /// Flipped left to right, top to bottom, and both ways: four times the time.
    Both,
}

/// Options for predicting images.
#[derive(Debug, Args)]
pub struct How {
    /// Predict images at their own size, in overlapping tiles with sides of this length, instead of at the training
    /// scale
    #[arg(long, value_name = "PIXELS")]
    pub tile: Option<i64>,
    /// Fraction of a tile that the next tile overlaps
    #[arg(long, default_value_t = executors::Tiling::OVERLAP, requires = "tile")]
    pub overlap: f64,
    /// Also predict mirror images, and average the probabilities
    #[arg(long, value_enum, default_value_t = Mirror::None)]
    pub mirror: Mirror,
    /// Also predict images at these multiples of their size, and average the probabilities: 0.75,1,1.25 for example.
    /// The time grows with the squares of the scales. With --tile, tiles are resized; otherwise the images, when they
    /// are brought to the training scale
    #[arg(long, value_name = "SCALE", value_delimiter = ',', default_value = "1")]
    pub scales: Vec<f64>,
}

/// Source of the post-processing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Postprocess {
    /// The run's own file.
    Auto,
    /// This file.
    File(PathBuf),
}

impl FromStr for Postprocess {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" => Err("it is empty: say auto, or a file of app tune-postprocessing"),
            "auto" => Ok(Self::Auto),
            path => Ok(Self::File(path.into())),
        }
    }
}

/// `app predict`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    pub networks: Networks,
    /// Output folder of the class maps: one PNG of class ids per image, at the image's size
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Additional files to write for each image
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub also: Vec<Also>,
    /// Print a line of JSON for each image, with its size and the number of pixels of each class
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub how: How,
    /// File of app tune-postprocessing to apply to the class maps, or auto for the run's own postprocessing.json. Files
    /// of probabilities stay as the network gives them
    #[arg(long, value_name = "FILE|auto")]
    pub postprocess: Option<Postprocess>,
    /// Also replace files that this program did not make, or that were changed since. Input images are never replaced
    #[arg(long)]
    pub overwrite: bool,
    /// Images, and folders to search for images; in folders, hidden files and earlier predictions are skipped
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}

/// Neighbours that connect the pixels of a component.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Connectivity {
    /// The 4 that share a side.
    #[value(name = "4")]
    Four,
    /// Also the 4 that share a corner.
    #[value(name = "8")]
    Eight,
}

/// `app tune-postprocessing`
#[derive(Debug, Args)]
pub struct TunePostprocessing {
    #[command(flatten)]
    pub networks: Networks,
    /// Change one key of the run's configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Output file [default: postprocessing.json in the run folder]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace an output file that this program did not make, or that was changed since
    #[arg(long)]
    pub overwrite: bool,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub how: How,
    /// Neighbours that connect the pixels of a component
    #[arg(long, value_enum, default_value_t = Connectivity::Four)]
    pub connectivity: Connectivity,
}
