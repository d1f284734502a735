//! Hyper-parameters and outcome of a run, for TensorBoard's HParams plugin.

use protobuf::{Message, ProtobufError, well_known_types::Value};
use tensorboard_proto::{
    api::{DataType, Experiment, HParamInfo, MetricInfo, Status as ProtoStatus},
    plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo},
};

/// Value of a hyper-parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Hyper {
    /// Number.
    Number(f64),
    /// String.
    Text(String),
    /// Boolean.
    Flag(bool),
}

/// Outcome of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The run completed.
    Success,
    /// The run failed.
    Failure,
}

impl Hyper {
    fn data_type(&self) -> DataType {
        match self {
            Hyper::Number(_) => DataType::DATA_TYPE_FLOAT64,
            Hyper::Text(_) => DataType::DATA_TYPE_STRING,
            Hyper::Flag(_) => DataType::DATA_TYPE_BOOL,
        }
    }

    fn proto(&self) -> Value {
        let mut value = Value::new();
        match self {
            Hyper::Number(number) => value.set_number_value(*number),
            Hyper::Text(text) => value.set_string_value(text.clone()),
            Hyper::Flag(flag) => value.set_bool_value(*flag),
        }
        value
    }
}

/// Returns the tag of the final score `name`.
pub fn final_tag(name: &str) -> String {
    format!("final/{name}")
}

/// Serialises the names and types of the hyper-parameters, and the names of the scores.
pub fn experiment(values: &[(String, Hyper)], scores: &[String], time: f64) -> Result<Vec<u8>, ProtobufError> {
    let mut experiment = Experiment::new();
    experiment.set_time_created_secs(time);
    for (name, value) in values {
        let mut info = HParamInfo::new();
        info.set_name(name.clone());
        info.set_field_type(value.data_type());
        experiment.mut_hparam_infos().push(info);
    }
    for score in scores {
        let mut info = MetricInfo::new();
        info.mut_name().set_tag(final_tag(score));
        info.set_display_name(score.clone());
        experiment.mut_metric_infos().push(info);
    }
    let mut data = HParamsPluginData::new();
    data.set_experiment(experiment);
    data.write_to_bytes()
}

/// Serialises the start of this run with its hyper-parameters.
pub fn start(values: &[(String, Hyper)], time: f64) -> Result<Vec<u8>, ProtobufError> {
    let mut start = SessionStartInfo::new();
    start.set_start_time_secs(time);
    start.set_hparams(values.iter().map(|(name, value)| (name.clone(), value.proto())).collect());
    let mut data = HParamsPluginData::new();
    data.set_session_start_info(start);
    data.write_to_bytes()
}

/// Serialises the end of this run with its status.
pub fn end(status: Status, time: f64) -> Result<Vec<u8>, ProtobufError> {
    let mut end = SessionEndInfo::new();
    end.set_end_time_secs(time);
    end.set_status(match status {
        Status::Success => ProtoStatus::STATUS_SUCCESS,
        Status::Failure => ProtoStatus::STATUS_FAILURE,
    });
    let mut data = HParamsPluginData::new();
    data.set_session_end_info(end);
    data.write_to_bytes()
}
