//! A network in a precision and a memory layout.

use crate::network::{Network, Single};
use crate::{Fused, Precision};
use contract::{Outputs, Ranks, TorchError};
use std::fmt;
use std::sync::Arc;
use tch::nn::{ModuleT, VarStore};
use tch::{Kind, Tensor};
use torch_ext::{self as ext, Kernels};

/// A network that runs in a given precision and in the channels-last layout, and returns f32.
///
/// A training pass that makes any running statistic of BatchNorm NaN or infinite leaves all of them as they were: the
/// pass writes them before an optimizer can refuse the batch, and every later evaluation would be NaN.
pub struct Precise {
    network: Box<dyn Network>,
    statistics: ext::Statistics,
    /// The precision of the next pass.
    pub precision: Precision,
    /// Kernels that compute on a CPU.
    pub kernels: Kernels,
    /// Processes over whose batches BatchNorm takes its statistics in training. None: over the own batch.
    pub ranks: Option<Arc<dyn Ranks>>,
}

impl fmt::Debug for Precise {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Self { network, precision, kernels, .. } = self;
        let mut shown = f.debug_struct("Precise");
        shown.field("network", network).field("precision", precision).field("kernels", kernels).finish_non_exhaustive()
    }
}

impl Precise {
    /// Wraps `network`, whose variables are in `store`, and lays out its 4-d weights channels-last, in place. Make the
    /// optimizer afterwards, so that its state has the same layout.
    pub fn new(network: Box<dyn ModuleT>, store: &VarStore, precision: Precision) -> Result<Self, TorchError> {
        Self::of(Box::new(Single(network)), store, precision)
    }

    /// Does the same as [`new`](Self::new), for a network that may have auxiliary heads.
    pub fn of(network: Box<dyn Network>, store: &VarStore, precision: Precision) -> Result<Self, TorchError> {
        for weight in store.variables().values().filter(|weight| weight.dim() == 4) {
            ext::make_channels_last(weight)?;
        }
        let kernels = Fused::Auto.kernels(precision);
        Ok(Self { network, statistics: ext::Statistics::of(store), precision, kernels, ranks: None })
    }

    /// Returns the outputs of `run` on the network and the images, all in f32.
    fn forward(
        &self,
        x_nchw: &Tensor,
        train: bool,
        run: impl FnOnce(&dyn Network, &Tensor) -> Outputs,
    ) -> Result<Outputs, TorchError> {
        let x_nchw = ext::channels_last(x_nchw)?;
        let (_fusion, _synced) = (ext::Fusion::new(self.kernels), ext::Synced::new(self.ranks.clone()));
        let before = if train { self.statistics.remember()? } else { None };
        // Set for the whole process and not reset: the backward pass comes later and needs the same setting.
        ext::allow_tf32(self.precision == Precision::Tf32)?;
        let outputs = {
            let narrow = self.precision.narrow();
            let _autocast = narrow.map(|kind| ext::Autocast::new(x_nchw.device(), kind)).transpose()?;
            run(self.network.as_ref(), &x_nchw)
        };
        if let Some(before) = before {
            self.statistics.restore_unless_finite(&before)?;
        }
        let float = |tensor: &Tensor| tensor.f_to_kind(Kind::Float);
        let auxiliary = outputs.auxiliary.iter().map(float).collect::<Result<_, _>>()?;
        Ok(Outputs::new(float(&outputs.prediction)?, auxiliary))
    }
}

impl ModuleT for Precise {
    /// # Panics
    ///
    /// Panics if libtorch reports an error, as every tch module does: the trait has no other way. The executors catch
    /// it.
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let outputs = self.forward(x_nchw, train, |network, x| network.forward_t(x, train).into());
        outputs.unwrap_or_else(|error| panic!("{error}")).prediction
    }
}

impl Network for Precise {
    fn outputs_t(&self, x_nchw: &Tensor, train: bool) -> Outputs {
        let outputs = self.forward(x_nchw, train, |network, x| network.outputs_t(x, train));
        outputs.unwrap_or_else(|error| panic!("{error}"))
    }
}

#[cfg(test)]
mod statistics;
