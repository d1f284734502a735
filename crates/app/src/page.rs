//! `app report`: one page about a run, which opens anywhere.

use crate::cli::{self, Which};
use crate::closer::{self, Best, Closer, Look};
use crate::config::Config;
use crate::environment;
use crate::lock::{Lock, held};
use crate::parts::input_of_validation;
use crate::report::print;
use crate::run::Run;
use crate::trained::{Trained, build, find, load};
use ::report::{Bin, Class, Evaluation, Picture, Report, Sample, Status};
use anyhow::{Context, Result};
use contract::Progress;
use data::Loader;
use executors::Validator;
use metric::{Confusion, Predicted};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use terminal::{Step, Watch};

/// How many of the best samples the page shows, and of the worst.
pub const SAMPLES: usize = 8;

/// `app report`
pub fn run(args: &cli::Report) -> Result<()> {
    let run = Run::trained(args.run.as_deref())?;
    let which = cli::Trained { run: Some(run.folder.clone()), checkpoint: Which::Best };
    let evaluation = load(&which, &args.set).and_then(|trained| evaluate(&trained));
    let path = write(&run, None, &args.compare, args.output.as_deref(), evaluation)?;
    print(&path.display().to_string())
}

/// Whether a run that is finished lacks its page, or has one from before its last checkpoint.
pub fn is_due(run: &Run, config: &Config) -> Result<bool> {
    let written = |path: &Path| path.metadata().and_then(|about| about.modified()).ok();
    let newest = run.store(&config.checkpoint).list()?.iter().filter_map(|path| written(path)).max();
    Ok(written(&run.report()) < newest)
}

/// Writes the page of a run that is finished into its folder. It shows the `best` look of the training, with its
/// validation data, where that is one at the best checkpoint, and else looks at that itself. `lock` is the run's.
pub fn finished(run: &Run, config: &Config, lock: Option<&Lock>, best: Option<(&Best, &Loader)>) -> Result<()> {
    let look = || {
        let (checkpoint, snapshot) = find(run, &Which::Best, config)?;
        match best.filter(|(best, _)| best.at == snapshot.progress) {
            Some((best, input)) => evaluation(&checkpoint, best.at, input, &config.data, &best.confusion, &best.look),
            None => evaluate(&build(config.clone(), checkpoint, snapshot)?),
        }
    };
    let look = look();
    // That took a while.
    lock.map_or(Ok(()), Lock::check)?;
    let written = write(run, Some(Status::Finished), &[], None, look);
    let path = written.with_context(|| {
        let folder = run.folder.display();
        format!("{folder} is trained, and its page was not written (to try again: app report --run {folder})")
    })?;
    log::info!("Wrote the report: {}", path.display());
    Ok(())
}

fn write(
    run: &Run,
    status: Option<Status>,
    compare: &[PathBuf],
    output: Option<&Path>,
    evaluation: Result<Evaluation>,
) -> Result<PathBuf> {
    let mut about = read(run)?;
    about.status = status.unwrap_or(about.status);
    about.evaluation = match evaluation {
        Ok(evaluation) => Some(evaluation),
        // The curves are there all the same.
        Err(error) => {
            log::warn!("The report has no predictions, since the best checkpoint could not be looked at: {error:#}");
            None
        }
    };
    let compare = compare.iter().map(|folder| read(&Run::at(folder))).collect::<Result<_>>()?;
    let path = output.map_or_else(|| run.report(), PathBuf::from);
    Report { run: about, compare }.write(&path)?;
    Ok(path)
}

/// What a run's folder says of it.
fn read(run: &Run) -> Result<::report::Run> {
    let mut about = ::report::Run::read(&run.folder)?;
    let data = run.config()?.data;
    let classes = data.classes().into_iter().zip(data.colors());
    about.classes = classes.map(|(name, color)| Class { name, color: color.0 }).collect();
    about.environment = environment::kept(&run.folder)?;
    if held(&run.folder) {
        about.status = Status::Running;
    }
    Ok(about)
}

/// Looks at a network on its validation data.
fn evaluate(trained: &Trained) -> Result<Evaluation> {
    let Trained { config, network, checkpoint, progress, .. } = trained;
    let input = input_of_validation(config, network.device)?;
    let loss_fn = config.loss.build(network.device)?;
    let (mut scores, mut look) = (network.metric()?, Look::new(network, 0, SAMPLES)?);
    let mut watch = Watch::new("Report", 0, input.samples());
    let mut closer = Closer { scores: &mut scores, look: Some(&mut look) };
    let measured = Validator::new(network.model.as_ref(), &input, &loss_fn, &mut closer).test(|samples| {
        watch.step(&Step { samples, ..Step::default() });
        ControlFlow::Continue(())
    })?;
    measured.context("the validation was broken off")?;
    drop(watch);
    evaluation(checkpoint, *progress, &input, &config.data, &scores.confusion()?, &look)
}

/// What the page shows of a look.
fn evaluation(
    checkpoint: &Path,
    at: Progress,
    input: &Loader,
    data: &data::Config,
    matrix: &Confusion,
    look: &Look,
) -> Result<Evaluation> {
    let (classes, [height, width]) = (data.classes().len(), data.size());
    let scores = look.gallery.scores()?.concat();
    let pixels = u64::from(height) * u64::from(width) * scores.len() as u64;
    let count = |target, predicted| u64::try_from(matrix.count(target, predicted)).unwrap_or(0);
    let row = |target| (0..classes).map(|predicted| count(target, predicted)).collect();
    // A small data set has no sample among the best and the worst.
    let scored = scores.iter().filter(|score| !score.is_nan()).count();
    let samples = |mut predicted: Vec<Predicted>, most: usize| -> Result<Vec<Sample>> {
        predicted.truncate(most.min(SAMPLES));
        let shown = closer::show(input, data, &predicted)?;
        Ok(shown.into_iter().zip(predicted).map(|(shown, predicted)| sample(shown, predicted.score)).collect())
    };
    let bin = |bin: metric::Confidence| Bin { confidence_sum: bin.sum, correct: bin.correct, count: bin.count };
    Ok(Evaluation {
        checkpoint: checkpoint.file_name().unwrap_or_default().display().to_string(),
        epoch: at.epoch,
        confusion: (0..classes).map(row).collect(),
        ignored: pixels.saturating_sub(u64::try_from(matrix.pixels())?),
        calibration: look.detail.calibration()?.into_iter().map(bin).collect(),
        best: samples(look.gallery.best()?, scored.div_ceil(2))?,
        worst: samples(look.gallery.worst()?, scored / 2)?,
    })
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
