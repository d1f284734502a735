//! Losses and their gradients.

use super::{Recorded, assert_close, cases};
use contract::{Batch, IGNORE_INDEX, Loss};
use tch::{Device, Kind, Tensor};

fn loss_and_gradient(config: &loss::Config, logits: &Tensor, targets: &Tensor) -> (Tensor, Tensor) {
    config.check(logits.size()[1] as usize).unwrap();
    let logits = logits.detach().set_requires_grad(true);
    let batch = Batch::new(logits.detach(), targets.shallow_clone(), Vec::new());
    let loss = config.build(Device::Cpu).unwrap().loss(&logits.shallow_clone().into(), &batch).unwrap();
    loss.backward();
    (loss, logits.grad())
}

#[test]
fn losses_and_their_gradients_are_those_of_pytorch() {
    let recorded = Recorded::open("losses");
    let cases = cases::<loss::Config>("losses");
    assert_eq!(cases.len(), 11);
    for (name, config) in cases {
        let of = |part: &str| recorded.get(&format!("{name}.{part}"));
        let (loss, gradient) = loss_and_gradient(&config, &of("logits"), &of("targets"));
        assert_close(&format!("{name}: loss"), &loss, &of("loss"));
        assert_close(&format!("{name}: gradient"), &gradient, &of("gradient"));
    }
}

/// PyTorch's cross entropy is NaN here; a batch without a valid pixel must not end a training.
#[test]
fn a_batch_of_ignored_pixels_has_no_loss_and_no_gradient() {
    let logits = Recorded::open("losses").get("sum.logits");
    let targets = Tensor::full([2, 5, 6], IGNORE_INDEX, (Kind::Int64, Device::Cpu));
    for (name, config) in cases::<loss::Config>("losses") {
        let (loss, gradient) = loss_and_gradient(&config, &logits, &targets);
        assert_eq!(loss.double_value(&[]), 0.0, "{name}");
        assert!(gradient.equal(&gradient.zeros_like()), "{name}: {gradient}");
    }
}

#[test]
fn what_an_ignored_pixel_holds_does_not_matter() {
    let recorded = Recorded::open("losses");
    for (name, config) in cases::<loss::Config>("losses") {
        let of = |part: &str| recorded.get(&format!("{name}.{part}"));
        let ignored = of("targets").eq(IGNORE_INDEX).unsqueeze(1);
        let changed = of("logits").masked_fill(&ignored, 1e4);
        let (loss, gradient) = loss_and_gradient(&config, &changed, &of("targets"));
        assert_close(&format!("{name}: loss"), &loss, &of("loss"));
        assert_close(&format!("{name}: gradient"), &gradient, &of("gradient"));
    }
}
