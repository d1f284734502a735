//! `app data convert`: class maps from annotations, and annotations from class maps.

mod coco;
mod maps;
mod texts;

use crate::cli;
use anyhow::Result;

/// `app data convert`
pub fn run(args: &cli::Convert) -> Result<()> {
    match args.from {
        Some(tool) => maps::write(args, tool),
        None => coco::write(args),
    }
}
