//! `app report`: one page about a run, which opens anywhere.

use crate::cli::{self, Which};
use crate::closer::{self, Best, Closer, Look};
use crate::config::Config;
use crate::environment;
use crate::identity;
use crate::lock::held;
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
const NAME: &str = "report.html";

/// `app report`
pub fn run(args: &cli::Report) -> Result<()> {
    let run = Run::trained(args.run.as_deref())?;
    let which = cli::Trained { run: Some(run.folder.clone()), checkpoint: Which::Best };
    let looked = load(&which, &args.set).and_then(|trained| evaluate(&trained));
    let path = write(&run, &args.compare, args.output.as_deref(), looked)?;
    print(&path.display().to_string())
}

/// Writes the page of a run that is finished into its folder. It shows the `best` look of the training where that is one at the best
/// checkpoint, and else looks at that itself.
pub fn finished(run: &Run, config: &Config, input: &Loader, best: Option<&Best>) -> Result<()> {
    let look = || {
        let (checkpoint, snapshot) = find(run, &Which::Best, config)?;
        match best.filter(|best| best.at == snapshot.progress) {
            Some(best) => evaluation(&checkpoint, best.at, input, &config.data, &best.confusion, &best.look),
            None => {
                let own = identity::used(&snapshot, &checkpoint.display().to_string(), config)?;
                evaluate(&build(own, checkpoint, snapshot)?)
            }
        }
    };
    let written = write(run, &[], None, look());
    let path = written.with_context(|| {
        let folder = run.folder.display();
        format!("{folder} is trained, and its page was not written (to try again: app report --run {folder})")
    })?;
    log::info!("Wrote the report: {}", path.display());
    Ok(())
}

/// What the page shows of a network, and its classes, which are not those of `config.json` where that was changed
/// since.
type Looked = (Evaluation, Vec<Class>);

fn write(run: &Run, compare: &[PathBuf], output: Option<&Path>, looked: Result<Looked>) -> Result<PathBuf> {
    let mut about = read(run)?;
    about.evaluation = match looked {
        Ok((evaluation, classes)) => {
            about.classes = classes;
            Some(evaluation)
        }
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
    about.classes = classes(&run.config()?.data);
    about.environment = environment::kept(&run.folder)?;
    if held(&run.folder) {
        about.status = Status::Running;
    }
    Ok(about)
}

fn classes(data: &data::Config) -> Vec<Class> {
    data.classes().into_iter().zip(data.colors()).map(|(name, color)| Class { name, color: color.0 }).collect()
}

/// Looks at a network on its validation data.
fn evaluate(trained: &Trained) -> Result<Looked> {
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
) -> Result<Looked> {
    let (known, [height, width]) = (classes(data), data.size());
    let classes = known.len();
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
    let evaluation = Evaluation {
        checkpoint: checkpoint.file_name().unwrap_or_default().display().to_string(),
        epoch: at.epoch,
        confusion: (0..classes).map(row).collect(),
        ignored: pixels.saturating_sub(u64::try_from(matrix.pixels())?),
        calibration: look.detail.calibration()?.into_iter().map(bin).collect(),
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
