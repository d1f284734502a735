//! All that one run writes down.

use crate::{Config, Error, EventWriter, JsonLines, events::since_1970, lines::Mark};
use serde::{Serialize, Serializer, ser::SerializeMap};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// The keys that every line of `metrics.jsonl` has.
const KEYS: [&str; 4] = ["stage", "epoch", "step", "time"];
const PER_STEP: &str = "step";

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The model on the data it learns from, while it learns.
    Train,
    /// The model on other data, at the end of an epoch.
    Validation,
}

impl Stage {
    /// The name of the stage in `metrics.jsonl` and of its folder in `logs`.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Train => "train",
            Stage::Validation => "validation",
        }
    }
}

/// The event files and `metrics.jsonl` of a run.
///
/// A line of `metrics.jsonl` is `{"stage": …, "epoch": …, "step": …, "time": …, NAME: …, …}`: the stage is `train`,
/// `validation`, or `step` for a single training step; epoch and step are those of the call; time is in seconds since
/// 1970; then come the scalars in their order, `null` where they are not finite.
#[derive(Debug)]
pub struct Summary {
    path: PathBuf,
    lines: JsonLines,
    events: Option<Events>,
    per_step: bool,
}

#[derive(Debug)]
struct Events {
    train: EventWriter,
    validation: EventWriter,
    /// In a folder of its own: a restart names one step for all points of a folder, and these count other steps.
    steps: Option<EventWriter>,
}

impl Summary {
    /// Starts or goes on writing down the run in the folder `run`, which is created if need be.
    pub fn open(run: &Path, config: &Config) -> Result<Self, Error> {
        fs::create_dir_all(run).map_err(Error::io("create", run))?;
        let path = run.join("metrics.jsonl");
        let lines = JsonLines::append(&path)?;
        let events = config.tensorboard.then(|| Events::create(&run.join("logs"), config.per_step)).transpose()?;
        Ok(Self { path, lines, events, per_step: config.per_step })
    }

    /// Goes on with the run in the folder `run` from where `epochs` epochs were finished, validated and written down,
    /// and `step` training steps done, as if nothing had been written down after that: later lines are removed from
    /// `metrics.jsonl`, and TensorBoard is told to forget later points.
    pub fn resume(run: &Path, config: &Config, epochs: u64, step: u64) -> Result<Self, Error> {
        JsonLines::cut_back(&run.join("metrics.jsonl"), |mark| is_before(mark, epochs, step))?;
        let mut summary = Self::open(run, config)?;
        if let Some(events) = &mut summary.events {
            events.restart(epochs, step)?;
        }
        Ok(summary)
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
        let mut written = self.line(stage.name(), epoch, step, scalars);
        let writer = self.events.as_mut().map(|events| match stage {
            Stage::Train => &mut events.train,
            Stage::Validation => &mut events.validation,
        });
        written = written.and(scalar_points(writer, "", signed(epoch), scalars));
        written.and(self.flush())
    }

    /// Writes down `scalars` of training step `step` in epoch `epoch`, if the configuration wants them; in TensorBoard
    /// as `step/NAME`. Their event file is flushed at the end of the epoch, and by [`flush`](Self::flush).
    pub fn step<S: AsRef<str>>(&mut self, epoch: u64, step: u64, scalars: &[(S, f64)]) -> Result<(), Error> {
        if !self.per_step {
            return Ok(());
        }
        let written = self.line(PER_STEP, epoch, step, scalars);
        let writer = self.events.as_mut().and_then(|events| events.steps.as_mut());
        written.and(scalar_points(writer, "step/", signed(step), scalars))
    }

    /// Whether [`step`](Self::step) writes anything: where not, nobody need wait for the device to give the numbers.
    pub fn per_step(&self) -> bool {
        self.per_step
    }

    /// Hands everything that was written down so far, single steps included, to the system: from then on nothing of it
    /// is lost if this process is killed. (`metrics.jsonl` is behind only where it could not be written.)
    pub fn flush(&mut self) -> Result<(), Error> {
        let lines = self.lines.flush();
        let events = self.events.iter_mut().flat_map(Events::writers).map(|(_, writer)| writer.flush());
        events.fold(lines, Result::and)
    }

    fn line<S: AsRef<str>>(&mut self, stage: &str, epoch: u64, step: u64, scalars: &[(S, f64)]) -> Result<(), Error> {
        if let Some((name, _)) = scalars.iter().find(|(name, _)| KEYS.contains(&name.as_ref())) {
            let problem = format!("'{}' is no name for a scalar, since every line has that key", name.as_ref());
            return Err(Error::encode(&self.path, problem));
        }
        self.lines.write(&Line { stage, epoch, step, time: since_1970().as_secs_f64(), scalars })
    }
}

impl Events {
    fn create(logs: &Path, per_step: bool) -> Result<Self, Error> {
        let (train, validation) = (logs.join(Stage::Train.name()), logs.join(Stage::Validation.name()));
        Ok(Self {
            steps: per_step.then(|| EventWriter::create(&train.join("steps"))).transpose()?,
            train: EventWriter::create(&train)?,
            validation: EventWriter::create(&validation)?,
        })
    }

    /// All writers, with the stage whose lines they belong to.
    fn writers(&mut self) -> impl Iterator<Item = (&'static str, &mut EventWriter)> {
        let epochs = [(Stage::Train.name(), &mut self.train), (Stage::Validation.name(), &mut self.validation)];
        epochs.into_iter().chain(self.steps.as_mut().map(|writer| (PER_STEP, writer)))
    }

    /// Makes TensorBoard forget the points after `epochs` finished epochs and `step` training steps. This is not read
    /// from `metrics.jsonl`: points that are right stay even where that file was lost.
    fn restart(&mut self, epochs: u64, step: u64) -> Result<(), Error> {
        for (stage, writer) in self.writers() {
            let done = if stage == PER_STEP { step } else { epochs };
            writer.restart(signed(done.saturating_add(1)))?;
            writer.flush()?;
        }
        Ok(())
    }
}

/// Whether a line was written down before `epochs` epochs were finished and `step` training steps done.
fn is_before(mark: &Mark, epochs: u64, step: u64) -> bool {
    // A run that is interrupted while it validates at the end of an epoch goes on from a checkpoint at that very step
    // whose epoch is not finished. The lines of the epoch may be there, and they come again: the step alone would keep
    // them, and they would be there twice. Lines of single steps count the epoch under way and have no such trouble.
    let of_epoch = [Stage::Train, Stage::Validation].iter().any(|stage| mark.stage.as_deref() == Some(stage.name()));
    let epoch_is_finished = mark.epoch.is_some_and(|epoch| epoch <= epochs);
    mark.step.is_some_and(|at| at <= step) && (!of_epoch || epoch_is_finished)
}

/// Writes a point for each of the `scalars`, where there is a writer; an error of one keeps none of the others back.
fn scalar_points<S: AsRef<str>>(
    writer: Option<&mut EventWriter>,
    prefix: &str,
    step: i64,
    scalars: &[(S, f64)],
) -> Result<(), Error> {
    let Some(writer) = writer else { return Ok(()) };
    let points = scalars.iter().map(|(name, value)| writer.scalar(&format!("{prefix}{}", name.as_ref()), step, *value));
    points.fold(Ok(()), Result::and)
}

/// One line of `metrics.jsonl`, its keys in an order for people.
struct Line<'a, S> {
    stage: &'a str,
    epoch: u64,
    step: u64,
    time: f64,
    scalars: &'a [(S, f64)],
}

impl<S: AsRef<str>> Serialize for Line<'_, S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        let [stage, epoch, step, time] = KEYS;
        let mut map = serializer.serialize_map(Some(KEYS.len() + self.scalars.len()))?;
        map.serialize_entry(stage, self.stage)?;
        map.serialize_entry(epoch, &self.epoch)?;
        map.serialize_entry(step, &self.step)?;
        map.serialize_entry(time, &self.time)?;
        for (name, value) in self.scalars {
            map.serialize_entry(name.as_ref(), value)?;
        }
        map.end()
    }
}

/// TensorBoard counts with a sign. No run comes to the end of it.
fn signed(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
