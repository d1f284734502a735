//! `app model summary`: the layers of a network and their cost.

use crate::cli;
use crate::common::config::Config;
use crate::common::network::Network;
use crate::common::output;
use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, Tensor};
use torch_ext::{Operator, Operators};

/// A layer, or an operation between layers.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    /// Name of the layer that holds its parameters; empty for an operation that has none.
    pub(super) layer: String,
    /// libtorch's name of the operation.
    operation: String,
    /// Shape of its output.
    output: Vec<i64>,
    /// Number of parameters.
    parameters: usize,
    /// Floating-point operations of convolutions, linear layers and attention: two for each multiplication.
    pub(super) flops: u64,
    /// Bytes of its output, all of which training keeps for the backward pass.
    bytes: u64,
}

/// Changes that make every layer an operator of libtorch's.
const SEEN: [&str; 2] = ["train.device=cpu", "model.fused=false"];

/// `app model summary`
pub fn run(args: &cli::Summary) -> Result<()> {
    let config = Config::configured(&args.configured)?.with(&SEEN.map(String::from))?;
    let network = Network::build(&config)?;
    let [height, width] = match args.size.as_deref() {
        Some(&[height, width]) => [height, width],
        _ => config.data.size().map(i64::from),
    };
    let input = [args.batch, config.data.channels().into(), height, width];
    let rows = rows(&network.store, network.model.as_ref(), input)?;
    let [all, trained] = [false, true].map(|trained| parameters(&network.store, trained).values().sum::<usize>());
    let flops: u64 = rows.iter().map(|row| row.flops).sum();
    let bytes: u64 = rows.iter().map(|row| row.bytes).sum();
    if args.json {
        let totals = json!({
            "input": input, "layers": rows, "parameters": all, "trained": trained, "flops": flops, "activation_bytes": bytes,
        });
        return output::print(&totals.to_string());
    }
    let mut lines = vec![line(["layer", "operation", "output", "parameters", "GFLOP", "MB"].map(String::from))];
    lines.extend(rows.iter().map(|row| {
        let some = |number: u64, shown: String| if number > 0 { shown } else { String::new() };
        line([
            row.layer.clone(),
            row.operation.clone(),
            shape(&row.output),
            some(row.parameters as u64, row.parameters.to_string()),
            some(row.flops, format!("{:.3}", row.flops as f64 / 1e9)),
            format!("{:.2}", row.bytes as f64 / 1e6),
        ])
    }));
    lines.push(format!("\n{all} parameters, {trained} of them trained"));
    lines.push(format!(
        "{:.3} GFLOP for {} (convolutions, linear layers, attention; forward)",
        flops as f64 / 1e9,
        shape(&input)
    ));
    lines.push(format!("{:.1} MB of activations, which training keeps", bytes as f64 / 1e6));
    output::print(&lines.join("\n"))
}

pub(super) fn shape(size: &[i64]) -> String {
    size.iter().map(ToString::to_string).collect::<Vec<_>>().join("×")
}

fn line([layer, operation, output, parameters, flops, bytes]: [String; 6]) -> String {
    format!("{layer:<36} {operation:<22} {output:>18} {parameters:>11} {flops:>9} {bytes:>9}").trim_end().into()
}

/// Returns the number of parameters of each layer, by its name.
pub(super) fn parameters(store: &VarStore, trained: bool) -> BTreeMap<String, usize> {
    let mut layers = BTreeMap::new();
    for (name, variable) in store.variables() {
        if !name.contains("running_") && (variable.requires_grad() || !trained) {
            *layers.entry(layer(&name)).or_default() += variable.numel();
        }
    }
    layers
}

/// Returns the name of a variable's layer.
fn layer(name: &str) -> String {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer).into()
}

/// Returns the operations of the network on an image of this shape.
pub(super) fn rows(store: &VarStore, network: &dyn ModuleT, input: [i64; 4]) -> Result<Vec<Row>> {
    let _no_grad = tch::no_grad_guard();
    let image = Tensor::f_zeros(input, (Kind::Float, Device::Cpu))?;
    let operators = Operators::watch()?;
    let run = || network.forward_t(&image, false);
    let _logits = contract::caught(run).map_err(anyhow::Error::msg).context("running the network")?;
    let seen = operators.seen();
    drop(operators);
    let by_address: BTreeMap<usize, String> =
        store.variables().into_iter().map(|(name, variable)| (variable.data_ptr() as usize, name)).collect();
    let (mut parameters, mut before) = (parameters(store, false), String::new());
    let row = |operator: &Operator| {
        let output = operator.output.as_ref()?;
        let weight = operator.inputs[1].as_ref().filter(|weight| by_address.contains_key(&weight.address));
        let layer = match weight {
            Some(weight) => layer(&by_address[&weight.address]),
            // It has no weights of its own: it belongs to what the linear layer before it is a part of.
            None if operator.name == ATTENTION => layer(&before),
            None => String::new(),
        };
        if weight.is_some() {
            before.clone_from(&layer);
        }
        Some(Row {
            operation: operator.name.trim_start_matches("aten::").into(),
            output: output.size.clone(),
            // The parameters of a layer that is used twice count once.
            parameters: parameters.remove(&layer).unwrap_or_default(),
            flops: flops(operator).unwrap_or_default(),
            bytes: output.bytes,
            layer,
        })
    };
    Ok(seen.iter().filter(|operator| computes(operator)).filter_map(row).collect())
}

/// Returns whether an operator computes something new, rather than a change in place, a view, or another layout.
fn computes(operator: &Operator) -> bool {
    let addresses: BTreeSet<usize> = operator.inputs.iter().flatten().map(|input| input.address).collect();
    let new = operator.output.as_ref().is_some_and(|output| !addresses.contains(&output.address));
    new && !operator.name.ends_with('_') && !["aten::to", "aten::contiguous", "aten::clone"].contains(&&*operator.name)
}

/// libtorch's name of attention.
const ATTENTION: &str = "aten::scaled_dot_product_attention";

/// Returns two operations for each multiplication; None for operators other than convolutions, linear layers and
/// attention.
fn flops(operator: &Operator) -> Option<u64> {
    let [input, weight] = &operator.inputs;
    // Every value of this tensor is multiplied with all weights of its channel.
    let met = match operator.name.as_str() {
        "aten::conv2d" | "aten::linear" => operator.output.as_ref()?,
        "aten::conv_transpose2d" => input.as_ref()?,
        // Queries `[N, heads, T, D]` meet all keys `[N, heads, M, D]`, and the weights of these meet all values.
        ATTENTION => {
            let keys = weight.as_ref()?.size.get(2)?;
            let queries: i64 = input.as_ref()?.size.iter().product();
            return u64::try_from(4 * queries * keys).ok();
        }
        _ => return None,
    };
    let weight = weight.as_ref()?;
    let of_channel: i64 = weight.size.iter().skip(1).product();
    u64::try_from(2 * met.size.iter().product::<i64>() * of_channel).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(model: &str, size: [i64; 2]) -> Vec<Row> {
        let config =
            Config::default().with(&[format!("model={model}")]).unwrap().with(&SEEN.map(String::from)).unwrap();
        let network = Network::build(&config).unwrap();
        rows(&network.store, network.model.as_ref(), [1, 3, size[0], size[1]]).unwrap()
    }

    /// torchvision's numbers for 224×224: 1.814 and 4.089 billion multiply-adds for ResNet-18 and -50, including
    /// 512,000 and 2,048,000 of the classifier; 0.301 billion for MobileNetV2, including 1,280,000 of the classifier
    /// and 20,070,400 of its last convolution, which a UNet does not have.
    #[test]
    fn encoders_cost_what_is_published() {
        for (model, published, without) in [
            (r#"{"kind": "resnet_unet", "layers": 18}"#, 1.814e9, 512e3),
            (r#"{"kind": "resnet_unet", "layers": 50}"#, 4.089e9, 2_048e3),
            (r#"{"kind": "mobilenet_v2_unet", "precision": "bf16"}"#, 0.301e9, 1_280e3 + 20_070_400.0),
        ] {
            let rows = summary(model, [224, 224]);
            let encoder = rows.iter().filter(|row| row.layer.starts_with("encoder."));
            let multiplications = encoder.map(|row| row.flops).sum::<u64>() as f64 / 2.0;
            let expected = published - without;
            assert!((multiplications / expected - 1.0).abs() < 2e-3, "{model}: {multiplications}, {expected}");
        }
    }

    #[test]
    fn each_parameter_is_in_one_row_and_shapes_are_those_of_the_layers() {
        let rows = summary(r#"{"kind": "unet", "width": 8, "depth": 2}"#, [32, 48]);
        let config = Config::default()
            .with(&[r#"model={"kind": "unet", "width": 8, "depth": 2, "fused": false}"#.into()])
            .unwrap();
        let network = Network::build(&config).unwrap();
        let total: usize = network.store.trainable_variables().iter().map(Tensor::numel).sum();
        assert_eq!(rows.iter().map(|row| row.parameters).sum::<usize>(), total);
        let row = |layer: &str| rows.iter().find(|row| row.layer == layer).unwrap();
        let conv = row("encoder1.conv2");
        assert_eq!(
            (&*conv.operation, &conv.output[..], conv.parameters),
            ("conv2d", &[1, 16, 16, 24][..], 16 * 16 * 9)
        );
        assert_eq!((conv.flops, conv.bytes), (2 * 16 * 16 * 9 * 16 * 24, 4 * 16 * 16 * 24));
        let up = row("up0");
        // Each output of a transposed 2×2 convolution with stride 2 uses the weights of one kernel position.
        assert_eq!((&up.output[..], up.flops), (&[1, 8, 32, 48][..], 2 * 16 * 8 * 32 * 48));
        assert!(rows.iter().any(|row| row.operation == "cat" && row.output == [1, 16, 32, 48]));
        assert!(rows.iter().all(|row| !row.operation.ends_with('_')));
    }
}
