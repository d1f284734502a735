//! Capture of training steps as CUDA graphs.

use crate::common::config::{Capturing, Train};
use contract::Capture;
use executors::Trainer;
use tch::Device;

/// Steps that are made operator by operator before the capture: libtorch wants a few.
const WARM_UP: u32 = 3;
/// Reason that steps of several ranks are not captured.
const ACROSS: &str = "gradients are summed over ranks while the backward pass goes on, which a replay would not do";

/// Returns what captures the steps of a training on `device`, if that is wanted and can be had. Otherwise says why not,
/// on a GPU. Steps that are made `across` ranks are not captured.
pub fn capture(config: &Train, device: Device, across: bool) -> Option<Box<dyn Capture>> {
    if config.graph == Capturing::Off || !device.is_cuda() {
        return None;
    }
    let made = if across { Err(ACROSS.to_string()) } else { made(device) };
    let why = match made {
        Ok(capture) => return Some(capture),
        Err(why) => why,
    };
    log::info!("No step is captured as a CUDA graph, all are made operator by operator: {why}");
    None
}

fn made(device: Device) -> Result<Box<dyn Capture>, String> {
    let capture = torch_ext::cuda_graph(device, WARM_UP).map_err(|error| error.to_string())?;
    capture.ok_or_else(|| "this program was compiled without CUDA's headers (scripts/libtorch cuda has them)".into())
}

/// Has the steps of `trainer` captured, if there is a capture.
pub fn captured<'t>(trainer: Trainer<'t>, capture: &'t mut Option<Box<dyn Capture>>) -> Trainer<'t> {
    match capture {
        Some(capture) => trainer.captured(capture.as_mut()),
        None => trainer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::common::config::Config;
    use crate::train::parts::Parts;
    use contract::{Event, Progress, StateDict};
    use model::Trained;
    use std::collections::BTreeMap;
    use torch_ext::FakeCapture;

    #[test]
    fn nothing_is_captured_on_a_cpu_where_it_is_off_or_across_ranks() {
        let (auto, off) = (Train::default(), Train { graph: Capturing::Off, ..Train::default() });
        assert_eq!(auto.graph, Capturing::Auto);
        assert!(capture(&auto, Device::Cpu, false).is_none() && capture(&off, Device::Cuda(0), false).is_none());
        assert!(capture(&auto, Device::Cuda(0), true).is_none());
    }

    type States = BTreeMap<String, StateDict>;

    fn copied(states: States) -> States {
        let copy = |state: StateDict| state.into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
        states.into_iter().map(|(name, state)| (name, copy(state))).collect()
    }

    /// Trains the program's own parts, from `initial` states if there are any. Returns the states before and after, and
    /// the losses.
    fn trained(
        config: &Config,
        initial: Option<&States>,
        capture: Option<&mut FakeCapture>,
    ) -> (States, States, Vec<f64>) {
        let mut parts = Parts::build(config, None, None).unwrap();
        let model = Trained(parts.network.model.as_ref());
        let (input, loss_fn) = (parts.input.as_ref(), &parts.loss_fn);
        let trainer =
            Trainer::new(&model, input, loss_fn, &mut parts.optimizer, &mut parts.metric, config.train.epochs);
        let mut trainer = trainer.protect("model", &parts.network.store);
        if let Some(capture) = capture {
            trainer = trainer.captured(capture);
        }
        if let Some(initial) = initial {
            trainer.restore(initial).unwrap();
        }
        let before = copied(trainer.states());
        let losses = trainer.train(Progress::default()).filter_map(|event| match event.unwrap() {
            Event::Step { loss, .. } => Some(loss.double_value(&[])),
            Event::Epoch { .. } => None,
        });
        let losses = losses.collect();
        (before, copied(trainer.states()), losses)
    }

    #[test]
    fn the_steps_of_the_program_can_be_captured() {
        let tiny = r#"{
            "data": {"kind": "shapes", "size": [16, 16], "train_samples": 38, "validation_samples": 12,
                     "loader": {"batch_size": 5}},
            "model": {"kind": "unet", "width": 4, "depth": 2, "fused": "off"},
            "loss": {"dice": 0.5},
            "optimizer": {"clip_norm": 0.5, "ema": 0.9},
            "schedule": {"warmup": 3, "decay": {"kind": "cosine"}},
            "train": {"epochs": 2, "threads": 1, "device": "cpu"}
        }"#;
        let tiny = Config::parse(tiny, "tiny.json").unwrap();
        for precision in ["fp32", "bf16"] {
            let config = tiny.with(&[format!("model.precision={precision}")]).unwrap();
            let (initial, eager, losses) = trained(&config, None, None);
            let mut capture = FakeCapture::new(WARM_UP).unwrap();
            let (_, captured, of_captured) = trained(&config, Some(&initial), Some(&mut capture));
            assert_eq!(of_captured, losses, "{precision}");
            assert_eq!(capture.replays(), 2 * 8 - 2 - 1 - 3 - 1, "all but last batches, the first, and the warm-up");
            for ((part, captured), eager) in captured.iter().zip(eager.values()) {
                for ((name, captured), eager) in captured.iter().zip(eager.values()) {
                    assert!(captured.equal(eager), "{precision}: {part} {name}");
                }
            }
        }
    }
}
