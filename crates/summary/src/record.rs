//! Records, and the trait of their writers.

use crate::{Counts, Error, Graph, Histogram, Hyper, Image, Status};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Destination of a run's records: a folder of event files, a file of JSON lines, or your own.
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
    /// Takes one record, ignoring kinds that it cannot represent. After an error the writer may keep the record and
    /// retry it.
    fn write(&mut self, record: &Record) -> Result<(), Error>;

    /// Hands all records taken so far to the system, so that none of them is lost if this process is killed.
    fn flush(&mut self) -> Result<(), Error>;
}

/// Source of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The model on the training data, during training.
    Train,
    /// The model on the validation data, at the end of an epoch.
    Validation,
    /// Single training step.
    Step,
    /// The run as a whole. Every process that resumes the run writes its records anew.
    Run,
}

impl Stage {
    /// Returns the name of the stage in `metrics.jsonl`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Train => "train",
            Stage::Validation => "validation",
            Stage::Step => "step",
            Stage::Run => "run",
        }
    }
}

/// Data to be logged, with its place in the run.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// Source of the data.
    pub stage: Stage,
    /// Epoch that ends here; for a single step, the number of finished epochs.
    pub epoch: u64,
    /// Number of training steps done.
    pub step: u64,
    /// Seconds since 1970.
    pub time: f64,
    /// Data.
    pub value: Value,
}

/// Kinds of data that can be logged.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Named numbers, for example `loss` or `iou/cat`.
    Scalars(Vec<(String, f64)>),
    /// Group of images.
    Images {
        /// Name of the group.
        name: String,
        /// One or more images.
        images: Vec<Image>,
    },
    /// Named distributions of values, for example the weights of each layer.
    Histograms(Vec<(String, Histogram)>),
    /// For each name, the counts at thresholds evenly spaced from 0 to 1, both included.
    PrCurves(Vec<(String, Vec<Counts>)>),
    /// Text.
    Text {
        /// Name of the text.
        name: String,
        /// Text in Markdown.
        markdown: String,
    },
    /// Graph of the network.
    Graph(Graph),
    /// Hyper-parameters of the run.
    Hparams {
        /// Hyper-parameters by name.
        values: Vec<(String, Hyper)>,
        /// Names of the scores that its [`Outcome`](Value::Outcome) will have.
        scores: Vec<String>,
    },
    /// Outcome of the run.
    Outcome {
        /// Success or failure.
        status: Status,
        /// Final scores by name.
        scores: Vec<(String, f64)>,
    },
    /// Charts that show training and validation together, for scores and for the IoU of each class.
    Layout {
        /// Names of the classes, as in `iou/NAME`.
        classes: Vec<String>,
    },
    /// The run resumes after `epoch` finished epochs and `step` steps; everything logged after that will come again.
    Restart,
}

impl Record {
    /// Returns a record with the current time.
    pub fn new(stage: Stage, epoch: u64, step: u64, value: Value) -> Self {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self { stage, epoch, step, time: since_1970.as_secs_f64(), value }
    }

    /// Returns true if the record is large and expendable: it is dropped before training waits or memory runs out.
    pub(crate) fn is_bulky(&self) -> bool {
        matches!(self.value, Value::Images { .. } | Value::Histograms(_))
    }
}
