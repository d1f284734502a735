//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::str::FromStr;

/// Trains, validates and applies image-segmentation networks.
#[derive(Debug, Parser)]
#[command(version, about)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Train a network, or continue to.
    ///
    /// SIGTERM, SIGINT, SIGHUP and SIGXCPU end it after the step with a checkpoint and status 75: run it again to go
    /// on. While it starts they end it at once, with the same status (in the first tenths of a second, while the system
    /// loads libtorch, with that of any program). SIGUSR1 saves and goes on. Under nohup it goes on without its
    /// terminal.
    Train(Train),
    /// Prove that a training, killed at random moments and resumed, gives what an undisturbed one gives, to the bit.
    VerifyResume(VerifyResume),
    /// Measure a trained network on the validation data of its run.
    Validate(Validate),
    /// Predict the class of every pixel of images.
    Predict(Predict),
    /// Write one HTML page about a run: what came of it, what is wrong with it and what to change.
    Report(Report),
    /// Save a trained network for others to run: TorchScript, ONNX, its weights, and what it is, as a Triton model.
    /// Elsewhere a model.pt is run as a program: take one only from people whose programs you would run.
    Export(Export),
    /// Look at a data set before anything is trained on it.
    #[command(subcommand)]
    Data(Data),
    /// Look at a network before it is trained.
    #[command(subcommand)]
    Model(Model),
    /// List runs: how they stand, their best scores, their ages and sizes, and in what they differ.
    Runs(Runs),
    /// Print the JSON schema of configurations.
    Schema,
}

/// `app train`
#[derive(Debug, Args)]
pub struct Train {
    /// The configuration, a JSON file [default: the run's own; for a new run the built-in configs/shapes.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration, e.g. --set optimizer.learning_rate=3e-4
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The run folder [default: runs/NAME for configs/NAME.json]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// auto: continue a run that holds a checkpoint; never: start over, the old run is moved aside; or the checkpoint
    /// folder to continue from
    #[arg(long, value_name = "auto|never|CHECKPOINT", default_value = "auto")]
    pub resume: Resume,
    /// Go on from a checkpoint although this key (or section) of the configuration, or the data (data.train,
    /// data.validation), is not what it was trained with
    #[arg(long, value_name = "KEY")]
    pub allow: Vec<String>,
    /// Stop after this many steps in all, with a checkpoint and status 75, as if the system had asked for it
    #[arg(long, value_name = "STEP", value_parser = clap::value_parser!(u64).range(1..))]
    pub until_step: Option<u64>,
    /// Show a dashboard over the whole terminal instead of bars: curves, scores, load, log; keys save, validate and stop
    #[arg(long)]
    pub tui: bool,
    /// Train nothing: run a batch that was refused once more, and show what in it is not finite
    #[arg(long, value_name = "RUN/rejected/STEP", conflicts_with_all = ["config", "run", "resume", "allow", "until_step", "tui"])]
    pub replay: Option<PathBuf>,
}

/// `app model`
#[derive(Debug, Subcommand)]
pub enum Model {
    /// Print the network's layers with their outputs, parameters, floating-point operations and memory.
    Summary(Summary),
}

/// `app model summary`
#[derive(Debug, Args)]
pub struct Summary {
    #[command(flatten)]
    pub configured: Configured,
    /// Height and width of the images [default: data.size]
    #[arg(long, num_args = 2, value_names = ["HEIGHT", "WIDTH"], value_parser = clap::value_parser!(i64).range(1..=8192))]
    pub size: Option<Vec<i64>>,
    /// Images at once
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(i64).range(1..=1024))]
    pub batch: i64,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
}

/// `app data`
#[derive(Debug, Subcommand)]
pub enum Data {
    /// Decode every sample and report what is broken, mislabelled or there twice; status 1 if anything must be mended.
    Check(Look),
    /// Draw what the network will see, its masks over it, epoch by epoch.
    Preview(Preview),
    /// Measure classes, sizes and colours, for class weights and normalisation.
    Stats(Look),
}

/// Which data.
#[derive(Debug, Args)]
pub struct Configured {
    /// The configuration, a JSON file [default: the built-in configs/shapes.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `app data check` and `app data stats`
#[derive(Debug, Args)]
pub struct Look {
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
    /// Where the contact sheets go: train-epoch-N.png and validation.png
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// Replace files that this program did not make, or that were changed since. Images and masks are never replaced
    #[arg(long)]
    pub overwrite: bool,
    /// Epochs of training to draw
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub epochs: u64,
    /// Samples of each sheet: the first ones of the epoch
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub samples: u64,
}

/// `app verify-resume`
#[derive(Debug, Args)]
pub struct VerifyResume {
    /// The configuration, a JSON file [default: the built-in configs/shapes.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Change one key of the configuration
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Steps to train
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(2..=1_000_000))]
    pub steps: u64,
    /// How often the second training is killed
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub interrupts: u64,
    /// The seed of the moments
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// Where to train; removed afterwards if all is well
    #[arg(long, value_name = "DIR", default_value = "runs/verify-resume")]
    pub folder: PathBuf,
}

/// Where training starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Resume {
    /// From the newest checkpoint, if there is one.
    Auto,
    /// From nothing.
    Never,
    /// From this checkpoint.
    From(PathBuf),
}

impl FromStr for Resume {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text {
            "" => return Err("it is empty: say auto, never, or the folder of a checkpoint"),
            "auto" => Self::Auto,
            "never" => Self::Never,
            path => Self::From(path.into()),
        })
    }
}

/// Which trained network.
#[derive(Debug, Args)]
pub struct Trained {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// latest, best (by the score that the run keeps its best checkpoint by), or a checkpoint folder, which needs no
    /// run: it says itself what it was trained with
    #[arg(long, value_name = "latest|best|PATH", default_value = "latest")]
    pub checkpoint: Which,
}

/// Which trained network: of a run, or saved.
#[derive(Debug, Args)]
pub struct Used {
    #[command(flatten)]
    pub trained: Trained,
    /// A saved network, e.g. saved_models/unet/1, instead of a run's. It is read as data: nothing in it is executed
    #[arg(long, value_name = "DIR", conflicts_with_all = ["run", "checkpoint"])]
    pub model: Option<PathBuf>,
}

/// Which checkpoint of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// The last one.
    Latest,
    /// The one of the best score.
    Best,
    /// This one.
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

/// `app validate`
#[derive(Debug, Args)]
pub struct Validate {
    #[command(flatten)]
    pub used: Used,
    /// Change one key of the run's configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Print one JSON object instead of a table
    #[arg(long)]
    pub json: bool,
    /// Score class maps of whole images, as predict writes them, against the masks in their own size, instead of what
    /// the network sees in training
    #[arg(long)]
    pub full: bool,
    #[command(flatten)]
    pub how: How,
}

/// `app report`
#[derive(Debug, Args)]
pub struct Report {
    /// The run folder [default: the newest under runs/]
    #[arg(long, value_name = "DIR")]
    pub run: Option<PathBuf>,
    /// Runs to show beside it
    #[arg(long, value_name = "DIR", num_args = 1..)]
    pub compare: Vec<PathBuf>,
    /// Where the page goes [default: report.html in the run folder]
    #[arg(long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Replace a file that is no report. Files of a run are never replaced
    #[arg(long)]
    pub overwrite: bool,
    /// Change one key of the run's configuration, e.g. --set data.root=/elsewhere
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// What is written of an image beside its class map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub enum Also {
    /// NAME_overlay.png: the photograph with the colours of the classes over it.
    Overlay,
    /// NAME_contour.png: the photograph with lines where two classes meet.
    Contour,
    /// NAME_color.png: the colours of the classes.
    Color,
    /// NAME_probability_ID.png for each class: 16 bits, from 0 (never) to 65535 (certainly).
    Png16,
    /// NAME_probabilities.npy: f32, classes × height × width.
    Npy,
}

/// Which mirror images are predicted too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mirror {
    /// None.
    None,
    /// Left and right change places: twice the time.
    Horizontal,
    /// That, top and bottom, and both: four times the time.
    Both,
}

/// `app export`
#[derive(Debug, Args)]
pub struct Export {
    #[command(flatten)]
    pub trained: Trained,
    /// The version to make: saved_models/NAME/NUMBER [default: the next number, NAME being that of the checkpoint's
    /// run]
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Formats to write [default: export.formats of the run, which is all of them]
    #[arg(long, value_name = "FORMAT", value_delimiter = ',', value_parser = ["torchscript", "onnx", "safetensors"])]
    pub formats: Vec<String>,
    /// Change one key of the run's configuration, e.g. --set export.weights=bf16
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

/// `app runs`
#[derive(Debug, Args)]
pub struct Runs {
    /// The folder with the runs, or with folders of runs [default: runs]
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// Print one JSON array instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Options for predicting images.
#[derive(Debug, Args)]
pub struct How {
    /// Predict images in their own size, in overlapping tiles of so many pixels, instead of at the scale of training
    #[arg(long, value_name = "PIXELS")]
    pub tile: Option<i64>,
    /// The share of a tile that the next one covers too
    #[arg(long, default_value_t = 0.25, requires = "tile")]
    pub overlap: f64,
    /// Predict mirror images too, and take the mean
    #[arg(long, value_enum, default_value_t = Mirror::None)]
    pub mirror: Mirror,
}

/// `app predict`
#[derive(Debug, Args)]
pub struct Predict {
    #[command(flatten)]
    pub used: Used,
    /// Where the class maps go: one PNG of class ids for each image, of its size
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,
    /// What else to write of each image
    #[arg(long, value_enum, value_name = "WHAT", value_delimiter = ',')]
    pub also: Vec<Also>,
    /// Print a line of JSON for each image: its size, and how many pixels each class has
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub how: How,
    /// Replace files that this program did not make, or that were changed since. Images that are read are never
    /// replaced
    #[arg(long)]
    pub overwrite: bool,
    /// Images, and folders that are searched for images: what is hidden in them is passed over, and so are predictions
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
}
