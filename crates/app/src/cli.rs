//! Defines the command line.

mod convert;
mod list;
mod network;
mod predict;
mod scoring;

use clap::{Args, Parser, Subcommand};
use session::Resume;
use std::path::PathBuf;

pub use convert::{Convert, Tool};
pub use list::List;
pub use network::{Networks, Trained, Used, Which};
pub use predict::{Also, Connectivity, How, Mirror, Postprocess, Predict, TunePostprocessing};
pub use scoring::Scoring;

/// Trains, validates and applies image-segmentation networks.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// Subcommand to run.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network, or resume its training.
    ///
    /// SIGTERM, SIGINT, SIGHUP and SIGXCPU stop the training after the current step, with a checkpoint and exit status
    /// 75: run the same command again to resume. During start-up they end it at once, with the same status (in the
    /// first tenths of a second, while the system loads libtorch, with the signal's default status). SIGUSR1 saves a
    /// checkpoint and goes on. Under nohup, training goes on without its terminal.
    Train(Train),
    /// Check that a training that is killed at random moments and resumed gives the same result, bit for bit, as an
    /// undisturbed one. Both train in one process.
    VerifyResume(VerifyResume),
    /// Measure a trained network on the validation data of its run.
    Validate(Validate),
    /// Predict the class of every pixel of images.
    Predict(Predict),
    /// Choose the post-processing of class maps on the validation data: for each class a weight of its probability,
    /// only the largest component, a minimum area, and filled holes. A step is kept only if it raises the mean IoU over
    /// all images and does not lower the IoU of its class.
    TunePostprocessing(TunePostprocessing),
    /// Write an HTML report about a run: its results, its problems and what to change.
    Report(Report),
    /// Save a trained network as TorchScript, ONNX and safetensors, with a description, in the layout of a Triton
    /// model. Elsewhere a model.pt is executed as a program: accept one only from people whose programs you would run.
    Export(Export),
    /// Inspect a data set before training on it.
    #[command(subcommand)]
    Data(Data),
    /// Inspect a network before training it.
    #[command(subcommand)]
    Model(Model),
    /// List runs with their states, best scores, ages, sizes and differences in configuration.
    Runs(Runs),
    /// Print the JSON schema of the configuration.
    Schema,
}

/// `app train`
#[derive(Debug, Args)]
pub struct Train {
    /// Configuration file (JSON) [default: the run's own; for a new run the built-in configs/shapes.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration, e.g. --set optimizer.learning_rate=3e-4
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Run folder [default: runs/NAME for configs/NAME.json]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// auto: resume a run that holds a checkpoint; never: start over and move the old run aside; or the checkpoint
    /// folder to resume from
    #[arg(long, value_name = "auto|never|CHECKPOINT", default_value = "auto", value_parser = resume)]
    pub resume: Resume,
    /// Resume although this key or section of the configuration, or the data (data.train, data.validation), differs
    /// from the checkpoint's
    #[arg(long, value_name = "KEY")]
    pub allow: Vec<String>,
    /// Stop after this many steps in all, with a checkpoint and exit status 75, as after SIGTERM
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u64).range(1..))]
    pub until_step: Option<u64>,
    /// Show a full-screen dashboard instead of progress bars: curves, scores, load and log, with keys to save, validate
    /// and stop
    #[arg(long)]
    pub tui: bool,
    /// Start N processes that train together, or one per GPU (auto), and forward signals to them
    #[arg(long, value_name = "N|auto", value_parser = processes)]
    pub nproc: Option<Processes>,
    /// Train K runs, fold-1 to fold-K in the run folder, one after another: each validates on another part of the
    /// samples, chosen by a hash of their names, and trains on the others. The same command again goes on with those
    /// that are not finished
    #[arg(long, value_name = "K", value_parser = folds, conflicts_with_all = ["until_step", "tui"])]
    pub folds: Option<usize>,
    /// Do not train: rerun a rejected batch and show which values are not finite
    #[arg(
        long, value_name = "RUN/rejected/STEP",
        conflicts_with_all = ["config", "run", "resume", "allow", "until_step", "tui", "nproc", "folds"]
    )]
    pub replay: Option<PathBuf>,
}

/// Number of processes that `--nproc` starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Processes {
    /// One for each GPU.
    PerGpu,
    /// This many.
    Count(usize),
}

/// Parses `--nproc`.
fn processes(text: &str) -> Result<Processes, &'static str> {
    match (text, text.parse()) {
        ("auto", _) => Ok(Processes::PerGpu),
        (_, Ok(count @ 1..=1024)) => Ok(Processes::Count(count)),
        _ => Err("say auto, or a number from 1 to 1024"),
    }
}

/// Parses `--folds`.
fn folds(text: &str) -> Result<usize, &'static str> {
    text.parse().ok().filter(|count| (2..=1000).contains(count)).ok_or("say a number from 2 to 1000")
}

/// `app model`
#[derive(Debug, Subcommand)]
pub enum Model {
    /// Print the network's layers with their outputs, parameters, floating-point operations and memory.
    Summary(Summary),
    /// List the encoders and decoders of segmenters with their parameters, operations and weights.
    List(List),
}

/// `app model summary`
#[derive(Debug, Args)]
pub struct Summary {
    #[command(flatten)]
    pub configured: Configured,
    /// Height and width of the images [default: data.size]
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"], value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub size: Option<Vec<i64>>,
    /// Images per batch
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=1024))]
    pub batch: i64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `app data`
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Decode every sample and report broken, mislabelled and duplicate ones; exit status 1 if there are errors.
    Check(Inspect),
    /// Draw the samples that the network will see, with their masks, epoch by epoch.
    Preview(Preview),
    /// Measure classes, image sizes and colours, and suggest class weights and normalisation.
    Stats(Inspect),
    /// Turn annotations into class maps, or class maps into annotations.
    Convert(Convert),
}

/// Options that select a configuration.
#[derive(Debug, Args)]
pub struct Configured {
    /// Configuration file (JSON) [default: the built-in configs/shapes.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `app data check` and `app data stats`
#[derive(Debug, Args)]
pub struct Inspect {
    #[command(flatten)]
    pub data: Configured,
    /// Print one JSON object instead of tables
    #[arg(long)]
    pub json: bool,
}

/// `app data preview`
#[derive(Debug, Args)]
pub struct Preview {
    #[command(flatten)]
    pub data: Configured,
    /// Output folder of the contact sheets train-epoch-N.png and validation.png
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Also replace files that this program did not make, or that were changed since. Images and masks are never
    /// replaced
    #[arg(long)]
    pub overwrite: bool,
    /// Number of training epochs to draw
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub epochs: u64,
    /// Number of samples per sheet: the first ones of the epoch
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub samples: u64,
}

/// `app verify-resume`
#[derive(Debug, Args)]
pub struct VerifyResume {
    /// Configuration file (JSON) [default: the built-in configs/shapes.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Number of steps to train
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub steps: u64,
    /// Number of times to kill the second training
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub interrupts: u64,
    /// Folder to train in; removed afterwards if both results are the same
    #[arg(long, value_name = "DIR", default_value = "runs/verify-resume")]
    pub folder: PathBuf,
}

/// Parses `--resume`.
fn resume(text: &str) -> Result<Resume, &'static str> {
    Ok(match text {
        "" => return Err("it is empty: say auto, never, or the folder of a checkpoint"),
        "auto" => Resume::Newest,
        "never" => Resume::Never,
        path => Resume::From(path.into()),
    })
}

/// `app validate`
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    pub networks: Networks,
    /// Change one key of the run's configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Score whole images at their own size, as predict writes them, against the original masks, instead of samples at
    /// the training size
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub how: How,
    /// File of app tune-postprocessing to apply to the class maps, or auto for the run's own postprocessing.json
    #[arg(long, value_name = "FILE|auto")]
    pub postprocess: Option<Postprocess>,
    #[command(flatten)]
    pub scoring: Scoring,
}

/// `app report`
#[derive(Debug, Args)]
pub struct Report {
    /// Run folder [default: the newest under runs/]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Other runs to compare with
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub compare: Vec<PathBuf>,
    /// Output file [default: report.html in the run folder]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is not a report. Files of a run are never replaced
    #[arg(long)]
    pub overwrite: bool,
    /// Change one key of the run's configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `app export`
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub trained: Trained,
    /// Version folder to create, saved_models/NAME/NUMBER [default: the next NUMBER, with the NAME of the checkpoint's
    /// run]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Formats to write [default: export.formats of the run; all but int8 unless it was changed]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',')]
    #[arg(value_parser = ["torchscript", "onnx", "safetensors", "int8"])]
    pub formats: Vec<String>,
    /// Change one key of the run's configuration, e.g. --set export.weights=bf16
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `app runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// Folder that holds runs, or folders of runs [default: runs]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
}
