//! Options of `app validate` about the scores of images and of boundaries.

use clap::Args;
use std::path::PathBuf;

/// Options for scores of boundaries, and for the table of images.
#[derive(Debug, Args)]
pub struct Scoring {
    /// Also score the boundaries of regions: boundary IoU within RATIO of the image's diagonal (0.02 if not given),
    /// Hausdorff distance (95 %) and surface Dice
    #[arg(long, value_name = "RATIO", num_args = 0..=1, default_missing_value = "0.02", value_parser = ratio)]
    pub boundary: Option<f64>,
    /// Distance in pixels up to which surface Dice takes two boundaries for the same [default: 2]
    #[arg(long, value_name = "PIXELS", value_parser = pixels)]
    pub tolerance: Option<f64>,
    /// Write a table of all scores, with a row for each image and class, boundaries included
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
    /// Replace the file that --csv names. Files of a run, images and masks are never replaced
    #[arg(long, requires = "csv")]
    pub overwrite: bool,
}

/// Parses `--boundary`.
fn ratio(text: &str) -> Result<f64, &'static str> {
    let ratio = text.parse().ok().filter(|ratio| *ratio > 0.0 && *ratio <= 1.0);
    ratio.ok_or("say a fraction of the image's diagonal, more than 0 and at most 1")
}

/// Parses `--tolerance`.
fn pixels(text: &str) -> Result<f64, &'static str> {
    let pixels = text.parse().ok().filter(|pixels: &f64| pixels.is_finite() && *pixels >= 0.0);
    pixels.ok_or("say a number of pixels, 0 or more")
}
