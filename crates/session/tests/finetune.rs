//! The example freezes and thaws its encoder, learns, and resumes at the place where it thaws.

#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use contract::StateDict;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const FROZEN_UNTIL: &str = "step-0000000060";
const THAWED: &str = "step-0000000090";
const LAST: &str = "step-0000000120";

/// Runs the example, which `cargo test` builds next to the tests.
fn run(folder: &Path) {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().unwrap().parent().unwrap().join("examples/finetune");
    assert!(program.exists(), "{} is missing: run cargo test -p session", program.display());
    assert!(Command::new(program).arg(folder).stderr(Stdio::null()).status().unwrap().success());
}

fn checkpoint(run: &Path, name: &str) -> PathBuf {
    run.join("checkpoints").join(name)
}

/// Returns the network's tensors of a checkpoint, as bits.
fn model(run: &Path, name: &str) -> Vec<(String, Vec<u32>)> {
    let model: StateDict = checkpoint::load(&checkpoint(run, name)).unwrap().states.remove("model").unwrap();
    let bits = |tensor: tch::Tensor| Vec::<f32>::try_from(tensor.flatten(0, -1)).unwrap();
    model.into_iter().map(|(name, tensor)| (name, bits(tensor).into_iter().map(f32::to_bits).collect())).collect()
}

fn encoder(run: &Path, name: &str) -> Vec<(String, Vec<u32>)> {
    model(run, name).into_iter().filter(|(name, _)| name.starts_with("encoder.")).collect()
}

#[test]
fn a_frozen_encoder_is_that_of_the_earlier_run_and_thaws() {
    let root = tempfile::tempdir().unwrap();
    run(root.path());
    let [earlier, later] = ["earlier", "later"].map(|name| root.path().join(name));
    let learnt = encoder(&earlier, LAST);
    let names: Vec<&str> = learnt.iter().map(|(name, _)| name.as_str()).collect();
    let norm = ["bias", "running_mean", "running_var", "weight"].map(|name| format!("encoder.norm.{name}"));
    assert_eq!(
        names,
        [&["encoder.convolution.bias", "encoder.convolution.weight"][..], &norm.each_ref().map(|name| &**name)]
            .concat()
    );
    assert!(encoder(&later, FROZEN_UNTIL) == learnt, "the encoder changed while it was frozen");
    for (before, after) in learnt.iter().zip(encoder(&later, THAWED)) {
        assert_ne!(before.1, after.1, "{} did not change after it had thawed", after.0);
    }

    let lines = fs::read_to_string(later.join("metrics.jsonl")).unwrap();
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |stage: &str, name: &str| -> Vec<f64> {
        lines.iter().filter(|line| line["stage"] == stage).map(|line| line[name].as_f64().unwrap()).collect()
    };
    let losses = of("train", "loss");
    assert_eq!(losses.len(), 4);
    assert!(losses[1] < losses[0] / 2.0, "the head learnt nothing over the frozen encoder: {losses:?}");
    assert!(losses[3] < losses[1], "the thawed encoder learnt nothing: {losses:?}");
    assert!(of("validation", "mean_iou")[3] > 0.9, "{:?}", of("validation", "mean_iou"));
}

#[test]
fn resumed_where_the_encoder_thaws_it_ends_with_the_same_tensors() {
    let root = tempfile::tempdir().unwrap();
    let [straight, resumed] = ["straight", "resumed"].map(|name| root.path().join(name));
    run(&straight);
    // Stopped at the end of the last frozen epoch.
    for (run, name) in [("earlier", LAST), ("later", FROZEN_UNTIL)] {
        let [from, to] = [&straight, &resumed].map(|folder| checkpoint(&folder.join(run), name));
        fs::create_dir_all(&to).unwrap();
        for file in fs::read_dir(from).unwrap().map(|file| file.unwrap()) {
            fs::copy(file.path(), to.join(file.file_name())).unwrap();
        }
    }
    run(&resumed);
    for name in ["model", "optimizer"] {
        let [expected, found] = [&straight, &resumed].map(|folder| {
            fs::read(checkpoint(&folder.join("later"), LAST).join(format!("{name}.safetensors"))).unwrap()
        });
        assert!(found == expected, "the tensors of {name} differ from those of a run that was never stopped");
    }
}
