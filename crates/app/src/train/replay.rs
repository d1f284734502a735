//! `app train --replay`: reruns a rejected batch with the weights it met, to see where it breaks.

use crate::common::kernels;
use crate::common::network::Network;
use crate::common::origin;
use crate::common::output;
use crate::common::snapshot::restore_weights;
use anyhow::{Context, Result, bail};
use contract::{Batch, Loss, TorchError, caught};
use session::BATCH;
use std::path::Path;
use std::process::ExitCode;
use tch::{IndexOp, Kind, Tensor};

/// Prints which values are not finite: of the batch and the network's outputs, sample by sample, and of the gradients.
/// `changes` are those of `--set`: to replay on another device, or in another precision.
pub fn run(rejected: &Path, changes: &[String]) -> Result<ExitCode> {
    let snapshot = checkpoint::load(rejected)?;
    let (Some(batch), Some(about)) = (snapshot.states.get(BATCH), snapshot.about.get("rejected")) else {
        bail!("{} holds no batch: take a folder that a run left under rejected/", rejected.display());
    };
    let config = origin::config(&snapshot, &rejected.display().to_string())?.with(changes)?;
    // With the kernels of the run that rejected it.
    let network = Network::build_with(&config, kernels::of_checkpoint(rejected, &snapshot, &config)?, None)?;
    restore_weights(&snapshot, &network)?;
    let tensor = |name: &str| -> Result<Tensor> {
        let tensor = batch.get(name).with_context(|| format!("the batch has no {name}"))?;
        Ok(tensor.f_to_device(network.device).map_err(TorchError::from)?)
    };
    let (inputs, targets) = (tensor("inputs")?, tensor("targets")?);
    let names: Vec<String> = serde_json::from_value(about["names"].clone()).context("the names of the samples")?;

    let loss_fn = config.loss.build(network.device)?;
    let outputs =
        caught(|| network.model.forward_t(&inputs, true)).map_err(|said| anyhow::anyhow!("the model: {said}"))?;
    let loss_of = |at: Option<i64>| -> Result<Tensor> {
        let part = |of: &Tensor| at.map_or_else(|| of.shallow_clone(), |at| of.i(at..at + 1));
        let batch = Batch::new(part(&inputs), part(&targets), Vec::new());
        loss_fn.loss(&part(&outputs).into(), &batch).map_err(anyhow::Error::from_boxed)
    };
    let mut lines = vec![format!("{:<24} {:<28} {:<28} loss", "sample", "input", "logits")];
    for (at, name) in (0..).zip(&names) {
        let loss = loss_of(Some(at))?.f_double_value(&[])?;
        lines.push(format!("{name:<24} {:<28} {:<28} {loss}", range(&inputs.i(at))?, range(&outputs.i(at))?));
    }
    let loss = loss_of(None)?;
    loss.f_backward().map_err(TorchError::from)?;
    let mut broken = Vec::new();
    for (name, variable) in network.store.variables() {
        let gradient = variable.grad();
        if gradient.defined() && gradient.f_isfinite()?.f_all()?.f_int64_value(&[])? == 0 {
            broken.push(name);
        }
    }
    broken.sort();
    let loss = loss.f_double_value(&[])?;
    lines.push(format!("\nloss of the batch        {loss}"));
    lines.push(format!("gradients not finite     {} of {}", broken.len(), network.store.trainable_variables().len()));
    if let Some(first) = broken.first() {
        lines.push(format!("the first of them        {first}"));
    }
    lines.push(match loss.is_finite() && broken.is_empty() {
        true => {
            "Everything is finite this time: the trouble does not come from this batch and these weights alone.".into()
        }
        false => format!("As in the run, where the loss was {}.", about["loss"].as_str().unwrap_or("unknown")),
    });
    output::print(&lines.join("\n"))?;
    Ok(ExitCode::SUCCESS)
}

/// Formats the smallest and the largest value, or the number of values that are not finite.
fn range(tensor: &Tensor) -> Result<String, TorchError> {
    let tensor = tensor.detach();
    let bad = tensor.numel() as i64 - tensor.f_isfinite()?.f_sum(Kind::Int64)?.f_int64_value(&[])?;
    if bad > 0 {
        return Ok(format!("{bad} of {} not finite", tensor.numel()));
    }
    let [least, greatest] = [tensor.f_min()?, tensor.f_max()?].map(|value| value.f_double_value(&[]));
    Ok(format!("{:.3} to {:.3}", least?, greatest?))
}
