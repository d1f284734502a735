//! Capture of training steps as CUDA graphs.

use crate::common::config::{Capturing, Train};
use contract::Capture;
use tch::Device;

/// Steps that are made operator by operator before the capture: libtorch wants a few.
const WARM_UP: u32 = 3;

/// Returns what captures the steps of a training on `device`, if that is wanted and can be had. Otherwise says why not,
/// on a GPU.
pub fn capture(config: &Train, device: Device) -> Option<Box<dyn Capture>> {
    if config.graph == Capturing::Off || !device.is_cuda() {
        return None;
    }
    let why = match torch_ext::cuda_graph(device, WARM_UP) {
        Ok(Some(capture)) => return Some(capture),
        Ok(None) => "this program was compiled without CUDA's headers (scripts/libtorch cuda has them)".into(),
        Err(error) => error.to_string(),
    };
    log::info!("No step is captured as a CUDA graph, all are made operator by operator: {why}");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_captured_on_a_cpu_or_where_it_is_off() {
        let (auto, off) = (Train::default(), Train { graph: Capturing::Off, ..Train::default() });
        assert_eq!(auto.graph, Capturing::Auto);
        assert!(capture(&auto, Device::Cpu).is_none() && capture(&off, Device::Cuda(0)).is_none());
    }
}
