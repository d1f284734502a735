//! What benchmarks share.

// Not every benchmark has a use for all of it.
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

/// The processor and how many cores of it there are: a figure is true of these only.
pub fn processor() -> String {
    let cores = std::thread::available_parallelism().map_or_else(|_| "unknown".into(), |cores| cores.to_string());
    format!("{cores} cores of {}", torch_ext::processor())
}

/// How many processes want a processor, over the last minute: how far these numbers can be trusted.
pub fn load() -> String {
    let said = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    said.split(' ').next().filter(|load| !load.is_empty()).unwrap_or("unknown").into()
}
