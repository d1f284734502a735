//! A network as ONNX, which ONNX Runtime, OpenVINO, TensorRT and most others run.

mod calibration;
mod half;
mod lower;
mod numbers;
mod proto;
mod quantize;
#[cfg(feature = "rten")]
mod rten;
#[cfg(feature = "onnx-runtime")]
mod runtime;

#[cfg(feature = "rten")]
pub use self::rten::Rten;
#[cfg(feature = "onnx-runtime")]
pub use runtime::OnnxRuntime;

pub use calibration::Calibration;

use crate::{Error, INPUT, OUTPUT, Ports};
use lower::Lowered;
use prost::Message;
use proto::{Dimension, GraphProto, ModelProto, OperatorSetId, TypeProto, ValueInfoProto};
use std::fs;
use std::path::Path;
use torch_ext::{Graph, Script};

/// Operator set of the files: the newest that runtimes of the year 2022 know too.
const OPSET: i64 = 17;

/// Version of the file format that came with the operator set.
const FORMAT: i64 = 8;

/// Maximum size of a protobuf file in bytes.
const LARGEST: usize = i32::MAX as usize;

/// Numbers that an ONNX file computes with. Its input and its output are f32 in any case.
#[derive(Debug, Clone, Copy)]
pub enum Numbers<'a> {
    /// f32.
    F32,
    /// f16 for weights and activations; sums of many values and exponentials stay in f32.
    F16,
    /// 8 bits for convolutions and matrix products with constant weights; f32 for the rest.
    Int8(&'a Calibration),
}

/// Writes a [traced](crate::follow) network to the file `path` as ONNX.
///
/// # Errors
///
/// [`Error::Operator`] for an operator that has no translation here.
pub fn onnx(script: &Script, ports: &Ports, numbers: Numbers, path: &Path) -> Result<(), Error> {
    let graph = Graph::with_shapes(script, script.example()).map_err(Error::Follow)?;
    let lowered = lower::lower(&graph, script.example())?;
    let Lowered { nodes, weights, .. } = match numbers {
        Numbers::F32 => lowered,
        Numbers::F16 => half::half(&lowered),
        Numbers::Int8(calibration) => quantize::quantized(&lowered, calibration),
    };
    let model = ModelProto {
        ir_version: Some(FORMAT),
        producer_name: Some("oxiseg".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(GraphProto {
            node: nodes,
            name: Some("network".into()),
            initializer: weights,
            input: vec![images(INPUT, ports.channels, ports.size)],
            output: vec![images(OUTPUT, ports.classes, ports.size)],
        }),
        opset_import: vec![OperatorSetId { domain: Some(String::new()), version: Some(OPSET) }],
    };
    let size = model.encoded_len();
    if size > LARGEST {
        return Err(Error::TooLarge { size });
    }
    fs::write(path, model.encode_to_vec()).map_err(|source| Error::Write { path: path.into(), source })
}

/// Describes any number of images with `channels` channels, of one size or of any.
fn images(name: &str, channels: i64, size: Option<[i64; 2]>) -> ValueInfoProto {
    let [height, width] = match size {
        Some(size) => size.map(Dimension::Known),
        None => [Dimension::Any("H"), Dimension::Any("W")],
    };
    let shape = [Dimension::Any("N"), Dimension::Known(channels), height, width];
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto::f32(&shape)) }
}

#[cfg(test)]
mod tests;
