//! A network as ONNX, which ONNX Runtime, OpenVINO, TensorRT and most others run.

mod lower;
mod numbers;
mod proto;
#[cfg(feature = "onnx-runtime")]
mod runtime;

#[cfg(feature = "onnx-runtime")]
pub use runtime::OnnxRuntime;

use crate::{Error, INPUT, OUTPUT};
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

/// Writes a [traced](crate::follow) network with `channels` input channels and `classes` classes to the file `path` as
/// ONNX.
///
/// # Errors
///
/// [`Error::Operator`] for an operator that has no translation here.
pub fn onnx(script: &Script, channels: i64, classes: i64, path: &Path) -> Result<(), Error> {
    let graph = Graph::of(script).map_err(Error::Follow)?;
    let Lowered { nodes, weights } = lower::lower(&graph)?;
    let model = ModelProto {
        ir_version: Some(FORMAT),
        producer_name: Some("oxiseg".into()),
        producer_version: Some(env!("CARGO_PKG_VERSION").into()),
        graph: Some(GraphProto {
            node: nodes,
            name: Some("network".into()),
            initializer: weights,
            input: vec![images(INPUT, channels)],
            output: vec![images(OUTPUT, classes)],
        }),
        opset_import: vec![OperatorSetId { domain: Some(String::new()), version: Some(OPSET) }],
    };
    let size = model.encoded_len();
    if size > LARGEST {
        return Err(Error::TooLarge { size });
    }
    fs::write(path, model.encode_to_vec()).map_err(|source| Error::Write { path: path.into(), source })
}

/// Describes any number of images of any size with `channels` channels.
fn images(name: &str, channels: i64) -> ValueInfoProto {
    let shape = [Dimension::Any("N"), Dimension::Known(channels), Dimension::Any("H"), Dimension::Any("W")];
    ValueInfoProto { name: Some(name.into()), r#type: Some(TypeProto::f32(&shape)) }
}

#[cfg(test)]
mod tests;
