//! Validation and prediction: correct, weighted by pixels, and without side effects.

use super::*;
use crate::{Prediction, Predictor, Trainer, Validator};
use contract::{Metric, Progress, Share};
use loss::CrossEntropy;
use std::ops::ControlFlow::{Break, Continue};

#[test]
fn validation_weighs_by_valid_pixels() {
    let (_store, model) = network();
    let input = Images::new(&[3, 2, 1]);
    let batches: Vec<Batch> = input.epoch(0, 0).map(Result::unwrap).collect();
    let (loss, accuracy) = by_hand(&model, &batches);
    let each = batches.into_iter().map(|batch| by_hand(&model, &[batch]).0);
    assert!((each.sum::<f64>() / 3.0 - loss).abs() > 1e-3, "the mean of batch means would do: a useless case");

    let (mut metric, mut samples) = (segmentation(), Vec::new());
    // What was measured before must not count.
    metric.update(&Tensor::from(9f32), &noise(&[1, 2, 4, 4], 0).into(), &input.batch(0, 2)).unwrap();
    let loss_fn = CrossEntropy::default();
    let watch = |n| {
        samples.push(n);
        Continue(())
    };
    let scores = Validator::new(&model, &input, &loss_fn, &mut metric).test(watch).unwrap().unwrap();
    assert_eq!(samples, [3, 2, 1]);
    assert_eq!((scores[0].0.as_str(), scores[1].0.as_str()), ("loss", "accuracy"));
    assert!((scores[0].1 - loss).abs() < 1e-6, "{} is not {loss}", scores[0].1);
    assert_eq!(scores[1].1, accuracy);
}

#[test]
fn the_samples_of_all_ranks_count() {
    let shared: Spoil = |(_, index), mut batch| {
        batch.share = Some(Share { first: index as usize, of: 10 });
        Ok(batch)
    };
    let input = Images { spoil: shared, ..Images::new(&[3, 2]) };
    let ((store, model), loss_fn, mut metric, mut samples) =
        (network(), CrossEntropy::default(), segmentation(), Vec::new());
    let watch = |n| {
        samples.push(n);
        Continue(())
    };
    Validator::new(&model, &input, &loss_fn, &mut metric).test(watch).unwrap().unwrap();
    assert_eq!(samples, [10, 10]);
    let mut optimizer = optimizer(&store, 1);
    let mut trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 3);
    let mut training = trainer.train(Progress::default());
    training.by_ref().for_each(|event| drop(event.unwrap()));
    assert_eq!(training.progress().samples, 3 * 20);
}

#[test]
fn validation_leaves_no_trace() {
    let (store, model) = network();
    let (input, loss_fn, mut metric) = (Images::new(&[2, 1]), CrossEntropy::default(), segmentation());
    let before = copied(&store);
    let mut validator = Validator::new(&model, &input, &loss_fn, &mut metric);
    let first = validator.test(|_| Continue(())).unwrap();
    let (loss, outputs) = validator.test_step(&input.batch(0, 0)).unwrap();
    let predictions = outputs.prediction;
    assert!(!loss.requires_grad() && !predictions.requires_grad());
    assert_eq!(predictions.size(), [2, 2, 4, 4]);
    assert_eq!(validator.test(|_| Continue(())).unwrap(), first);
    assert_same(&store.state(), &before);
    assert!(store.variables().values().all(|tensor| !tensor.grad().defined()));
    assert!(model.forward_t(&input.batch(0, 0).inputs, false).requires_grad(), "gradients were left switched off");
}

#[test]
fn validation_that_is_broken_off_has_no_scores_and_asks_for_no_further_batch() {
    let (_store, model) = network();
    let input = Images {
        spoil: |(_, index), batch| if index == 2 { panic!("too far") } else { Ok(batch) },
        ..Images::new(&[3, 2, 1])
    };
    let (loss_fn, mut metric, mut seen) = (CrossEntropy::default(), segmentation(), 0);
    let watch = |samples| {
        seen += samples;
        if seen < 5 { Continue(()) } else { Break(()) }
    };
    assert_eq!(Validator::new(&model, &input, &loss_fn, &mut metric).test(watch).unwrap(), None);
    assert_eq!(seen, 5);

    // It leaves nothing behind in the next validation.
    let input = Images::new(&[1]);
    let mut validator = Validator::new(&model, &input, &loss_fn, &mut metric);
    let scores = validator.test(|_| Continue(())).unwrap().unwrap();
    assert!((scores[0].1 - by_hand(&model, &[input.batch(0, 0)]).0).abs() < 1e-6);
    // The same after the last batch.
    assert_eq!(validator.test(|_| Break(())).unwrap(), None);
}

#[test]
fn a_step_of_validation_is_that_of_the_batch_alone() {
    let (_store, model) = network();
    let (input, loss_fn, mut metric) = (Images::new(&[2]), CrossEntropy::default(), segmentation());
    let (loss, _) = Validator::new(&model, &input, &loss_fn, &mut metric).test_step(&input.batch(0, 0)).unwrap();
    assert!((loss.double_value(&[]) - by_hand(&model, &[input.batch(0, 0)]).0).abs() < 1e-6);
    assert_eq!(metric.confusion().unwrap().pixels(), 0);
}

#[test]
fn predictions_come_in_order_by_name_as_they_are_and_as_probabilities() {
    let (store, model) = network();
    let (input, before) = (Images::new(&[2, 1]), copied(&store));
    let predictions: Vec<Prediction> = Predictor::new(&model, &input).predict().map(Result::unwrap).collect();
    let names: Vec<&str> = predictions.iter().map(|prediction| prediction.name.as_str()).collect();
    assert_eq!(names, ["0.0.0", "0.0.1", "0.1.0"]);
    let samples = (0..2).flat_map(|index| input.batch(0, index).inputs.split(1, 0));
    for (prediction, sample) in predictions.iter().zip(samples) {
        let probabilities = prediction.probabilities().unwrap();
        assert_eq!((probabilities.size(), probabilities.kind()), (vec![2, 4, 4], Kind::Float));
        assert!(!probabilities.requires_grad());
        let sums = probabilities.sum_dim_intlist(0, false, Kind::Float);
        assert!((sums - 1.0).abs().max().double_value(&[]) < 1e-6);
        let outputs = model.forward_t(&sample, false).squeeze_dim(0);
        assert!((&prediction.outputs - &outputs).abs().max().double_value(&[]) < 1e-5);
        assert!(prediction.classes().unwrap().equal(&outputs.argmax(0, false)));
        let ratio = (&probabilities.get(1) / &probabilities.get(0)).log();
        assert!((ratio - (outputs.get(1) - outputs.get(0))).abs().max().double_value(&[]) < 1e-4);
    }
    assert_same(&store.state(), &before);
}

#[test]
fn nothing_is_read_from_the_device_between_batches() {
    let (_store, model) = network();
    let (input, loss_fn, mut metric) = (Images::new(&[2, 2, 1]), CrossEntropy::default(), segmentation());
    let reads = torch_ext::Reads::watch().unwrap();
    let mut during = Vec::new();
    let watch = |_| {
        during.push(reads.count());
        Continue(())
    };
    Validator::new(&model, &input, &loss_fn, &mut metric).test(watch).unwrap();
    assert_eq!(during, [0; 3]);
    assert!(reads.count() > 0, "the scores are read at the end");
    let before = reads.count();
    for prediction in Predictor::new(&model, &input).predict() {
        let prediction = prediction.unwrap();
        let _ = (prediction.probabilities().unwrap(), prediction.classes().unwrap());
    }
    assert_eq!(reads.count(), before);
}

#[test]
fn predictions_are_made_as_they_are_asked_for() {
    let (_store, model) = network();
    let input = Images {
        spoil: |(_, index), batch| if index == 1 { panic!("too far") } else { Ok(batch) },
        ..Images::new(&[2, 1])
    };
    assert_eq!(Predictor::new(&model, &input).predict().take(2).filter(Result::is_ok).count(), 2);
}

#[test]
fn prediction_ends_after_an_error() {
    let (_store, model) = network();
    let spoils: [Spoil; 2] = [
        |(_, index), batch| if index == 1 { Err("the disk is gone".into()) } else { Ok(batch) },
        |(_, index), batch| if index == 1 { Ok(with_inputs(batch, noise(&[1, 5, 4, 4], 0))) } else { Ok(batch) },
    ];
    for (spoil, place) in spoils.into_iter().zip(["prediction, batch 2: no batch", "prediction, batch 2 (0.1.0)"]) {
        let input = Images { spoil, ..Images::new(&[2, 1, 1]) };
        let predictor = Predictor::new(&model, &input);
        let mut predictions = predictor.predict();
        assert!((0..2).all(|_| predictions.next().unwrap().is_ok()));
        let error = predictions.next().unwrap().unwrap_err().to_string();
        assert!(error.starts_with(place), "{error}");
        assert!(predictions.next().is_none() && predictions.next().is_none());
    }
}
