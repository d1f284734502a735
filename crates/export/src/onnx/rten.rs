//! rten, an ONNX runtime in Rust: it needs no library, and so compares a file where there is no ONNX Runtime.
//!
//! It runs on threads of its own, which exist as long as a [`Rten`] does, and nothing here is used while a network
//! trains. It knows no f16: weights of 16 bits are widened when a file is loaded, and computed with in f32.

use super::numbers::numbers;
use super::proto::{FLOAT, FLOAT16, ModelProto};
use crate::{Error, INPUT, OUTPUT};
use contract::caught;
use half::f16;
use prost::Message;
use rten::{Model, NodeId, RunOptions, ThreadPool, Value};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tch::Tensor;

/// An ONNX file loaded into rten.
pub struct Rten {
    model: Model,
    ports: [NodeId; 2],
    threads: Arc<ThreadPool>,
    path: PathBuf,
}

impl Rten {
    /// Opens an ONNX file, to run it on so many `threads`. The file must be one that [`onnx`](crate::onnx) has written.
    ///
    /// # Errors
    ///
    /// [`Error::Onnx`] if the file cannot be read, or rten does not take it.
    pub fn open(path: &Path, threads: usize) -> Result<Self, Error> {
        let failed = |said: String| Error::Onnx { runtime: "rten", path: path.into(), said };
        let bytes = fs::read(path).map_err(|error| failed(error.to_string()))?;
        let model = ModelProto::decode(&*bytes).map_err(|error| failed(error.to_string()))?;
        if is_cubic(&model) {
            return Err(failed("it interpolates linearly where a Resize is cubic".into()));
        }
        let bytes = widened(model).encode_to_vec();
        let model = caught(|| Model::load(bytes)).map_err(failed)?.map_err(|error| failed(error.to_string()))?;
        let port = |name| model.node_id(name).map_err(|error| failed(error.to_string()));
        let ports = [port(INPUT)?, port(OUTPUT)?];
        Ok(Self { model, ports, threads: Arc::new(ThreadPool::with_num_threads(threads)), path: path.into() })
    }

    /// Returns the logits of `images` (`[N, C, H, W]`, from 0 to 1).
    pub fn run(&self, images: &Tensor) -> Result<Tensor, Error> {
        let Self { model, ports: [input, output], threads, path } = self;
        let failed = |said: String| Error::Onnx { runtime: "rten", path: path.clone(), said };
        let values = numbers(images).map_err(Error::torch("images for", path))?;
        let shape: Vec<usize> = images.size().iter().map(|side| *side as usize).collect();
        let images = Value::from_shape(&shape, values).map_err(|error| failed(error.to_string()))?;
        let options = RunOptions::default().with_thread_pool(Some(threads.clone()));
        let run = || model.run(vec![(*input, images.into())], &[*output], Some(options));
        let outputs = caught(run).map_err(failed)?;
        let logits = outputs.map_err(|error| failed(error.to_string()))?.into_iter().next();
        let logits = logits.ok_or_else(|| failed("no logits".into()))?;
        let (shape, values) = logits.into_shape_vec::<f32, 4>().map_err(|error| failed(error.to_string()))?;
        Tensor::f_from_slice(&values)
            .and_then(|values| values.f_view(shape.map(|side| side as i64)))
            .map_err(Error::torch("logits of", path))
    }
}

/// Returns true if the network interpolates bicubically.
fn is_cubic(model: &ModelProto) -> bool {
    let nodes = model.graph.iter().flat_map(|graph| &graph.node);
    let mut resizes = nodes.filter(|node| node.op_type.as_deref() == Some("Resize"));
    resizes.any(|node| node.attribute.iter().any(|attribute| attribute.s.as_deref() == Some(b"cubic")))
}

/// Returns a network with every f16 in f32.
fn widened(mut model: ModelProto) -> ModelProto {
    let Some(graph) = &mut model.graph else { return model };
    for weight in graph.initializer.iter_mut().filter(|weight| weight.data_type == Some(FLOAT16)) {
        let values = weight.raw_data.iter().flat_map(|bytes| bytes.as_chunks().0);
        let wide = values.flat_map(|bytes: &[u8; 2]| f16::from_le_bytes(*bytes).to_f32().to_le_bytes());
        (weight.raw_data, weight.data_type) = (Some(wide.collect()), Some(FLOAT));
    }
    for node in graph.node.iter_mut().filter(|node| node.op_type.as_deref() == Some("Cast")) {
        for to in node.attribute.iter_mut().filter(|attribute| attribute.i == Some(FLOAT16.into())) {
            to.i = Some(FLOAT.into());
        }
    }
    model
}

impl std::fmt::Debug for Rten {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        formatter.debug_struct("Rten").field("path", &self.path).finish_non_exhaustive()
    }
}
