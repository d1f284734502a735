//! The records as TensorBoard's plugins read them.

use crate::logs::{Logs, image, read, write_all};
use serde_json::{Value, json};
use std::sync::LazyLock;
use summary::Status;

/// Output of the plugins for a run of two epochs.
static TWO_EPOCHS: LazyLock<Option<Value>> = LazyLock::new(|| {
    let logs = Logs::new();
    write_all(&mut logs.open(), 1..=2);
    read("read_plugins.py", &logs.folder())
});

#[test]
fn scalars_and_images_and_histograms_are_read() {
    let Some(said) = &*TWO_EPOCHS else { return };
    let loss = json!([[1, 0.5], [2, 0.25]]);
    assert_eq!(said["scalars"]["train"]["loss"], loss);
    assert_eq!(said["scalars"]["validation"]["loss"], loss);
    assert_eq!(said["scalars"]["train/steps"]["step/loss"], json!([[1, 1.0], [2, 0.5]]));
    for (sample, shade) in [(0, 0), (1, 100)] {
        let shown = [1, 2].map(|step| json!([step, "RGB", [3, 2], image(shade + step as u8).rgb()]));
        assert_eq!(said["images"]["validation"][format!("samples/{sample}")], json!(shown));
    }
    // [[left, right, count]]: the outermost edges are the smallest and the largest value.
    let weights = &said["histograms"]["train"]["weights/down.0"];
    let buckets = weights[1][1].as_array().unwrap();
    assert_eq!((weights[0][0].clone(), weights[1][0].clone()), (json!(1), json!(2)));
    assert_eq!((buckets[0][0].as_f64(), buckets[buckets.len() - 1][1].as_f64()), (Some(-1.0), Some(4.0)));
    let counts: Vec<f64> = buckets.iter().map(|bucket| bucket[2].as_f64().unwrap()).collect();
    assert_eq!(counts, [1.0, 0.0, 2.0, 0.0, 1.0]);
    assert_eq!(weights[0][1].as_array().unwrap().len(), 0, "an empty histogram has no buckets");
    // [step, [[percentile in basis points, value]]].
    let distribution = said["distributions"]["train"]["weights/down.0"][1][1].as_array().unwrap();
    assert_eq!((distribution[0][1].as_f64(), distribution[8][1].as_f64()), (Some(-1.0), Some(4.0)));
}

#[test]
fn curves_and_text_and_graph_are_read() {
    let Some(said) = &*TWO_EPOCHS else { return };
    let curve = &said["pr_curves"]["validation"]["pr/cat"];
    assert_eq!(curve.as_array().unwrap().len(), 2);
    let columns = |name: &str| curve[0][name].clone();
    assert_eq!(columns("step"), 1);
    // At the last threshold nothing is positive, and TensorBoard omits it.
    assert_eq!(columns("thresholds"), json!([0.0, 0.5]));
    assert_eq!(columns("true_positives"), json!([4, 3]));
    assert_eq!(columns("false_positives"), json!([12, 1]));
    assert_eq!(columns("true_negatives"), json!([0, 11]));
    assert_eq!(columns("false_negatives"), json!([0, 1]));
    assert_eq!(columns("precision"), json!([0.25, 0.75]));
    assert_eq!(columns("recall"), json!([1.0, 0.75]));
    let text = said["text"]["."]["configuration"][0][1].as_str().unwrap();
    assert!(text.contains("<strong>8</strong>"), "{text}");
    let graph = said["graphs"]["."].as_str().unwrap();
    for part in
        ["name: \"down/conv\"", "op: \"Conv2d\"", "input: \"input\"", "s: \"3x3\"", "\"_output_shapes\"", "size: -1"]
    {
        assert!(graph.contains(part), "{part} is not in {graph}");
    }
}

#[test]
fn the_layout_has_training_and_validation_in_one_chart() {
    let Some(said) = &*TWO_EPOCHS else { return };
    let titles: Vec<&Value> = said["layout"]["category"].as_array().unwrap().iter().map(|c| &c["title"]).collect();
    assert_eq!(titles, ["Scores", "IoU"]);
    let charts = &said["charts"];
    assert_eq!(charts["loss"], json!(["train: loss", "validation: loss"]));
    assert_eq!(charts["cat"], json!(["train: iou/cat", "validation: iou/cat"]));
    assert_eq!(charts["(old) dog+"], json!(["train: iou/(old) dog+", "validation: iou/(old) dog+"]));
    let [cat, dog] = ["iou/cat", "iou/(old) dog+"];
    let all: Vec<String> =
        ["train", "validation"].iter().flat_map(|r| [cat, dog].map(|t| format!("{r}: {t}"))).collect();
    assert_eq!(charts["all classes"], json!(all));
}

#[test]
fn runs_are_compared_by_what_they_were_started_with_and_how_they_ended() {
    let logs = Logs::new();
    let mut summary = logs.open();
    write_all(&mut summary, 1..=1);
    let session = |said: &Value| {
        let session = &said["sessions"][0];
        let scores: Vec<f64> =
            session["metricValues"].as_array().into_iter().flatten().map(|m| m["value"].as_f64().unwrap()).collect();
        (session["sessions"][0]["status"].as_str().unwrap_or("none").to_string(), scores)
    };
    summary.flush().unwrap();
    let Some(said) = read("read_plugins.py", &logs.folder()) else { return };
    assert_eq!(session(&said), ("none".into(), vec![]), "it has not ended");
    summary.outcome(1, 2, Status::Failure, &[("mean_iou", 0.25), ("loss", 2.0)]).unwrap();
    drop(summary);
    let said = read("read_plugins.py", &logs.folder()).unwrap();
    let infos = |key: &str, name: &str| -> Vec<Value> {
        said["experiment"][key].as_array().unwrap().iter().map(|info| info[name].clone()).collect()
    };
    assert_eq!(infos("hparamInfos", "name"), ["fused", "optimizer", "rate"]);
    assert_eq!(infos("hparamInfos", "type"), ["DATA_TYPE_BOOL", "DATA_TYPE_STRING", "DATA_TYPE_FLOAT64"]);
    assert_eq!(infos("metricInfos", "displayName"), ["mean_iou", "loss"]);
    assert_eq!(said["sessions"][0]["hparams"], json!({"optimizer": "adam", "rate": 0.5, "fused": true}));
    assert_eq!(session(&said), ("STATUS_FAILURE".into(), vec![0.25, 2.0]));
    // The run resumes, and succeeds.
    let mut summary = logs.resume(1, 2);
    write_all(&mut summary, 2..=2);
    summary.outcome(2, 4, Status::Success, &[("mean_iou", 0.75), ("loss", 1.0)]).unwrap();
    drop(summary);
    let said = read("read_plugins.py", &logs.folder()).unwrap();
    assert_eq!(session(&said), ("STATUS_SUCCESS".into(), vec![0.75, 1.0]));
    assert_eq!(said["text"]["."]["configuration"].as_array().unwrap().len(), 1, "said anew, and not twice");
    assert_eq!(said["sessions"].as_array().unwrap().len(), 1);
}

#[test]
fn a_run_that_goes_on_leaves_no_overlap_in_any_folder() {
    let logs = Logs::new();
    let mut summary = logs.open();
    write_all(&mut summary, 1..=3);
    drop(summary);
    // Resume once, and once more.
    for (epochs, until) in [(1, 4), (2, 3)] {
        let mut summary = logs.resume(epochs, epochs);
        write_all(&mut summary, epochs + 1..=until);
        drop(summary);
        let Some(said) = read("read_plugins.py", &logs.folder()) else { return };
        let steps = |points: &Value| -> Vec<u64> {
            let step = |point: &Value| point.get("step").unwrap_or(&point[0]).as_u64().unwrap();
            points.as_array().unwrap().iter().map(step).collect()
        };
        let all: Vec<u64> = (1..=until).collect();
        for (plugin, run, tag) in [
            ("scalars", "train", "loss"),
            ("scalars", "validation", "iou/cat"),
            ("scalars", "train/steps", "step/loss"),
            ("images", "validation", "samples/1"),
            ("histograms", "train", "weights/down.0"),
            ("distributions", "train", "weights/down.0"),
            ("pr_curves", "validation", "pr/cat"),
        ] {
            assert_eq!(steps(&said[plugin][run][tag]), all, "{plugin} {run} {tag}");
        }
    }
}
