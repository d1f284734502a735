//! `distributed`: a training of several processes.

use contract::Invalid;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Training of several processes (ranks), on one machine or many. Without ranks, no key of it has a meaning.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Distributed {
    /// Library that carries the gradients: NCCL between GPUs and Gloo between CPUs (`auto`), or always one of them.
    #[schemars(extend("x-resume" = "safe"))]
    pub backend: Backend,
    /// Longest wait for another rank, in seconds; then the training ends with an error that names it.
    #[schemars(extend("x-resume" = "safe"))]
    pub timeout_seconds: u64,
    /// Network interface to use, e.g. `eth0`; null leaves the choice to the library.
    #[schemars(extend("x-resume" = "safe"))]
    pub interface: Option<String>,
    /// Let BatchNorm normalize with the statistics of all ranks' samples, so that the result does not depend on the
    /// number of ranks. `false` takes each rank's own, which needs no waiting.
    #[schemars(extend("x-resume" = "ask"))]
    pub sync_batch_norm: bool,
    /// Number format in which gradients travel.
    #[schemars(extend("x-resume" = "ask"))]
    pub compress: Compress,
}

/// Library that carries the gradients.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// NCCL between GPUs, Gloo between CPUs.
    #[default]
    Auto,
    /// Gloo, through the processors' memory.
    Gloo,
    /// NCCL, from GPU to GPU.
    Nccl,
}

/// Number format in which gradients travel.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Compress {
    /// Gradients travel in their own type.
    #[default]
    None,
    /// bfloat16: half the bytes, and gradients with 8 significant bits.
    Bf16,
}

impl Default for Distributed {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            timeout_seconds: 600,
            interface: None,
            sync_batch_norm: true,
            compress: Compress::None,
        }
    }
}

impl Distributed {
    pub(super) fn check(&self) -> Result<(), Invalid> {
        let seconds = self.timeout_seconds;
        Invalid::unless((1..=86_400).contains(&seconds), "timeout_seconds", || {
            format!("must be from 1 to 86400, is {seconds}")
        })?;
        let name = self.interface.as_deref();
        Invalid::unless(name.is_none_or(|name| !name.trim().is_empty()), "interface", || {
            "must be the name of a network interface, or null".into()
        })
    }

    /// Returns the settings of the group of ranks.
    pub fn options(&self) -> distributed::Options {
        distributed::Options {
            backend: match self.backend {
                Backend::Auto => distributed::Backend::Auto,
                Backend::Gloo => distributed::Backend::Gloo,
                Backend::Nccl => distributed::Backend::Nccl,
            },
            timeout: Duration::from_secs(self.timeout_seconds),
            interface: self.interface.clone(),
        }
    }

    /// Returns the form in which gradients travel.
    pub fn compression(&self) -> distributed::Compression {
        match self.compress {
            Compress::None => distributed::Compression::None,
            Compress::Bf16 => distributed::Compression::Bf16,
        }
    }
}
