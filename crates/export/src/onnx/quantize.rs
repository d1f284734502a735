//! Static quantisation to 8 bits: QuantizeLinear and DequantizeLinear around convolutions and matrix products.
//!
//! Runtimes compute what stands between a pair of them in integers. Weights are symmetric, with a scale for each output
//! channel; activations have one scale and one zero for a tensor. Weights have 7 bits (from -63 to 63): x86 processors
//! without VNNI add two products of u8 and i8 in 16 bits, which overflows with 8.

use super::calibration::Calibration;
use super::lower::Lowered;
use super::proto::{AttributeProto, NodeProto, TensorProto};
use crate::{INPUT, OUTPUT};
use std::collections::{BTreeMap, BTreeSet};

/// Greatest integer of a weight.
const GREATEST: f32 = 63.0;

/// Scale and zero point of an activation.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Steps {
    scale: f32,
    zero: u8,
}

impl Steps {
    /// Divides a range that contains 0 into 255 steps.
    fn of([least, most]: [f64; 2]) -> Self {
        let scale = if most > least { (most - least) / 255.0 } else { 1.0 };
        Self { scale: scale as f32, zero: (-least / scale).round().clamp(0.0, 255.0) as u8 }
    }
}

/// Returns the graph with quantised convolutions and matrix products with constant weights.
pub fn quantized(lowered: &Lowered, calibration: &Calibration) -> Lowered {
    let called = |name: &str| lowered.names.get(name).map_or(name, String::as_str).to_string();
    let steps: BTreeMap<String, Steps> =
        calibration.names().filter_map(|name| Some((called(name), Steps::of(calibration.range(name)?)))).collect();
    let constants = lowered.weights.iter().filter_map(|weight| Some((weight.name.as_deref()?, weight))).collect();
    let chosen = activations(lowered, &steps, &constants);
    let mut made = Made { nodes: Vec::new(), weights: BTreeMap::new() };
    if let Some(steps) = chosen.get(INPUT) {
        made.pair(INPUT, *steps);
    }
    for node in &lowered.nodes {
        let mut node = node.clone();
        if let Some(axis) = axis(&node, &constants, &steps) {
            made.parameters(&mut node, axis, &constants, &steps);
        }
        let is_last = node.output.iter().any(|output| output == OUTPUT);
        for input in node.input.iter_mut().filter(|input| !is_last && chosen.contains_key(input.as_str())) {
            *input = dequantized(input);
        }
        let outputs = node.output.clone();
        made.nodes.push(node);
        for output in outputs {
            if let Some(steps) = chosen.get(&output) {
                made.pair(&output, *steps);
            }
        }
    }
    let used: BTreeSet<&str> = made.nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    let kept = lowered.weights.iter().filter(|weight| weight.name.as_deref().is_some_and(|name| used.contains(name)));
    let weights = kept.cloned().chain(made.weights.into_values()).collect();
    Lowered { nodes: made.nodes, weights, names: lowered.names.clone() }
}

type Constants<'a> = BTreeMap<&'a str, &'a TensorProto>;

/// Returns the dimension of a layer's output channels in its weight, if its weight is to be quantised.
fn axis(node: &NodeProto, constants: &Constants, steps: &BTreeMap<String, Steps>) -> Option<usize> {
    let [x, weight, ..] = &node.input[..] else { return None };
    let rank = constants.get(weight.as_str())?.dims.len();
    let group = node.attribute.iter().find(|attribute| attribute.name.as_deref() == Some("group"));
    let is_grouped = group.and_then(|group| group.i).is_some_and(|group| group != 1);
    match node.op_type.as_deref()? {
        "Conv" if steps.contains_key(x) => Some(0),
        "MatMul" if rank == 2 && steps.contains_key(x) => Some(1),
        "ConvTranspose" if !is_grouped => Some(1),
        _ => None,
    }
}

/// Returns the values that are quantised: inputs and outputs of convolutions (after the activation, where only that
/// follows), inputs of matrix products. Logits stay as they are, and so do inputs of transposed convolutions, which
/// runtimes do not compute in integers.
fn activations(lowered: &Lowered, steps: &BTreeMap<String, Steps>, constants: &Constants) -> BTreeMap<String, Steps> {
    let mut consumers: BTreeMap<&str, Vec<&NodeProto>> = BTreeMap::new();
    for node in &lowered.nodes {
        node.input.iter().for_each(|input| consumers.entry(input).or_default().push(node));
    }
    let mut chosen = BTreeSet::new();
    for node in &lowered.nodes {
        let kind = node.op_type.as_deref().unwrap_or_default();
        if kind == "ConvTranspose" || axis(node, constants, steps).is_none() {
            continue;
        }
        chosen.insert(&*node.input[0]);
        let mut output = &*node.output[0];
        if let Some([next]) = consumers.get(output).map(Vec::as_slice)
            && matches!(next.op_type.as_deref(), Some("Relu" | "Clip"))
        {
            output = &next.output[0];
        }
        if kind == "Conv" && !is_logits(output, &consumers) {
            chosen.insert(output);
        }
    }
    chosen.into_iter().filter_map(|name| Some((name.to_string(), *steps.get(name)?))).collect()
}

/// Returns true if nothing but a resizing stands between a value and the output.
fn is_logits(name: &str, consumers: &BTreeMap<&str, Vec<&NodeProto>>) -> bool {
    let passes = |node: &&NodeProto| {
        let output = node.output.first().map(String::as_str).unwrap_or_default();
        let kind = node.op_type.as_deref();
        matches!(kind, Some("Identity" | "Resize")) && (output == OUTPUT || is_logits(output, consumers))
            // The size of what is resized.
            || kind == Some("Shape")
    };
    consumers.get(name).is_some_and(|nodes| nodes.iter().all(passes))
}

fn dequantized(name: &str) -> String {
    format!("{name}.dequantized")
}

/// Parts of a quantised graph that are made so far.
struct Made {
    nodes: Vec<NodeProto>,
    weights: BTreeMap<String, TensorProto>,
}

impl Made {
    fn node(&mut self, kind: &str, input: Vec<String>, output: String, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input,
            name: Some(format!("{kind}.{output}")),
            output: vec![output],
            op_type: Some(kind.into()),
            attribute,
        });
    }

    /// Adds a constant and returns its name.
    fn constant(&mut self, tensor: TensorProto) -> String {
        let name = tensor.name.clone().unwrap_or_default();
        self.weights.insert(name.clone(), tensor);
        name
    }

    /// Quantises an activation and restores it.
    fn pair(&mut self, name: &str, steps: Steps) {
        let scale = self.constant(TensorProto::f32(&format!("{name}.scale"), Vec::new(), &[steps.scale]));
        let zero = self.constant(TensorProto::u8(&format!("{name}.zero"), Vec::new(), &[steps.zero]));
        let whole = format!("{name}.quantized");
        self.node("QuantizeLinear", vec![name.into(), scale.clone(), zero.clone()], whole.clone(), Vec::new());
        self.node("DequantizeLinear", vec![whole, scale, zero], dequantized(name), Vec::new());
    }

    /// Quantises the weight of a layer, and the bias of a convolution whose input is quantised.
    fn parameters(
        &mut self,
        node: &mut NodeProto,
        axis: usize,
        constants: &Constants,
        steps: &BTreeMap<String, Steps>,
    ) {
        let name = node.input[1].clone();
        let Some(weight) = constants.get(name.as_str()) else { return };
        let values = floats(weight);
        let dims = &weight.dims;
        let channels = usize::try_from(dims[axis]).unwrap_or_default();
        let inner: usize = dims[axis + 1..].iter().product::<i64>() as usize;
        let channel = |position: usize| position / inner % channels;
        let mut greatest = vec![0f32; channels];
        for (position, value) in values.iter().enumerate() {
            greatest[channel(position)] = greatest[channel(position)].max(value.abs());
        }
        // A channel of zeros has any scale.
        let scales: Vec<f32> = greatest.iter().map(|most| if *most > 0.0 { most / GREATEST } else { 1.0 }).collect();
        let whole =
            values.iter().enumerate().map(|(position, value)| (value / scales[channel(position)]).round() as i8);
        let whole: Vec<i8> = whole.collect();
        node.input[1] = dequantized(&name);
        let at = |axis: usize| vec![AttributeProto::int("axis", axis as i64)];
        if !self.weights.contains_key(&format!("{name}.quantized")) {
            let whole = self.constant(TensorProto::i8(&format!("{name}.quantized"), dims.clone(), &whole));
            let side = vec![channels as i64];
            let zero = self.constant(TensorProto::i8(&format!("{name}.zero"), side.clone(), &vec![0; channels]));
            let scale = self.constant(TensorProto::f32(&format!("{name}.scale"), side, &scales));
            self.node("DequantizeLinear", vec![whole, scale, zero], dequantized(&name), at(axis));
        }
        let input = steps.get(&node.input[0]).filter(|_| node.op_type.as_deref() == Some("Conv"));
        let bias = node.input.get(2).and_then(|bias| constants.get(bias.as_str()));
        if let (Some(input), Some(bias)) = (input, bias) {
            // Its scale is that of the products, which it is added to. Another layer may share it.
            let name = format!("{}.{}", node.input[2], node.output[0]);
            let scales: Vec<f32> = scales.iter().map(|scale| scale * input.scale).collect();
            let whole = floats(bias).iter().zip(&scales).map(|(value, scale)| (value / scale).round() as i32).collect();
            let whole = self.constant(TensorProto::i32(&format!("{name}.quantized"), bias.dims.clone(), whole));
            let scale = self.constant(TensorProto::f32(&format!("{name}.scale"), bias.dims.clone(), &scales));
            self.node("DequantizeLinear", vec![whole, scale], dequantized(&name), at(0));
            node.input[2] = dequantized(&name);
        }
    }
}

/// Returns the values of a constant of f32.
fn floats(tensor: &TensorProto) -> Vec<f32> {
    let bytes = tensor.raw_data.as_deref().unwrap_or_default();
    bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_divide_a_range_and_0_is_one_of_them() {
        assert_eq!(Steps::of([0.0, 2.55]), Steps { scale: 0.01, zero: 0 });
        assert_eq!(Steps::of([-1.0, 1.55]), Steps { scale: 0.01, zero: 100 });
        assert_eq!(Steps::of([-2.55, 0.0]), Steps { scale: 0.01, zero: 255 });
        assert_eq!(Steps::of([0.0, 0.0]), Steps { scale: 1.0, zero: 0 });
    }
}
