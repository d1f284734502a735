//! A small network, its data, and an optimizer that accumulates.

use contract::{BoxError, Optimizer, StateDict, StateError, Stateful, Update};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

const CPU: (Kind, Device) = (Kind::Float, Device::Cpu);
/// Samples of a batch of all ranks.
pub const SAMPLES: i64 = 6;
const WIDTH: i64 = 600;

/// Parameters of a network whose gradients do not fit into the first bucket.
pub fn parameters() -> StateDict {
    tch::manual_seed(7);
    let mut all = BTreeMap::new();
    let mut add = |name: &str, size: &[i64]| {
        let values = Tensor::randn(size, CPU) * 0.05;
        all.insert(name.to_string(), values.set_requires_grad(true));
    };
    add("first.weight", &[8, WIDTH]);
    add("first.bias", &[WIDTH]);
    add("middle.weight", &[WIDTH, WIDTH]);
    add("recomputed.weight", &[WIDTH, 12]);
    add("last.weight", &[12, 1]);
    add("odd.weight", &[12, 1]);
    add("never.weight", &[3]);
    all
}

/// Returns the sum of this rank's part of the loss of batch `step`: the rows from `first` to `end`.
pub fn loss(parameters: &StateDict, step: i64, first: i64, end: i64) -> Tensor {
    tch::manual_seed(100 + step);
    let inputs = Tensor::randn([SAMPLES, 8], CPU).slice(0, first, end, 1);
    let of = |name: &str| parameters[name].shallow_clone();
    let hidden = (inputs.matmul(&of("first.weight")) + of("first.bias")).tanh();
    let hidden = hidden.matmul(&of("middle.weight")).tanh();
    let weight = of("recomputed.weight");
    let narrow = torch_ext::recomputed(&[hidden], &[], move |inputs| inputs[0].matmul(&weight).tanh()).unwrap();
    // This head is used by the samples of the batch's first half only: some ranks have none of them.
    let odd = if first < SAMPLES / 2 && step % 2 == 1 {
        narrow
            .slice(0, 0, (SAMPLES / 2 - first).min(end - first), 1)
            .matmul(&of("odd.weight"))
            .square()
            .sum(Kind::Float)
    } else {
        Tensor::from(0f32)
    };
    (narrow.matmul(&of("last.weight")).square().sum(Kind::Float) + odd) / SAMPLES as f64
}

/// Gradient descent, an update of each `accumulate` batches.
pub struct Descent {
    pub parameters: StateDict,
    pub accumulate: u64,
    pub waiting: u64,
}

impl Descent {
    fn update(&mut self) -> Result<Option<Update>, BoxError> {
        let _no_grad = tch::no_grad_guard();
        for parameter in self.parameters.values() {
            let gradient = parameter.grad();
            if gradient.defined() && parameter.requires_grad() {
                let _ = parameter.shallow_clone().f_sub_(&(&gradient * 0.1))?;
            }
            torch_ext::clear_grad(parameter)?;
        }
        self.waiting = 0;
        Ok(Some(Update::new(0.1, Tensor::from(0f32), Tensor::from(0f32))))
    }
}

impl Stateful for Descent {
    fn state(&self) -> StateDict {
        StateDict::new()
    }

    fn load_state(&mut self, _: &StateDict) -> Result<(), StateError> {
        Ok(())
    }
}

impl Optimizer for Descent {
    fn minimize(
        &mut self,
        loss: &Tensor,
        _: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<Update>, BoxError> {
        loss.f_backward()?;
        self.waiting += 1;
        if self.waiting < self.accumulate { Ok(None) } else { self.update() }
    }

    fn flush(&mut self) -> Result<Option<Update>, BoxError> {
        if self.waiting == 0 { Ok(None) } else { self.update() }
    }

    fn updates_next(&self) -> bool {
        self.waiting + 1 >= self.accumulate
    }

    fn learning_rate(&self) -> f64 {
        0.1
    }
}
