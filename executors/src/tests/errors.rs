//! What goes wrong in a part ends the loop, with the place and the reason in one line.

use super::*;
use crate::{Error, Trainer, Validator};
use contract::{Event, Loss, Progress};
use loss::CrossEntropy;
use std::ops::ControlFlow::Continue;

/// Trains two epochs of two batches of one sample until the error, which must come after `steps` steps and end it.
fn failure(model: &dyn ModuleT, input: &Images, loss_fn: &dyn Loss, steps: usize) -> Error {
    let (store, _) = network();
    let (mut optimizer, mut metric) = (optimizer(&store, 1), segmentation());
    let mut trainer = Trainer::new(model, input, loss_fn, &mut optimizer, &mut metric, 2);
    let mut training = trainer.train(Progress::default());
    let mut done = 0;
    loop {
        match training.next().expect("an error") {
            Ok(event) => done += usize::from(matches!(event, Event::Step { .. })),
            Err(error) => {
                assert_eq!(done, steps, "{error}");
                assert_eq!(training.progress().step, steps as u64);
                assert!(training.next().is_none() && training.next().is_none(), "it went on after {error}");
                let text = error.to_string();
                assert!(!text.contains('\n') && !text.contains("Exception raised"), "{text}");
                return error;
            }
        }
    }
}

/// Two batches of one sample, of which the last one of the second epoch is spoilt.
fn spoilt(spoil: Spoil) -> Images {
    Images { spoil, ..Images::new(&[1, 1]) }
}

#[test]
fn an_input_that_fails_is_named_by_its_place() {
    let (_store, model) = network();
    let input = spoilt(|at, batch| if at == (1, 1) { Err("cat_7.jpg: not an image".into()) } else { Ok(batch) });
    let error = failure(&model, &input, &CrossEntropy::default(), 3);
    assert!(matches!(&error, Error::Input { place, .. } if (place.epoch, place.batch) == (1, 1)));
    assert_eq!(error.to_string(), "epoch 2, batch 2: no batch: cat_7.jpg: not an image");
}

#[test]
fn a_model_that_panics_on_a_shape_is_an_error_with_the_samples() {
    let (_store, model) = network();
    let input =
        spoilt(|at, batch| Ok(if at == (1, 1) { Batch { inputs: noise(&[1, 3, 4, 4], 0), ..batch } } else { batch }));
    let error = failure(&model, &input, &CrossEntropy::default(), 3);
    assert!(matches!(&error, Error::Model { inputs, .. } if *inputs == [1, 3, 4, 4]));
    let text = error.to_string();
    assert!(text.starts_with("epoch 2, batch 2 (1.1.0): the model failed on inputs [1, 3, 4, 4]: "), "{text}");
    assert!(text.contains("expected input[1, 3, 4, 4] to have 1 channels, but got 3 channels instead"), "{text}");
}

#[test]
fn what_libtorch_said_in_a_panic_is_all_that_is_left_of_it() {
    let fails = Function(|x| x.reshape([7]));
    let error = failure(&fails, &Images::new(&[1]), &CrossEntropy::default(), 0).to_string();
    assert!(error.ends_with("[1, 1, 4, 4]: libtorch: shape '[7]' is invalid for input of size 16"), "{error}");
}

#[test]
fn a_panic_of_any_kind_is_an_error() {
    type Case = (&'static str, fn(&Tensor) -> Tensor);
    let cases: [Case; 3] = [
        ("a plain word", |_| panic!("a plain word")),
        ("4 is too many", |x| panic!("{} is too many", x.size()[2])),
        ("it panicked", |_| std::panic::panic_any(7)),
    ];
    for (said, function) in cases {
        let error = failure(&Function(function), &Images::new(&[1]), &CrossEntropy::default(), 0);
        let text = error.to_string();
        assert!(text.starts_with("epoch 1, batch 1 (0.0.0): the model failed") && text.ends_with(said), "{text}");
    }
}

#[test]
fn a_loss_that_fails_is_an_error_with_the_samples() {
    let (_store, model) = network();
    let loss_fn = |_: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Err("no such loss".into()) };
    let error = failure(&model, &Images::new(&[1, 1]), &loss_fn, 0);
    assert_eq!(error.to_string(), "epoch 1, batch 1 (0.0.0): the loss function failed: no such loss");

    let input = spoilt(|at, batch| {
        Ok(if at == (1, 0) { Batch { targets: batch.targets.narrow(1, 0, 3), ..batch } } else { batch })
    });
    let error = failure(&model, &input, &CrossEntropy::default(), 2);
    assert!(error.to_string().starts_with("epoch 2, batch 1 (1.0.0): the loss function failed: libtorch: "), "{error}");
}

#[test]
fn an_optimizer_that_fails_is_an_error_with_the_samples() {
    let (_store, model) = network();
    let not_a_scalar = |outputs: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Ok(outputs * 2.0) };
    let error = failure(&model, &Images::new(&[1, 1]), &not_a_scalar, 0).to_string();
    assert!(error.starts_with("epoch 1, batch 1 (0.0.0): the optimizer failed: libtorch: grad can be"), "{error}");
}

#[test]
fn a_metric_that_fails_is_an_error_with_the_samples() {
    let (store, _) = network();
    let more_classes = nn::conv2d(store.root() / "c", 1, 5, 1, Default::default());
    let error = failure(&more_classes, &Images::new(&[1, 1]), &CrossEntropy::default(), 0).to_string();
    assert!(error.starts_with("epoch 1, batch 1 (0.0.0): the metric failed: expected outputs [N, 2, H, W]"), "{error}");
}

#[test]
fn validation_fails_like_training() {
    let (_store, model) = network();
    let (loss_fn, mut metric) = (CrossEntropy::default(), segmentation());
    let input = Images {
        spoil: |(_, index), batch| if index == 1 { Err("gone".into()) } else { Ok(batch) },
        ..Images::new(&[1, 1])
    };
    let error = Validator::new(&model, &input, &loss_fn, &mut metric).test(|_| Continue(())).unwrap_err();
    assert_eq!(error.to_string(), "epoch 1, batch 2: no batch: gone");

    let fails = Function(|x| x.reshape([7]));
    let input = Images::new(&[1, 1]);
    let mut validator = Validator::new(&fails, &input, &loss_fn, &mut metric);
    let error = validator.test(|_| Continue(())).unwrap_err().to_string();
    assert!(error.starts_with("epoch 1, batch 1 (0.0.0): the model failed on inputs [1, 1, 4, 4]: "), "{error}");
    assert!(error.contains("shape '[7]' is invalid for input of size 16") && !error.contains('\n'), "{error}");
    let outputs = model.forward_t(&input.batch(0, 0).inputs, false);
    assert!(outputs.requires_grad(), "a panic left gradients switched off");
}
