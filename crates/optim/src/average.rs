//! Averages of the weights, which usually score better than the weights themselves and change less.

use crate::scalar::count;
use contract::{BoxError, StateDict, StateError, Stateful, TorchError, load};
use tch::Tensor;
use torch_ext as ext;

const UPDATES: &str = "updates";
const EPOCHS: &str = "epochs";
const AVERAGE: &str = "average";

/// Average of a network's variables: weights and running statistics. Exponential (Polyak & Juditsky, 1992, with the
/// weights of Adam's paper, Kingma & Ba, 2015, section 7.2), or [equal](Self::equal) as in stochastic weight averaging.
///
/// Variables that are not floating-point are not averaged: the latest value is kept. As long as the variables stay
/// finite, so does the average.
#[derive(Debug)]
pub struct Average {
    /// Weight of the past; None for an equal mean.
    decay: Option<f64>,
    names: Vec<String>,
    /// Parallel to the names. They share memory with the network.
    variables: Vec<Tensor>,
    /// Parallel to the names; while `swapped`, the network's values.
    averages: Vec<Tensor>,
    /// True while the averages are in the network.
    swapped: bool,
    updates: u64,
}

impl Average {
    /// Starts an average at the current values of `variables`, which must share memory with the network's (as those
    /// from [`Stateful::state`] of a `VarStore` do) and have their final memory layout. `decay`, above 0 and below 1,
    /// is the weight of the past.
    pub fn new(decay: f64, variables: StateDict) -> Result<Self, TorchError> {
        if !Self::valid(decay) {
            return Err(TorchError::new(&format!("the decay of an average must be above 0 and below 1, is {decay}")));
        }
        Self::of(Some(decay), variables)
    }

    /// Starts an equal mean (Izmailov et al., 2018) of `variables`, as of [`new`](Self::new). Their current values do
    /// not count: they are the average until the first [`update`](Self::update).
    pub fn equal(variables: StateDict) -> Result<Self, TorchError> {
        Self::of(None, variables)
    }

    fn of(decay: Option<f64>, variables: StateDict) -> Result<Self, TorchError> {
        let (names, variables): (Vec<_>, Vec<_>) = variables.into_iter().unzip();
        let variables = variables.iter().map(Tensor::f_detach).collect::<Result<Vec<_>, _>>()?;
        let averages = copies(&variables)?;
        Ok(Self { decay, names, variables, averages, swapped: false, updates: 0 })
    }

    /// Returns true if `decay` is above 0 and below 1.
    pub(crate) fn valid(decay: f64) -> bool {
        decay > 0.0 && decay < 1.0
    }

    /// Restarts at the current values.
    pub fn restart(&mut self) -> Result<(), TorchError> {
        ext::copy(&self.averages, &self.variables)?;
        self.updates = 0;
        Ok(())
    }

    /// Adds the current values to the average: call an exponential one after each update of the optimizer.
    ///
    /// `average = d * average + (1 - d) * value` with `d = min(decay, (1 + n) / (10 + n))` at the n-th call, from 1
    /// (the warm-up of TensorFlow's `ExponentialMovingAverage`, so that the random start is soon forgotten). An equal
    /// mean has `d = (n - 1) / n`. Does not wait for the device. Fails while the averages are [swapped](Self::swap)
    /// into the network.
    pub fn update(&mut self) -> Result<(), TorchError> {
        if self.swapped {
            return Err(TorchError::new("the averages are in the network: swap them back before it is trained on"));
        }
        let n = (self.updates + 1) as f64;
        let weight = match self.decay {
            Some(decay) => 1.0 - decay.min((1.0 + n) / (10.0 + n)),
            None => 1.0 / n,
        };
        let (mut averages, mut values) = (Vec::new(), Vec::new());
        for (average, value) in self.averages.iter_mut().zip(&self.variables) {
            if value.f_is_floating_point()? {
                averages.push(average.shallow_clone());
                values.push(value.shallow_clone());
            } else {
                average.f_copy_(value)?;
            }
        }
        ext::lerp(&averages, &values, weight)?;
        self.updates += 1;
        Ok(())
    }

    /// Swaps the averages and the network's values; a second call swaps them back, to the bit. Needs memory for another
    /// copy of the values while it runs, and changes nothing if it gets none.
    pub fn swap(&mut self) -> Result<(), TorchError> {
        let values = copies(&self.variables)?;
        ext::copy(&self.variables, &self.averages)?;
        ext::copy(&self.averages, &values)?;
        self.swapped = !self.swapped;
        Ok(())
    }

    /// Returns the name of the count in the state, and that of an average with other weights.
    fn counts(&self) -> [&'static str; 2] {
        if self.decay.is_some() { [UPDATES, EPOCHS] } else { [EPOCHS, UPDATES] }
    }

    /// Returns the averages by their names in the state, swapped or not.
    fn tensors(&self) -> StateDict {
        let averages = if self.swapped { &self.variables } else { &self.averages };
        let named = self.names.iter().zip(averages);
        named.map(|(name, average)| (format!("{AVERAGE}.{name}"), average.shallow_clone())).collect()
    }
}

fn copies(tensors: &[Tensor]) -> Result<Vec<Tensor>, TorchError> {
    let like = tensors.iter().map(Tensor::f_empty_like).collect::<Result<Vec<_>, _>>()?;
    ext::copy(&like, tensors)?;
    Ok(like)
}

/// State: the averages as `average.NAME`, so that no variable's name collides with that of the number of `updates`, or
/// for an equal mean `epochs` (scalar i64). An average goes on from one with other weights, but counts from 0.
impl Stateful for Average {
    fn state(&self) -> StateDict {
        let mut state = self.tensors();
        state.insert(self.counts()[0].into(), Tensor::from(self.updates as i64));
        state
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        let [own, other] = self.counts();
        let updates = if state.contains_key(other) && !state.contains_key(own) { 0 } else { count(state, own)? };
        let averages = state.iter().filter(|(name, _)| ![own, other].contains(&name.as_str()));
        load(&self.tensors(), &averages.map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect())?;
        self.updates = updates;
        Ok(())
    }
}

impl contract::Average for Average {
    fn swap(&mut self) -> Result<(), BoxError> {
        Ok(Self::swap(self)?)
    }

    fn restart(&mut self) -> Result<(), BoxError> {
        Ok(Self::restart(self)?)
    }
}

#[cfg(test)]
mod tests;
