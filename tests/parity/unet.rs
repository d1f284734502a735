//! The UNet: outputs, gradients and running statistics, with the weights of a PyTorch network of the same shape.

use super::{Recorded, assert_close};
use contract::{Batch, Loss, StateDict, Stateful};
use model::{Config, UNetConfig, Upsampling};
use tch::{Device, nn::ModuleT, nn::VarStore};

const VARIANTS: [(&str, Upsampling); 2] =
    [("unet_transposed", Upsampling::Transposed), ("unet_bilinear", Upsampling::Bilinear)];
/// A size that the network can halve without padding, and one that it has to pad.
const SIZES: [&str; 2] = ["8x12", "7x9"];

fn build(recorded: &Recorded, upsampling: Upsampling) -> (VarStore, Box<dyn ModuleT>) {
    let mut store = VarStore::new(Device::Cpu);
    let config = Config::Unet(UNetConfig { width: 4, depth: 2, upsampling, ..UNetConfig::default() });
    let model = config.build(&store, 3, 3).unwrap();
    store.load_state(&recorded.under("weights.")).unwrap();
    (store, model)
}

/// Runs `check` on each variant and size, with the name, the recorded tensors and a new network.
fn for_each(check: impl Fn(&str, &Recorded, &VarStore, &dyn ModuleT)) {
    for (variant, upsampling) in VARIANTS {
        let recorded = Recorded::open(variant);
        for size in SIZES {
            let (store, model) = build(&recorded, upsampling);
            println!("{variant} on {size}");
            check(size, &recorded, &store, &*model);
        }
    }
}

#[test]
fn outputs_in_evaluation_are_those_of_pytorch_and_change_nothing() {
    for_each(|size, recorded, store, model| {
        let outputs = model.forward_t(&recorded.get(&format!("{size}.inputs")), false);
        assert_close(&format!("{size}.evaluated"), &outputs, &recorded.get(&format!("{size}.evaluated")));
        let weights = recorded.under("weights.");
        assert!(store.state().iter().all(|(name, tensor)| tensor.equal(&weights[name])));
    });
}

#[test]
fn outputs_and_running_statistics_in_training_are_those_of_pytorch() {
    for_each(|size, recorded, store, model| {
        let outputs = model.forward_t(&recorded.get(&format!("{size}.inputs")), true);
        assert_close(&format!("{size}.trained"), &outputs, &recorded.get(&format!("{size}.trained")));
        let after = recorded.under(&format!("{size}.after."));
        assert_eq!(after.len(), 20);
        let state: StateDict = store.state();
        for (name, expected) in after {
            assert_close(&name, &state[&name], &expected);
        }
    });
}

#[test]
fn gradients_of_all_weights_are_those_of_pytorch() {
    for_each(|size, recorded, store, model| {
        let outputs = model.forward_t(&recorded.get(&format!("{size}.inputs")), true);
        let targets = recorded.get(&format!("{size}.targets"));
        let batch = Batch::new(outputs.detach(), targets, Vec::new());
        loss::CrossEntropy::default().loss(&outputs.into(), &batch).unwrap().backward();
        let gradients = recorded.under(&format!("{size}.gradient."));
        let variables = store.variables();
        assert_eq!(gradients.len(), store.trainable_variables().len());
        for (name, expected) in gradients {
            assert_close(&format!("{size}.gradient.{name}"), &variables[&name].grad(), &expected);
        }
    });
}
