//! Settings shared by networks with an encoder from elsewhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

/// Path of the encoder's variables in every network that has one.
pub(crate) const ENCODER: &str = "encoder";

/// Settings of the encoder in training.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// Freezes the encoder's weights.
    pub frozen: bool,
    /// Statistics that its BatchNorm normalises with in training.
    pub batch_norm: BatchNorm,
}

/// Statistics that BatchNorm normalises with in training. Validation and prediction use the running statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    /// The batch's own statistics, which also update the running ones.
    #[default]
    Batch,
    /// The running statistics, which stay as they are: for small batches and for weights from elsewhere.
    Running,
}

impl BatchNorm {
    /// Returns true if BatchNorm runs in training mode, given the network's mode.
    pub(crate) fn trains(self, train: bool) -> bool {
        train && self == Self::Batch
    }
}

impl EncoderConfig {
    /// Turns off gradients of the encoder's weights in `store`, if it is frozen.
    pub(crate) fn freeze(&self, store: &VarStore) {
        let of_encoder = |name: &str| name.split('.').next() == Some(ENCODER);
        if self.frozen {
            let all = store.variables().into_iter().filter(|(name, _)| of_encoder(name));
            all.for_each(|(_, variable)| drop(variable.set_requires_grad(false)));
        }
    }
}
