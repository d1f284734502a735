//! Losses of `loss.terms` and their gradients.

use super::{Recorded, assert_close, reference};
use contract::{Batch, IGNORE_INDEX, Loss};
use std::collections::BTreeMap;
use tch::{Device, Kind, Tensor};

fn cases() -> BTreeMap<String, loss::Config> {
    serde_json::from_str(&std::fs::read_to_string(reference("terms.json")).unwrap()).unwrap()
}

fn loss_and_gradient(config: &loss::Config, logits: &Tensor, targets: &Tensor) -> [Tensor; 2] {
    config.check(logits.size()[1] as usize).unwrap();
    let logits = logits.detach().set_requires_grad(true);
    let batch = Batch::new(logits.detach(), targets.shallow_clone(), Vec::new());
    let loss = config.build(Device::Cpu).unwrap().loss(&logits.shallow_clone().into(), &batch).unwrap();
    assert_eq!((loss.size(), loss.kind()), (vec![], Kind::Float));
    loss.backward();
    [loss, logits.grad()]
}

#[test]
fn losses_and_their_gradients_are_those_of_the_other_libraries() {
    let recorded = Recorded::open("terms");
    let cases = cases();
    assert_eq!(cases.len(), 32);
    for (name, config) in cases {
        let of = |part: &str| recorded.get(&format!("{name}.{part}"));
        let [loss, gradient] = loss_and_gradient(&config, &recorded.get("logits"), &of("targets"));
        assert_close(&format!("{name}: loss"), &loss, &of("loss"));
        assert_close(&format!("{name}: gradient"), &gradient, &of("gradient"));
    }
}

#[test]
fn an_ignored_pixel_and_an_empty_batch_count_in_none() {
    let recorded = Recorded::open("terms");
    for (name, config) in cases() {
        let of = |part: &str| recorded.get(&format!("{name}.{part}"));
        let ignored = of("targets").eq(IGNORE_INDEX).unsqueeze(1);
        let changed = recorded.get("logits").masked_fill(&ignored, 1e4);
        let [loss, gradient] = loss_and_gradient(&config, &changed, &of("targets"));
        assert_close(&format!("{name}: loss"), &loss, &of("loss"));
        assert_close(&format!("{name}: gradient"), &gradient, &of("gradient"));

        for samples in [0, 3] {
            let logits = recorded.get("logits").narrow(0, 0, samples);
            let targets = Tensor::full([samples, 9, 11], IGNORE_INDEX, (Kind::Int64, Device::Cpu));
            let [loss, gradient] = loss_and_gradient(&config, &logits, &targets);
            assert_eq!(loss.double_value(&[]), 0.0, "{name} of {samples} samples");
            assert!(gradient.equal(&logits.zeros_like()), "{name} of {samples} samples: {gradient}");
        }
    }
}

#[test]
fn outputs_of_16_bits_are_computed_in_32_and_sure_ones_have_finite_gradients() {
    let recorded = Recorded::open("terms");
    for (name, config) in cases() {
        let (logits, targets) = (recorded.get("logits"), recorded.get(&format!("{name}.targets")));
        for kind in [Kind::BFloat16, Kind::Half] {
            let half = logits.to_kind(kind);
            let [loss, gradient] = loss_and_gradient(&config, &half, &targets);
            let [expected, of_floats] = loss_and_gradient(&config, &half.to_kind(Kind::Float), &targets);
            assert_close(&format!("{name} in {kind:?}"), &loss, &expected);
            let off = (gradient.to_kind(Kind::Float) - &of_floats).abs().max().double_value(&[]);
            let largest = of_floats.abs().max().double_value(&[]);
            assert!(gradient.kind() == kind && off < 0.01 * largest, "{name} in {kind:?}: {off} of {largest}");
        }
        // Right beyond doubt, and wrong beyond doubt.
        for sign in [1.0, -1.0] {
            let classes = Tensor::arange(4, (Kind::Int64, Device::Cpu)).view([1, 4, 1, 1]);
            let logits = targets.unsqueeze(1).eq_tensor(&classes).to_kind(Kind::Float) * sign * 1000.0;
            let [loss, gradient] = loss_and_gradient(&config, &logits, &targets);
            let finite = loss.isfinite().all().int64_value(&[]) * gradient.isfinite().all().int64_value(&[]);
            assert_eq!(finite, 1, "{name}: {loss} with the gradient {gradient}");
        }
    }
}
