//! Variables of the networks that train: their state, and what a forward pass changes of them by itself.

use contract::{StateDict, StateError, Stateful, TorchError};
use std::collections::BTreeSet;
use tch::nn::VarStore;
use tch::{Device, Tensor};
use torch_ext::Statistics;

/// Named stores of variables.
#[derive(Default)]
pub(crate) struct Protection {
    stores: Vec<Store>,
    devices: Vec<Device>,
}

/// The variables of a store, which they share memory with.
pub(crate) struct Store {
    pub name: String,
    variables: StateDict,
    statistics: Statistics,
}

/// Values before a step.
pub(crate) struct Kept {
    statistics: Vec<Option<Tensor>>,
    generators: Vec<Tensor>,
}

impl Stateful for Store {
    fn state(&self) -> StateDict {
        self.variables.iter().map(|(name, variable)| (name.clone(), variable.shallow_clone())).collect()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        contract::load(&self.variables, state)
    }
}

impl Protection {
    pub fn add(&mut self, name: &str, store: &VarStore) {
        let statistics = Statistics::of(store);
        self.stores.push(Store { name: name.into(), variables: Stateful::state(store), statistics });
        for device in [Device::Cpu, store.device()] {
            // Only these two kinds have generators that can be saved.
            let has_one = matches!(device, Device::Cpu | Device::Cuda(_));
            if has_one && !self.devices.contains(&device) {
                self.devices.push(device);
            }
        }
    }

    pub fn stores(&mut self) -> impl Iterator<Item = &mut Store> {
        self.stores.iter_mut()
    }

    /// Returns the variables of each store, by its name. The tensors are those of the stores.
    pub fn states(&self) -> Vec<(String, StateDict)> {
        self.stores.iter().map(|store| (store.name.clone(), store.state())).collect()
    }

    /// Returns true if all `tensors` are variables of the stores.
    pub fn holds(&self, tensors: &[Tensor]) -> bool {
        let variables = self.stores.iter().flat_map(|store| store.variables.values());
        let places: BTreeSet<usize> = variables.map(|variable| variable.data_ptr() as usize).collect();
        tensors.iter().all(|tensor| places.contains(&(tensor.data_ptr() as usize)))
    }

    pub fn devices(&self) -> &[Device] {
        &self.devices
    }

    pub fn keep(&self) -> Result<Kept, TorchError> {
        let statistics = self.stores.iter().map(|store| store.statistics.remember()).collect::<Result<_, _>>()?;
        let generators = self.devices.iter().map(|device| torch_ext::generator_state(*device));
        Ok(Kept { statistics, generators: generators.collect::<Result<_, _>>()? })
    }

    /// Keeps the values of another step in the memory of `kept`, which keeps its place.
    pub fn keep_in(&self, kept: &mut Kept) -> Result<(), TorchError> {
        let now = self.keep()?;
        for (kept, now) in kept.statistics.iter_mut().flatten().zip(now.statistics.iter().flatten()) {
            kept.f_copy_(now)?;
        }
        kept.generators = now.generators;
        Ok(())
    }

    pub fn put_back_unless_finite(&self, kept: &Kept) -> Result<(), TorchError> {
        self.each(kept).try_for_each(|(statistics, kept)| statistics.restore_unless_finite(kept))
    }

    pub fn put_back(&self, kept: &Kept) -> Result<(), TorchError> {
        self.each(kept).try_for_each(|(statistics, kept)| statistics.restore(kept))?;
        let mut generators = self.devices.iter().zip(&kept.generators);
        generators.try_for_each(|(device, state)| torch_ext::set_generator_state(*device, state))
    }

    /// Returns the running statistics of each store that has any, and what they were.
    fn each<'k>(&'k self, kept: &'k Kept) -> impl Iterator<Item = (&'k Statistics, &'k Tensor)> {
        let all = self.stores.iter().zip(&kept.statistics);
        all.filter_map(|(store, kept)| Some((&store.statistics, kept.as_ref()?)))
    }
}
