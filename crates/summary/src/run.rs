//! All that one run writes down.

use crate::{
    Background, Config, Counts, Error, Graph, Histogram, Hyper, Image, JsonLines, Permit, Record, Stage, Status,
    TensorBoard, Value, Writer,
};
use std::{fmt, fs, path::Path, time::Duration};

/// The event files and `metrics.jsonl` of a run, and what other writers there are.
///
/// A line of `metrics.jsonl` is `{"stage": …, "epoch": …, "step": …, "time": …, NAME: …, …}`: the stage is `train`,
/// `validation`, or `step` for a single training step; epoch and step are those of the call; time is in seconds since
/// 1970; then come the scalars in their order, `null` where they are not finite.
///
/// Errors are those of `metrics.jsonl` and of writers that were [added](Self::add), each of which gets everything
/// nevertheless. TensorBoard never makes one: that it cannot be written is said in the log, and the run goes on.
pub struct Summary {
    /// The first is that of `metrics.jsonl`.
    writers: Vec<Box<dyn Writer>>,
    config: Config,
    /// Where the run goes on, if it was there before.
    restart: Option<Record>,
}

impl Summary {
    /// Starts or goes on writing down the run in the folder `run`, which is created if need be.
    pub fn open(run: &Path, config: &Config) -> Result<Self, Error> {
        fs::create_dir_all(run).map_err(Error::io("create", run))?;
        Self::permitted(run, config, &Permit::default())
    }

    /// The same in a folder that is there, and changes nothing without this `permit`. Where that is refused,
    /// TensorBoard is told nothing more, and all other methods return the refusal.
    pub fn permitted(run: &Path, config: &Config, permit: &Permit) -> Result<Self, Error> {
        permit.ask()?;
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

    /// Goes on with the run in the folder `run`: [`open`](Self::open) and [`restart`](Self::restart).
    pub fn resume(run: &Path, config: &Config, epochs: u64, step: u64) -> Result<Self, Error> {
        let mut summary = Self::open(run, config)?;
        summary.restart(epochs, step)?;
        Ok(summary)
    }

    /// Goes on from where `epochs` epochs were finished, validated and written down, and `step` training steps done, as
    /// if nothing had been written down after that: later lines are removed from `metrics.jsonl`, and TensorBoard is
    /// told to forget later points. What is said of the run as a whole, from its hyper-parameters to its outcome, is
    /// forgotten altogether, and to be said again.
    pub fn restart(&mut self, epochs: u64, step: u64) -> Result<(), Error> {
        let restart = Record::new(Stage::Run, epochs, step, Value::Restart);
        self.write(&restart)?;
        self.restart = Some(restart);
        self.flush()
    }

    /// Lets `writer` take part in what comes. Where the run goes on, it is told so first. Its errors are returned, by this
    /// and all other methods, unless it is in the [`Background`].
    pub fn add(&mut self, mut writer: Box<dyn Writer>) -> Result<(), Error> {
        let told = self.restart.as_ref().map_or(Ok(()), |restart| writer.write(restart));
        self.writers.push(writer);
        told
    }

    /// Writes down `scalars` of `stage` at the end of epoch `epoch`, when training had come to step `step`.
    /// In TensorBoard their step is the epoch.
    pub fn epoch<S: AsRef<str>>(
        &mut self,
        stage: Stage,
        epoch: u64,
        step: u64,
        scalars: &[(S, f64)],
    ) -> Result<(), Error> {
        self.write(&Record::new(stage, epoch, step, Value::Scalars(owned(scalars))))
    }

    /// Writes down `scalars` of training step `step` in epoch `epoch`, if the configuration wants them; in TensorBoard
    /// as `step/NAME`.
    pub fn step<S: AsRef<str>>(&mut self, epoch: u64, step: u64, scalars: &[(S, f64)]) -> Result<(), Error> {
        match self.config.per_step {
            true => self.write(&Record::new(Stage::Step, epoch, step, Value::Scalars(owned(scalars)))),
            false => Ok(()),
        }
    }

    /// Whether [`step`](Self::step) writes anything: where not, nobody need wait for the device to give the numbers.
    pub fn per_step(&self) -> bool {
        self.config.per_step
    }

    /// How many validation samples are to be shown after each epoch: where 0, nobody need draw any.
    pub fn samples(&self) -> u64 {
        if self.takes_all() { self.config.images } else { 0 }
    }

    /// Whether histograms are to be made after epoch `epoch`.
    pub fn histograms_due(&self, epoch: u64) -> bool {
        self.takes_all() && self.config.histograms > 0 && epoch.is_multiple_of(self.config.histograms)
    }

    /// Writes down pictures of `stage` at the end of epoch `epoch`, when training had come to step `step`.
    pub fn images(&mut self, stage: Stage, epoch: u64, step: u64, name: &str, images: Vec<Image>) -> Result<(), Error> {
        self.other(stage, epoch, step, Value::Images { name: name.into(), images })
    }

    /// Writes down how values are distributed at the end of epoch `epoch`, such as the weights of each layer, when training
    /// had come to step `step`.
    pub fn histograms(&mut self, epoch: u64, step: u64, histograms: Vec<(String, Histogram)>) -> Result<(), Error> {
        self.other(Stage::Train, epoch, step, Value::Histograms(histograms))
    }

    /// Writes down precision and recall of `stage` at the end of epoch `epoch`, when training had come to step `step`: for
    /// each name the counts at thresholds that lie evenly from 0 to 1, both included.
    pub fn pr_curves(
        &mut self,
        stage: Stage,
        epoch: u64,
        step: u64,
        curves: Vec<(String, Vec<Counts>)>,
    ) -> Result<(), Error> {
        self.other(stage, epoch, step, Value::PrCurves(curves))
    }

    /// Writes down something to read about the run, with Markdown's marks.
    pub fn text(&mut self, name: &str, markdown: &str) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Text { name: name.into(), markdown: markdown.into() })
    }

    /// Writes down the network.
    pub fn graph(&mut self, graph: Graph) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Graph(graph))
    }

    /// Writes down what the run was started with, and the names of the scores that its [outcome](Self::outcome) will have.
    /// TensorBoard compares runs by those that the first run it reads has named.
    pub fn hparams(&mut self, values: &[(String, Hyper)], scores: &[String]) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Hparams { values: values.into(), scores: scores.into() })
    }

    /// Writes down how the run ended after `epoch` epochs and `step` training steps, once and at last. TensorBoard has the
    /// scores as `final/NAME`.
    pub fn outcome<S: AsRef<str>>(
        &mut self,
        epoch: u64,
        step: u64,
        status: Status,
        scores: &[(S, f64)],
    ) -> Result<(), Error> {
        self.other(Stage::Run, epoch, step, Value::Outcome { status, scores: owned(scores) })
    }

    /// Makes charts that show training and validation together, for scores and for the IoU of each of the `classes`.
    pub fn layout(&mut self, classes: &[String]) -> Result<(), Error> {
        self.other(Stage::Run, 0, 0, Value::Layout { classes: classes.into() })
    }

    /// Hands everything that was written down so far, single steps included, to the system, and waits for that: from then on
    /// nothing of it is lost if this process is killed. (A file is behind only where it could not be written.)
    pub fn flush(&mut self) -> Result<(), Error> {
        self.writers.iter_mut().map(|writer| writer.flush()).fold(Ok(()), Result::and)
    }

    /// Writes down any record, such as one of a kind or stage that no other method has.
    pub fn write(&mut self, record: &Record) -> Result<(), Error> {
        // An error of one writer keeps nothing back from the others.
        self.writers.iter_mut().map(|writer| writer.write(record)).fold(Ok(()), Result::and)
    }

    /// Writes down what `metrics.jsonl` has no place for.
    fn other(&mut self, stage: Stage, epoch: u64, step: u64, value: Value) -> Result<(), Error> {
        if self.takes_all() { self.write(&Record::new(stage, epoch, step, value)) } else { Ok(()) }
    }

    /// Whether there is a writer beside that of `metrics.jsonl`.
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
