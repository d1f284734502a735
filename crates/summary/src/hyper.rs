//! What a run was started with and how it ended, for TensorBoard's HParams.

use protobuf::{Message, ProtobufError, well_known_types::Value};
use tensorboard_proto::{
    api::{DataType, Experiment, HParamInfo, MetricInfo, Status as ProtoStatus},
    plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo},
};

/// The value of a hyper-parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Hyper {
    /// A number.
    Number(f64),
    /// A word.
    Text(String),
    /// Yes or no.
    Flag(bool),
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It did what it was asked to.
    Success,
    /// It did not.
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

/// The tag of the final score `name`.
pub fn final_tag(name: &str) -> String {
    format!("final/{name}")
}

/// Which hyper-parameters and scores there are.
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

/// What this run was started with.
pub fn start(values: &[(String, Hyper)], time: f64) -> Result<Vec<u8>, ProtobufError> {
    let mut start = SessionStartInfo::new();
    start.set_start_time_secs(time);
    start.set_hparams(values.iter().map(|(name, value)| (name.clone(), value.proto())).collect());
    let mut data = HParamsPluginData::new();
    data.set_session_start_info(start);
    data.write_to_bytes()
}

/// How this run ended.
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
