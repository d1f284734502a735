//! `app report`: one page about a run, which opens anywhere.

use crate::cli::{self, Which};
use crate::closer::{self, Closer, Place};
use crate::environment;
use crate::lock::held;
use crate::parts::{Network, input_of_validation};
use crate::report::print;
use crate::run::Run;
use crate::trained::{Trained, load};
use ::report::{Bin, Class, Evaluation, Picture, Report, Sample, Status};
use anyhow::{Context, Result};
use executors::Validator;
use metric::Detail;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use terminal::{Step, Watch};

/// How many of the best samples the page shows, and of the worst.
const SAMPLES: usize = 8;
const NAME: &str = "report.html";

/// `app report`
pub fn run(args: &cli::Report) -> Result<()> {
    let run = Run::trained(args.run.as_deref())?;
    let path = write(&run, &args.compare, args.output.as_deref(), &args.set)?;
    print(&path.display().to_string())
}

/// Writes the page of a run that is finished into its folder.
pub fn finished(run: &Run) -> Result<()> {
    let folder = run.folder.display();
    let path = write(run, &[], None, &[]).with_context(|| {
        format!("{folder} is trained, and its page was not written (to try again: app report --run {folder})")
    })?;
    log::info!("Wrote the report: {}", path.display());
    Ok(())
}

fn write(run: &Run, compare: &[PathBuf], output: Option<&Path>, changes: &[String]) -> Result<PathBuf> {
    let mut about = read(run)?;
    let which = cli::Trained { run: Some(run.folder.clone()), checkpoint: Which::Best };
    about.evaluation = match load(&which, changes).and_then(|trained| evaluate(&trained)) {
        Ok(evaluation) => Some(evaluation),
        // The curves are there all the same.
        Err(error) => {
            log::warn!("The report has no predictions, since the best checkpoint could not be looked at: {error:#}");
            None
        }
    };
    let compare = compare.iter().map(|folder| read(&Run { folder: folder.clone() })).collect::<Result<_>>()?;
    let path = output.map_or_else(|| run.folder.join(NAME), PathBuf::from);
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
    let Network { model, device, classes, .. } = network;
    let input = input_of_validation(config, *device)?;
    let loss_fn = config.loss.build(*device)?;
    let (mut scores, mut detail) = (network.metric()?, Detail::new(classes.len(), *device)?);
    let mut watch = Watch::new("Report", 0, input.samples());
    let mut closer = Closer { scores: &mut scores, detail: Some(&mut detail) };
    let measured = Validator::new(model.as_ref(), &input, &loss_fn, &mut closer).test(|samples| {
        watch.step(&Step { samples, ..Step::default() });
        ControlFlow::Continue(())
    })?;
    measured.context("the validation was broken off")?;
    drop(watch);
    let (matrix, [height, width]) = (scores.confusion()?, config.data.size());
    let pixels =
        u64::from(height) * u64::from(width) * detail.sample_scores()?.iter().map(Vec::len).sum::<usize>() as u64;
    let count = |target, predicted| u64::try_from(matrix.count(target, predicted)).unwrap_or(0);
    let row = |target| (0..classes.len()).map(|predicted| count(target, predicted)).collect();
    let mut worst = closer::ranked(closer::places(&detail)?);
    // A small data set has no sample among the best and the worst.
    let shown = SAMPLES.min(worst.len().div_ceil(2));
    let mut best = worst.split_off(worst.len() - shown);
    best.reverse();
    worst.truncate(shown);
    let samples = |places: &[Place]| -> Result<Vec<Sample>> {
        let shown = closer::show(model.as_ref(), &input, &config.data, places)?;
        Ok(shown.into_iter().zip(places).map(|(shown, place)| sample(shown, place.score)).collect())
    };
    let bin = |bin: metric::Confidence| Bin { confidence_sum: bin.sum, correct: bin.correct, count: bin.count };
    Ok(Evaluation {
        checkpoint: checkpoint.file_name().unwrap_or_default().display().to_string(),
        epoch: progress.epoch,
        confusion: (0..classes.len()).map(row).collect(),
        ignored: pixels.saturating_sub(u64::try_from(matrix.pixels())?),
        calibration: detail.calibration()?.into_iter().map(bin).collect(),
        best: samples(&best)?,
        worst: samples(&worst)?,
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
