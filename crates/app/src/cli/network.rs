//! Options that select networks.

use clap::Args;
use std::path::PathBuf;
use std::str::FromStr;

/// Options that select a trained network of a run.
#[derive(Debug, Args)]
pub struct Trained {
    /// Run folder [default: the newest under runs/]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// latest, best (by the run's checkpoint.best), or a checkpoint folder, which needs no --run since it records its
    /// own configuration
    #[arg(long, value_name = "latest|best|PATH", default_value = "latest")]
    pub checkpoint: Which,
}

/// Options that select a trained network, of a run or saved.
#[derive(Debug, Args)]
pub struct Used {
    #[command(flatten)]
    pub trained: Trained,
    /// Saved network to use instead of a run's, e.g. saved_models/unet/1. It is read as data: nothing in it is executed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "checkpoint"])]
    pub model: Option<PathBuf>,
}

/// Selection of a run's checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The newest one.
    Latest,
    /// The one with the best score.
    Best,
    /// The one in this folder.
    At(PathBuf),
}

impl FromStr for Which {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" => return Err("it is empty: say latest, best, or the folder of a checkpoint"),
            "latest" => Self::Latest,
            "best" => Self::Best,
            path => Self::At(path.into()),
        })
    }
}

/// Options that select the networks of a prediction.
#[derive(Debug, Args)]
pub struct Networks {
    #[command(flatten)]
    pub used: Used,
    /// Several networks whose probabilities are averaged: runs (of each the --checkpoint latest or best), folders of
    /// folds, checkpoints and saved networks with the same classes. Each image gets each network's own size and
    /// normalisation; time and memory are the sum of theirs
    #[arg(long, value_name = "RUN|CHECKPOINT|MODEL", num_args = 1.., conflicts_with_all = ["run", "model"])]
    pub ensemble: Vec<PathBuf>,
}
