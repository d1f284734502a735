use super::*;
use crate::advice::testing::{healthy, history, run, scalars};

fn report(compare: Vec<Run>) -> Report {
    Report { run: healthy(), compare }
}

fn chart<'a>(charts: &'a Charts, id: &str) -> &'a Chart {
    charts.charts.iter().find(|chart| chart.id == id).unwrap()
}

#[test]
fn train_and_validation_share_a_chart_and_what_was_not_written_is_named() {
    let mut report = report(Vec::new());
    for line in &mut report.run.history.lines {
        line.scalars.extend([("kappa".into(), Some(0.5)), ("fw_iou".into(), Some(0.5))]);
    }
    let charts = charts(&report);
    let loss = chart(&charts, "loss");
    let looks: Vec<(&str, usize, usize)> =
        loss.series.iter().map(|series| (series.label.as_str(), series.color, series.dash)).collect();
    assert_eq!(looks, [("train", 1, 1), ("validation", 0, 0)]);
    assert_eq!(loss.series[0].epoch[..2], [1.0, 2.0]);
    assert_eq!(loss.series[0].step[..2], [10, 20]);
    assert_eq!(charts.missing, ["Accuracy", "Mean Dice", "Gradient norm", "Images per second", "Memory (MB)"]);
    assert_eq!(
        charts.charts.iter().map(|chart| chart.id.as_str()).collect::<Vec<_>>(),
        ["loss", "mean_iou", "class_iou", "learning_rate"]
    );
    assert!(!charts.steps);
}

#[test]
fn scores_of_another_metric_have_charts_of_their_own() {
    let mut run = healthy();
    for line in &mut run.history.lines {
        line.scalars.retain(|name, _| name != "mean_iou" && !name.starts_with("iou/"));
        line.scalars.insert("mean_absolute_error".into(), Some(0.25));
    }
    run.classes.clear();
    let charts = charts(&Report { run, compare: Vec::new() });
    let shown: Vec<(&str, &str)> =
        charts.charts.iter().map(|chart| (chart.id.as_str(), chart.title.as_str())).collect();
    assert_eq!(
        shown,
        [("loss", "Loss"), ("mean_absolute_error", "Mean absolute error"), ("learning_rate", "Learning rate")]
    );
    assert_eq!(charts.missing, ["Gradient norm", "Images per second", "Memory (MB)"]);
}

#[test]
fn beside_others_a_run_has_one_colour_and_its_name() {
    let other = Run { name: "other".into(), ..healthy() };
    let charts = charts(&report(vec![other]));
    let looks: Vec<(&str, usize, usize)> =
        chart(&charts, "loss").series.iter().map(|series| (series.label.as_str(), series.color, series.dash)).collect();
    let expected = [
        ("healthy · train", 0, 1),
        ("healthy · validation", 0, 0),
        ("other · train", 1, 1),
        ("other · validation", 1, 0),
    ];
    assert_eq!(looks, expected);
    let classes: Vec<(&str, bool)> =
        chart(&charts, "class_iou").series.iter().map(|series| (series.label.as_str(), series.hidden)).collect();
    assert_eq!(classes, [("pet", false), ("background", false), ("other · pet", true), ("other · background", true)]);
}

#[test]
fn of_many_classes_the_worst_are_shown_first() {
    let names: Vec<String> = (0..30).map(|class| format!("class {class:02}")).collect();
    let scores =
        || names.iter().enumerate().map(|(class, name)| (format!("iou/{name}"), Some(1.0 - 0.01 * class as f64)));
    let mut run = run(history(3, |_| Default::default(), |_| Some(scores().collect())));
    run.classes = names.iter().map(|name| crate::Class { name: name.clone(), color: [0; 3] }).collect();
    let charts = charts(&Report { run, compare: Vec::new() });
    let shown: Vec<&str> = chart(&charts, "class_iou")
        .series
        .iter()
        .filter_map(|series| (!series.hidden).then_some(series.label.as_str()))
        .collect();
    assert_eq!(shown, &names[22..]);
}

#[test]
fn a_hundred_thousand_steps_become_two_thousand_points_at_fractions_of_epochs() {
    let mut run = healthy();
    run.history = history(10, |_| scalars(&[("loss", 1.0)]), |_| None);
    for line in &mut run.history.lines {
        line.step = 10_000 * line.epoch;
    }
    run.history.lines.extend((1..=100_000).map(|step| Line {
        stage: Stage::Step,
        epoch: step / 10_000,
        step,
        time: 0.0,
        scalars: scalars(&[("loss", if step == 42_000 { f64::NAN } else { 1.0 / step as f64 })]),
    }));
    let charts = charts(&Report { run, compare: Vec::new() });
    let steps = chart(&charts, "loss").series.iter().find(|series| series.thin).unwrap();
    assert!(charts.steps && steps.y.len() <= 2000);
    assert!(steps.y.contains(&None));
    let at = steps.step.iter().position(|step| *step == 100_000).unwrap();
    assert_eq!(steps.epoch[at], 10.0);
    assert!(steps.step.iter().zip(&steps.epoch).all(|(step, epoch)| (*step as f64 / 10_000.0 - epoch).abs() < 1e-9));
}

#[test]
fn a_step_after_the_last_epoch_goes_on_at_its_pace() {
    let ends = [(0, 0), (1, 10), (2, 30)];
    assert_eq!([5, 10, 20, 30, 40].map(|step| within(&ends, step)), [0.5, 1.0, 1.5, 2.0, 2.5]);
    assert_eq!(within(&ends[..1], 7), 0.0);
}
