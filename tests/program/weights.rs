//! Networks before training: their layers, and weights from elsewhere that they start from.

use super::support::Place;
use std::fs;

const MOBILE: &str = "--set model.kind=mobilenet_v2_unet --set model.width_multiplier=0.1 --set data.size=[32,32]";

fn weights(path: &str, more: &str) -> String {
    format!("{MOBILE} --set model.weights={{\"path\":\"{path}\"{more}}}")
}

#[test]
fn a_run_starts_from_another_one_s_network_and_goes_on_without_its_file() {
    let place = Place::new();
    place.train(&format!("--run first {MOBILE}")).ok();
    let checkpoint = place.checkpoints("first").pop().unwrap();
    let tensors = |run: &str| {
        let mut states = checkpoint::load(place.checkpoints(run).last().unwrap()).unwrap().states;
        let mut model = states.remove("model").unwrap();
        model.retain(|name, _| !name.contains("running"));
        model
    };
    let learnt = tensors("first");
    // Nothing is learnt at this rate, so the run saves its initial weights.
    let still = "--set train.epochs=1 --set optimizer.rule.kind=sgd --set optimizer.learning_rate=1e-30";
    fs::copy(checkpoint.join("model.safetensors"), place.path("file.safetensors")).unwrap();
    for (run, path) in [("folder", checkpoint.display().to_string()), ("file", "file.safetensors".into())] {
        let ran = place.train(&format!("--run {run} {still} {}", weights(&path, ""))).ok();
        assert!(ran.stderr.contains("tensors)"), "{}", ran.stderr);
        let found = tensors(run);
        assert!(found.len() > 100 && found.iter().all(|(name, tensor)| tensor.equal(&learnt[name])));
    }
    fs::remove_file(place.path("file.safetensors")).unwrap();
    let longer = "--set train.epochs=2 --set optimizer.rule.kind=sgd --set optimizer.learning_rate=1e-30";
    let ran = place.train(&format!("--run file {longer} {}", weights("file.safetensors", ""))).ok();
    assert!(!ran.stderr.contains("Starting from") && ran.stderr.contains("Continuing from"), "{}", ran.stderr);
    place.train(&format!("--run new {}", weights("file.safetensors", ""))).refused(1, "file.safetensors");
}

#[test]
fn weights_that_do_not_fit_are_refused_with_a_list_before_anything_is_made() {
    let place = Place::new();
    let sound = "tests/reference/torchvision_mobilenet_v2.pt";
    let sound = super::support::root().join(sound);
    let encoder = r#","encoder_only":true"#;
    let train =
        |path: &str, more: &str| place.train(&format!("--run run --set train.epochs=1 {}", weights(path, more)));
    // A classifier is no segmentation network, and the error says so.
    let ran = train(&sound.display().to_string(), "").refused(1, "missing (");
    assert!(ran.stderr.contains("head.weight") && ran.stderr.contains("up0.conv.weight"), "{}", ran.stderr);
    let wider = weights(&sound.display().to_string(), encoder).replace("width_multiplier=0.1", "width_multiplier=0.5");
    let ran = place.train(&format!("--run run {wider}"));
    let ran = ran.refused(1, "of another shape (");
    assert!(
        ran.stderr.contains("encoder.features.0.0.weight: expected [16, 3, 3, 3], found [8, 3, 3, 3]"),
        "{}",
        ran.stderr
    );
    let bytes = fs::read(&sound).unwrap();
    fs::write(place.path("cut.pt"), &bytes[..bytes.len() / 2]).unwrap();
    train("cut.pt", encoder).refused(1, "cut.pt: it is no archive of torch.save, or a damaged one");
    let evil = super::support::root().join("crates/weights/reference/files/evil.zip.pt");
    train(&evil.display().to_string(), encoder).refused(1, "holds what is no tensor: bias (posix.system)");
    assert!(!place.path("evil-was-here").exists() && !place.path("run/checkpoints").exists());
    train(&sound.display().to_string(), encoder).ok();
}

#[test]
fn a_summary_counts_what_a_network_learns_and_costs() {
    let place = Place::new();
    let ran = place.app("model summary --config tiny.json --batch 2 --size 32 48").ok();
    assert!(ran.stdout.contains("encoder0.conv1") && ran.stdout.contains("2×4×32×48"), "{}", ran.stdout);
    let summary = |more: &str| -> serde_json::Value {
        serde_json::from_str(&place.app(&format!("model summary --config tiny.json --json {more}")).ok().stdout)
            .unwrap()
    };
    let (free, frozen) = (summary(MOBILE), summary(&format!("{MOBILE} --set model.encoder.frozen=true")));
    assert_eq!((&free["parameters"], &free["input"]), (&free["trained"], &serde_json::json!([1, 3, 32, 32])));
    assert_eq!(frozen["parameters"], free["parameters"]);
    assert!(frozen["trained"].as_u64() < free["trained"].as_u64() && frozen["flops"] == free["flops"]);
    place.app("model summary --size 0 4").refused(2, "--size");
}

#[test]
fn a_group_of_no_parameter_is_a_slip() {
    let place = Place::new();
    let group = r#"--set optimizer.groups=[{"parameters":"enkoder.*","frozen_epochs":3}]"#;
    place.train(group).refused(
        2,
        "optimizer.groups[0].parameters: no trained parameter outside earlier groups is called 'enkoder.*'",
    );
    let all = r#"--set optimizer.groups=[{"parameters":"*","frozen_epochs":3}]"#;
    place.train(all).refused(2, "optimizer.groups: leave nothing that is trained from the beginning");
    assert!(!place.path("runs").exists());
}
