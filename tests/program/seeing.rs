//! Output for people: TensorBoard, the report, the dashboard; and times that add up.

use super::support::{APP, Place, python, root, skip};
use serde_json::Value;
use std::fs;

#[test]
fn tensorboard_finds_every_kind_of_summary_also_after_a_resume() {
    let place = Place::new();
    place.train("--set optimizer.accumulate=2").ok();
    place.app("train --set train.epochs=4 --run runs/tiny").ok();
    let Some(mut python) = python() else { return skip("no Python packages: run scripts/python") };
    let output = python.arg(root().join("tests/reference/read_kinds.py")).arg(place.path("runs/tiny/logs")).output();
    let output = output.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let runs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let has = |run: &str, kind: &str, tag: &str| {
        runs[run][kind].as_array().is_some_and(|tags| tags.iter().any(|known| known == tag))
    };
    for tag in ["loss", "gradient_norm", "images_per_second", "seconds/compute", "seconds/epoch", "iou/circle"] {
        assert!(has("train", "scalars", tag), "{tag}: {runs}");
    }
    for tag in ["weights/head/weight", "gradients/head/weight", "gradients/encoder0/conv1/weight"] {
        assert!(has("train", "histograms", tag), "{tag}: {runs}");
    }
    // Images, and precision and recall by class.
    for tag in ["samples", "worst", "circle", "background"] {
        assert!(has("validation", "tensors", tag), "{tag}: {runs}");
    }
    for tag in ["configuration", "environment", "classes", "_hparams_/session_start_info", "_hparams_/session_end_info"]
    {
        assert!(has(".", "tensors", tag), "{tag}: {runs}");
    }
    assert_eq!(runs["."]["graph"], true, "{runs}");
    assert!(has(".", "scalars", "final/mean_iou"), "{runs}");
}

#[test]
fn histograms_come_as_often_as_was_asked_for() {
    let place = Place::new();
    for (every, expected) in [(0, false), (3, false), (2, true)] {
        let run = format!("every-{every}");
        place.train(&format!("--run {run} --set summary.histograms={every}")).ok();
        let Some(mut python) = python() else { return skip("no Python packages: run scripts/python") };
        let output =
            python.arg(root().join("tests/reference/read_kinds.py")).arg(place.path(&run).join("logs")).output();
        let runs: Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let tags = runs["train"]["histograms"].as_array().unwrap();
        for tag in ["weights/head/weight", "gradients/head/weight"] {
            assert_eq!(tags.contains(&tag.into()), expected, "{every}: {tags:?}");
        }
    }
}

#[test]
fn the_times_of_an_epoch_add_up() {
    let place = Place::new();
    place.train("--set summary.per_step=true").ok();
    let text = fs::read_to_string(place.path("runs/tiny/metrics.jsonl")).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let train: Vec<&Value> = lines.iter().filter(|line| line["stage"] == "train").collect();
    assert_eq!(train.len(), 2);
    for line in &train {
        let of = |name: &str| line[format!("seconds/{name}")].as_f64().unwrap();
        let parts = ["data", "transfer", "compute", "validation", "logging", "checkpoint"].map(of);
        assert!((parts.iter().sum::<f64>() - of("epoch")).abs() < 1e-6, "{line}");
        assert!(of("compute") > 0.0 && of("validation") > 0.0 && line["memory_mb"].as_f64().unwrap() > 10.0, "{line}");
    }
    let apart = train[1]["time"].as_f64().unwrap() - train[0]["time"].as_f64().unwrap();
    let second = train[1]["seconds/epoch"].as_f64().unwrap();
    assert!((apart - second).abs() < 0.2 * apart.max(0.1), "{apart} and {second}");
    let steps: Vec<&Value> = lines.iter().filter(|line| line["stage"] == "step").collect();
    assert_eq!(steps.len(), 10);
    assert!(steps.iter().all(|line| line["seconds/compute"].as_f64().unwrap() > 0.0), "{steps:?}");
}

#[test]
fn a_run_ends_with_a_report_and_others_can_stand_beside_it() {
    let place = Place::new();
    place.train("--run a").ok();
    place.train("--run b --set train.seed=1 --set summary.report=false").ok();
    assert!(!place.path("b/report.html").exists());
    let page = fs::read_to_string(place.path("a/report.html")).unwrap();
    for part in ["circle", "Confusion", "Warnings", "step-0000000010", "libtorch"] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("http://") || !page.contains("src=\"http"), "it loads nothing");
    // The highest loss is the first epoch's, which has no checkpoint.
    place.train("--run c --set checkpoint.best=loss --set checkpoint.every_epochs=2").ok();
    // At the end of a training the report is made from the validations if one of them was at the best checkpoint,
    // otherwise and later from a look at that checkpoint.
    for run in ["a", "c"] {
        place.app(&format!("report --run {run} --output again.html")).ok();
        let [first, again] =
            [format!("{run}/report.html"), "again.html".into()].map(|page| fs::read(place.path(&page)));
        assert!(first.unwrap() == again.unwrap(), "the pages of {run} differ");
    }
    let told = place.app("report --run a --compare b --output both.html").ok();
    assert_eq!(told.stdout.trim(), "both.html");
    let both = fs::read_to_string(place.path("both.html")).unwrap();
    assert!(both.contains("train.seed") && both.len() > page.len());
    fs::remove_dir_all(place.path("a/checkpoints")).unwrap();
    let without = place.app("report --run a").ok();
    assert!(without.stderr.contains("no predictions"), "{}", without.stderr);
    assert!(!fs::read_to_string(place.path("a/report.html")).unwrap().contains("step-0000000010 "));
    place.app("report --run nowhere").refused(1, "nowhere");
}

#[test]
fn the_dashboard_covers_the_terminal_and_gives_it_back() {
    let Some(mut python) = python() else { return skip("no Python packages: run scripts/python") };
    let place = Place::new();
    place.train("--tui").refused(1, "--tui needs a terminal");
    let spawn = "import pty, sys; sys.exit(pty.spawn(sys.argv[1:]) >> 8)";
    let train = format!("stty rows 40 cols 120; exec {} train --config tiny.json --tui --run seen", APP.display());
    let shown =
        python.args(["-c", spawn, "sh", "-c", &train]).current_dir(place.path("")).env("TERM", "xterm").output();
    let shown = shown.unwrap();
    let text = String::from_utf8_lossy(&shown.stdout);
    assert!(shown.status.success(), "{text}");
    let [opened, closed] =
        ["\x1b[?1049h", "\x1b[?1049l"].map(|code| text.rfind(code).unwrap_or_else(|| panic!("{text:?}")));
    assert!(opened < closed);
    // Lines logged meanwhile, and the table, come after it.
    for part in ["Epoch 2/2", "mean_iou", "Wrote the report"] {
        assert!(text[closed..].contains(part), "{part} is not in {:?}", &text[closed..]);
    }
    assert_eq!(place.metrics("seen").len(), 4);
}
