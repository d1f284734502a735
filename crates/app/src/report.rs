//! `app report`: one self-contained HTML page about a run.

mod compare;

use crate::cli::{self, Which};
use crate::common::closer::{self, Best, Closer, Details};
use crate::common::config::Config;
use crate::common::environment;
use crate::common::files::folder;
use crate::common::folds::Folds;
use crate::common::identity;
use crate::common::images::Images;
use crate::common::inputs::input_of_validation;
use crate::common::network::Trained;
use crate::common::output::show;
use crate::common::run::Run;
use crate::common::trained::{build, find, load};
use crate::common::usage::{in_words, usage};
use ::report::{Bin, Class, Comparison, Evaluation, Interval, Intervals, Picture, Report, Sample, Status};
use anyhow::{Context, Result};
use compare::Scored;
use contract::{Plain, Progress};
use data::Loader;
use executors::Validator;
use metric::{Confusion, Predicted};
use session::{Lock, is_held, shell_quoted};
use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use terminal::{Step, Watch};

/// Maximum number of best samples on the page, and of worst samples.
pub const SAMPLES: usize = 8;

/// `app report`
pub fn run(args: &cli::Report) -> Result<()> {
    if let Some(folder) = args.run.as_deref()
        && let Some(folds) = Folds::of(folder)?
    {
        return of_folds(args, folder, &folds);
    }
    let run = Run::trained(args.run.as_deref())?;
    if let Some(output) = &args.output {
        let compared = args.compare.iter().map(PathBuf::as_path);
        check(output, compared.chain([&*run.folder]), args.overwrite)?;
    }
    let which = cli::Trained { run: Some(run.folder.clone()), checkpoint: Which::Best };
    let looked = load(&which, &args.set).and_then(|trained| evaluate(&trained, SAMPLES));
    let (looked, scored) = match looked {
        Ok((looked, scored)) => (Ok(looked), Some(scored)),
        Err(error) => (Err(error), None),
    };
    let name = ::report::Run::read(&run.folder)?.name;
    let compare = args.compare.iter().map(|folder| beside(folder, &args.set, &name, scored.as_ref()));
    let path = write(&run, None, compare.collect::<Result<_>>()?, args.output.as_deref(), looked)?;
    show(&path.display().to_string());
    Ok(())
}

/// Writes the page of the folds in `folder`: that of the first, with the others beside it.
fn of_folds(args: &cli::Report, folder: &Path, folds: &Folds) -> Result<()> {
    let runs: Vec<PathBuf> = folds.runs.iter().map(|run| run.folder.clone()).collect();
    let (Some((first, others)), true) = (runs.split_first(), args.compare.is_empty()) else {
        return Err(usage("--compare compares runs: name the run of a fold with --run"));
    };
    let output = args.output.clone().unwrap_or_else(|| folder.join("report.html"));
    run(&cli::Report {
        run: Some(first.clone()),
        compare: others.to_vec(),
        output: Some(output),
        overwrite: args.overwrite,
        set: args.set.clone(),
    })
}

/// Checks that the page may be written to `output`: the path is free, or holds a page that this program made, or holds
/// a file that `overwrite` allows to replace and that is not part of one of `runs`.
fn check<'a>(output: &Path, mut runs: impl Iterator<Item = &'a Path>, overwrite: bool) -> Result<()> {
    let shown = output.display();
    let about = match fs::symlink_metadata(output) {
        Ok(about) => about,
        Err(_) if folder(output).is_dir() => return Ok(()),
        Err(_) => return Err(usage(format!("--output {shown}: there is no folder {}", folder(output).display()))),
    };
    if about.is_file() && ::report::is_page(output) {
        return Ok(());
    }
    let place = folder(output).canonicalize().with_context(|| shown.to_string())?;
    if runs.any(|run| run.canonicalize().is_ok_and(|run| place.starts_with(run))) {
        return Err(usage(format!("--output {shown} is part of a run and no report: name another file")));
    }
    if about.is_dir() || !(overwrite && (about.is_file() || about.is_symlink())) {
        return Err(usage(format!(
            "--output {shown} is there, and is no report of this program: name another file, or add \
             --overwrite to replace it"
        )));
    }
    Ok(())
}

/// Returns whether a finished run lacks its page, or has one older than its last checkpoint.
pub fn is_due(run: &Run, config: &Config) -> Result<bool> {
    let written = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    let newest = run.store(&config.checkpoint.keep).list()?.iter().filter_map(|path| written(path)).max();
    Ok(!run.report().is_file() || written(&run.report()) < newest)
}

/// Writes the page of a finished run into its folder. Shows the `best` look of the training, with its validation data,
/// if that is one at the best checkpoint; else evaluates that checkpoint. `lock` is the run's.
pub fn finished(run: &Run, config: &Config, lock: Option<&Lock>, best: Option<(&Best, &Loader)>) -> Result<()> {
    let look = || {
        let (checkpoint, snapshot) = find(run, &Which::Best, config)?;
        match best.filter(|(best, _)| best.at == snapshot.progress) {
            Some((best, input)) => evaluation(&checkpoint, best.at, input, &config.data, &best.confusion, &best.look),
            None => {
                let own = identity::used(&snapshot, &checkpoint.display().to_string(), config)?;
                evaluate(&build(own, checkpoint, snapshot)?, SAMPLES).map(|(looked, _)| looked)
            }
        }
    };
    let look = look();
    // Checked again, since the look takes a while.
    lock.map_or(Ok(()), Lock::check)?;
    let written = write(run, Some(Status::Finished), Vec::new(), None, look);
    let path = written.with_context(|| {
        let (folder, quoted) = (run.folder.display(), shell_quoted(&run.folder));
        format!("{folder} is trained, and its page was not written (to try again: app report --run {quoted})")
    })?;
    log::info!("Wrote the report: {}", path.display());
    Ok(())
}

/// The evaluation of a network and its classes. The classes differ from those of `config.json` if that was changed
/// since.
type Looked = (Evaluation, Vec<Class>);

fn write(
    run: &Run,
    status: Option<Status>,
    compare: Vec<::report::Run>,
    output: Option<&Path>,
    looked: Result<Looked>,
) -> Result<PathBuf> {
    let mut about = read(run)?;
    about.status = status.unwrap_or(about.status);
    about.evaluation = match looked {
        Ok((evaluation, classes)) => {
            about.classes = classes;
            Some(evaluation)
        }
        // The page still has its curves.
        Err(error) => {
            log::warn!("The report has no predictions, since the best checkpoint could not be evaluated: {error:#}");
            None
        }
    };
    let path = output.map_or_else(|| run.report(), PathBuf::from);
    Report { run: about, compare }.write(&path)?;
    Ok(path)
}

/// Reads a run that the page's run `own` is compared with, and evaluates it on its validation data. Says which of the
/// two is better, if `scored` holds the scores of `own`.
fn beside(folder: &Path, changes: &[String], own: &str, scored: Option<&Scored>) -> Result<::report::Run> {
    let run = Run::at(folder);
    let mut about = read(&run)?;
    let which = cli::Trained { run: Some(run.folder.clone()), checkpoint: Which::Best };
    let looked = load(&which, changes).and_then(|trained| evaluate(&trained, 0));
    let comparison = match (scored, looked) {
        (Some(own), Ok(((evaluation, classes), theirs))) => {
            (about.evaluation, about.classes) = (Some(evaluation), classes);
            compare::compare(own, &theirs)
        }
        (_, Err(error)) => Comparison::Refused(format!("the latter could not be evaluated: {}", in_words(&error))),
        (None, Ok(_)) => Comparison::Refused("the former could not be evaluated".into()),
    };
    log::info!("{}", comparison.sentence(own, &about.name));
    about.comparison = Some(comparison);
    Ok(about)
}

/// Reads a run from its folder.
fn read(run: &Run) -> Result<::report::Run> {
    let mut about = ::report::Run::read(&run.folder)?;
    let config = run.config()?;
    about.classes = classes(&config.data);
    // In the current format, so that runs of several versions can be compared.
    about.config = serde_json::to_value(&config)?;
    about.environment = environment::kept(&run.folder)?;
    if is_held(&run.folder) {
        about.status = Status::Running;
    }
    Ok(about)
}

fn classes(data: &data::Config) -> Vec<Class> {
    data.classes().into_iter().zip(data.colors()).map(|(name, color)| Class { name, color: color.0 }).collect()
}

/// Evaluates a network on its validation data, image by image. Shows `extremes` of the best and of the worst samples.
fn evaluate(trained: &Trained, extremes: usize) -> Result<(Looked, Scored)> {
    let Trained { config, network, checkpoint, progress, .. } = trained;
    let input = input_of_validation(config, network.device)?;
    let loss_fn = config.loss.build(network.device)?;
    let (mut scores, mut look) = (network.metric()?, Details::new(network, 0, extremes)?);
    let mut images = Images::default();
    let mut watch = Watch::new("Report", 0, input.samples());
    let mut closer = Closer { scores: &mut scores, look: Some(&mut look), images: Some(&mut images) };
    let measured = Validator::new(&Plain(network.model.as_ref()), &input, &loss_fn, &mut closer).test(|samples| {
        watch.step(&Step { samples, ..Step::default() });
        ControlFlow::Continue(())
    })?;
    measured.context("the validation was interrupted")?;
    drop(watch);
    let looked = evaluation(checkpoint, *progress, &input, &config.data, &scores.confusion()?, &look)?;
    let scored = Scored {
        classes: network.classes.clone(),
        scored_on: config.data.scored_on(),
        data: input.fingerprint()?,
        images: images.read()?,
    };
    Ok((looked, scored))
}

/// Returns the intervals of the scores of these images.
fn intervals(look: &Details, classes: &[Class]) -> Result<Intervals> {
    let tallies = look.gallery.tallies()?;
    let names: Vec<String> = classes.iter().map(|class| class.name.clone()).collect();
    let known = metric::intervals(&tallies, &names);
    let of = |name: &str| {
        let found = known.iter().find(|(known, _)| known == name);
        found.map(|(_, metric::Interval { low, high })| Interval { low: *low, high: *high })
    };
    let of_classes = |score: &str| names.iter().map(|class| of(&format!("{score}/{class}"))).collect();
    let images = tallies.len() as u64;
    let (accuracy, mean_iou) = (of("accuracy"), of("mean_iou"));
    Ok(Intervals { images, accuracy, mean_iou, iou: of_classes("iou"), dice: of_classes("dice") })
}

/// Converts a look to the evaluation that the page shows.
fn evaluation(
    checkpoint: &Path,
    at: Progress,
    input: &Loader,
    data: &data::Config,
    matrix: &Confusion,
    look: &Details,
) -> Result<Looked> {
    let (known, [height, width]) = (classes(data), data.size());
    let classes = known.len();
    let scores = look.gallery.scores()?.concat();
    let pixels = u64::from(height) * u64::from(width) * scores.len() as u64;
    let count = |target, predicted| u64::try_from(matrix.count(target, predicted)).unwrap_or(0);
    let row = |target| (0..classes).map(|predicted| count(target, predicted)).collect();
    // In a small data set, no sample is among both the best and the worst.
    let scored = scores.iter().filter(|score| !score.is_nan()).count();
    let samples = |mut predicted: Vec<Predicted>, most: usize| -> Result<Vec<Sample>> {
        predicted.truncate(most.min(SAMPLES));
        let shown = closer::show(input, data, &predicted)?;
        Ok(shown.into_iter().zip(predicted).map(|(shown, predicted)| sample(shown, predicted.score)).collect())
    };
    let bin = |bin: metric::Confidence| Bin { confidence_sum: bin.sum, correct: bin.correct, count: bin.count };
    let evaluation = Evaluation {
        checkpoint: checkpoint.file_name().unwrap_or_default().display().to_string(),
        epoch: at.epoch,
        confusion: (0..classes).map(row).collect(),
        ignored: pixels.saturating_sub(u64::try_from(matrix.pixels())?),
        calibration: look.detail.calibration()?.into_iter().map(bin).collect(),
        intervals: intervals(look, &known)?,
        best: samples(look.gallery.best()?, scored.div_ceil(2))?,
        worst: samples(look.gallery.worst()?, scored / 2)?,
    };
    Ok((evaluation, known))
}

fn sample(shown: closer::Shown, score: f64) -> Sample {
    let (width, height) = (shown.photograph.width() as usize, shown.photograph.height() as usize);
    Sample {
        name: shown.name,
        score,
        input: Picture { width, height, rgb: shown.photograph.into_raw() },
        target: shown.target.into_raw(),
        prediction: shown.prediction.into_raw(),
    }
}
