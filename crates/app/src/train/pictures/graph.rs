//! Converts the network to a graph for TensorBoard.
//!
//! libtorch traces the network in evaluation mode, as for a file of `app export`: BatchNorm is folded into the
//! convolution before it, if there is one. Consecutive operators at the same height and width share a box, so that the
//! collapsed graph shows encoder and decoder.

use crate::common::config::Config;
use crate::common::network::Network;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use summary::{Graph, Node};
use tch::{Device, Kind, Tensor};
use torch_ext::{Constant, Operation};

/// Returns the graph of a configuration's network, for one image of its training size. Draws initial weights for it,
/// and restores the random generators afterwards.
pub fn of(config: &Config) -> Result<Graph> {
    // Seeding affects the GPU too. The two devices may be the same.
    let kept = [Device::Cpu, config.train.device()?].map(|device| Ok((device, torch_ext::generator_state(device)?)));
    let kept: Vec<(Device, Tensor)> = kept.into_iter().collect::<Result<_>>()?;
    let graph = followed(config);
    for (device, state) in kept {
        torch_ext::set_generator_state(device, &state)?;
    }
    graph.context("drawing the network as a graph")
}

fn followed(config: &Config) -> Result<Graph> {
    let changes = ["model.precision=fp32", "model.weights=null", "train.device=cpu"];
    let config = config.with(&changes.map(String::from))?;
    let Network { mut store, model, .. } = Network::build(&config)?;
    store.freeze();
    let [height, width] = config.data.size().map(i64::from);
    let shape = [1, config.data.channels().into(), height, width];
    let script = export::follow(model.as_ref(), &Tensor::f_zeros(shape, (Kind::Float, Device::Cpu))?)?;
    Ok(drawn(&torch_ext::Graph::with_shapes(&script, &shape)?, &shape))
}

/// Returns the nodes of a graph that libtorch traced with an input of this `shape`.
fn drawn(read: &torch_ext::Graph, shape: &[i64]) -> Graph {
    let input = Node { name: "input".into(), op: "Placeholder".into(), shape: shape.into(), ..Node::default() };
    let mut known = Known::new();
    for value in &read.inputs {
        known.insert(value, (vec![input.name.clone()], shape));
    }
    let (mut scopes, mut numbers) = (Scopes::default(), BTreeMap::new());
    scopes.enter(shape);
    let mut nodes = vec![input];
    for operation in &read.operations {
        let mut sources = sources(&operation.inputs, &known);
        let shape = operation.shape().unwrap_or_default();
        if !only_passes_on(&operation.kind) {
            scopes.enter(shape);
            let (name, op) = called(operation, read);
            let number: &mut u64 = numbers.entry(name).or_default();
            *number += 1;
            let name = format!("{}/{name}_{number}", scopes.current);
            let inputs = std::mem::replace(&mut sources, vec![name.clone()]);
            nodes.push(Node {
                name,
                op: op.into(),
                inputs,
                shape: shape.into(),
                attributes: attributes(operation, read),
            });
        }
        for output in &operation.outputs {
            known.insert(output, (sources.clone(), shape));
        }
    }
    let shape = read.outputs.first().and_then(|output| Some(known.get(output.as_str())?.1.to_vec()));
    nodes.push(Node {
        name: "output".into(),
        op: "Identity".into(),
        inputs: sources(&read.outputs, &known),
        shape: shape.unwrap_or_default(),
        attributes: Vec::new(),
    });
    Graph { nodes }
}

/// Source nodes and shape by value.
type Known<'r> = BTreeMap<&'r str, (Vec<String>, &'r [i64])>;

/// Returns the nodes that values come from. Constants have none.
fn sources(values: &[String], known: &Known) -> Vec<String> {
    values.iter().filter_map(|value| known.get(value.as_str())).flat_map(|(nodes, _)| nodes.clone()).collect()
}

/// Returns whether an operator only passes on its input: in a list, in another layout, or as another dtype.
fn only_passes_on(kind: &str) -> bool {
    ["prim::ListConstruct", "aten::contiguous", "aten::to", "aten::detach"].contains(&kind)
}

/// Boxes of the graph: one for each height and width, and another one whenever the network returns to it.
#[derive(Default)]
struct Scopes {
    current: String,
    size: Option<[i64; 2]>,
    times: BTreeMap<[i64; 2], u64>,
}

impl Scopes {
    /// Enters the box of this shape; stays in the current one if the shape is not `[N, C, H, W]`.
    fn enter(&mut self, shape: &[i64]) {
        let &[_, _, height, width] = shape else { return };
        let size = Some([height, width]);
        if self.size != size {
            self.size = size;
            let times = self.times.entry([height, width]).or_default();
            *times += 1;
            let again = if *times > 1 { format!("_{times}") } else { String::new() };
            self.current = format!("{height}x{width}{again}");
        }
    }
}

/// Returns an operator's name in node names, and its type.
fn called<'o>(operation: &'o Operation, graph: &torch_ext::Graph) -> (&'o str, &'o str) {
    let kind = operation.kind.rsplit("::").next().unwrap_or_default().trim_matches('_');
    match kind {
        "convolution" if is_transposed(operation, graph) => ("conv_transpose", "ConvTranspose2d"),
        "convolution" => ("conv", "Conv2d"),
        "batch_norm" => (kind, "BatchNorm2d"),
        "max_pool2d" => ("max_pool", "MaxPool2d"),
        "upsample_bilinear2d" | "upsample_nearest2d" => ("upsample", "Upsample"),
        "relu" => (kind, "ReLU"),
        "relu6" => (kind, "ReLU6"),
        "sigmoid" => (kind, "Sigmoid"),
        _ => (kind, kind),
    }
}

fn is_transposed(operation: &Operation, graph: &torch_ext::Graph) -> bool {
    matches!(constant(operation, graph, 6), Some(Constant::Int(1)))
}

fn constant<'g>(operation: &Operation, graph: &'g torch_ext::Graph, position: usize) -> Option<&'g Constant> {
    graph.constants.get(operation.inputs.get(position)?)
}

/// Returns an operator's attributes, in addition to its shape.
fn attributes(operation: &Operation, graph: &torch_ext::Graph) -> Vec<(String, String)> {
    let ints = |position: usize| match constant(operation, graph, position)? {
        Constant::Int(value) => Some(value.to_string()),
        Constant::Ints(values) if values.is_empty() => None,
        Constant::Ints(values) => Some(sides(values)),
        _ => None,
    };
    let pairs: Vec<(&str, Option<String>)> = match operation.kind.trim_end_matches('_') {
        "aten::_convolution" => {
            let weight = constant(operation, graph, 1);
            let weight = if let Some(Constant::Tensor(weight)) = weight { weight.size() } else { Vec::new() };
            let groups = if let Some(Constant::Int(groups)) = constant(operation, graph, 8) { *groups } else { 1 };
            let channels = |weight: &[i64; 2]| match is_transposed(operation, graph) {
                true => format!("{} to {}", weight[0], weight[1] * groups),
                false => format!("{} to {}", weight[1] * groups, weight[0]),
            };
            vec![
                ("channels", weight.first_chunk().map(channels)),
                ("kernel", weight.get(2..).map(sides)),
                ("stride", ints(3)),
                ("padding", ints(4)),
                ("dilation", ints(5)),
                ("groups", ints(8)),
            ]
        }
        // The stride defaults to the kernel's size.
        "aten::max_pool2d" => vec![("kernel", ints(1)), ("stride", ints(2).or_else(|| ints(1))), ("padding", ints(3))],
        "aten::cat" => vec![("dimension", ints(1))],
        _ => Vec::new(),
    };
    pairs.into_iter().filter_map(|(name, value)| Some((name.into(), value?))).collect()
}

/// Formats sizes, such as `3x3`.
fn sides(sides: &[i64]) -> String {
    sides.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn config(model: &str, size: &str) -> Config {
        Config::default().with(&[format!("model={model}"), format!("data.size={size}")]).unwrap()
    }

    #[test]
    fn a_graph_has_all_nodes_with_shapes_in_boxes_by_size() {
        let graph = of(&config(r#"{"kind": "unet", "width": 8, "depth": 2}"#, "[32, 48]")).unwrap();
        let names: BTreeSet<&str> = graph.nodes.iter().map(|node| &*node.name).collect();
        assert_eq!(names.len(), graph.nodes.len());
        for node in &graph.nodes {
            assert!(node.inputs.iter().all(|input| names.contains(&**input)), "{node:?}");
            assert_eq!(node.inputs.is_empty(), node.name == "input", "{node:?}");
            assert!(!node.shape.is_empty(), "{node:?}");
        }
        let node =
            |name: &str| graph.nodes.iter().find(|node| node.name == name).unwrap_or_else(|| panic!("{names:?}"));
        let attribute = |name: &str, key: &str| {
            let found = node(name).attributes.iter().find(|(name, _)| name == key);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        assert_eq!((&*node("input").op, &node("input").shape[..]), ("Placeholder", &[1, 3, 32, 48][..]));
        let conv = node("32x48/conv_1");
        assert_eq!(
            (&*conv.op, &conv.inputs[..], &conv.shape[..]),
            ("Conv2d", &["input".into()][..], &[1, 8, 32, 48][..])
        );
        let told = ["channels", "kernel", "stride", "padding"].map(|key| attribute("32x48/conv_1", key));
        assert_eq!(told, ["3 to 8", "3x3", "1x1", "1x1"]);
        assert_eq!(node("32x48/relu_1").inputs, ["32x48/conv_1"]);
        assert_eq!(node("16x24/max_pool_1").shape, [1, 8, 16, 24]);
        assert_eq!(attribute("16x24/max_pool_1", "stride"), "2x2");
        // The decoder has boxes of its own, with skip connections into them.
        assert_eq!(node("16x24_2/conv_transpose_1").inputs, ["8x12/relu_6"]);
        assert_eq!(attribute("16x24_2/conv_transpose_1", "channels"), "32 to 16");
        assert_eq!(node("32x48_2/cat_2").inputs, ["32x48/relu_2", "32x48_2/conv_transpose_2"]);
        let classes = Config::default().data.classes().len() as i64;
        assert_eq!((node("output").inputs.len(), &node("output").shape[..]), (1, &[1, classes, 32, 48][..]));
    }

    #[test]
    fn every_network_has_a_graph_of_known_shapes_for_any_size() {
        for model in [
            r#"{"kind": "unet", "width": 4, "depth": 3, "upsampling": "bilinear", "block": "residual", "attention": true}"#,
            r#"{"kind": "mobilenet_v2_unet", "width_multiplier": 0.1, "precision": "bf16"}"#,
            r#"{"kind": "resnet_unet", "layers": 18}"#,
        ] {
            let graph = of(&config(model, "[44, 60]")).unwrap();
            let unknown: Vec<&Node> = graph.nodes.iter().filter(|node| node.shape.is_empty()).collect();
            assert!(unknown.is_empty(), "{model}: {unknown:?}");
            assert_eq!(graph.nodes.last().unwrap().shape[2..], [44, 60], "{model}");
        }
    }

    #[test]
    fn a_graph_leaves_generator_and_grad_mode_as_they_were() {
        let config = config(r#"{"kind": "unet", "width": 4, "depth": 1}"#, "[16, 16]");
        let state = || torch_ext::generator_state(Device::Cpu).unwrap();
        // Other tests draw from the generator at the same time, but not in every try; a seed would show in every try.
        let same = (0..20).any(|_| {
            let _ = Tensor::rand([1], (Kind::Float, Device::Cpu));
            let before = state();
            of(&config).unwrap();
            state().equal(&before)
        });
        assert!(same);
        let parameter = Tensor::ones([1], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        assert!((parameter * 2.0).requires_grad());
    }
}
