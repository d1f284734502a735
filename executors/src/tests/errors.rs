//! An error of a part ends the loop, with the place and the reason in one line.

use super::*;
use crate::{Error, Pass, Trainer, Validator};
use contract::{Event, Loss, Model, Outputs, Progress};
use loss::CrossEntropy;
use std::ops::ControlFlow::Continue;

/// Trains two epochs of two batches of one sample until the error, which must come after `steps` steps and end it.
fn failure(model: &dyn Model, input: &Images, loss_fn: &dyn Loss, steps: usize) -> Error {
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

/// Returns an input of two batches of one sample, changed by `spoil`.
fn spoilt(spoil: Spoil) -> Images {
    Images { spoil, ..Images::new(&[1, 1]) }
}

#[test]
fn an_input_that_fails_is_named_by_its_place() {
    let (_store, model) = network();
    let input = spoilt(|at, batch| if at == (1, 1) { Err("cat_7.jpg: not an image".into()) } else { Ok(batch) });
    let error = failure(&model, &input, &CrossEntropy::default(), 3);
    assert!(
        matches!(&error, Error::Input { place, .. } if (place.pass, place.batch) == (Pass::Training { epoch: 1 }, 1))
    );
    assert_eq!(error.to_string(), "training, epoch 2, batch 2: no batch: cat_7.jpg: not an image");
}

#[test]
fn a_model_that_panics_on_a_shape_is_an_error_with_the_samples() {
    let (_store, model) = network();
    let input = spoilt(|at, batch| Ok(if at == (1, 1) { with_inputs(batch, noise(&[1, 3, 4, 4], 0)) } else { batch }));
    let error = failure(&model, &input, &CrossEntropy::default(), 3);
    assert!(matches!(&error, Error::Model { inputs, .. } if *inputs == [1, 3, 4, 4]));
    let text = error.to_string();
    assert!(
        text.starts_with("training, epoch 2, batch 2 (1.1.0): the model failed on inputs [1, 3, 4, 4]: "),
        "{text}"
    );
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
        assert!(
            text.starts_with("training, epoch 1, batch 1 (0.0.0): the model failed") && text.ends_with(said),
            "{text}"
        );
    }
}

#[test]
fn a_loss_that_fails_is_an_error_with_the_samples() {
    let (_store, model) = network();
    let loss_fn = |_: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Err("no such loss".into()) };
    let error = failure(&model, &Images::new(&[1, 1]), &loss_fn, 0);
    assert_eq!(error.to_string(), "training, epoch 1, batch 1 (0.0.0): the loss function failed: no such loss");

    let input = spoilt(|at, batch| {
        let targets = batch.targets.narrow(1, 0, 3);
        Ok(if at == (1, 0) { Batch::new(batch.inputs, targets, batch.names) } else { batch })
    });
    let error = failure(&model, &input, &CrossEntropy::default(), 2);
    assert!(
        error.to_string().starts_with("training, epoch 2, batch 1 (1.0.0): the loss function failed: libtorch: "),
        "{error}"
    );
}

#[test]
fn an_optimizer_that_fails_is_an_error_with_the_samples() {
    let (_store, model) = network();
    let without_a_graph =
        |outputs: &Tensor, _: &Tensor| -> Result<Tensor, BoxError> { Ok(outputs.detach().sum(Kind::Float)) };
    let error = failure(&model, &Images::new(&[1, 1]), &without_a_graph, 0).to_string();
    let expected =
        "training, epoch 1, batch 1 (0.0.0): the optimizer failed: libtorch: element 0 of tensors does not require";
    assert!(error.starts_with(expected), "{error}");
}

#[test]
fn a_metric_that_fails_is_an_error_with_the_samples() {
    let (store, _) = network();
    let more_classes = nn::conv2d(store.root() / "c", 1, 5, 1, Default::default());
    let error = failure(&more_classes, &Images::new(&[1, 1]), &CrossEntropy::default(), 0).to_string();
    assert!(
        error.starts_with("training, epoch 1, batch 1 (0.0.0): the metric failed: expected outputs [N, 2, H, W]"),
        "{error}"
    );
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
    assert_eq!(error.to_string(), "validation, batch 2: no batch: gone");

    let fails = Function(|x| x.reshape([7]));
    let input = Images::new(&[1, 1]);
    let mut validator = Validator::new(&fails, &input, &loss_fn, &mut metric).after(37);
    let error = validator.test(|_| Continue(())).unwrap_err().to_string();
    assert!(
        error.starts_with("validation after epoch 37, batch 1 (0.0.0): the model failed on inputs [1, 1, 4, 4]: "),
        "{error}"
    );
    assert!(error.contains("shape '[7]' is invalid for input of size 16") && !error.contains('\n'), "{error}");
    let outputs = model.forward_t(&input.batch(0, 0).inputs, false);
    assert!(outputs.requires_grad(), "a panic left gradients switched off");
}

/// An optimizer that fails, or a metric that fails after it has counted a batch.
struct Fails<'a, T: ?Sized>(&'a mut T);

impl<T: Stateful + ?Sized> Stateful for Fails<'_, T> {
    fn state(&self) -> StateDict {
        self.0.state()
    }

    fn load_state(&mut self, state: &StateDict) -> Result<(), contract::StateError> {
        self.0.load_state(state)
    }
}

impl contract::Metric for Fails<'_, Segmentation> {
    fn reset(&mut self) {
        self.0.reset();
    }

    fn update(&mut self, loss: &Tensor, outputs: &Outputs, batch: &Batch) -> Result<(), BoxError> {
        self.0.update(loss, outputs, batch)?;
        if loss.requires_grad() { Err("it has a graph".into()) } else { Err("no room".into()) }
    }

    fn compute(&self) -> Result<contract::Scores, BoxError> {
        Err("no scores".into())
    }
}

impl contract::Optimizer for Fails<'_, optim::Optim> {
    fn minimize(
        &mut self,
        _: &Tensor,
        _: &dyn Fn() -> Result<Tensor, BoxError>,
    ) -> Result<Option<contract::Update>, BoxError> {
        Err("no room".into())
    }

    fn flush(&mut self) -> Result<Option<contract::Update>, BoxError> {
        self.0.flush()
    }

    fn learning_rate(&self) -> f64 {
        self.0.learning_rate()
    }
}

#[test]
fn a_step_that_fails_leaves_weights_optimizer_and_metric_as_they_were() {
    let input = Images::new(&[1, 1]);
    for fails in ["metric", "optimizer"] {
        let (store, model) = network();
        let (mut optimizer, mut metric) = (optimizer(&store, 1), segmentation());
        let loss_fn = CrossEntropy::default();
        let from = {
            let mut trainer = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut metric, 1);
            let mut training = trainer.train(Progress::default());
            training.next().unwrap().unwrap();
            training.progress()
        };
        let trained = |store: &VarStore| -> StateDict {
            let trained = store.variables().into_iter().filter(|(name, _)| !name.contains("running"));
            trained.map(|(name, tensor)| (name, tensor.copy())).collect()
        };
        let before = [trained(&store), copied(&optimizer), copied(&metric)];
        let error = {
            let (mut metric_fails, mut optimizer_fails) = (Fails(&mut metric), Fails(&mut optimizer));
            let mut own_metric = segmentation();
            own_metric.load_state(&before[2]).unwrap();
            let mut trainer = match fails {
                "metric" => Trainer::new(&model, &input, &loss_fn, optimizer_fails.0, &mut metric_fails, 1),
                _ => Trainer::new(&model, &input, &loss_fn, &mut optimizer_fails, &mut own_metric, 1),
            };
            let error = trainer.train(from).next().unwrap().unwrap_err().to_string();
            assert_same(&before[2], &trainer.metric.state());
            error
        };
        assert!(
            error.starts_with(&format!("training, epoch 1, batch 2 (0.1.0): the {fails} failed: no room")),
            "{error}"
        );
        assert_same(&before[0], &trained(&store));
        assert_same(&before[1], &copied(&optimizer));
    }
}

#[test]
fn scores_that_fail_at_the_end_of_an_epoch_come_before_its_last_update() {
    let (store, model) = network();
    let (mut optimizer, mut metric) = (optimizer(&store, 3), segmentation());
    let (input, loss_fn) = (Images::new(&[1]), CrossEntropy::default());
    let mut fails = Fails(&mut metric);
    let from = Progress { batch: 1, step: 1, ..Progress::default() };
    let (loss, _) = {
        let batch = input.batch(0, 0);
        let outputs = model.forward_t(&batch.inputs, true);
        (loss_fn.loss(&outputs.into(), &batch).unwrap(), batch)
    };
    contract::Optimizer::minimize(&mut optimizer, &loss, &|| Ok(Tensor::from(1f32))).unwrap();
    let before = (copied(&store), copied(&optimizer));
    let error = Trainer::new(&model, &input, &loss_fn, &mut optimizer, &mut fails, 1).train(from).next();
    assert_eq!(error.unwrap().unwrap_err().to_string(), "training, epoch 1, batch 2: the metric failed: no scores");
    assert_same(&before.0, &copied(&store));
    assert_same(&before.1, &copied(&optimizer));
}

/// A loss that does not know its weight.
struct Weightless;

impl Loss for Weightless {
    fn loss(&self, outputs: &Outputs, batch: &Batch) -> Result<Tensor, BoxError> {
        CrossEntropy::default().loss(outputs, batch)
    }

    fn weight(&self, outputs: &Outputs, _: &Batch) -> Result<Tensor, BoxError> {
        Ok(outputs.prediction.reshape([7]))
    }
}

#[test]
fn a_weight_that_panics_is_an_error_where_it_is_needed_and_leaves_all_as_it_was() {
    let input = Images::new(&[1, 1]);
    for accumulate in [1, 2] {
        let (store, model) = network();
        let (mut optimizer, mut metric) = (optimizer(&store, accumulate), segmentation());
        let before = [copied(&store), copied(&optimizer), copied(&metric)];
        let trainer = Trainer::new(&model, &input, &Weightless, &mut optimizer, &mut metric, 1);
        let event = trainer.protect("model", &store).train(Progress::default()).next().unwrap();
        if accumulate == 1 {
            event.unwrap();
            continue;
        }
        let said = event.unwrap_err().to_string();
        let expected =
            "training, epoch 1, batch 1 (0.0.0): the optimizer failed: the weight of the loss: libtorch: shape";
        assert!(said.starts_with(expected) && !said.contains('\n'), "{said}");
        assert!(contract::Optimizer::is_unchanged(&optimizer));
        let after = [copied(&store), copied(&optimizer), copied(&metric)];
        before.iter().zip(&after).for_each(|(before, after)| assert_same(before, after));
    }
}
