//! Where a training starts from: which folder, which configuration, which checkpoint.

use crate::cli;
use crate::cli::Resume;
use crate::config::{self, Config};
use crate::run::{Run, valid};
use crate::snapshot;
use crate::usage::usage;
use anyhow::Result;
use checkpoint::Snapshot;
use std::path::{Path, PathBuf};

/// Keys that may change between the runs that a checkpoint connects: they change no weight that is already there, and
/// what the network is fed stays the same.
const HARMLESS: [&str; 8] = [
    "train.epochs",
    "train.device",
    "train.threads",
    "data.root",
    "data.loader.workers",
    "data.loader.prefetch",
    "checkpoint.",
    "summary.",
];

/// Where a training starts from.
pub struct Start {
    /// The run folder.
    pub run: Run,
    /// The configuration, with the changes of the command line.
    pub config: Config,
    /// The checkpoint to continue from.
    pub checkpoint: Option<(PathBuf, Snapshot)>,
}

/// Reads what there is; writes nothing but moves an old run aside where it was asked to.
pub fn start(args: &cli::Train) -> Result<Start> {
    let run = folder(args);
    let named = match &args.resume {
        Resume::From(path) => Some((path.clone(), checkpoint::load(path)?)),
        _ => None,
    };
    let base = match (&args.config, &named) {
        (Some(file), _) => Config::read(file)?,
        (None, Some((path, snapshot))) => snapshot::config(snapshot, &path.display().to_string())?,
        (None, None) if run.exists() => run.config()?,
        (None, None) => Config::parse(config::SHAPES, "configs/shapes.json")?,
    };
    let config = base.with(&args.set)?;
    let checkpoint = match (&args.resume, named) {
        (Resume::Never, _) => None,
        (_, Some(named)) => Some(named),
        _ => valid(run.store(&config.checkpoint).newest()?)?,
    };
    if let Some((path, snapshot)) = &checkpoint {
        compare(path, snapshot, &config)?;
    }
    match &args.resume {
        Resume::Never if run.exists() => run.move_aside()?,
        Resume::From(_) => {
            let step = checkpoint.as_ref().map_or(0, |(_, snapshot)| snapshot.progress.step);
            run.supersede_after(&config.checkpoint, step)?;
        }
        _ => {}
    }
    Ok(Start { run, config, checkpoint })
}

/// The run folder: the one named, that of the checkpoint named, or the configuration's own.
fn folder(args: &cli::Train) -> Run {
    let of_checkpoint = |path: &Path| Some(Run { folder: path.parent()?.parent()?.into() });
    let own = match (&args.run, &args.config, &args.resume) {
        (Some(folder), _, _) => Some(Run { folder: folder.clone() }),
        (None, Some(file), _) => file.file_stem().map(|stem| Run::named(&stem.to_string_lossy())),
        (None, None, Resume::From(path)) => of_checkpoint(path),
        (None, None, _) => None,
    };
    own.unwrap_or_else(|| Run::named("shapes"))
}

fn compare(path: &Path, snapshot: &Snapshot, config: &Config) -> Result<()> {
    let before = snapshot::config(snapshot, &path.display().to_string())?;
    let harmless =
        |key: &str| HARMLESS.iter().any(|known| key == *known || known.ends_with('.') && key.starts_with(known));
    let unsafe_ones: Vec<String> = config::differences(&before, config)
        .into_iter()
        .filter(|(key, ..)| !harmless(key))
        .map(|(key, before, after)| format!("{key}: {before} -> {after}"))
        .collect();
    if unsafe_ones.is_empty() {
        return Ok(());
    }
    Err(usage(format!(
        "{} was trained with another configuration ({}): name another folder with --run, or start over with --resume never",
        path.display(),
        unsafe_ones.join("; ")
    )))
}
