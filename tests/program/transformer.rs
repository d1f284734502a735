//! A transformer from training to a saved network.

use super::support::{Place, root};
use std::fs;

const FILES: [&str; 4] = ["model.safetensors", "optimizer.safetensors", "metric.safetensors", "generator.safetensors"];

/// SegFormer-B0, whose blocks are dropped at random.
const NETWORK: &str = concat!(
    r#"--set model={"kind":"segmenter","encoder":{"name":"mit_b0","stochastic_depth":0.3},"#,
    r#""decoder":{"kind":"DECODER","channels":32},"dropout":0.1} --set data.size=[32,64]"#
);

#[test]
fn it_resumes_to_the_bit_and_predicts_from_its_saved_network() {
    let (place, network) = (Place::new(), NETWORK.replace("DECODER", "segformer"));
    place.train(&format!("--run straight --set train.epochs=4 {network}")).ok();
    place.train(&format!("--run stopped {network}")).ok();
    place.app("train --run stopped --set train.epochs=4").ok();
    assert_eq!(place.metrics("straight"), place.metrics("stopped"));
    for file in FILES {
        assert!(place.last("straight", file) == place.last("stopped", file), "{file} differs");
    }
    let saved = place.app("export --run stopped --output saved/1").ok();
    assert!(saved.stdout.contains("saved/1"), "{}", saved.stdout);
    fs::copy(root().join("tests/old/data/images/00.png"), place.path("odd.png")).unwrap();
    for (output, options) in [("of_run", "--run stopped"), ("of_model", "--model saved/1")] {
        place.app(&format!("predict odd.png {options} --output {output}")).ok();
    }
    let [of_run, of_model] = ["of_run", "of_model"].map(|folder| {
        let mut files = fs::read_dir(place.path(folder)).unwrap().map(|file| file.unwrap().path());
        fs::read(files.find(|path| path.extension().is_some_and(|kind| kind == "png")).unwrap()).unwrap()
    });
    assert!(of_run == of_model, "the class maps differ");
}

#[test]
fn a_transformer_cannot_be_dilated() {
    let network = NETWORK.replace("DECODER", "pspnet").replace("\"mit_b0\"", "\"mit_b0\",\"output_stride\":16");
    let said = "model.encoder.output_stride: must be 32 with this encoder, is 16";
    Place::new().train(&network).refused(2, said);
}
