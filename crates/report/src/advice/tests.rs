use super::testing::*;
use super::*;
use crate::{Evaluation, Status};

fn warning(finding: Finding) -> Warning {
    match finding {
        Finding::Warning(warning) => warning,
        other => panic!("no warning: {other:?}"),
    }
}

fn with(name: &str, value: impl Fn(u64) -> f64, of: Scalars, epoch: u64) -> Scalars {
    let mut of = of;
    of.extend(scalars(&[(name, value(epoch))]));
    of
}

/// Returns a healthy run whose validation scalar `name` has these values.
fn validated(epochs: u64, name: &str, value: impl Fn(u64) -> f64) -> Run {
    run(history(epochs, healthy_train, |epoch| Some(with(name, &value, healthy_validation(epoch).unwrap(), epoch))))
}

/// Returns a healthy run whose training scalar `name` has these values.
fn trained(epochs: u64, name: &str, value: impl Fn(u64) -> f64) -> Run {
    run(history(epochs, |epoch| with(name, &value, healthy_train(epoch), epoch), healthy_validation))
}

fn evaluation(confusion: [[u64; 2]; 2]) -> Evaluation {
    Evaluation {
        checkpoint: "step-400".into(),
        epoch: 40,
        confusion: confusion.map(Vec::from).into(),
        ignored: 10,
        calibration: Vec::new(),
        intervals: crate::Intervals::default(),
        best: Vec::new(),
        worst: Vec::new(),
    }
}

#[test]
fn nothing_is_wrong_with_a_healthy_run() {
    let mut run = healthy();
    run.evaluation = Some(evaluation([[900, 20], [30, 800]]));
    for check in examine(&run) {
        assert_eq!(check.finding, Finding::Fine, "{}", check.name);
    }
}

#[test]
fn a_run_that_wrote_nothing_down_gives_reasons_and_no_warning() {
    for check in examine(&run(Default::default())) {
        assert!(matches!(check.finding, Finding::Unknown(_)), "{check:?}");
    }
}

#[test]
fn a_validation_loss_that_rises_while_training_goes_on_falling_is_overfitting() {
    let loss = |epoch: u64| if epoch <= 20 { 1.0 - 0.03 * epoch as f64 } else { 0.4 + 0.02 * (epoch - 20) as f64 };
    let falling = |epoch: u64| 1.0 - 0.02 * epoch as f64;
    let mut run = validated(40, "loss", loss);
    run.history.lines.iter_mut().filter(|line| line.stage == crate::Stage::Train).for_each(|line| {
        line.scalars.insert("loss".into(), Some(falling(line.epoch)));
    });
    let warning = warning(overfitting(&run));
    assert!(warning.evidence.contains("epoch 20 (0.4000)"), "{}", warning.evidence);
    assert!(warning.evidence.contains("0.7800 (95.0\u{a0}% higher"), "{}", warning.evidence);
    assert!(warning.advice.contains("about epoch 20"));
}

#[test]
fn a_rise_that_is_short_or_slight_or_also_in_training_is_no_overfitting() {
    let rising =
        |from: u64, by: f64| move |epoch: u64| 0.5 + if epoch > from { by } else { 0.1 - 0.005 * epoch as f64 };
    assert_eq!(overfitting(&validated(20, "loss", rising(16, 0.5))), Finding::Fine, "four epochs");
    assert_eq!(overfitting(&validated(20, "loss", rising(10, 0.09))), Finding::Fine, "less than a tenth");
    let mut diverging = validated(20, "loss", rising(10, 0.5));
    for line in &mut diverging.history.lines {
        line.scalars.insert("loss".into(), Some(rising(10, 0.5)(line.epoch)));
    }
    assert_eq!(overfitting(&diverging), Finding::Fine, "training rises as well");
}

#[test]
fn a_loss_that_is_not_finite_is_named_with_its_epoch() {
    let found = warning(learning_rate_too_high(&trained(10, "loss", |epoch| if epoch == 7 { f64::NAN } else { 0.5 })));
    assert!(found.title.contains("not finite"));
    assert!(found.evidence.starts_with("1 of 10 training lines") && found.evidence.contains("epoch 7"), "{found:?}");
    assert!(found.advice.contains("now 0.0010"), "{}", found.advice);
}

#[test]
fn a_training_loss_that_jumps_is_told_from_one_that_is_noisy_near_zero() {
    let jump = |epoch| if epoch == 12 { 1.4 } else { 1.0 / epoch as f64 };
    let found = warning(learning_rate_too_high(&trained(20, "loss", jump)));
    assert!(found.evidence.contains("1 of 20 epochs") && found.evidence.contains("epoch 12, with 1.4000 after 0.0909"));
    let near_zero = |epoch| if epoch % 2 == 0 { 0.002 } else { 1.0 / (epoch * epoch * epoch) as f64 };
    assert_eq!(learning_rate_too_high(&trained(20, "loss", near_zero)), Finding::Fine);
    assert_eq!(
        learning_rate_too_high(&trained(20, "loss", |epoch| if epoch == 12 { 0.7 } else { 0.5 })),
        Finding::Fine
    );
}

#[test]
fn a_score_that_still_rises_at_the_end_is_undertrained_unless_the_run_goes_on() {
    let mut run = validated(20, "mean_iou", |epoch| 0.03 * epoch as f64);
    let found = warning(undertrained(&run));
    assert!(found.evidence.contains("epoch 20 of 20") && found.evidence.contains("26.3\u{a0}% of all"), "{found:?}");
    assert!(found.advice.contains("train.epochs=30"));
    run.status = Status::Running;
    assert!(matches!(undertrained(&run), Finding::Unknown(_)));
}

#[test]
fn a_score_that_settled_or_fell_is_not_undertrained() {
    let settled = |epoch: u64| 0.8 - 0.6 * (-(epoch as f64) / 3.0).exp();
    assert_eq!(undertrained(&validated(30, "mean_iou", settled)), Finding::Fine);
    assert_eq!(undertrained(&validated(30, "mean_iou", |epoch| 1.0 / epoch as f64)), Finding::Fine);
    assert!(matches!(undertrained(&validated(3, "mean_iou", |epoch| epoch as f64)), Finding::Unknown(_)));
    let mut falling = validated(30, "loss", |epoch| 1.0 - 0.03 * epoch as f64);
    falling.config = serde_json::json!({"checkpoint": {"best": "loss", "mode": "min"}});
    assert!(warning(undertrained(&falling)).evidence.contains("best loss is that of epoch 30"));
}

#[test]
fn training_waits_for_data_from_a_fifth_of_its_time_on() {
    let found = warning(data_bound(&trained(20, "seconds/data", |_| 9.5)));
    assert!(found.evidence.contains("epochs 11 to 20") && found.evidence.contains("50.0\u{a0}%"), "{found:?}");
    assert!(matches!(data_bound(&trained(20, "seconds/data", |_| 2.4)), Finding::Warning(_)));
    assert_eq!(data_bound(&trained(20, "seconds/data", |_| 2.3)), Finding::Fine);
    assert_eq!(data_bound(&trained(5, "seconds/data", |epoch| if epoch == 1 { 99.0 } else { 0.5 })), Finding::Fine);
}

#[test]
fn a_class_that_is_not_found_is_told_from_one_that_is_found_in_wrong_places() {
    let mut run = healthy();
    run.evaluation = Some(evaluation([[900, 0], [1030, 0]]));
    let found = warning(unfound_classes(&run));
    assert!(found.title.contains("1 of 2 classes") && found.title.contains("“background”"), "{found:?}");
    assert!(found.evidence.contains("1,030 pixels in the targets, never predicted"), "{found:?}");
    run.evaluation = Some(evaluation([[900, 50], [1030, 0]]));
    assert!(warning(unfound_classes(&run)).evidence.contains("predicted for 50 pixels, none of them right"));
    run.evaluation = Some(evaluation([[900, 50], [1030, 1]]));
    assert_eq!(unfound_classes(&run), Finding::Fine);
}

#[test]
fn without_an_evaluation_the_last_validation_tells_of_classes() {
    let run = validated(9, "iou/pet", |epoch| if epoch < 9 { 0.5 } else { 0.0 });
    assert!(warning(unfound_classes(&run)).title.contains("“pet”"));
    assert_eq!(absent_classes(&run), Finding::Fine);
    let run = validated(9, "iou/pet", |epoch| if epoch < 9 { 0.0 } else { f64::NAN });
    assert_eq!(unfound_classes(&run), Finding::Fine);
    assert!(warning(absent_classes(&run)).title.contains("“pet”"));
}

#[test]
fn a_class_without_a_target_is_absent_even_if_it_is_predicted() {
    let mut run = healthy();
    run.evaluation = Some(evaluation([[900, 20], [0, 0]]));
    assert!(warning(absent_classes(&run)).title.contains("“background”"));
    assert_eq!(unfound_classes(&run), Finding::Fine);
}

#[test]
fn ignored_pixels_are_told_from_half_on() {
    let mut run = healthy();
    run.evaluation = Some(Evaluation { ignored: 100, ..evaluation([[50, 0], [0, 50]]) });
    assert!(warning(ignored_pixels(&run)).evidence.contains("100 of 200 pixels (50.0\u{a0}%)"));
    run.evaluation = Some(Evaluation { ignored: 99, ..evaluation([[50, 0], [0, 50]]) });
    assert_eq!(ignored_pixels(&run), Finding::Fine);
}
