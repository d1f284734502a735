//! Published weights: addresses and preprocessing as the libraries name them, and tensors with the encoders' names and
//! shapes.

use model::{Config, PUBLISHED, Published, adopt_published, published_of};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use tch::nn::VarStore;
use tch::{Device, Kind, Tensor};

type State = BTreeMap<String, Tensor>;

fn listing() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("reference/published.json");
    serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
}

fn key(published: &Published) -> String {
    format!("{}/{}", published.encoder, published.name)
}

/// Returns the networks that begin with an encoder.
fn networks(encoder: &str) -> Vec<Config> {
    let layers = encoder.strip_prefix("resnet").and_then(|layers| layers.parse::<u8>().ok());
    let known = [
        layers.map(|layers| json!({ "kind": "resnet_unet", "layers": layers })),
        (encoder == "mobilenet_v2").then(|| json!({ "kind": "mobilenet_v2_unet" })),
        Some(json!({ "kind": "segmenter", "encoder": { "name": encoder }, "decoder": { "kind": "upernet" } })),
    ];
    known.into_iter().flatten().filter_map(|config| serde_json::from_value(config).ok()).collect()
}

/// Returns tensors of these shapes that take no memory.
fn zeros(shapes: &Value) -> State {
    let zero = Tensor::zeros([1], (Kind::Float, Device::Cpu));
    let shapes: BTreeMap<String, Vec<i64>> = serde_json::from_value(shapes.clone()).unwrap();
    shapes.into_iter().map(|(name, shape)| (name, zero.expand(shape, false))).collect()
}

#[test]
fn the_table_is_what_the_libraries_name() {
    let listing = listing();
    let known: BTreeSet<String> = PUBLISHED.iter().map(key).collect();
    let recorded: BTreeSet<String> = listing["published"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(known, recorded);
    for published in PUBLISHED {
        let recorded = &listing["published"][&key(published)];
        assert_eq!(recorded["url"], json!(published.url()), "{}", key(published));
        for (values, recorded) in [(published.mean, &recorded["mean"]), (published.std, &recorded["std"])] {
            assert!(recorded.is_null() || *recorded == json!(values), "{}", key(published));
        }
        let numbers: i64 = zeros(&listing["tensors"][recorded["tensors"].as_str().unwrap()])
            .values()
            .map(|tensor| tensor.size().iter().product::<i64>())
            .sum();
        // A file has heads beside its numbers, and counters of batches.
        let mib = recorded["mib"].as_f64().unwrap_or(numbers as f64 * 4.0 / f64::from(1 << 20));
        assert!((published.mib - mib).abs() < 0.06, "{}: {mib} MiB", key(published));
        let licence = recorded["licence"].as_str().unwrap_or_default().split('-').next().unwrap().to_lowercase();
        assert!(published.licence.to_lowercase().contains(&licence), "{}", key(published));
    }
}

#[test]
fn published_files_have_the_tensors_of_the_encoders() {
    let listing = listing();
    let mut found = BTreeSet::new();
    for published in PUBLISHED {
        let shapes = &listing["tensors"][listing["published"][&key(published)]["tensors"].as_str().unwrap()];
        for config in networks(published.encoder) {
            for channels in [3, 1, 4] {
                let store = VarStore::new(Device::Cpu);
                config.build(&store, channels, 2).unwrap();
                let network: State = store.variables().into_iter().collect();
                let mut file = zeros(shapes);
                file.insert("bn1.num_batches_tracked".into(), Tensor::from(7i64));
                let adopted = adopt_published(file, &network, published);
                let adopted = adopted.unwrap_or_else(|error| panic!("{}: {error}", key(published)));
                let own = network.keys().filter(|name| name.starts_with("encoder."));
                assert!(adopted.keys().eq(own), "{}", key(published));
                for (name, tensor) in &adopted {
                    assert_eq!(tensor.size(), network[name].size(), "{name} of {}", key(published));
                }
                // One that is not there is named.
                let mut file = zeros(shapes);
                let first = file.keys().find(|name| network.contains_key(&format!("encoder.{name}"))).cloned().unwrap();
                file.remove(&first);
                let error = adopt_published(file, &network, published).unwrap_err();
                assert_eq!(error.missing, [format!("encoder.{first}")]);
            }
            found.insert(published.encoder);
        }
    }
    for encoder in ["resnet18", "resnet34", "resnet50", "mobilenet_v2"] {
        assert!(found.contains(encoder), "{encoder}");
    }
}

#[test]
fn a_first_convolution_for_other_channels_is_that_of_segmentation_models_pytorch() {
    let listing = listing();
    let resnet = published_of("resnet18").next().unwrap();
    let weight = Tensor::arange(4 * 3 * 3 * 3, (Kind::Double, Device::Cpu)).sin().to_kind(Kind::Float);
    for (channels, expected) in listing["first_conv"].as_object().unwrap() {
        let wanted = Tensor::zeros([4, channels.parse().unwrap(), 3, 3], (Kind::Float, Device::Cpu));
        let network = State::from([("encoder.conv1.weight".to_string(), wanted)]);
        let found = State::from([("conv1.weight".to_string(), weight.view([4, 3, 3, 3]))]);
        let adopted = adopt_published(found, &network, resnet).unwrap().remove("encoder.conv1.weight").unwrap();
        assert_eq!(json!(adopted.size()), expected["shape"]);
        let values = adopted.to_kind(Kind::Double).view([-1]);
        let weights = Tensor::arange(values.size()[0], (Kind::Double, Device::Cpu)).cos();
        let numbers = [
            ("sum", values.sum(Kind::Double)),
            ("weighted", (&values * weights).sum(Kind::Double)),
            ("last", values.get(-1)),
        ];
        for (name, found) in numbers {
            let (found, expected) = (found.double_value(&[]), expected[name].as_f64().unwrap());
            assert!((found - expected).abs() < 1e-5, "{name} of {channels}: {found}, not {expected}");
        }
    }
}
