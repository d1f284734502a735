//! What a forward pass changes by itself, and how it is undone.

use contract::TorchError;
use tch::nn::VarStore;
use tch::{Device, Tensor};
use torch_ext::Statistics;

/// Undoes what forward passes change by themselves.
#[derive(Default)]
pub(crate) struct Protection {
    statistics: Vec<Statistics>,
    devices: Vec<Device>,
}

/// Values before a step.
pub(crate) struct Kept {
    statistics: Vec<Option<Tensor>>,
    generators: Vec<Tensor>,
}

impl Protection {
    pub fn add(&mut self, store: &VarStore) {
        self.statistics.push(Statistics::of(store));
        for device in [Device::Cpu, store.device()] {
            // Only these two kinds have generators that can be saved.
            let has_one = matches!(device, Device::Cpu | Device::Cuda(_));
            if has_one && !self.devices.contains(&device) {
                self.devices.push(device);
            }
        }
    }

    pub fn keep(&self) -> Result<Kept, TorchError> {
        Ok(Kept {
            statistics: self.statistics.iter().map(Statistics::remember).collect::<Result<_, _>>()?,
            generators: self
                .devices
                .iter()
                .map(|device| torch_ext::generator_state(*device))
                .collect::<Result<_, _>>()?,
        })
    }

    pub fn put_back_unless_finite(&self, kept: &Kept) -> Result<(), TorchError> {
        let all = self.statistics.iter().zip(&kept.statistics);
        all.filter_map(|(statistics, kept)| Some((statistics, kept.as_ref()?)))
            .try_for_each(|(statistics, kept)| statistics.restore_unless_finite(kept))
    }

    pub fn put_back(&self, kept: &Kept) -> Result<(), TorchError> {
        let all = self.statistics.iter().zip(&kept.statistics);
        all.filter_map(|(statistics, kept)| Some((statistics, kept.as_ref()?)))
            .try_for_each(|(statistics, kept)| statistics.restore(kept))?;
        let mut generators = self.devices.iter().zip(&kept.generators);
        generators.try_for_each(|(device, state)| torch_ext::set_generator_state(*device, state))
    }
}
