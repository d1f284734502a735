use super::*;
use crate::advice::testing::{healthy, history, run};
use crate::{Bin, Comparison, Evaluation, Interval, Intervals, Paired, Picture, Run, Sample};

const EVIL: &str = "<script>alert(1)</script>";

fn evaluated() -> Run {
    let input = Picture { width: 2, height: 2, rgb: vec![9; 12] };
    let sample = |name: &str, score| Sample {
        name: name.into(),
        score,
        input: input.clone(),
        target: vec![0, 1, 1, 255],
        prediction: vec![0, 1, 0, 0],
    };
    let evaluation = Evaluation {
        checkpoint: "step-0000000400".into(),
        epoch: 40,
        confusion: vec![vec![900, 100], vec![500, 500]],
        ignored: 7,
        calibration: vec![Bin { confidence_sum: 90.0, correct: 80, count: 100 }, Bin::default()],
        intervals: Intervals {
            images: 30,
            mean_iou: Some(Interval { low: 0.25, high: 0.75 }),
            iou: vec![Some(Interval { low: 0.125, high: 0.875 }), None],
            ..Intervals::default()
        },
        best: vec![sample("good", 0.9)],
        worst: vec![sample("bad", 0.1), sample("worse", 0.2)],
    };
    Run { evaluation: Some(evaluation), environment: vec![("libtorch".into(), "2.11".into())], ..healthy() }
}

fn page_of(run: Run, compare: Vec<Run>) -> String {
    Report { run, compare }.html().unwrap()
}

#[test]
fn nothing_of_the_page_comes_from_elsewhere() {
    let page = page_of(evaluated(), vec![healthy()]);
    assert!(page.contains("content=\"default-src 'none'; img-src data:; "));
    for elsewhere in ["http:", "src=\"http", "href=\"http", "//cdn", "@import", "url(http", "fetch(", "XMLHttp"] {
        let found = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!found.contains(elsewhere), "{elsewhere}");
    }
}

#[test]
fn whatever_comes_from_data_is_text() {
    let mut run = evaluated();
    run.name = format!("quotes \" ' & {EVIL}");
    run.folder = format!("runs/\"><img onerror=alert(1)>{EVIL}").into();
    run.classes[0].name = EVIL.into();
    run.config = serde_json::json!({ EVIL: { "\" onload=\"": EVIL }, "model": { "kind": EVIL } });
    run.environment = vec![(EVIL.into(), EVIL.into())];
    if let Some(evaluation) = &mut run.evaluation {
        evaluation.checkpoint = EVIL.into();
        evaluation.worst[0].name = format!("\" onerror=\"alert(1) {EVIL} <!--");
    }
    let other = Run { name: format!("<b>{EVIL}"), config: serde_json::json!({ "a": EVIL }), ..run.clone() };
    let page = page_of(run, vec![other]);
    let scripts = page.matches("<script").count();
    assert_eq!((scripts, page.matches("</script").count()), (2, 2), "the page's own");
    for harm in ["<script>alert", "<img onerror", "\" onerror=\"", "\" onload=\"", "<b>", "<!--"] {
        assert!(!page.contains(harm), "{harm}");
    }
    let numbers = page.split("id=\"numbers\">").nth(1).unwrap().split("</script>").next().unwrap();
    let read: serde_json::Value = serde_json::from_str(numbers).unwrap();
    assert_eq!(read["names"][0], EVIL, "and it is still what it was");
}

#[test]
fn all_parts_are_there_for_a_run_that_has_all() {
    let page = page_of(evaluated(), Vec::new());
    for part in [
        "Nothing stands out",
        "step-0000000400",
        "90.0\u{a0}%",
        "libtorch",
        "2.11",
        "Expected calibration error",
        "on 100 pixels",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert_eq!(page.matches("data-count=").count(), 4);
    assert_eq!(page.matches("<canvas").count(), 3);
    assert_eq!(page.matches("data:image/png;base64,").count(), 3);
    assert_eq!(page.matches("class=\"stack-of\"").count(), 40);
    // The worst samples are shown first, but the masks of the best come first.
    let places: Vec<&str> = page.split("data-sample=\"").skip(1).map(|rest| &rest[..1]).collect();
    assert_eq!(places, ["1", "2", "0"]);
    assert!(page.contains("33.3\u{a0}%"), "one of three valid pixels is wrong");
}

#[test]
fn a_run_that_has_nothing_gets_words_and_no_empty_charts() {
    let page = page_of(run(history(0, |_| Default::default(), |_| None)), Vec::new());
    for part in [
        "there is a point after the first epoch",
        "No checkpoint was evaluated",
        "No predictions",
        "did not write down what its epochs",
    ] {
        assert!(page.contains(part), "{part}");
    }
    for empty in ["<canvas", "id=\"charts\"", "class=\"stacks\"", "<table class=\"confusion"] {
        assert!(!page.contains(empty), "{empty}");
    }
}

#[test]
fn runs_beside_each_other_show_what_differs() {
    let other = Run {
        name: "slower".into(),
        config: serde_json::json!({"train": {"epochs": 40}, "optimizer": {"learning_rate": 0.0001}}),
        ..evaluated()
    };
    let page = page_of(evaluated(), vec![other]);
    let differing = page.split("What differs").nth(1).unwrap().split("What is the same").next().unwrap();
    assert!(differing.contains("optimizer.learning_rate") && differing.contains("0.0001"));
    assert!(!differing.contains("train.epochs"));
    assert!(page.contains("IoU, slower"));
}

#[test]
fn intervals_and_comparisons_are_said() {
    let paired = Paired { images: 30, left_out: 0, mean: 0.02, interval: None, p: 0.25 };
    let [same, other] = [Comparison::Paired(paired), Comparison::Refused("the classes differ".into())]
        .map(|comparison| Run { name: "other".into(), comparison: Some(comparison), ..healthy() });
    let page = page_of(evaluated(), vec![same, other]);
    for part in [
        " (0.2500 to 0.7500).",
        "<small> (0.1250 to 0.8750)</small>",
        "by bootstrap over 30 images.",
        "and other: mean IoU per image +0.0200 (p = 0.2500, paired test over 30 images).",
        "and other are not compared: the classes differ.",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn what_does_not_fit_together_is_an_error_and_no_page() {
    let mut run = evaluated();
    run.classes.pop();
    let error = Report { run, compare: Vec::new() }.html().unwrap_err().to_string();
    assert!(error.contains("1 rows of 1"), "{error}");
}
