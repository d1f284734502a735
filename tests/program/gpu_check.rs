//! `scripts/gpu-check`: up to the GPU that is not there, and its tables with a program that only looks like ours.

use super::support::{APP as PROGRAM, Place, Ran, root, skip};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Stands in for `app`. It gives the answers of a good program, but those that `WORSE` names are bad.
const APP: &str = r#"#!/usr/bin/env python3
import json, os, pathlib, struct, sys
what, given = sys.argv[1], sys.argv
after = lambda name: given[given.index(name) + 1]
worse = os.environ.get("WORSE", "").split(",")
assert "train.device=cpu" in given or what == "predict", given
if "warnings" in worse:
    print("[W1128 06:20:41.123456789 Context.cpp:123] Warning: pin_memory(device) is deprecated", file=sys.stderr)
if what == "verify-resume":
    precision = next(part for part in given if part.startswith("model.precision=")).partition("=")[2]
    if precision in worse:
        sys.exit("weights differ")
    print(f"Killed {after('--interrupts')} times and resumed: the same to the bit.")
elif what == "train":
    run = pathlib.Path(after("--run"))
    checkpoint = run / "checkpoints/step-200"
    if "train.memory_fraction=1.000000" in given and "memory" not in worse:
        sys.exit("out of memory; a batch has up to 16 images of 128x128 pixels: lower data.loader.batch_size")
    ranks = after("--nproc") if "--nproc" in given else os.environ.get("WORLD_SIZE", "0")
    if ranks == "2" and "distributed.backend=nccl" in given:
        sys.exit("" if "refused" in worse else "NCCL: each rank needs a GPU of its own")
    assert ranks != "1" or "distributed.backend=gloo" in given
    checkpoint.mkdir(parents=True, exist_ok=True)
    if "--config" in given:
        config = json.loads(pathlib.Path(after("--config")).read_text())
        assert len(list((pathlib.Path(config["data"]["root"]) / "images/train").iterdir())) == 158
        for step in (9, 50, 90, 130) if "planted" in worse else (9, 50, 90, 130, 170):
            rejected = run / f"rejected/step-{step}"
            rejected.mkdir(parents=True)
            about = {"about": {"rejected": {"names": ["train/planted"], "loss": "NaN", "gradient_norm": "NaN"}}}
            (rejected / "manifest.json").write_text(json.dumps(about))
    loss = 1.002 if ranks == "2" and "ranks" in worse else 1.0005 if ranks == "2" else 1
    lines = [{"stage": "train", "epoch": epoch, "images_per_second": 100, "loss": loss} for epoch in (1, 2)]
    lines += [{"stage": "validation", "epoch": 1, "loss": 1, "mean_iou": 0 if "score" in worse else 0.97}]
    (checkpoint / "model.safetensors").write_text("other" if "graph" in worse and "train.graph=auto" in given else "")
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (run / "environment.json").write_text(json.dumps({"processor": "a good one"}))
    if ranks == "1" and "resuming" in worse and not run.name.endswith("straight") and "graph" not in run.name:
        (checkpoint / "model.safetensors").write_text("other")
    sys.exit(75 if "--until-step" in given else 0)
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
    print(f"{len(list(output.iterdir()))} images at {len(list(output.iterdir())) * 2.0} images/s", file=sys.stderr)
"#;

/// Stands in for `gpu`: a step takes a millisecond, or more where that is slower.
const GPU: &str = r#"#!/usr/bin/env python3
import os, sys
if sys.argv[1:] == ["cpu", "sums"]:
    sys.exit("20 steps differ" if "sums" in os.environ.get("WORSE", "") else print("sums are the same to the bit"))
_, device, how, network, width, images, side, precision = sys.argv
assert device == "cpu" and int(side) % 16 == 0
if how == "eager-fastest" and "gpu" in os.environ.get("WORSE", ""):
    sys.exit(3)
milliseconds = {"graph": 1.1, "graph-fastest": 1, "eager": 3.6, "eager-fastest": 3}[how]
print(1.0986, flush=True)
for line in sys.stdin:
    assert int(line) > 0
    print(milliseconds / 1e3, flush=True)
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
fn carried(place: &Place, programs: &[(&str, &str)]) -> PathBuf {
    let script = place.path("gpu-check");
    fs::copy(root().join("scripts/gpu-check"), &script).unwrap();
    fs::create_dir(place.path("gpu_check")).unwrap();
    for file in ["machine.py", "correct.py", "ranks.py", "bench.py"] {
        fs::copy(root().join("scripts/gpu_check").join(file), place.path("gpu_check").join(file)).unwrap();
    }
    for (name, program) in programs {
        fs::write(place.path(name), program).unwrap();
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    script
}

fn report(place: &Place, file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(place.path(file)).unwrap()).unwrap()
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
    let script = carried(&place, &[("app", APP), ("gpu", GPU)]);
    let ran = check(&script, &place.path(""), &["correct", "--cpu"], "").ok();
    assert_eq!(ran.stdout.matches("ok   ").count(), 15, "{}", ran.stdout);
    assert!(ran.stdout.contains("ok   resuming in tf32: killed 2 times in 20 steps: the same to the bit."));
    let same = "ok   eager against graph in bf16: 200 steps, 5 of them NaN, eager twice: 9 files and lines are";
    assert!(ran.stdout.contains(same), "{}", ran.stdout);
    assert!(ran.stdout.contains("all is well; CPU: a good one; "), "{}", ran.stdout);
    let found = report(&place, "gpu-check-correct.json");
    assert_eq!((&found["what"], &found["card"]), (&"correct".into(), &Value::Null));
    assert_eq!(found["rows"].as_array().unwrap().len(), 15);
    let of_one = "one rank in a group: gloo: losses differ from those of one process by at most 0.0e+00; resumed at";
    let of_two = "two ranks on one device: gloo: losses differ from those of one process by at most 5.0e-04; resumed";
    assert!(ran.stdout.contains(of_one) && ran.stdout.contains(of_two), "{}", ran.stdout);
    let of_graph = "one rank, eager against graph: gloo: eager and in a graph, 4 files and lines are the same to the";
    assert!(ran.stdout.contains(of_graph), "{}", ran.stdout);
    assert!(ran.stdout.contains("ok   sums over ranks in a graph: sums are the same to the bit"), "{}", ran.stdout);

    let worse = "fp16,graph,score,prediction,memory,warnings,ranks,resuming,sums";
    let ran = check(&script, &place.path(""), &["correct", "out.json", "--cpu"], worse);
    assert_eq!(ran.status, 1, "{}", ran.stdout);
    let mut failed: Vec<&str> = ran.stdout.lines().filter(|line| line.starts_with("FAIL")).collect();
    assert!(failed.pop().unwrap().contains("a quiet log: libtorch warned "), "{}", ran.stdout);
    assert_eq!(
        failed,
        [
            "FAIL training to its score: mean IoU 0.0000 after 1 epochs, expected above 0.0",
            "FAIL resuming in fp16: app verify-resume ended with status 1: [W1128 06:20:41.123456789 Context.cpp:123] \
             Warning: pin_memory(device) is deprecated | weights differ",
            "FAIL eager against graph in fp32: 200 steps, eager and in a graph, differ in model.safetensors",
            "FAIL eager against graph in bf16: 200 steps, eager and in a graph, differ in model.safetensors",
            "FAIL prediction, whole images: mean IoU 0.0000 after 1 epochs, expected above 0.0",
            "FAIL prediction in tiles: mean IoU 0.0000 after 1 epochs, expected above 0.0",
            "FAIL too little memory: app train ended with status 0: [W1128 06:20:41.123456789 Context.cpp:123] \
             Warning: pin_memory(device) is deprecated",
            "FAIL one rank in a group: resumed at step 5 it differs in model.safetensors",
            "FAIL one rank, eager against graph: eager and in a graph it differs in model.safetensors",
            "FAIL sums over ranks in a graph: gpu sums ended with status 1: 20 steps differ",
            "FAIL two ranks on one device: losses differ from those of one process by at most 2.0e-03",
        ]
    );
    let passed = |found: &Value| found["rows"].as_array().unwrap().iter().filter(|row| row["passed"] == true).count();
    assert_eq!(passed(&report(&place, "out.json")), 3);

    let ran = check(&script, &place.path(""), &["correct", "out.json", "--cpu"], "prediction,planted,refused");
    let far = "probabilities differ by at most 8.0e-01, classes in 3 of 6 pixels";
    assert_eq!(ran.stdout.matches(far).count(), 2, "{}", ran.stdout);
    assert_eq!(ran.stdout.matches("should have been NaN in one batch of each of 5 epochs").count(), 2);
    assert!(ran.stdout.contains("two ranks over NCCL on one device are not refused before the first step"));
    assert_eq!(passed(&report(&place, "out.json")), 10);

    fs::remove_file(place.path("app")).unwrap();
    let ran = check(&script, &place.path(""), &["correct", "--cpu"], "");
    ran.refused(1, "there is no program app in");
}

#[test]
fn speeds_are_a_table_with_ratios_and_aims() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let script = carried(&place, &[("app", APP), ("gpu", GPU)]);
    let ran = check(&script, &place.path(""), &["bench", "--cpu", "--all"], "").ok();
    let row = "| UNet, 2 of 32², bf16 | 1.10 | 3.60 | 1.00 | 3.00 | 1.10 | 1.20 |\n";
    assert!(ran.stdout.contains(row), "{}", ran.stdout);
    assert!(ran.stdout.contains("| MobileNetV2-UNet, 2 of 32², bf16 | 1.10 |"), "{}", ran.stdout);
    assert!(ran.stdout.contains("| prediction of whole images of the default's size | "), "{}", ran.stdout);
    let found = report(&place, "gpu-check-bench.json");
    let steps = &found["rows"][0];
    assert_eq!(steps["rounds"]["oxiseg"].as_array().unwrap().len(), 5);
    assert_eq!(steps["aims"], json!({}), "nothing is aimed at on a CPU");
    assert!(ran.stdout.contains(found["table"].as_str().unwrap()));

    let ran = check(&script, &place.path(""), &["bench", "--cpu"], "gpu").ok();
    let row = "| UNet, 2 of 32², bf16 | 1.10 | 3.60 | 1.00 | failed | 1.10 |";
    assert!(ran.stdout.contains(row), "{}", ran.stdout);
    let why = &report(&place, "gpu-check-bench.json")["rows"][0]["failed"]["eager, not deterministic"];
    assert_eq!(why, "ended with status 3");
}

#[test]
fn milliseconds_are_aimed_at_on_one_card_and_ratios_on_all() {
    if !has_python() {
        return;
    }
    let code = r#"
import sys
sys.dont_write_bytecode = True
from gpu_check.bench import met, table
row = {"what": "UNet", "unit": "ms a step", "figures": {"oxiseg": 3.8}, "ratios": {"deterministic / not": 1.1}}
rate = {"what": "epoch", "unit": "images/s", "figures": {"oxiseg": 5100}}
for name in ("NVIDIA H100 80GB HBM3", "NVIDIA L4"):
    rows = [each | {"aims": met(each, aim, {"name": name})} for each, aim in ((row, 3.7), (rate, 5000))]
    print(table(rows))
"#;
    let mut python = Command::new("python3");
    let ran = Ran::new(python.args(["-c", code]).env("PYTHONPATH", root().join("scripts")).output().unwrap()).ok();
    let ratio = "deterministic at most 1.12 times: met";
    for line in [
        format!("| UNet | 3.80 | 1.10 | at most 3.7: **not met**; {ratio} |"),
        "| epoch | 5100 | at least 5000: met |".into(),
        format!("| UNet | 3.80 | 1.10 | {ratio} |"),
        "| epoch | 5100 |".into(),
    ] {
        assert!(ran.stdout.lines().any(|shown| shown == line), "{line} is not in\n{}", ran.stdout);
    }
}

#[test]
fn only_a_report_of_a_gpu_is_written_down() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    fs::create_dir(place.path("scripts")).unwrap();
    fs::copy(root().join("scripts/bench"), place.path("scripts/bench")).unwrap();
    let document = place.path("BENCHMARKS.md");
    let before = "before\n<!-- gpu -->\nNot measured.\n<!-- /gpu -->\nafter\n";
    fs::write(&document, before).unwrap();
    let write_down = |card: Value| {
        let report = json!({"on": "NVIDIA L4, 24.0 GB", "card": card, "seconds": 200, "table": "| a | table |"});
        fs::write(place.path("report.json"), report.to_string()).unwrap();
        let mut bench = Command::new(place.path("scripts/bench"));
        Ran::new(bench.args(["gpu", "report.json"]).current_dir(place.path("")).output().unwrap())
    };
    write_down(Value::Null).refused(1, "was not measured on a GPU, so BENCHMARKS.md stays as it is");
    assert_eq!(fs::read_to_string(&document).unwrap(), before);
    write_down(json!({"name": "NVIDIA L4"})).ok();
    let block = "NVIDIA L4, 24.0 GB; medians of 5 rounds, in 200 s.\n\n| a | table |";
    let after = before.replace("Not measured.", block);
    assert_eq!(fs::read_to_string(&document).unwrap(), after);
}

/// `correct --cpu` with the real program. It says nothing of a GPU, but that the script and the program fit each other.
#[test]
#[ignore = "many-fold: scripts/test --all"]
fn all_results_are_checked_on_a_cpu() {
    if !has_python() {
        return;
    }
    let place = Place::new();
    let script = carried(&place, &[("gpu", GPU)]);
    std::os::unix::fs::symlink(&*PROGRAM, place.path("app")).unwrap();
    let ran = check(&script, &place.path(""), &["correct", "--cpu"], "");
    assert_eq!(ran.stdout.matches("ok   ").count(), 15, "{}\n{}", ran.stdout, ran.stderr);
    assert_eq!(ran.status, 0, "{}", ran.stdout);
}
