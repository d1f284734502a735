//! ONNX Runtime, loaded from its shared library where that is installed.

use super::numbers::numbers;
use crate::{Error, INPUT, OUTPUT};
use contract::caught;
use ort::session::Session;
use ort::value::TensorRef;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use tch::Tensor;

/// File name of the library, by which the system finds an installed one.
const NAME: &str = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };

/// True once the system was found to have none.
static IS_ABSENT: AtomicBool = AtomicBool::new(false);

/// An ONNX file loaded into ONNX Runtime.
#[derive(Debug)]
pub struct OnnxRuntime {
    session: Session,
    path: PathBuf,
}

impl OnnxRuntime {
    /// Opens an ONNX file with the ONNX Runtime in the file `library`, or else with the one that the system finds;
    /// `None` if it finds none. The first library that is opened serves the whole program.
    ///
    /// # Errors
    ///
    /// [`Error::Onnx`] if the library cannot be loaded, or does not take the file.
    pub fn open(path: &Path, library: Option<&Path>) -> Result<Option<Self>, Error> {
        let failed = |said: String| Error::Onnx { runtime: "ONNX Runtime", path: path.into(), said };
        // A second search after a first that found none would end the program.
        if library.is_none() && IS_ABSENT.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match caught(|| ort::init_from(library.unwrap_or(NAME.as_ref()))) {
            Ok(Ok(environment)) => drop(environment.with_telemetry(false).commit()),
            Ok(Err(_)) if library.is_none() => {
                IS_ABSENT.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            Ok(Err(error)) => return Err(failed(error.to_string())),
            Err(said) => return Err(failed(said)),
        }
        let session = caught(|| Session::builder().and_then(|mut builder| builder.commit_from_file(path)));
        let session = session.map_err(failed)?.map_err(|error| failed(error.to_string()))?;
        Ok(Some(Self { session, path: path.into() }))
    }

    /// Returns the logits of `images` (`[N, C, H, W]`, from 0 to 1).
    pub fn run(&mut self, images: &Tensor) -> Result<Tensor, Error> {
        let path = &self.path;
        let values = numbers(images).map_err(Error::torch("images for", path))?;
        let failed =
            |error: ort::Error| Error::Onnx { runtime: "ONNX Runtime", path: path.clone(), said: error.to_string() };
        let values = TensorRef::from_array_view((images.size(), &*values)).map_err(failed)?;
        let outputs = self.session.run(ort::inputs![INPUT => values]).map_err(failed)?;
        let (shape, values) = outputs[OUTPUT].try_extract_tensor::<f32>().map_err(failed)?;
        Tensor::f_from_slice(values)
            .and_then(|logits| logits.f_view(&shape[..]))
            .map_err(Error::torch("logits of", path))
    }
}
