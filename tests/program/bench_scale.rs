//! `scripts/bench scale`: its model, and its tables from programs that only look like ours and PyTorch's.

use super::support::{Place, Ran, root, skip};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Stands in for `app`: one rank trains 100 images a second, and two train 180.
const APP: &str = r#"#!/usr/bin/env python3
import json, pathlib, struct, sys
after = lambda name: sys.argv[sys.argv.index(name) + 1]
ranks = int(after("--nproc")) if "--nproc" in sys.argv else 1
assert "train.threads=1" in sys.argv and f"data.loader.batch_size={8 * ranks}" in sys.argv, sys.argv
assert ("distributed.sync_batch_norm=false" not in sys.argv) or ranks == 2, sys.argv
run = pathlib.Path(after("--run"))
(run / "checkpoints/step-1").mkdir(parents=True)
seconds = ranks * 8 * 20 / {1: 100, 2: 180}[ranks]
lines = [{"stage": "train", "seconds/data": 99, "seconds/transfer": 99, "seconds/compute": 99}]
lines += [{"stage": "train", "seconds/data": 0, "seconds/transfer": 0.5, "seconds/compute": seconds - 0.5}] * 2
(run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
(run / "environment.json").write_text(json.dumps({"cores": 2, "processor": "a processor"}))
header = json.dumps({"a.weight": {"shape": [1000, 1000]}, "b.running_mean": {"shape": [32]}}).encode()
(run / "checkpoints/step-1/model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
"#;

/// Stands in for a Python with torch, as little disturbed by its twin.
const PYTHON: &str = r#"#!/usr/bin/env python3
import json, os, sys
assert os.environ["OMP_NUM_THREADS"] == "1" and sys.argv[1:3] == ["-m", "torch.distributed.run"], sys.argv
assert sys.argv[-1] == "4000000", sys.argv
ranks = sys.argv[4].removeprefix("--nproc-per-node=")
print("noise")
print(json.dumps({"rate": {"1": 100, "2": 190}[ranks], "all_reduce": 0.01}))
"#;

fn python(folder: &str) -> Command {
    let mut python = Command::new("python3");
    python.arg("-B").current_dir(root().join("tests/benches/scale")).env_remove("PYTHON").env("APP", folder);
    python
}

/// The output without line breaks: paragraphs are wrapped.
fn prose(ran: &Ran) -> String {
    ran.stdout.replace('\n', " ")
}

#[test]
fn the_model_is_that_worked_out_by_hand() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("the model of scripts/bench scale without python3");
    }
    let ran = Ran::new(python("").args(["-m", "unittest", "test_model"]).output().unwrap()).ok();
    assert!(ran.stderr.contains("Ran 6 tests"), "{}", ran.stderr);
}

#[test]
fn one_rank_is_compared_with_two_and_many_are_predicted() {
    if Command::new("python3").arg("--version").output().is_err() {
        return skip("scripts/bench scale without python3");
    }
    let place = Place::new();
    let [app, torch] = [("app", APP), ("python", PYTHON)].map(|(name, script)| {
        fs::write(place.path(name), script).unwrap();
        fs::set_permissions(place.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        place.path(name).display().to_string()
    });
    let alone = Ran::new(python(&app).args(["main.py", "1"]).output().unwrap()).ok();
    let cells = "| 100.0 (100.0–100.0) | 200.0 (200.0–200.0) | 180.0 (180.0–180.0) | 0.900 | 0.900 |";
    for contestant in ["all ranks", "each rank"] {
        let row = format!("| oxiseg, BatchNorm of {contestant} {cells}");
        assert!(alone.stdout.contains(&row), "{}", alone.stdout);
    }
    // By hand: 12.3 ms of compute, 1.75 × 4 MB over 300 GB/s and two buckets' 18 µs, two sums' 18 µs.
    assert!(alone.stdout.contains("| 8 GPUs, one machine, gradients in f32 | 16 | 12.30 ms | 0.06 ms | 0.04 ms |"));
    assert!(prose(&alone).contains("nobody measured these") && !alone.stdout.contains("Gloo"), "{}", alone.stdout);

    let ran = Ran::new(python(&app).env("PYTHON", torch).args(["main.py", "2"]).output().unwrap()).ok();
    let cells = "| 100.0 (100.0–100.0) | 200.0 (200.0–200.0) | 190.0 (190.0–190.0) | 0.950 | 0.950 |";
    assert!(ran.stdout.contains(&format!("| DistributedDataParallel {cells}")), "{}", ran.stdout);
    // Reduced in 10 ms after a step of 80 ms: 88.9 ms need 1.1 ms to be hidden, of half of 53 ms.
    let overlap = "reduces the gradients (4.0 MB) in 10.0 ms, the step of two apart takes 80.0 ms and that of two \
                   ranks 88.9 ms: 4 % of the backward pass hides them";
    assert!(prose(&ran).contains(overlap), "{}", ran.stdout);
    assert!(ran.stdout.contains("efficiency, overlap as here |"), "{}", ran.stdout);
}
