//! The log of one run.

use crate::{
    Background, Config, Counts, Error, Graph, Histogram, Hyper, Image, JsonLines, Permit, Record, Stage, Status,
    TensorBoard, Value, Writer,
};
use std::{fmt, fs, path::Path, time::Duration};

/// The event files and `metrics.jsonl` of a run, and any other writers.
///
/// A line of `metrics.jsonl` is `{"stage": …, "epoch": …, "step": …, "time": …, NAME: …, …}`. The stage is `train`,
/// `validation`, or `step` for a single training step; epoch and step are those of the call; time is in seconds since
/// 1970; then come the scalars in their order, `null` if they are not finite.
///
/// Errors come from `metrics.jsonl` and from writers that were [added](Self::add); an error of one writer does not keep
/// the record from the others. TensorBoard never returns one: its failures are logged, and the run goes on.
pub struct Summary {
    /// Writers, that of `metrics.jsonl` first.
    writers: Vec<Box<dyn Writer>>,
    config: Config,
    /// Place where the run resumed, if it did.
    restart: Option<Record>,
}

impl Summary {
    /// Opens the log of the run in the folder `run`, which is created if missing, and appends to it.
    pub fn open(run: &Path, config: &Config) -> Result<Self, Error> {
        fs::create_dir_all(run).map_err(Error::io("create", run))?;
        Self::permitted(run, config, &Permit::default())
    }

    /// Like [`open`](Self::open), but requires an existing folder and asks `permit` before each change. After a refusal
    /// TensorBoard gets nothing more, and all other methods return the refusal.
    pub fn permitted(run: &Path, config: &Config, permit: &Permit) -> Result<Self, Error> {
        permit.ask().map_err(Error::refused)?;
        let lines = JsonLines::append(run.join("metrics.jsonl"))?.permitted(permit);
        let mut writers: Vec<Box<dyn Writer>> = vec![Box::new(lines)];
        if config.tensorboard {
            let logs = run.join("logs");
            let rotate = if config.rotate_mb == 0 { u64::MAX } else { config.rotate_mb.saturating_mul(1_000_000) };
            let every = Duration::from_secs(config.flush_seconds);
            let name = logs.display().to_string();
            writers.push(Box::new(Background::new(&name, TensorBoard::new(&logs, rotate).permitted(permit), every)?));
        }
        Ok(Self { writers, config: config.clone(), restart: None })
    }

    /// Resumes the log of the run in the folder `run`: [`open`](Self::open) and [`restart`](Self::restart).
    pub fn resume(run: &Path, config: &Config, epochs: u64, step: u64) -> Result<Self, Error> {
        let mut summary = Self::open(run, config)?;
        summary.restart(epochs, step)?;
        Ok(summary)
    }

    /// Restarts after `epochs` epochs that were finished, validated and logged, and `step` training steps. Later lines
    /// are removed from `metrics.jsonl`, and TensorBoard discards later points. Everything about the run as a whole,
    /// from its hyper-parameters to its outcome, is discarded too, and must be logged again.
    pub fn restart(&mut self, epochs: u64, step: u64) -> Result<(), Error> {
        let restart = Record::new(Stage::Run, epochs, step, Value::Restart);
        self.write(&restart)?;
        self.restart = Some(restart);
        self.flush()
    }

    /// Adds `writer`, which gets all later records. If the run resumed, it gets that [restart](Value::Restart) first.
    /// Its errors are returned by this and all other methods, unless it is wrapped in a [`Background`].
    pub fn add(&mut self, mut writer: Box<dyn Writer>) -> Result<(), Error> {
        let told = self.restart.as_ref().map_or(Ok(()), |restart| writer.write(restart));
        self.writers.push(writer);
        told
    }

    /// Logs `scalars` of `stage` at the end of epoch `epoch`, after training step `step`. In TensorBoard their step is
    /// the epoch.
    pub fn epoch<S: AsRef<str>>(
        &mut self,
        stage: Stage,
        epoch: u64,
        step: u64,
        scalars: &[(S, f64)],
    ) -> Result<(), Error> {
        self.write(&Record::new(stage, epoch, step, Value::Scalars(owned(scalars))))
    }

    /// Logs `scalars` of training step `step` in epoch `epoch`, if the configuration enables that; in TensorBoard as
    /// `step/NAME`.
    pub fn step<S: AsRef<str>>(&mut self, epoch: u64, step: u64, scalars: &[(S, f64)]) -> Result<(), Error> {
        match self.config.per_step {
            true => self.write(&Record::new(Stage::Step, epoch, step, Value::Scalars(owned(scalars)))),
            false => Ok(()),
        }
    }

    /// Returns true if [`step`](Self::step) logs anything. If not, the caller need not wait for the device to compute
    /// the scalars.
    pub fn per_step(&self) -> bool {
        self.config.per_step
    }

    /// Returns the number of validation samples to show after each epoch. If 0, the caller need not draw any.
    pub fn samples(&self) -> u64 {
        if self.takes_all() { self.config.images } else { 0 }
    }

    /// Returns true if histograms are due after epoch `epoch`.
    pub fn histograms_due(&self, epoch: u64) -> bool {
        self.takes_all() && self.config.histograms > 0 && epoch.is_multiple_of(self.config.histograms)
    }

    /// Logs images of `stage` at the end of epoch `epoch`, after training step `step`.
    pub fn images(&mut self, stage: Stage, epoch: u64, step: u64, name: &str, images: Vec<Image>) -> Result<(), Error> {
        self.other(stage, epoch, step, Value::Images { name: name.into(), images })
    }

    /// Logs distributions of values, for example the weights of each layer, at the end of epoch `epoch`, after training
    /// step `step`.
    pub fn histograms(&mut self, epoch: u64, step: u64, histograms: Vec<(String, Histogram)>) -> Result<(), Error> {
        self.other(Stage::Train, epoch, step, Value::Histograms(histograms))
    }

    /// Logs precision and recall of `stage` at the end of epoch `epoch`, after training step `step`: for each name, the
    /// counts at thresholds evenly spaced from 0 to 1, both included.
    pub fn pr_curves(
        &mut self,
        stage: Stage,
        epoch: u64,
        step: u64,
        curves: Vec<(String, Vec<Counts>)>,
    ) -> Result<(), Error> {
        self.other(stage, epoch, step, Value::PrCurves(curves))
    }

    /// Logs a text about the run, in Markdown.
    pub fn text(&mut self, name: &str, markdown: &str) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Text { name: name.into(), markdown: markdown.into() })
    }

    /// Logs the graph of the network.
    pub fn graph(&mut self, graph: Graph) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Graph(graph))
    }

    /// Logs the hyper-parameters of the run, and the names of the scores that its [outcome](Self::outcome) will have.
    /// TensorBoard compares all runs by the names of the first run that it reads.
    pub fn hparams(&mut self, values: &[(String, Hyper)], scores: &[String]) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Hparams { values: values.into(), scores: scores.into() })
    }

    /// Logs the outcome of the run after `epoch` epochs and `step` training steps. Call it once, at the end.
    /// TensorBoard shows the scores as `final/NAME`.
    pub fn outcome<S: AsRef<str>>(
        &mut self,
        epoch: u64,
        step: u64,
        status: Status,
        scores: &[(S, f64)],
    ) -> Result<(), Error> {
        self.other(Stage::Run, epoch, step, Value::Outcome { status, scores: owned(scores) })
    }

    /// Defines charts that show training and validation together, for scores and for the IoU of each of the `classes`.
    pub fn layout(&mut self, classes: &[String]) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Layout { classes: classes.into() })
    }

    /// Hands all records so far, single steps included, to the system, and waits for that. From then on none of them is
    /// lost if this process is killed, except those that could not be written to their file.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.writers.iter_mut().map(|writer| writer.flush()).fold(Ok(()), Result::and)
    }

    /// Logs any record, for example of a kind or stage that no other method covers.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        // Every writer gets the record, even after an error of another.
        self.writers.iter_mut().map(|writer| writer.write(record)).fold(Ok(()), Result::and)
    }

    /// Logs data that `metrics.jsonl` cannot hold.
    fn other(&mut self, stage: Stage, epoch: u64, step: u64, value: Value) -> Result<(), Error> {
        if self.takes_all() { self.write(&Record::new(stage, epoch, step, value)) } else { Ok(()) }
    }

    /// Returns true if there is a writer other than that of `metrics.jsonl`.
    fn takes_all(&self) -> bool {
        self.writers.len() > 1
    }
}

impl fmt::Debug for Summary {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut fields = formatter.debug_struct("Summary");
        fields.field("writers", &self.writers.len()).field("config", &self.config).finish_non_exhaustive()
    }
}

fn owned<S: AsRef<str>>(scalars: &[(S, f64)]) -> Vec<(String, f64)> {
    scalars.iter().map(|(name, value)| (name.as_ref().into(), *value)).collect()
}

#[cfg(test)]
mod tests;
