//! `app model list`

use clap::Args;

/// `app model list`
#[derive(Debug, Args)]
pub struct List {
    /// Height and width of the images that operations are counted for [default: 224 224]
    #[arg(
        long, num_args = 2, value_names = ["HEIGHT", "WIDTH"], value_parser = clap::value_parser!(i64).range(32..=8192)
    )]
    pub size: Option<Vec<i64>>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}
