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

    /// Goes on with the run in the folder `run` from training step `step`, as if nothing had been written down after
    /// it: later lines are removed from `metrics.jsonl`, and TensorBoard is told to forget epochs that have no line.
    pub fn resume(run: &Path, config: &Config, step: u64) -> Result<Self, Error> {
        let kept = JsonLines::cut_back(&run.join("metrics.jsonl"), step)?;
        let mut summary = Self::open(run, config)?;
        if let Some(events) = &mut summary.events {
            events.restart(&kept, step)?;
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
        self.line(stage.name(), epoch, step, scalars)?;
        let Some(events) = &mut self.events else { return Ok(()) };
        let writer = match stage {
            Stage::Train => &mut events.train,
            Stage::Validation => &mut events.validation,
        };
        for (name, value) in scalars {
            writer.scalar(name.as_ref(), signed(epoch), *value)?;
        }
        self.flush()
    }

    /// Writes down `scalars` of training step `step` in epoch `epoch`, if the configuration wants them; in TensorBoard
    /// as `step/NAME`. Their event file is flushed at the end of the epoch.
    pub fn step<S: AsRef<str>>(&mut self, epoch: u64, step: u64, scalars: &[(S, f64)]) -> Result<(), Error> {
        if !self.per_step {
            return Ok(());
        }
        self.line(PER_STEP, epoch, step, scalars)?;
        if let Some(writer) = self.events.as_mut().and_then(|events| events.steps.as_mut()) {
            for (name, value) in scalars {
                writer.scalar(&format!("{PER_STEP}/{}", name.as_ref()), signed(step), *value)?;
            }
        }
        Ok(())
    }

    /// Whether [`step`](Self::step) writes anything: where not, nobody need wait for the device to give the numbers.
    pub fn per_step(&self) -> bool {
        self.per_step
    }

    /// Hands what is buffered to the system.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.events.iter_mut().flat_map(Events::writers).try_for_each(|(_, writer)| writer.flush())
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

    /// Makes TensorBoard forget what comes after the lines that were kept.
    fn restart(&mut self, kept: &[Mark], step: u64) -> Result<(), Error> {
        for (stage, writer) in self.writers() {
            let of_stage = kept.iter().filter(|mark| mark.stage.as_deref() == Some(stage));
            let first_to_forget = match stage {
                PER_STEP => step + 1,
                _ => of_stage.filter_map(|mark| mark.epoch).max().map_or(0, |epoch| epoch + 1),
            };
            writer.restart(signed(first_to_forget))?;
            writer.flush()?;
        }
        Ok(())
    }
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
mod tests {
    use super::*;
    use crate::frame::unframe;
    use serde_json::Value;

    fn lines(run: &Path) -> Vec<Value> {
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The bytes of all records in the event files of `folder` but for their times, file by file.
    fn records(folder: &Path) -> Vec<Vec<Vec<u8>>> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<_> = entries.filter(|path| path.is_file()).collect();
        files.sort();
        let timeless = |path: &PathBuf| unframe(&fs::read(path).unwrap()).iter().map(|r| r[9..].to_vec()).collect();
        files.iter().map(timeless).collect()
    }

    #[test]
    fn epochs_go_to_the_lines_and_to_the_events_of_their_stage() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("runs/shapes");
        let mut summary = Summary::open(&run, &Config::default()).unwrap();
        summary.epoch(Stage::Train, 1, 40, &[("loss", 0.5), ("accuracy", f64::NAN)]).unwrap();
        summary.epoch(Stage::Validation, 1, 40, &[("loss".to_string(), 0.25)]).unwrap();
        summary.step(1, 41, &[("loss", 0.4)]).unwrap();
        let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        assert!(text.starts_with("{\"stage\":\"train\",\"epoch\":1,\"step\":40,\"time\":"), "{text}");
        assert!(text.lines().next().unwrap().ends_with(",\"loss\":0.5,\"accuracy\":null}"), "{text}");
        let stages: Vec<_> = lines(&run).iter().map(|line| line["stage"].clone()).collect();
        assert_eq!(stages, ["train", "validation"], "no steps unless asked for");
        assert_eq!(records(&run.join("logs/train"))[0].len(), 3);
        let validation = records(&run.join("logs/validation"));
        assert_eq!(
            validation[0][1],
            [b"\x10\x01\x2a\x0d\x0a\x0b\x0a\x04loss\x15".as_slice(), &0.25f32.to_le_bytes()].concat()
        );
        assert!(!run.join("logs/train/steps").exists());
    }

    #[test]
    fn a_resumed_run_has_no_overlapping_points() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config { per_step: true, ..Config::default() };
        let mut summary = Summary::open(folder.path(), &config).unwrap();
        for step in 1..=6u64 {
            summary.step(step.div_ceil(2), step, &[("loss", 1.0 / step as f64)]).unwrap();
            if step % 2 == 0 {
                summary.epoch(Stage::Train, step / 2, step, &[("loss", 0.5)]).unwrap();
            }
        }
        drop(summary);
        let mut summary = Summary::resume(folder.path(), &config, 3).unwrap();
        summary.step(2, 4, &[("loss", 0.1)]).unwrap();
        summary.flush().unwrap();
        let marks: Vec<_> =
            lines(folder.path()).iter().map(|line| (line["stage"].clone(), line["step"].clone())).collect();
        let expected = [("step", 1), ("step", 2), ("train", 2), ("step", 3), ("step", 4)];
        assert_eq!(marks, expected.map(|(stage, step)| (stage.into(), step.into())));
        let restarts = |stage: &str| records(&folder.path().join("logs").join(stage))[1][1].clone();
        assert_eq!(restarts("train"), b"\x10\x02\x3a\x02\x08\x01");
        assert_eq!(restarts("train/steps"), b"\x10\x04\x3a\x02\x08\x01");
        // Step 0 is proto3's default, which is not written.
        assert_eq!(restarts("validation"), b"\x3a\x02\x08\x01");
    }

    #[test]
    fn without_tensorboard_there_are_lines_only() {
        let folder = tempfile::tempdir().unwrap();
        let mut summary = Summary::open(folder.path(), &Config { tensorboard: false, per_step: true }).unwrap();
        summary.step(0, 1, &[("loss", 0.5)]).unwrap();
        summary.epoch(Stage::Train, 1, 1, &[("loss", 0.5)]).unwrap();
        assert_eq!(lines(folder.path()).len(), 2);
        assert!(!folder.path().join("logs").exists());
    }

    #[test]
    fn a_scalar_cannot_have_the_name_of_a_key() {
        let folder = tempfile::tempdir().unwrap();
        let mut summary = Summary::open(folder.path(), &Config::default()).unwrap();
        let error = summary.epoch(Stage::Train, 1, 1, &[("step", 0.5)]).unwrap_err().to_string();
        assert!(error.contains("metrics.jsonl") && error.contains("'step'"), "{error}");
        assert!(lines(folder.path()).is_empty());
    }
}
