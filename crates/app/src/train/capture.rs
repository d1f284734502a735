//! Capture of training steps as CUDA graphs.

use crate::common::config::{Capturing, Config};
use crate::train::group::of_all;
use anyhow::Result;
use contract::{Capture, Ranks};
use distributed::Group;
use executors::Trainer;
use std::sync::Arc;
use tch::Device;

/// Steps that are made operator by operator before the capture: libtorch wants a few.
const WARM_UP: u32 = 3;

/// Returns what captures the steps of a training on `device`, if that is wanted and can be had, by all ranks of a
/// `group`. Otherwise says why not, on a GPU.
///
/// # Errors
///
/// Fails if a rank does.
pub fn capture(config: &Config, device: Device, group: Option<&Arc<Group>>) -> Result<Option<Box<dyn Capture>>> {
    let group = group.filter(|group| group.count() > 1);
    let is_wanted = config.train.graph == Capturing::Auto && device.is_cuda();
    let own = match group.and_then(|group| obstacle(group.uses_nccl(), config.optimizer.accumulate)) {
        Some(why) => Err(why.to_owned()),
        None if is_wanted => made(device),
        None => Err(String::new()),
    };
    let all = group.map_or(Ok(vec![true]), |group| of_all(group.as_ref(), &own.is_ok()))?;
    let why = match own {
        Ok(capture) if !all.contains(&false) => return Ok(Some(capture)),
        Ok(_) => "another rank cannot".to_owned(),
        Err(why) => why,
    };
    if is_wanted {
        log::info!("No step is captured as a CUDA graph, all are made operator by operator: {why}");
    }
    Ok(None)
}

/// Returns why steps of several ranks are not captured, if they are not.
fn obstacle(nccl: bool, accumulate: u64) -> Option<&'static str> {
    if !nccl {
        return Some("gradients travel over Gloo, which takes them from the GPU");
    }
    (accumulate > 1).then_some("gradients are accumulated")
}

fn made(device: Device) -> Result<Box<dyn Capture>, String> {
    let capture = torch_ext::cuda_graph(device, WARM_UP).map_err(|error| error.to_string())?;
    capture.ok_or_else(|| "this program was compiled without CUDA's headers (scripts/libtorch cuda has them)".into())
}

/// Has the steps of `trainer` captured, if there is a capture, alike by all ranks of a `group`.
pub fn captured<'t>(
    trainer: Trainer<'t>,
    capture: &'t mut Option<Box<dyn Capture>>,
    group: Option<&'t Arc<Group>>,
) -> Trainer<'t> {
    match (capture, group) {
        (Some(capture), Some(group)) => trainer.captured_among(capture.as_mut(), group.as_ref()),
        (Some(capture), None) => trainer.captured(capture.as_mut()),
        (None, _) => trainer,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::parts::Parts;
    use contract::{Event, Progress, StateDict};
    use model::Trained;
    use std::collections::BTreeMap;
    use std::env;
    use std::process::Command;
    use torch_ext::FakeCapture;

    #[test]
    fn nothing_is_captured_on_a_cpu_or_where_it_is_off() {
        let auto = Config::default();
        assert_eq!(auto.train.graph, Capturing::Auto);
        let off = auto.with(&["train.graph=off".into()]).unwrap();
        for (config, device) in [(auto, Device::Cpu), (off, Device::Cuda(0))] {
            assert!(capture(&config, device, None).unwrap().is_none());
        }
    }

    #[test]
    fn steps_of_several_ranks_are_captured_over_nccl_one_batch_an_update() {
        assert_eq!([(true, 0), (true, 1)].map(|(nccl, accumulate)| obstacle(nccl, accumulate)), [None; 2]);
        assert!(obstacle(false, 1).is_some_and(|why| why.contains("Gloo")));
        assert!(obstacle(true, 2).is_some_and(|why| why.contains("accumulated")));
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
        // Shown where the test fails: why steps are not captured.
        println!("{:?}, {:?}", trainer.remarks(), trainer.warning());
        (before, copied(trainer.states()), losses)
    }

    /// Runs the test of this `name` in a process of its own, and returns true if this is that process. Other tests draw
    /// from libtorch's generator meanwhile, which is one for a process.
    fn is_alone(name: &str) -> bool {
        const ALONE: &str = "OXISEG_TEST_ALONE";
        if env::var_os(ALONE).is_some() {
            return true;
        }
        let mut test = Command::new(env::current_exe().unwrap());
        let ran = test.args([name, "--exact", "--nocapture"]).env(ALONE, "1").output().unwrap();
        let [said, errors] = [ran.stdout, ran.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        assert!(ran.status.success() && said.contains("1 passed"), "{said}{errors}");
        false
    }

    #[test]
    fn the_steps_of_the_program_can_be_captured() {
        if !is_alone("train::capture::tests::the_steps_of_the_program_can_be_captured") {
            return;
        }
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
