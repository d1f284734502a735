use super::*;

fn metric() -> Segmentation {
    Segmentation::new(vec!["dark".into(), "bright".into()], Device::Cpu).unwrap()
}

/// Returns logits and targets of two samples of 3x5 pixels, some of them ignored. Without libtorch's generator, which
/// the tests of one process share.
fn batch(seed: i64) -> (Tensor, Tensor) {
    let ramp = |len: i64| Tensor::arange(len, (Kind::Float, Device::Cpu)) * (seed as f64 + 1.7);
    let outputs = ramp(60).sin().view([2, 2, 3, 5]);
    let targets = ramp(30).cos().gt(0.2).to_kind(Kind::Int64).view([2, 3, 5]);
    let _ = targets.get(0).get(1).fill_(IGNORE_INDEX);
    (outputs, targets)
}

fn show(metric: &mut Segmentation, losses: &[f32]) {
    for (seed, loss) in losses.iter().enumerate() {
        let (outputs, targets) = batch(seed as i64);
        metric.update(&Tensor::from(*loss), &outputs, &targets).unwrap();
    }
}

/// Returns the state as bits, because NaN is not equal to itself.
fn bits(metric: &Segmentation) -> (Vec<i64>, u64) {
    let state = metric.state();
    (Vec::try_from(&state["counts"]).unwrap(), state["weighted_loss"].double_value(&[]).to_bits())
}

fn loss(metric: &Segmentation) -> f64 {
    let scores = metric.compute().unwrap();
    assert_eq!(scores[0].0, "loss");
    scores[0].1
}

#[test]
fn what_was_not_learnt_from_is_left_out_of_training_and_counts_in_validation() {
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let (mut training, mut validation) = (metric().of_training(), metric());
        for metric in [&mut training, &mut validation] {
            show(metric, &[0.7, broken, 0.3]);
        }
        // The first and the third batch alone.
        let mut expected = metric();
        show(&mut expected, &[0.7]);
        let (outputs, targets) = batch(2);
        expected.update(&Tensor::from(0.3f32), &outputs, &targets).unwrap();
        assert_eq!(training.confusion().unwrap(), expected.confusion().unwrap());
        assert_eq!(bits(&training).1, bits(&expected).1);
        assert!((loss(&training) - 0.5).abs() < 1e-7, "{}", loss(&training));

        assert!(!loss(&validation).is_finite(), "{broken}: a broken model looks healthy");
        assert_eq!((training.confusion().unwrap().pixels(), validation.confusion().unwrap().pixels()), (50, 75));
    }
}

#[test]
fn what_the_network_gave_for_a_batch_that_is_left_out_does_not_matter() {
    let (mut metric, (outputs, targets)) = (metric().of_training(), batch(1));
    show(&mut metric, &[0.7]);
    let before = bits(&metric);
    metric.update(&Tensor::from(f32::NAN), &outputs.full_like(f64::NAN), &targets).unwrap();
    assert_eq!((bits(&metric).0[..4].to_vec(), bits(&metric).1), (before.0[..4].to_vec(), before.1));
}

#[test]
fn finite_losses_give_the_same_bits_with_either() {
    let (mut training, mut validation) = (metric().of_training(), metric());
    for metric in [&mut training, &mut validation] {
        show(metric, &[0.7, 0.1, -3.4e38, 1e-45, 0.0]);
    }
    assert_eq!(bits(&training), bits(&validation));
}

#[test]
fn a_batch_of_ignored_pixels_counts_in_neither() {
    let (outputs, targets) = batch(0);
    for mut metric in [metric(), metric().of_training()] {
        show(&mut metric, &[0.7]);
        for nothing in [0.9, f32::NAN] {
            metric.update(&Tensor::from(nothing), &outputs, &targets.full_like(IGNORE_INDEX)).unwrap();
        }
        assert!((loss(&metric) - 0.7).abs() < 1e-7);
        assert_eq!(metric.confusion().unwrap().pixels(), 25);
    }
}

#[test]
fn an_epoch_of_which_nothing_was_learnt_has_no_loss() {
    let mut metric = metric().of_training();
    show(&mut metric, &[f32::NAN, f32::INFINITY]);
    assert!(loss(&metric).is_nan());
    assert_eq!(bits(&metric).1, 0);
    metric.reset();
    show(&mut metric, &[0.5]);
    assert_eq!(loss(&metric), 0.5, "resetting does not make it forget what it is for");
}

#[test]
fn the_state_goes_on_where_it_was_with_either() {
    let mut whole = metric().of_training();
    show(&mut whole, &[0.7, f32::NAN, 0.3]);
    let mut first = metric().of_training();
    show(&mut first, &[0.7, f32::NAN]);
    let state: StateDict = first.state().into_iter().map(|(name, tensor)| (name, tensor.copy())).collect();
    for mut resumed in [metric(), metric().of_training()] {
        resumed.load_state(&state).unwrap();
        assert_eq!(bits(&resumed), bits(&first));
        let (outputs, targets) = batch(2);
        resumed.update(&Tensor::from(0.3f32), &outputs, &targets).unwrap();
        assert_eq!(bits(&resumed), bits(&whole));
    }
}
