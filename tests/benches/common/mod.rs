//! Helpers shared by the benchmarks.

// Not every benchmark uses all of it.
#![allow(dead_code, unused_imports)]

mod peers;
mod table;
pub mod training;

pub use peers::Peers;
pub use table::Table;

pub type Outcome<T> = Result<T, contract::BoxError>;

pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0
}

/// Returns the processor and its number of cores: a figure holds for these only.
pub fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".into(), |cores| cores.to_string());
    format!("{cores} cores of {}", torch_ext::processor())
}

/// Returns the number of processes that wanted a processor over the last minute; a high load makes the figures
/// doubtful.
pub fn load() -> String {
    let said = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    said.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").into()
}
