//! Writer of a folder of TensorBoard event files.

use crate::{
    Counts, Error, Permit, Record, Stage, Value, Writer,
    events::{EventFile, files},
    graph::shape,
    hyper, layout,
};
use protobuf::{Message, ProtobufError};
use std::{
    fmt::Display,
    fs,
    path::{Path, PathBuf},
};
use tensorboard_proto::{
    event::{Event, SessionLog, SessionLog_SessionStatus},
    plugin_pr_curve::PrCurvePluginData,
    summary::{Summary_Value, SummaryMetadata},
    tensor::TensorProto,
    types::DataType,
};

/// Suffix of the files about the run as a whole, which every process that resumes the run writes anew.
const ABOUT: &str = ".about";

/// Writer of all kinds of records for TensorBoard. Each stage has a folder, which TensorBoard calls a run:
///
/// ```text
/// train/        Stage::Train, by epoch
/// validation/   Stage::Validation, by epoch
/// train/steps/  Stage::Step, by step: a restart names one step for a whole folder, and these count steps, not epochs
/// .             Stage::Run
/// ```
///
/// A folder is created with its first record. Records that cannot be written wait in memory, up to a limit, and are
/// retried with the next record and by [`flush`](Writer::flush).
#[derive(Debug)]
pub struct TensorBoard {
    logs: PathBuf,
    permit: Permit,
    /// In the order of `STAGES`.
    files: [EventFile; 4],
}

const STAGES: [Stage; 4] = [Stage::Train, Stage::Validation, Stage::Step, Stage::Run];

impl TensorBoard {
    /// Returns a writer into the folder `logs` that starts a new file after about `rotate` bytes. Does not touch the
    /// disk yet.
    pub fn new(logs: &Path, rotate: u64) -> Self {
        let file = |stage| {
            let suffix = if stage == Stage::Run { ABOUT } else { "" };
            EventFile::new(folder(logs, stage), suffix, rotate)
        };
        Self { logs: logs.into(), permit: Permit::default(), files: STAGES.map(file) }
    }

    /// Asks `permit` before each change of a file or folder.
    #[must_use]
    pub fn permitted(mut self, permit: &Permit) -> Self {
        self.files.iter_mut().for_each(|file| file.permitted(permit));
        self.permit = permit.clone();
        self
    }

    fn push(&mut self, record: &Record, event: &mut Event) -> Result<(), Error> {
        event.set_wall_time(record.time);
        let [train, validation, step, run] = &mut self.files;
        let file = match record.stage {
            Stage::Train => train,
            Stage::Validation => validation,
            Stage::Step => step,
            Stage::Run => run,
        };
        file.push(event, record.is_bulky())
    }

    /// Makes TensorBoard discard all points after `epoch` finished epochs and `step` training steps, and everything
    /// about the run as a whole. The two numbers do not come from `metrics.jsonl`, so correct points stay even if that
    /// file was lost.
    fn restart(&mut self, record: &Record) -> Result<(), Error> {
        self.permit.ask().map_err(Error::refused)?;
        let mut done = Ok(());
        let begun = self.files.each_ref().map(|file| !file.is_untouched());
        // Hyper-parameters and outcome cannot be overwritten: TensorBoard uses the first metadata it finds in a run. So
        // these are the only files that are removed.
        let [.., run] = &mut self.files;
        run.begin_anew();
        let about = files(&self.logs).unwrap_or_else(|error| {
            done = Err(error);
            Vec::new()
        });
        for path in about.iter().filter(|name| name.ends_with(ABOUT)).map(|name| self.logs.join(name)) {
            let removed = fs::remove_file(&path).map_err(Error::io("remove", &path));
            done = done.and(removed);
        }
        for stage in STAGES.into_iter().zip(begun).filter_map(|(stage, begun)| begun.then_some(stage)) {
            let mut log = SessionLog::new();
            log.set_status(SessionLog_SessionStatus::START);
            let mut event = Event::new();
            event.set_session_log(log);
            event.set_step(signed(match stage {
                Stage::Train | Stage::Validation => record.epoch.saturating_add(1),
                Stage::Step => record.step.saturating_add(1),
                Stage::Run => 0,
            }));
            let record = Record { stage, ..record.clone() };
            // Two of them: TensorBoard's reader in Python takes the first START of a folder for its beginning and
            // discards nothing. (The one in Rust discards the later points of a tag when an earlier step comes again.)
            for _ in 0..2 {
                done = done.and(self.push(&record, &mut event));
            }
        }
        done
    }
}

impl Writer for TensorBoard {
    fn write(&mut self, record: &Record) -> Result<(), Error> {
        let problem = |error: &dyn Display| Error::encode(&self.logs, error);
        let mut event = Event::new();
        event.set_step(signed(if record.stage == Stage::Step { record.step } else { record.epoch }));
        let values = match &record.value {
            Value::Restart => return self.restart(record),
            Value::Graph(graph) => {
                event.set_graph_def(graph.bytes().map_err(|error| problem(&error))?);
                return self.push(record, &mut event);
            }
            Value::Scalars(scalars) => scalars.iter().map(|(name, value)| scalar(record.stage, name, *value)).collect(),
            Value::Images { name, images } => {
                let (width, height) = images.first().map_or((0, 0), |image| (image.width(), image.height()));
                let mut strings = vec![width.to_string().into_bytes(), height.to_string().into_bytes()];
                for image in images {
                    strings.push(image.png().map_err(|error| problem(&error))?);
                }
                vec![tensor(name, "images", Vec::new(), texts(strings))]
            }
            Value::Histograms(histograms) => histograms
                .iter()
                .map(|(name, histogram)| {
                    let mut value = Summary_Value::new();
                    value.set_tag(name.clone());
                    value.set_histo(histogram.proto());
                    value
                })
                .collect(),
            Value::PrCurves(curves) => {
                let curves = curves.iter().map(|(name, thresholds)| pr_curve(name, thresholds));
                curves.collect::<Result<_, _>>().map_err(|error| problem(&error))?
            }
            Value::Text { name, markdown } => {
                vec![tensor(name, "text", Vec::new(), texts(vec![markdown.clone().into_bytes()]))]
            }
            Value::Hparams { values, scores } => {
                let experiment = hyper::experiment(values, scores, record.time).map_err(|error| problem(&error))?;
                let start = hyper::start(values, record.time).map_err(|error| problem(&error))?;
                vec![
                    tensor("_hparams_/experiment", "hparams", experiment, nothing()),
                    tensor("_hparams_/session_start_info", "hparams", start, nothing()),
                ]
            }
            Value::Outcome { status, scores } => {
                let end = hyper::end(*status, record.time).map_err(|error| problem(&error))?;
                let scores = scores.iter().map(|(name, value)| scalar(record.stage, &hyper::final_tag(name), *value));
                scores.chain([tensor("_hparams_/session_end_info", "hparams", end, nothing())]).collect()
            }
            Value::Layout { classes } => {
                let mut text = texts(vec![layout::bytes(classes).map_err(|error| problem(&error))?]);
                text.clear_tensor_shape();
                text.set_tensor_shape(shape(&[]));
                vec![tensor("custom_scalars__config__", "custom_scalars", Vec::new(), text)]
            }
        };
        event.mut_summary().set_value(values.into());
        self.push(record, &mut event)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.files.iter_mut().map(EventFile::hand_over).fold(Ok(()), Result::and)
    }
}

impl Drop for TensorBoard {
    fn drop(&mut self) {
        let dropped: u64 = self.files.iter().map(EventFile::dropped).sum();
        if dropped > 0 {
            log::warn!(
                "{} lacks {dropped} records: writing failed for so long that the buffer in memory was full",
                self.logs.display()
            );
        }
    }
}

fn folder(logs: &Path, stage: Stage) -> PathBuf {
    match stage {
        Stage::Train => logs.join("train"),
        Stage::Validation => logs.join("validation"),
        Stage::Step => logs.join("train/steps"),
        Stage::Run => logs.into(),
    }
}

/// Converts to the signed step of TensorBoard, saturating.
fn signed(step: u64) -> i64 {
    i64::try_from(step).unwrap_or(i64::MAX)
}

/// Returns a point of a curve. TensorBoard stores f32; NaN and infinity are allowed and shown.
fn scalar(stage: Stage, name: &str, value: f64) -> Summary_Value {
    let mut point = Summary_Value::new();
    // Another tag than the curve by epoch, so that the two cannot be confused.
    point.set_tag(if stage == Stage::Step { format!("step/{name}") } else { name.into() });
    point.set_simple_value(value as f32);
    point
}

/// Returns a tensor for the TensorBoard plugin `plugin`, whose metadata is `content`.
fn tensor(tag: &str, plugin: &str, content: Vec<u8>, tensor: TensorProto) -> Summary_Value {
    let mut metadata = SummaryMetadata::new();
    metadata.mut_plugin_data().set_plugin_name(plugin.into());
    metadata.mut_plugin_data().set_content(content);
    let mut value = Summary_Value::new();
    value.set_tag(tag.into());
    value.set_metadata(metadata);
    value.set_tensor(tensor);
    value
}

/// Returns a 1-D tensor of strings.
fn texts(strings: Vec<Vec<u8>>) -> TensorProto {
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_STRING);
    tensor.set_tensor_shape(shape(&[strings.len() as i64]));
    tensor.set_string_val(strings.into());
    tensor
}

/// Returns an empty tensor, for values that are stored in the metadata.
fn nothing() -> TensorProto {
    let mut tensor = TensorProto::new();
    tensor.set_dtype(DataType::DT_FLOAT);
    tensor.set_tensor_shape(shape(&[0]));
    tensor
}

/// Returns a PR curve as `[6, thresholds]`: true positives, false positives, true negatives, false negatives,
/// precision, recall.
fn pr_curve(name: &str, thresholds: &[Counts]) -> Result<Summary_Value, ProtobufError> {
    let rows: [fn(&Counts) -> f64; 6] = [
        |counts| counts.true_positives as f64,
        |counts| counts.false_positives as f64,
        |counts| counts.true_negatives as f64,
        |counts| counts.false_negatives as f64,
        Counts::precision,
        Counts::recall,
    ];
    let mut values = TensorProto::new();
    values.set_dtype(DataType::DT_FLOAT);
    values.set_tensor_shape(shape(&[6, thresholds.len() as i64]));
    values.set_float_val(rows.iter().flat_map(|row| thresholds.iter().map(|counts| row(counts) as f32)).collect());
    let mut data = PrCurvePluginData::new();
    data.set_num_thresholds(thresholds.len() as u32);
    Ok(tensor(name, "pr_curves", data.write_to_bytes()?, values))
}
