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
        metric.count(&Tensor::from(*loss), &outputs, &targets).unwrap();
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
fn a_loss_that_is_not_finite_shows() {
    for broken in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut metric = metric();
        show(&mut metric, &[0.7, broken, 0.3]);
        assert!(!loss(&metric).is_finite(), "{broken}: a broken model looks healthy");
        assert_eq!(metric.confusion().unwrap().pixels(), 75);
    }
}

#[test]
fn a_batch_of_ignored_pixels_counts_nothing() {
    let (outputs, targets) = batch(0);
    let mut metric = metric();
    show(&mut metric, &[0.7]);
    for nothing in [0.9, f32::NAN] {
        metric.count(&Tensor::from(nothing), &outputs, &targets.full_like(IGNORE_INDEX)).unwrap();
    }
    assert!((loss(&metric) - 0.7).abs() < 1e-7);
    assert_eq!(metric.confusion().unwrap().pixels(), 25);
}

#[test]
fn the_state_goes_on_where_it_was() {
    let mut whole = metric();
    show(&mut whole, &[0.7, 0.1, 0.3]);
    let mut first = metric();
    show(&mut first, &[0.7, 0.1]);
    let mut resumed = metric();
    resumed.load_state(&first.state()).unwrap();
    assert_eq!(bits(&resumed), bits(&first));
    let (outputs, targets) = batch(2);
    resumed.count(&Tensor::from(0.3f32), &outputs, &targets).unwrap();
    assert_eq!(bits(&resumed), bits(&whole));
}

#[test]
fn two_that_are_merged_saw_what_one_would_have_seen() {
    let mut whole = metric();
    show(&mut whole, &[0.5, 0.25]);
    let (mut first, mut second) = (metric(), metric());
    show(&mut first, &[0.5]);
    let (outputs, targets) = batch(1);
    second.count(&Tensor::from(0.25f32), &outputs, &targets).unwrap();
    first.merge(&second.state()).unwrap();
    assert_eq!(bits(&first), bits(&whole));

    let other = Segmentation::new(vec!["only".into()], Device::Cpu).unwrap();
    let error = first.merge(&other.state()).unwrap_err().to_string();
    assert!(error.contains("'counts': expected [5]"), "{error}");
    assert_eq!(bits(&first), bits(&whole));
}
