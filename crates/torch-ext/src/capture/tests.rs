use super::*;
use crate::autocast::weights_are_cached;
use crate::trace::alone;
use crate::{Autocast, copy};
use contract::{BoxError, CaptureError, Stage, Step};
use std::cell::{Cell, RefCell};
use std::error::Error;
use tch::{Kind, Tensor};

fn values(count: i64, device: Device) -> Tensor {
    (Tensor::arange(count, (Kind::Float, Device::Cpu)) * 12.9898).sin().to_device(device)
}

/// A training of one layer with dropout. All that changes from step to step is in tensors that keep their place.
struct Training {
    weight: Tensor,
    input: Tensor,
    rate: Tensor,
    steps: Tensor,
}

impl Training {
    fn new(device: Device) -> Self {
        Self {
            weight: values(12, device).reshape([3, 4]).set_requires_grad(true),
            input: Tensor::zeros([5, 3], (Kind::Float, device)),
            rate: Tensor::zeros([0i64; 0], (Kind::Float, device)),
            steps: Tensor::zeros([0i64; 0], (Kind::Double, device)),
        }
    }

    /// Prepares step `number`, which is not a part of the capture.
    fn prepare(&self, number: u64) {
        let input = values(15, self.input.device()).reshape([5, 3]) + number as f64 * 0.01;
        copy(
            &[self.input.shallow_clone(), self.rate.shallow_clone()],
            &[input, Tensor::from(0.1 / (1.0 + number as f32)).to_device(self.rate.device())],
        )
        .unwrap();
    }

    /// Makes the step and returns its loss, its numbers in one row, and the number of steps so far.
    fn step(&self) -> Result<Vec<Tensor>, BoxError> {
        let y = self.input.f_dropout(0.5, true)?.f_matmul(&self.weight)?.f_tanh()?;
        let loss = y.f_square()?.f_sum(Kind::Float)?;
        loss.f_backward()?;
        tch::no_grad(|| -> Result<(), BoxError> {
            let _ = self.weight.shallow_clone().f_sub_(&self.weight.grad().f_mul(&self.rate)?)?;
            let _ = self.steps.shallow_clone().f_add_scalar_(1.0)?;
            Ok(())
        })?;
        crate::clear_grad(&self.weight)?;
        let row = Tensor::f_stack(&[loss.detach().f_to_kind(Kind::Double)?, self.steps.shallow_clone()], 0)?;
        Ok(vec![loss.detach(), row, self.steps.shallow_clone()])
    }
}

/// Makes `count` steps and returns the weights, and loss and number of each step.
fn train(device: Device, count: u64, mut capture: Option<&mut dyn Capture>) -> (Tensor, Vec<Vec<f64>>) {
    tch::manual_seed(3);
    let training = Training::new(device);
    let mut rows = Vec::new();
    for number in 0..count {
        training.prepare(number);
        let row = match &mut capture {
            None => training.step().unwrap().swap_remove(1),
            Some(capture) => {
                let stage = capture.step(&mut || training.step()).unwrap();
                let expected = [Stage::WarmUp, Stage::WarmUp, Stage::Capture, Stage::Replay];
                assert_eq!(stage, expected[number.min(3) as usize]);
                // The next replay overwrites it.
                capture.outputs()[1].copy()
            }
        };
        rows.push(row);
    }
    let rows = rows.into_iter().map(|row| Vec::try_from(row.to_device(Device::Cpu)).unwrap()).collect();
    (training.weight.detach().to_device(Device::Cpu), rows)
}

#[test]
fn captured_steps_are_those_made_operator_by_operator_to_the_bit() {
    let _alone = alone();
    let mut capture = FakeCapture::new(2).unwrap();
    let (weights, rows) = train(Device::Cpu, 200, Some(&mut capture));
    let (expected, expected_rows) = train(Device::Cpu, 200, None);
    assert!(weights.equal(&expected) && rows == expected_rows);
    assert_eq!(capture.replays(), 197);
    assert_eq!(rows[199][1], 200.0);
}

#[test]
fn a_step_is_captured_if_all_ranks_could() {
    let _alone = alone();
    let x = Tensor::from(1f32);
    let mut step = || Ok(vec![x.f_add_scalar(1.0)?]);
    let mut waits = || Ok(vec![Tensor::from(x.f_double_value(&[])?)]);
    let mut capture = FakeCapture::new(1).unwrap();
    let mut nobody = |_| panic!("nobody is asked while it warms up, or when it replays");
    assert_eq!(capture.step_if_all(&mut step, &mut nobody).unwrap(), Stage::WarmUp);
    let error = capture.step_if_all(&mut step, &mut |own| Ok(!own)).unwrap_err();
    assert!(matches!(error, CaptureError::Capture(_)) && capture.outputs().is_empty(), "{error:?}");
    assert!(matches!(capture.step_if_all(&mut step, &mut nobody).unwrap_err(), CaptureError::Gone));

    let mut told = Vec::new();
    for (works, lost) in [(false, false), (true, true), (true, false)] {
        capture.reset().unwrap();
        capture.step(&mut step).unwrap();
        let step: &mut Step = if works { &mut step } else { &mut waits };
        let all = &mut |own| {
            told.push(own);
            if lost { Err("rank 1 died".into()) } else { Ok(own) }
        };
        match capture.step_if_all(step, all) {
            Ok(stage) => assert!(works && !lost && stage == Stage::Capture),
            Err(CaptureError::Ranks(source)) => assert!(lost && source.to_string() == "rank 1 died"),
            Err(error) => assert!(!works && error.source().unwrap().to_string().contains("waits for the device")),
        }
    }
    assert_eq!(told, [false, true, true]);
    assert_eq!(capture.step_if_all(&mut step, &mut nobody).unwrap(), Stage::Replay);
}

#[test]
fn results_stay_where_the_capture_left_them_and_are_overwritten() {
    let _alone = alone();
    let (x, ring) = (Tensor::from(1f32), Tensor::zeros([4], (Kind::Float, Device::Cpu)));
    let mut capture = FakeCapture::new(0).unwrap();
    let mut step = || -> Result<Vec<Tensor>, BoxError> {
        let _ = x.shallow_clone().f_add_scalar_(1.0)?;
        let _ = ring.shallow_clone().f_add_(&x)?;
        Ok(vec![&x * 10.0, ring.shallow_clone()])
    };
    assert_eq!(capture.step(&mut step).unwrap(), Stage::Capture);
    let first = capture.outputs()[0].shallow_clone();
    assert_eq!(capture.step(&mut step).unwrap(), Stage::Replay);
    assert_eq!(first.double_value(&[]), 30.0, "a replay writes to the same place");
    assert_eq!(capture.outputs()[1].data_ptr(), ring.data_ptr());
    assert_eq!(ring.double_value(&[3]), 5.0);
}

/// Returns the error of a replay of `step`, which gets 0 at the capture and 1 at the replay.
fn differs(step: impl Fn(usize) -> Vec<Tensor>) -> String {
    let mut capture = FakeCapture::new(0).unwrap();
    capture.step(&mut || Ok(step(0))).unwrap();
    let error = capture.step(&mut || Ok(step(1))).unwrap_err();
    assert!(matches!(error, CaptureError::Differs(_)), "{error:?}");
    assert!(matches!(capture.step(&mut || Ok(step(0))).unwrap_err(), CaptureError::Gone));
    error.to_string()
}

#[test]
fn a_replay_that_would_not_repeat_the_step_is_an_error() {
    let _alone = alone();
    let x = values(6, Device::Cpu);
    let said = differs(|at| vec![&x * [0.5, 0.25][at]]);
    assert!(said.contains("operator 0 was aten::mul(Float[6]@"), "{said}");
    assert!(said.contains(", 0.5) and is aten::mul(Float[6]@") && said.ends_with(", 0.25)"), "{said}");
    let said = differs(|at| vec![if at == 0 { x.relu() } else { x.tanh() }]);
    assert!(said.contains("was aten::relu(") && said.contains("is aten::tanh("), "{said}");
    let said = differs(|at| (0..=at).map(|_| x.relu()).collect());
    assert!(said.contains("operator 1 was nothing and is aten::relu("), "{said}");
    // The flag of a step that lies in the next one's way, as a new tensor each time.
    let flag = RefCell::new(Tensor::from(0f32));
    let said = differs(|_| {
        let next = &*flag.borrow() + 1.0;
        drop(flag.replace(next));
        vec![]
    });
    assert!(said.contains("was aten::add(Float[]@"), "{said}");
    let rings = [values(3, Device::Cpu), values(3, Device::Cpu)];
    let said = differs(|at| {
        let _ = rings.each_ref().map(Tensor::relu);
        vec![rings[at].shallow_clone()]
    });
    assert!(said.ends_with("result 0 has moved to other memory"), "{said}");
    let said = differs(|at| {
        let _ = x.relu();
        (0..at).map(|_| x.shallow_clone()).collect()
    });
    assert!(said.ends_with("it returned 0 tensors and returns 1"), "{said}");
}

#[test]
fn a_step_that_fails_leaves_everything_as_it_was() {
    let _alone = alone();
    let x = values(6, Device::Cpu);
    let fails = Cell::new(true);
    let mut step = || -> Result<Vec<Tensor>, BoxError> {
        let y = x.f_relu()?;
        if fails.get() { Err("not today".into()) } else { Ok(vec![y]) }
    };
    let mut capture = FakeCapture::new(1).unwrap();
    // A warm-up can be tried again, a capture cannot.
    assert!(matches!(capture.step(&mut step).unwrap_err(), CaptureError::Step(_)));
    fails.set(false);
    assert_eq!(capture.step(&mut step).unwrap(), Stage::WarmUp);
    fails.set(true);
    let error = capture.step(&mut step).unwrap_err();
    assert!(matches!(&error, CaptureError::Capture(source) if source.to_string() == "not today"), "{error:?}");
    fails.set(false);
    assert!(matches!(capture.step(&mut step).unwrap_err(), CaptureError::Gone));
    assert!(weights_are_cached());
    let mut capture = FakeCapture::new(0).unwrap();
    let error = capture.step(&mut || panic!("at the worst moment")).unwrap_err();
    assert!(matches!(&error, CaptureError::Capture(source) if source.to_string() == "at the worst moment"));
    assert!(weights_are_cached());
    // Nothing is left of the watch.
    let mut capture = FakeCapture::new(0).unwrap();
    assert_eq!(capture.step(&mut step).unwrap(), Stage::Capture);
}

#[test]
fn a_capture_that_is_reset_warms_up_again_and_takes_another_step() {
    let _alone = alone();
    let (x, other) = (values(6, Device::Cpu), Cell::new(false));
    let mut step =
        || -> Result<Vec<Tensor>, BoxError> { Ok(vec![if other.get() { x.f_tanh()? } else { x.f_relu()? }]) };
    let mut capture = FakeCapture::new(1).unwrap();
    for expected in [Stage::WarmUp, Stage::Capture, Stage::Replay] {
        assert_eq!(capture.step(&mut step).unwrap(), expected);
    }
    other.set(true);
    capture.reset().unwrap();
    assert!(capture.outputs().is_empty());
    for expected in [Stage::WarmUp, Stage::Capture, Stage::Replay] {
        assert_eq!(capture.step(&mut step).unwrap(), expected);
        assert!(capture.outputs()[0].equal(&x.tanh()));
    }
    assert_eq!(capture.replays(), 2);
    // Also after a failure.
    other.set(false);
    capture.step(&mut step).unwrap_err();
    capture.reset().unwrap();
    assert_eq!(capture.step(&mut step).unwrap(), Stage::WarmUp);
}

#[test]
fn a_step_that_waits_for_the_device_is_not_captured() {
    let _alone = alone();
    let x = values(6, Device::Cpu);
    let mut capture = FakeCapture::new(0).unwrap();
    let error = capture.step(&mut || Ok(vec![Tensor::from(x.f_max()?.f_double_value(&[])?)])).unwrap_err();
    let CaptureError::Capture(source) = error else { panic!("{error:?}") };
    assert!(source.to_string().contains("(Float[]) waits for the device"), "{source}");
}

#[test]
fn weights_are_cast_anew_in_a_capture() {
    let _alone = alone();
    let _bf16 = Autocast::new(Device::Cpu, Kind::BFloat16).unwrap();
    let weight = values(16, Device::Cpu).reshape([4, 4]).set_requires_grad(true);
    let mut step = || -> Result<Vec<Tensor>, BoxError> {
        assert!(!weights_are_cached());
        let y = weight.f_matmul(&weight)?;
        Ok(vec![y.detach()])
    };
    let mut capture = FakeCapture::new(0).unwrap();
    capture.step(&mut step).unwrap();
    let before = capture.outputs()[0].copy();
    let _ = tch::no_grad(|| weight.shallow_clone().g_mul_scalar_(2.0));
    capture.step(&mut step).unwrap();
    assert!(capture.outputs()[0].equal(&(before * 4.0)) && weights_are_cached());
}

#[test]
fn a_cpu_has_no_cuda_graphs() {
    assert!(cuda_graph(Device::Cpu, 3).unwrap().is_none());
    assert_eq!(has_cuda_graphs(), cfg!(cuda_graphs));
}

#[cfg(cuda_graphs)]
mod on_a_gpu {
    use super::*;

    /// Returns the GPU to test on, or says that there is none.
    fn gpu() -> Option<Device> {
        let there = tch::Cuda::is_available();
        if !there {
            println!("SKIPPED: no GPU");
        }
        there.then_some(Device::Cuda(0))
    }

    #[test]
    fn replays_are_eager_steps_to_the_bit_with_dropout() {
        let (_alone, Some(device)) = (alone(), gpu()) else { return };
        let mut capture = cuda_graph(device, 2).unwrap().unwrap();
        let (weights, rows) = train(device, 200, Some(&mut *capture));
        let (expected, expected_rows) = train(device, 200, None);
        assert!(weights.equal(&expected) && rows == expected_rows);
    }

    #[test]
    fn after_an_aborted_capture_steps_work_and_draw_as_before() {
        let (_alone, Some(device)) = (alone(), gpu()) else { return };
        let x = values(4096, device);
        for fail in 0..3 {
            tch::manual_seed(5);
            let expected = [x.dropout(0.5, true), x.dropout(0.5, true)];
            tch::manual_seed(5);
            let first = x.dropout(0.5, true);
            let mut capture = cuda_graph(device, 0).unwrap().unwrap();
            let error = capture.step(&mut || {
                let y = x.f_dropout(0.5, true)?;
                match fail {
                    0 => Err("not today".into()),
                    1 => panic!("at the worst moment"),
                    // A read waits for the device, which a capture does not allow.
                    _ => Ok(vec![Tensor::from(y.f_sum(Kind::Float)?.f_double_value(&[])?)]),
                }
            });
            assert!(matches!(error.unwrap_err(), CaptureError::Capture(_)));
            let second = x.dropout(0.5, true);
            assert!(first.equal(&expected[0]) && second.equal(&expected[1]), "{fail}");
            assert!(weights_are_cached());
            let (weights, _) = train(device, 5, Some(&mut *cuda_graph(device, 2).unwrap().unwrap()));
            assert!(weights.equal(&train(device, 5, None).0), "{fail}: a later capture");
        }
    }
}
