//! Hardware and libraries that a run is trained with.

use crate::common::config::Capturing;
use crate::common::files::publish;
use crate::common::kernels;
use crate::common::network::Network;
use crate::common::ranked;
use anyhow::{Context, Result};
use serde_json::{Map, Value};
use std::io;
use std::path::Path;
use tch::Device;
use torch_ext::{Gpu, OpenMp};

const NAME: &str = "environment.json";

/// Returns names and values, in an order for people, of a training that asks for `graph`.
pub fn environment(network: &Network, graph: Capturing) -> Vec<(String, String)> {
    let gpu = Gpu::of(network.device).unwrap_or_else(|error| {
        log::debug!("{:?}: {error}", network.device);
        None
    });
    let device = match network.device {
        Device::Cpu => format!("CPU, {} threads", tch::get_num_threads()),
        other => format!("{other:?}"),
    };
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".into(), |cores| cores.to_string());
    let system = format!("{} on {}", std::env::consts::OS, std::env::consts::ARCH);
    let rows = [
        ("oxiseg", env!("CARGO_PKG_VERSION").into()),
        ("libtorch", torch_ext::libtorch_version()),
        ("device", device),
        ("precision", network.precision.to_string()),
        ("deterministic", deterministic(network.device)),
        ("graph", in_graph(network.device, graph).into()),
        ("processor", torch_ext::processor()),
        ("kernels", kernels::in_words(network.kernels, network.device)),
        ("openmp", openmp()),
        ("cores", cores),
        ("system", system),
        ("host", gethostname::gethostname().display().to_string()),
    ];
    let mut rows: Vec<(&str, String)> = rows.into();
    // Beside the device.
    let at = rows.iter().position(|(name, _)| *name == "device").map_or(rows.len(), |device| device + 1);
    rows.splice(at..at, ranks().into_iter().chain(gpu.iter().flat_map(of_gpu)));
    rows.into_iter().map(|(name, value)| (name.to_string(), value)).collect()
}

/// Describes the number of processes that train together, if there are several.
fn ranks() -> Option<(&'static str, String)> {
    let world = ranked::world().ok().filter(|world| world.count > 1)?;
    Some(("ranks", format!("{}, {} of them on the first rank's machine", world.count, world.local_count)))
}

/// Describes a GPU and the software that drives it.
fn of_gpu(gpu: &Gpu) -> Vec<(&'static str, String)> {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".into());
    let capability =
        gpu.capability.as_ref().map_or_else(String::new, |number| format!(", compute capability {number}"));
    let card = format!("{}, {:.1} GB{capability}", known(&gpu.name), gpu.memory as f64 / 1e9);
    vec![("gpu", card), ("driver", known(&gpu.driver)), ("cuda", known(&gpu.cuda)), ("cudnn", known(&gpu.cudnn))]
}

/// Describes the determinism in force.
fn deterministic(device: Device) -> String {
    match device {
        Device::Cpu => "on: a CPU gives the same for the same number of threads".into(),
        _ if torch_ext::is_deterministic() => "on".into(),
        _ => "off: resuming is not exact".into(),
    }
}

/// Describes whether steps are captured as a CUDA graph. Whether the first ones pass their check is not known yet.
fn in_graph(device: Device, asked: Capturing) -> &'static str {
    match asked {
        _ if !device.is_cuda() => "off: not a GPU",
        Capturing::Off => "off: train.graph is off",
        Capturing::Auto if !torch_ext::has_cuda_graphs() => "off: compiled without CUDA's headers",
        Capturing::Auto => "auto: in force unless the log says otherwise",
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gpu_is_named_with_what_drives_it() {
        let text = |text: &str| Some(text.to_owned());
        let gpu = Gpu {
            name: text("NVIDIA H100 80GB HBM3"),
            driver: text("580.65.06"),
            cuda: text("13.0"),
            cudnn: None,
            capability: text("9.0"),
            memory: 85_045_280_768,
            free: 0,
        };
        let rows = of_gpu(&gpu);
        assert_eq!(rows[0], ("gpu", "NVIDIA H100 80GB HBM3, 85.0 GB, compute capability 9.0".into()));
        let rest = [("driver", "580.65.06"), ("cuda", "13.0"), ("cudnn", "unknown")];
        assert_eq!(rows[1..], rest.map(|(name, value)| (name, value.to_owned())));
        let unknown = of_gpu(&Gpu { name: None, capability: None, ..gpu });
        assert_eq!(unknown[0].1, "unknown, 85.0 GB");
    }

    #[test]
    fn precision_determinism_and_graph_in_force_are_part_of_it() {
        let config = crate::common::config::Config::default();
        let tiny = ["model.width=1", "model.depth=1", "model.precision=bf16", "train.device=cpu"].map(String::from);
        let rows = environment(&Network::build(&config.with(&tiny).unwrap()).unwrap(), Capturing::Auto);
        let of = |key: &str| rows.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
        assert_eq!(of("precision"), Some("bf16"));
        assert!(of("deterministic").unwrap().starts_with("on: a CPU"));
        assert_eq!(of("graph"), Some("off: not a GPU"));
        assert_eq!(of("gpu"), None);
        let gpu = Device::Cuda(0);
        assert_eq!(in_graph(gpu, Capturing::Off), "off: train.graph is off");
        assert_eq!(in_graph(gpu, Capturing::Auto).starts_with("auto"), torch_ext::has_cuda_graphs());
    }
}
