//! Loss scaling changes which gradients f16 can hold, and nothing else.

use super::*;

/// A weight whose gradient passes through f16, as with a convolution in that precision.
struct Narrow {
    weight: Tensor,
    optim: Optim,
}

impl Narrow {
    fn new(scaled: bool) -> Self {
        let weight = Tensor::ones([2], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let config = Config { rule: SGD, learning_rate: 1.0, ..Config::default() };
        let optim = config.build([("w".into(), weight.shallow_clone())].into(), Schedule::default(), ONCE).unwrap();
        Self { weight, optim: if scaled { optim.scaling_the_loss().unwrap() } else { optim } }
    }

    /// Makes a step on a loss whose gradient is `gradient` in each value.
    fn step(&mut self, gradient: f64) -> Update {
        let loss = (self.weight.to_kind(Kind::Half).to_kind(Kind::Float) * gradient).sum(Kind::Float);
        self.optim.minimize(&loss, &ONE).unwrap().unwrap()
    }

    fn factor(&self) -> f64 {
        self.optim.state()["loss_scale"].double_value(&[])
    }

    /// Returns the decrease of the weight by the steps so far.
    fn taken(&self) -> f64 {
        1.0 - self.weight.double_value(&[0])
    }
}

#[test]
fn the_same_bits_come_out_as_without() {
    for rule in RULES {
        let config = Config { clip_norm: Some(0.5), accumulate: 2, ..config(rule) };
        let [mut plain, mut scaled] = [Setup::new(&config), Setup::new(&config)];
        scaled.optim = scaled.optim.scaling_the_loss().unwrap();
        for batch in 0..6 {
            if let [Some(one), Some(other)] = [plain.batch(batch), scaled.batch(batch)] {
                assert!(one.gradient_norm.equal(&other.gradient_norm) && one.rejected.equal(&other.rejected));
            }
        }
        assert_same(&plain.values(), &scaled.values());
    }
}

#[test]
fn gradients_that_f16_rounds_to_zero_survive() {
    let [mut plain, mut scaled] = [false, true].map(Narrow::new);
    // The smallest positive f16 is 6e-8.
    let tiny = 2f64.powi(-26);
    assert_eq!(plain.step(tiny).gradient_norm.double_value(&[]), 0.0);
    let norm = scaled.step(tiny).gradient_norm.double_value(&[]);
    assert!((norm / (tiny * 2f64.sqrt()) - 1.0).abs() < 1e-6, "{norm:e}");
}

#[test]
fn an_update_that_overflows_is_left_out_until_the_factor_fits() {
    let mut narrow = Narrow::new(true);
    // The largest f16 is 65,504: 65,536 and 32,768 times 2.5 overflow.
    for (factor, taken) in [(32_768.0, 0.0), (16_384.0, 0.0), (16_384.0, 2.5), (16_384.0, 5.0)] {
        let update = narrow.step(2.5);
        assert_eq!(update.rejected.double_value(&[]), 0.0, "nothing is wrong with the batch");
        assert_eq!((narrow.factor(), narrow.taken()), (factor, taken));
    }
}

#[test]
fn what_no_factor_helps_is_reported() {
    let mut narrow = Narrow::new(true);
    for step in 0..17 {
        let update = narrow.step(1e5);
        assert_eq!(update.rejected.double_value(&[]), if step == 16 { 1.0 } else { 0.0 }, "{step}");
    }
    assert_eq!((narrow.factor(), narrow.taken()), (1.0, 0.0));
    let mut narrow = Narrow::new(true);
    assert_eq!(narrow.step(f64::NAN).rejected.double_value(&[]), 1.0, "a loss that is not finite is so at any factor");
    assert_eq!(narrow.taken(), 0.0);
}

#[test]
fn the_factor_is_part_of_the_state_and_begins_anew_after_another_precision() {
    let mut narrow = Narrow::new(true);
    narrow.step(2.5);
    let state: StateDict = narrow.optim.state().into_iter().map(|(name, t)| (name, t.copy())).collect();
    let mut resumed = Narrow::new(true);
    resumed.optim.load_state(&state).unwrap();
    assert_eq!(resumed.factor(), 32_768.0);

    let mut plain = Narrow::new(false);
    plain.optim.load_state(&state).unwrap();
    let state = plain.optim.state();
    assert!(!state.contains_key("loss_scale"));
    resumed.optim.load_state(&state).unwrap();
    assert_eq!(resumed.factor(), 65_536.0);
}

#[test]
fn nothing_waits_for_the_device() {
    let mut narrow = Narrow::new(true);
    let reads = ext::Reads::watch().unwrap();
    for gradient in [1.0, 2.5, f64::NAN] {
        narrow.step(gradient);
    }
    assert_eq!(reads.count(), 3, "kernels for the CPU, and those only, read the learning rate once an update");
}
