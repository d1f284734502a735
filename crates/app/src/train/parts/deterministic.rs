//! `train.deterministic`: tries a step's operators before the first step, since exact resuming on a GPU needs a
//! deterministic algorithm for each of them.

use crate::common::config::{Config, Deterministic};
use crate::common::network::Network;
use crate::common::usage::usage;
use anyhow::{Error, Result, anyhow};
use contract::{Batch, Loss, Metric, StateDict, Stateful, TorchError, caught};
use tch::{Device, Kind, Tensor};

/// Tries the operators of a training step on a GPU. If any has no deterministic algorithm, the run is refused or a
/// warning names it; training then uses the fastest algorithms, since the others would cost time and gain nothing.
///
/// # Errors
///
/// Fails if `train.deterministic` is `on` and an operator is not deterministic.
pub fn check(config: &Config, network: &Network, loss_fn: &dyn Loss) -> Result<()> {
    let asked = config.train.deterministic;
    if !network.device.is_cuda() {
        return Ok(());
    }
    let operators = match asked {
        Deterministic::Off => Vec::new(),
        _ => operators(config, network, loss_fn)?,
    };
    if let Some(warning) = warning(asked, &operators)? {
        log::warn!("{warning}");
        torch_ext::deterministic(false)?;
    }
    Ok(())
}

/// Returns a warning if the training will not be deterministic; `operators` have no deterministic algorithm.
fn warning(asked: Deterministic, operators: &[String]) -> Result<Option<String>> {
    let names = operators.join(", ");
    match asked {
        Deterministic::Off => Ok(Some("Resuming will not be exact on this GPU: train.deterministic is off".into())),
        _ if operators.is_empty() => Ok(None),
        Deterministic::Auto => Ok(Some(format!(
            "Resuming will not be exact on this GPU: libtorch has no deterministic algorithm for {names}"
        ))),
        Deterministic::On => Err(usage(format!(
            "train.deterministic is 'on', but libtorch has no deterministic algorithm on this GPU for {names}: set it to \
             'auto' to train without, or choose a network without these operators (model.upsampling 'transposed' \
             instead of 'bilinear')"
        ))),
    }
}

/// Returns the operators without a deterministic algorithm in forward pass, loss, backward pass and metric. Runs them
/// once on blank samples, and leaves network and random generators as they were.
fn operators(config: &Config, network: &Network, loss_fn: &dyn Loss) -> Result<Vec<String>> {
    let own = Stateful::state(&network.store);
    let before: StateDict =
        own.iter().map(|(name, tensor)| Ok((name.clone(), copied(tensor)?))).collect::<Result<_, TorchError>>()?;
    let generators = [Device::Cpu, network.device];
    let states = generators.map(torch_ext::generator_state);
    let (tried, operators) = torch_ext::nondeterministic(|| step(config, network, loss_fn))?;
    for variable in network.store.trainable_variables() {
        torch_ext::clear_grad(&variable)?;
    }
    contract::load(&own, &before)?;
    for (device, state) in generators.into_iter().zip(states) {
        torch_ext::set_generator_state(device, &state?)?;
    }
    tried.map(|()| operators).map_err(|error| error.context("trying a training step on blank samples"))
}

fn step(config: &Config, network: &Network, loss_fn: &dyn Loss) -> Result<()> {
    let ([height, width], channels) = (config.data.size().map(i64::from), config.data.channels().into());
    // BatchNorm needs two values of each channel where a network ends at 1 x 1 pixel.
    let zeros = |shape: &[i64], kind| Tensor::f_zeros(shape, (kind, network.device)).map_err(TorchError::from);
    let inputs = zeros(&[2, channels, height, width], Kind::Float)?;
    let batch = Batch::new(inputs, zeros(&[2, height, width], Kind::Int64)?, Vec::new());
    let outputs =
        caught(|| network.model.outputs_t(&batch.inputs, true)).map_err(|said| anyhow!("the model: {said}"))?;
    let loss = loss_fn.loss(&outputs, &batch).map_err(Error::from_boxed)?;
    loss.f_backward().map_err(TorchError::from)?;
    let outputs = outputs.detach()?;
    network.metric()?.update(&loss.f_detach().map_err(TorchError::from)?, &outputs, &batch).map_err(Error::from_boxed)
}

fn copied(tensor: &Tensor) -> Result<Tensor, TorchError> {
    let mut copy = tensor.f_empty_like()?;
    copy.f_copy_(&tensor.f_detach()?)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::BoxError;

    fn config() -> Config {
        let changes = ["data.size=[16,16]", "model.width=4", "model.depth=2", "model.dropout=0.3", "train.device=cpu"];
        Config::default().with(&changes.map(String::from)).unwrap()
    }

    /// Returns true if all values of the network equal those of `before`.
    fn unchanged(network: &Network, before: &StateDict) -> bool {
        Stateful::state(&network.store).iter().all(|(name, tensor)| tensor.equal(&before[name]))
    }

    #[test]
    fn an_operator_without_a_deterministic_algorithm_is_named_and_nothing_else_changes() {
        let config = config();
        let network = Network::build(&config).unwrap();
        let own = Stateful::state(&network.store);
        let before: StateDict = own.iter().map(|(name, tensor)| (name.clone(), tensor.copy())).collect();
        let sound = config.loss.build(Device::Cpu).unwrap();
        assert_eq!(operators(&config, &network, &sound).unwrap(), [""; 0]);
        let planted = |outputs: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> {
            // With the same place twice, either value may stay.
            let (twice, values) = (Tensor::from_slice(&[1i64, 1]), Tensor::from_slice(&[1f32, 2.0]));
            let _ = Tensor::zeros([4], (Kind::Float, Device::Cpu)).put_(&twice, &values, false);
            Ok(outputs.sum(Kind::Float))
        };
        assert_eq!(operators(&config, &network, &planted).unwrap(), ["put_"]);
        let failing = |_: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Err("no loss".into()) };
        let error = operators(&config, &network, &failing).unwrap_err();
        assert_eq!(format!("{error:#}"), "trying a training step on blank samples: no loss");

        assert!(unchanged(&network, &before), "running statistics moved");
        assert!(network.store.trainable_variables().iter().all(|variable| !variable.grad().defined()));
        assert!(!torch_ext::is_deterministic());
    }

    #[test]
    fn a_run_that_is_not_exact_says_so_or_is_refused() {
        let operators = ["upsample_bilinear2d_backward_out_cuda".to_owned(), "put_".to_owned()];
        let said = warning(Deterministic::Auto, &operators).unwrap().unwrap();
        assert!(said.starts_with("Resuming will not be exact") && said.ends_with("_out_cuda, put_"), "{said}");
        let refused = warning(Deterministic::On, &operators).unwrap_err();
        assert!(refused.is::<crate::common::usage::Usage>() && refused.to_string().contains("put_"), "{refused}");
        for asked in [Deterministic::Auto, Deterministic::On] {
            assert_eq!(warning(asked, &[]).unwrap(), None);
        }
        assert!(warning(Deterministic::Off, &[]).unwrap().unwrap().contains("train.deterministic is off"));
    }
}
