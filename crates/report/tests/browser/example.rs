//! Runs whose numbers are easy to predict.

use report::{Bin, Class, Evaluation, History, Interval, Intervals, Line, Picture, Run, Sample, Stage, Status};
use serde_json::json;

/// Returns a run of 30 epochs with everything that a page can show. Its training loss is `1 / epoch + more`, its
/// validation loss 0.1 above that.
pub fn run(name: &str, more: f64) -> Run {
    let line = |stage, epoch: u64, scalars: &[(&str, f64)]| Line {
        stage,
        epoch,
        step: 10 * epoch,
        time: 60.0 * epoch as f64,
        scalars: scalars.iter().map(|(name, value)| (name.to_string(), Some(*value))).collect(),
    };
    let lines = (1..=30).flat_map(|epoch| {
        let loss = 1.0 / epoch as f64 + more;
        let iou = 0.8 - 0.5 / epoch as f64;
        let scores = [("mean_iou", iou), ("accuracy", iou + 0.1)];
        let train = [
            ("loss", loss),
            ("learning_rate", 0.001),
            ("gradient_norm", 1.0 + loss),
            ("images_per_second", 25.0),
            ("memory_mb", 700.0),
            ("seconds/data", 1.0),
            ("seconds/compute", 9.0),
            ("seconds/epoch", 12.0),
        ];
        let classes = [("loss", loss + 0.1), ("iou/pet", iou), ("iou/sky", iou + 0.1), ("iou/edge", iou - 0.1)];
        [
            line(Stage::Train, epoch, &[&train[..], &scores].concat()),
            line(Stage::Validation, epoch, &[&classes[..], &scores].concat()),
        ]
    });
    Run {
        name: name.into(),
        folder: format!("runs/{name}").into(),
        status: Status::Finished,
        config: json!({"train": {"epochs": 30}, "optimizer": {"learning_rate": 0.001}, "more": more}),
        history: History { lines: lines.collect() },
        environment: vec![("libtorch".into(), "2.11.0".into())],
        classes: [("pet", [200, 0, 0]), ("sky", [0, 0, 200]), ("edge", [0, 200, 0])]
            .map(|(name, color)| Class { name: name.into(), color })
            .into(),
        evaluation: Some(evaluation()),
        comparison: None,
    }
}

/// Returns a run of 5 epochs of 200 logged steps each.
pub fn stepwise() -> Run {
    let mut run = run("stepwise", 0.0);
    run.history.lines.retain(|line| line.epoch <= 5);
    run.history.lines.iter_mut().for_each(|line| line.step = 200 * line.epoch);
    run.history.lines.extend((1..=1000).map(|step| Line {
        stage: Stage::Step,
        epoch: 1 + (step - 1) / 200,
        step,
        time: step as f64,
        scalars: [("loss".to_string(), Some(1.0 / step as f64))].into(),
    }));
    run
}

/// Returns a run that has logged nothing.
pub fn bare() -> Run {
    Run {
        config: json!({}),
        history: History::default(),
        environment: Vec::new(),
        evaluation: None,
        comparison: None,
        classes: Vec::new(),
        ..run("bare", 0.0)
    }
}

fn evaluation() -> Evaluation {
    let bin = |index: u64| {
        let confidence = (index as f64 + 0.5) / 10.0;
        Bin { confidence_sum: 100.0 * index as f64 * confidence, correct: 90 * index * index / 10, count: 100 * index }
    };
    Evaluation {
        checkpoint: "step-0000000300".into(),
        epoch: 30,
        confusion: vec![vec![8000, 1500, 500], vec![300, 9500, 200], vec![400, 600, 1000]],
        ignored: 64,
        calibration: (0..10).map(bin).collect(),
        intervals: Intervals {
            images: 40,
            mean_iou: Some(Interval { low: 0.55, high: 0.65 }),
            iou: vec![Some(Interval { low: 0.7, high: 0.8 }); 3],
            ..Intervals::default()
        },
        best: vec![sample("good/0", 0.9), sample("good/1", 0.8)],
        worst: vec![sample("bad/0", 0.1), sample("bad/1", 0.2)],
    }
}

/// Returns a sample with pet on the left half and sky on the right; the prediction extends pet to two thirds.
fn sample(name: &str, score: f64) -> Sample {
    const SIDE: usize = 32;
    let columns = || (0..SIDE * SIDE).map(|pixel| pixel % SIDE);
    Sample {
        name: name.into(),
        score,
        input: Picture {
            width: SIDE,
            height: SIDE,
            rgb: columns().flat_map(|column| [4 * column as u8, 90, 128]).collect(),
        },
        target: columns().map(|column| u8::from(column >= 16)).collect(),
        prediction: columns().map(|column| u8::from(column >= 22)).collect(),
    }
}
