//! State of libtorch's random generators.

use contract::{StateDict, TorchError};
use tch::Device;

/// Returns the states of the random generators of `devices`.
pub fn take(devices: &[Device]) -> Result<StateDict, TorchError> {
    let named = devices.iter().filter_map(|device| Some((name(*device)?, *device)));
    named.map(|(name, device)| Ok((name.to_string(), torch_ext::generator_state(device)?))).collect()
}

/// Restores what [`take`] returned. A run that moves between CPU and GPU has no state for the other's generator.
pub fn restore(states: &StateDict, devices: &[Device]) -> Result<(), TorchError> {
    for device in devices {
        if let Some(state) = name(*device).and_then(|name| states.get(name)) {
            torch_ext::set_generator_state(*device, state)?;
        }
    }
    Ok(())
}

fn name(device: Device) -> Option<&'static str> {
    match device {
        Device::Cpu => Some("cpu"),
        Device::Cuda(_) => Some("cuda"),
        _ => None,
    }
}
