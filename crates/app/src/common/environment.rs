//! Hardware and libraries that a run is trained with.

use crate::common::files::publish;
use crate::common::kernels;
use crate::common::network::Network;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io;
use std::path::Path;
use tch::Device;
use torch_ext::OpenMp;

const NAME: &str = "environment.json";

/// Returns names and values, in an order for people.
pub fn environment(network: &Network) -> Vec<(String, String)> {
    let device = match network.device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        other => format!("{other:?}"),
    };
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".into(), |cores| cores.to_string());
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    [
        ("oxiseg", env!("CARGO_PKG_VERSION").into()),
        ("libtorch", torch_ext::libtorch_version()),
        ("device", device),
        ("processor", torch_ext::processor()),
        ("kernels", kernels::in_words(network.kernels, network.device)),
        ("openmp", openmp()),
        ("cores", cores),
        ("system", system),
        ("host", gethostname::gethostname().display().to_string()),
    ]
    .map(|(name, value)| (name.to_string(), value))
    .into()
}

/// Describes the OpenMP runtime in use: its vendor, the time its threads wait before they sleep, and its file.
fn openmp() -> String {
    let OpenMp { file, block_time } = OpenMp::in_force();
    let file = file.unwrap_or_else(|| "of an unknown file".into());
    match block_time {
        Some(u32::MAX | 0x7fff_ffff) => format!("LLVM's or Intel's, threads never sleep: {file}"),
        Some(time) => format!("LLVM's or Intel's, threads sleep after {time} ms: {file}"),
        None => format!("GNU's or another: {file}"),
    }
}

/// Warns if the OpenMP runtime is the one that other programs slow down most. Only on Linux on x86-64, which has an
/// alternative.
pub fn warn_of_openmp(device: Device) {
    let known = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    if known && device == Device::Cpu && tch::get_num_threads() > 1 && OpenMp::in_force().block_time.is_none() {
        log::warn!(
            "libtorch runs on GNU's OpenMP: while other programs are busy, training can fall to a tenth of its rate. \
             The libtorch that scripts/libtorch downloads has LLVM's OpenMP instead"
        );
    }
}

/// Writes the environment into a run folder.
pub fn keep(environment: &[(String, String)], run: &Path) -> Result<()> {
    let all: Map<String, Value> =
        environment.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect();
    publish(&run.join(NAME), format!("{:#}\n", Value::Object(all)).as_bytes())
}

/// Reads what [`keep`] wrote; empty if it did not.
pub fn kept(run: &Path) -> Result<Vec<(String, String)>> {
    let path = run.join(NAME);
    let Ok(text) = regular::open(&path).and_then(io::read_to_string) else { return Ok(Vec::new()) };
    let all: Map<String, Value> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
    let word = |value: Value| value.as_str().map_or_else(|| value.to_string(), String::from);
    Ok(all.into_iter().map(|(name, value)| (name, word(value))).collect())
}
