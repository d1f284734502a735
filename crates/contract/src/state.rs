//! State of a part in a checkpoint, loaded whole or not at all.

use crate::{TorchError, listed};
use std::collections::BTreeMap;
use tch::{Kind, Tensor, nn};

/// Maximum number of tensors listed in a message.
const NAMED: usize = 10;

/// Named tensors, sorted by name.
pub type StateDict = BTreeMap<String, Tensor>;

/// Part whose state a checkpoint keeps.
pub trait Stateful {
    /// Returns the state. Its tensors may share memory with the part: copy them if the part keeps changing.
    fn state(&self) -> StateDict;

    /// Loads `state`. Checks every name, shape and kind before it writes the first value; never casts, never
    /// half-loads.
    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError>;
}

/// Failure to load a state. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The names differ.
    #[error(
        "the tensors are not the same: missing [{}], unexpected [{}]",
        listed(missing, NAMED),
        listed(unexpected, NAMED)
    )]
    Names {
        /// Names that only the part has.
        missing: Vec<String>,
        /// Names that only the state has.
        unexpected: Vec<String>,
    },
    /// The shape or kind of a tensor differs.
    #[error("tensor '{name}': expected {expected:?} {expected_kind:?}, found {found:?} {found_kind:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// The shape in the part.
        expected: Vec<i64>,
        /// The kind in the part.
        expected_kind: Kind,
        /// The shape in the state.
        found: Vec<i64>,
        /// The kind in the state.
        found_kind: Kind,
    },
    /// A value is not valid for the part.
    #[error("tensor '{name}': {problem}")]
    Value {
        /// The tensor.
        name: String,
        /// Description of the problem.
        problem: String,
    },
    /// libtorch failed to copy a tensor.
    #[error("tensor '{name}': {source}")]
    Torch {
        /// The tensor.
        name: String,
        /// libtorch's error.
        source: TorchError,
    },
}

/// Copies `state` into the tensors of `into`, across devices, after checking that every name, shape and kind is the
/// same.
pub fn load(into: &StateDict, state: &StateDict) -> Result<(), StateError> {
    check(into, state)?;
    let _no_grad = tch::no_grad_guard();
    for ((name, to), from) in into.iter().zip(state.values()) {
        to.shallow_clone()
            .f_copy_(from)
            .map_err(|error| StateError::Torch { name: name.clone(), source: error.into() })?;
    }
    Ok(())
}

/// Compares names, shapes and kinds.
pub(crate) fn check(into: &StateDict, state: &StateDict) -> Result<(), StateError> {
    let only_in = |a: &StateDict, b: &StateDict| -> Vec<String> {
        a.keys().filter(|name| !b.contains_key(*name)).cloned().collect()
    };
    let (missing, unexpected) = (only_in(into, state), only_in(state, into));
    if !missing.is_empty() || !unexpected.is_empty() {
        return Err(StateError::Names { missing, unexpected });
    }
    for ((name, to), from) in into.iter().zip(state.values()) {
        let (expected_kind, found_kind) = (to.kind(), from.kind());
        let (expected, found) = (to.size(), from.size());
        if expected != found || expected_kind != found_kind {
            return Err(StateError::Shape { name: name.clone(), expected, expected_kind, found, found_kind });
        }
    }
    Ok(())
}

/// Returns the variables of `store` that require a gradient, by name and in the order of their names. (The order matters:
/// sums over all of them, such as a norm, round differently in another one, and `VarStore::variables` has none.)
pub fn parameters(store: &nn::VarStore) -> BTreeMap<String, Tensor> {
    store.variables().into_iter().filter(|(_, variable)| variable.requires_grad()).collect()
}

impl Stateful for nn::VarStore {
    fn state(&self) -> StateDict {
        self.variables().into_iter().map(|(name, tensor)| (name, tensor.detach())).collect()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), StateError> {
        load(&Stateful::state(self), state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, nn::VarStore};

    fn store() -> VarStore {
        let store = VarStore::new(Device::Cpu);
        let _ = store.root().zeros("a", &[2]);
        let _ = (store.root() / "b").zeros_no_train("running", &[3]);
        store
    }

    fn ones(store: &VarStore) -> StateDict {
        store.state().into_iter().map(|(name, tensor)| (name, tensor.ones_like())).collect()
    }

    fn sum(store: &VarStore) -> f64 {
        store.state().values().map(|tensor| tensor.sum(Kind::Double).double_value(&[])).sum()
    }

    #[test]
    fn a_state_is_copied_in() {
        let mut store = store();
        store.load_state(&ones(&store)).unwrap();
        assert_eq!(sum(&store), 5.0);
    }

    #[test]
    fn nothing_changes_when_one_tensor_does_not_fit() {
        type Spoil = fn(&mut StateDict);
        let spoilers: [(&str, Spoil); 4] = [
            ("missing [b.running], unexpected []", |s| drop(s.remove("b.running"))),
            ("missing [], unexpected [c]", |s| drop(s.insert("c".into(), Tensor::from(1f32)))),
            ("tensor 'b.running': expected [3] Float, found [4] Float", |s| {
                s.insert("b.running".into(), Tensor::ones([4], (Kind::Float, Device::Cpu)));
            }),
            ("tensor 'b.running': expected [3] Float, found [3] Double", |s| {
                s.insert("b.running".into(), Tensor::ones([3], (Kind::Double, Device::Cpu)));
            }),
        ];
        for (message, spoil) in spoilers {
            let mut store = store();
            let mut state = ones(&store);
            spoil(&mut state);
            let error = store.load_state(&state).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
            assert_eq!(sum(&store), 0.0, "half-loaded: {message}");
        }
    }
}
