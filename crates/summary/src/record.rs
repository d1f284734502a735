//! What can be written down, and the trait of all who do.

use crate::{Counts, Error, Graph, Histogram, Hyper, Image, Status};
use std::time::{Duration, SystemTime};

/// Takes what a run writes down, one record after the other: a folder of event files, a file of lines, or what you need.
///
/// ```
/// use summary::{Config, Error, Record, Stage, Summary, Value, Writer};
///
/// /// Prints the loss, and nothing else.
/// struct Losses;
///
/// impl Writer for Losses {
///     fn write(&mut self, record: &Record) -> Result<(), Error> {
///         if let Value::Scalars(scalars) = &record.value {
///             let losses = scalars.iter().filter(|(name, _)| name == "loss");
///             losses.for_each(|(_, loss)| println!("{} {}: {loss}", record.stage.name(), record.epoch));
///         }
///         Ok(())
///     }
///
///     fn flush(&mut self) -> Result<(), Error> {
///         Ok(())
///     }
/// }
///
/// # let run = tempfile::tempdir().unwrap();
/// let mut summary = Summary::open(run.path(), &Config::default())?;
/// summary.add(Box::new(Losses))?;
/// summary.epoch(Stage::Train, 1, 40, &[("loss", 0.5)])?;
/// # Ok::<(), Error>(())
/// ```
pub trait Writer: Send {
    /// Takes one record. What it has no place for it passes over. After an error it is up to the writer whether it keeps the
    /// record and tries again.
    fn write(&mut self, record: &Record) -> Result<(), Error>;

    /// Hands everything taken so far to the system, so that nothing of it is lost if this process is killed.
    fn flush(&mut self) -> Result<(), Error>;
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The model on the data it learns from, while it learns.
    Train,
    /// The model on other data, at the end of an epoch.
    Validation,
    /// A single training step.
    Step,
    /// The run as a whole. What is written down of it is written anew by every process that goes on with the run.
    Run,
}

impl Stage {
    /// The name of the stage in `metrics.jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Train => "train",
            Stage::Validation => "validation",
            Stage::Step => "step",
            Stage::Run => "run",
        }
    }
}

/// Something to be written down, and where in the run it was.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// What was measured.
    pub stage: Stage,
    /// The epoch that ends here; for a single step those that are finished.
    pub epoch: u64,
    /// Training steps done.
    pub step: u64,
    /// Seconds since 1970.
    pub time: f64,
    /// What it is.
    pub value: Value,
}

/// The kinds of things that can be written down.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Numbers with names, such as `loss` or `iou/cat`.
    Scalars(Vec<(String, f64)>),
    /// Pictures that belong together.
    Images {
        /// Their name.
        name: String,
        /// One or more.
        images: Vec<Image>,
    },
    /// How values such as the weights of a layer are distributed, with the name of each.
    Histograms(Vec<(String, Histogram)>),
    /// For each name the counts at thresholds that lie evenly from 0 to 1, both included.
    PrCurves(Vec<(String, Vec<Counts>)>),
    /// Something to read.
    Text {
        /// Its name.
        name: String,
        /// The text, with Markdown's marks.
        markdown: String,
    },
    /// The network.
    Graph(Graph),
    /// What the run was started with.
    Hparams {
        /// The hyper-parameters by name.
        values: Vec<(String, Hyper)>,
        /// The names of the scores that its [`Outcome`](Value::Outcome) will have.
        scores: Vec<String>,
    },
    /// How the run ended.
    Outcome {
        /// Whether it was a success.
        status: Status,
        /// The final scores.
        scores: Vec<(String, f64)>,
    },
    /// Charts that show training and validation together, for scores and for the IoU of each class.
    Layout {
        /// The names of the classes, as in `iou/NAME`.
        classes: Vec<String>,
    },
    /// The run goes on from where `epoch` epochs were finished and `step` steps done: what was written down after that
    /// comes again.
    Restart,
}

impl Record {
    /// A record of this moment.
    pub fn new(stage: Stage, epoch: u64, step: u64, value: Value) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { stage, epoch, step, time: since_1970.as_secs_f64(), value }
    }

    /// Whether it is large and can be done without: then it is dropped rather than that training waits or memory runs out.
    pub(crate) fn is_bulky(&self) -> bool {
        matches!(self.value, Value::Images { .. } | Value::Histograms(_))
    }
}
