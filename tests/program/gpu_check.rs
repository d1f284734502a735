//! `scripts/gpu-check`: up to the GPU that is not there, and its tables with a program that only looks like ours.

use super::support::{Place, Ran, root, skip};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Stands in for `app`. It gives the answers of a good program, but those that `WORSE` names are bad.
const APP: &str = r#"#!/usr/bin/env python3
import json, os, pathlib, struct, sys
what, given = sys.argv[1], sys.argv
after = lambda name: given[given.index(name) + 1]
worse = os.environ.get("WORSE", "").split(",")
assert "train.device=cpu" in given or what == "predict", given
if what == "verify-resume":
    precision = next(part for part in given if part.startswith("model.precision=")).partition("=")[2]
    if precision in worse:
        sys.exit("weights differ")
    print(f"Killed {after('--interrupts')} times and resumed: the same to the bit.")
elif what == "train":
    run = pathlib.Path(after("--run"))
    run.mkdir()
    lines = [{"stage": "train", "epoch": 1, "images_per_second": 100}]
    lines += [{"stage": "validation", "epoch": 1, "mean_iou": 0.5 if "score" in worse else 0.97}]
    checkpoint = run / "checkpoints/step-200"
    checkpoint.mkdir(parents=True)
    (checkpoint / "model.safetensors").write_text("other" if "graph" in worse and "train.graph=auto" in given else "")
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
elif what == "predict":
    output = pathlib.Path(after("--output"))
    output.mkdir()
    for image in pathlib.Path(given[-1]).iterdir():
        assert image.read_bytes().startswith(b"\x89PNG")
        other = "prediction" in worse and output.name.startswith("device")
        header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 1, 2), }".ljust(117) + b"\n"
        numbers = struct.pack("<4f", *([0.1, 0.9, 0.9, 0.1] if other else [0.9, 0.9, 0.1, 0.1]))
        data = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header + numbers
        (output / f"{image.stem}_probabilities.npy").write_bytes(data)
"#;

fn check(script: &Path, folder: &Path, arguments: &[&str], worse: &str) -> Ran {
    let mut command = Command::new("python3");
    command.arg(script).args(arguments).current_dir(folder).env("CUDA_VISIBLE_DEVICES", "").env("WORSE", worse);
    Ran::new(command.output().unwrap())
}

fn has_python() -> bool {
    let has = Command::new("python3").arg("--version").output().is_ok_and(|ran| ran.status.success());
    if !has {
        skip("scripts/gpu-check without python3");
    }
    has
}

/// Makes a folder as it is carried to a machine with a GPU, and returns the script in it.
fn carried(place: &Place) -> std::path::PathBuf {
    let script = place.path("gpu-check");
    fs::copy(root().join("scripts/gpu-check"), &script).unwrap();
    fs::write(place.path("app"), APP).unwrap();
    fs::set_permissions(place.path("app"), fs::Permissions::from_mode(0o755)).unwrap();
    script
}

#[test]
fn without_a_gpu_it_says_so_and_fails() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    for what in ["correct", "bench"] {
        let ran = check(&root().join("scripts/gpu-check"), &place.path(""), &[what], "");
        ran.refused(1, "gpu-check: no GPU: the driver of NVIDIA finds none here, so nothing was checked");
    }
    for wrong in [&[][..], &["wrong"], &["correct", "a", "b"], &["correct", "--most"]] {
        check(&root().join("scripts/gpu-check"), &place.path(""), wrong, "").refused(2, "scripts/gpu-check correct");
    }
    assert!(!place.path("gpu-check-correct.json").exists());
}

#[test]
fn results_are_a_table_a_file_and_a_status() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let script = carried(&place);
    let ran = check(&script, &place.path(""), &["correct", "--cpu"], "").ok();
    assert_eq!(ran.stdout.matches("ok   ").count(), 9, "{}", ran.stdout);
    assert!(ran.stdout.contains("ok   resuming in tf32: killed 2 times in 20 steps: the same to the bit."));
    let same = "ok   eager against graph in bf16: 200 steps, eager and in a graph: 3 files and lines are the same";
    assert!(ran.stdout.contains(same), "{}", ran.stdout);
    let file = place.path("gpu-check-correct.json");
    let report: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&report["what"], &report["card"]), (&"correct".into(), &Value::Null));
    assert_eq!(report["rows"].as_array().unwrap().len(), 9);

    let ran = check(&script, &place.path(""), &["correct", "out.json", "--cpu"], "fp16,graph,score,prediction");
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    let failed: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert_eq!(
        failed,
        [
            "FAIL resuming in fp16: app verify-resume ended with status 1: weights differ",
            "FAIL eager against graph in fp32: 200 steps, eager and in a graph, differ in model.safetensors",
            "FAIL eager against graph in bf16: 200 steps, eager and in a graph, differ in model.safetensors",
            "FAIL training to its score: mean IoU 0.5000 after 1 epochs, expected at least 0.95",
            "FAIL prediction, whole images: probabilities differ by at most 8.0e-01, classes in 3 of 6 pixels",
            "FAIL prediction in tiles: probabilities differ by at most 8.0e-01, classes in 3 of 6 pixels",
        ]
    );
    let report: Value = serde_json::from_str(&fs::read_to_string(place.path("out.json")).unwrap()).unwrap();
    assert_eq!(report["rows"].as_array().unwrap().iter().filter(|row| row["passed"] == true).count(), 3);

    fs::remove_file(place.path("app")).unwrap();
    let ran = check(&script, &place.path(""), &["correct", "--cpu"], "");
    ran.refused(1, "there is no program app in");
}
