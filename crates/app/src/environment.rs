//! What a run is trained on and with.

use crate::files::publish;
use crate::regular;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io;
use std::path::Path;
use tch::Device;

const NAME: &str = "environment.json";

/// Names and values, in an order for people.
pub fn environment(device: Device) -> Vec<(String, String)> {
    let device = match device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        other => format!("{other:?}"),
    };
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".into(), |cores| cores.to_string());
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    [
        ("oxiseg", env!("CARGO_PKG_VERSION").into()),
        ("libtorch", torch_ext::libtorch_version()),
        ("device", device),
        ("cores", cores),
        ("system", system),
        ("host", gethostname::gethostname().display().to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into()
}

/// Writes it down in a run folder.
pub fn keep(environment: &[(String, String)], run: &Path) -> Result<()> {
    let all: Map<String, Value> =
        environment.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    publish(&run.join(NAME), format!("{:#}\n", Value::Object(all)).as_bytes())
}

/// What [`keep`] wrote; nothing where it did not.
pub fn kept(run: &Path) -> Result<Vec<(String, String)>> {
    let path = run.join(NAME);
    let Ok(text) = regular::open(&path).and_then(io::read_to_string) else { return Ok(Vec::new()) };
    let all: Map<String, Value> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let word = |value: Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    Ok(all.into_iter().map(|(name, value)| (name, word(value))).collect())
}
