//! What networks with an encoder from elsewhere have in common.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tch::nn::VarStore;

/// Where the encoder's variables are, of every network that has one.
pub(crate) const ENCODER: &str = "encoder";

/// What becomes of the encoder in training.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EncoderConfig {
    /// Whether its weights stay as they are.
    pub frozen: bool,
    /// What its BatchNorm normalises with in training.
    pub batch_norm: BatchNorm,
}

/// What BatchNorm normalises with in training. In validation and prediction it is the running statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BatchNorm {
    /// The batch's own statistics, which the running ones follow.
    #[default]
    Batch,
    /// The running statistics, which stay as they are: for small batches and for weights from elsewhere.
    Running,
}

impl EncoderConfig {
    /// Whether the encoder runs as in training where the network does.
    pub(crate) fn trains(&self, train: bool) -> bool {
        train && self.batch_norm == BatchNorm::Batch
    }

    /// Takes the gradients from the encoder's weights in `store`, if it is frozen.
    pub(crate) fn freeze(&self, store: &VarStore) {
        let of_encoder = |name: &str| name.split('.').next() == Some(ENCODER);
        if self.frozen {
            let all = store.variables().into_iter().filter(|(name, _)| of_encoder(name));
            all.for_each(|(_, variable)| drop(variable.set_requires_grad(false)));
        }
    }
}
