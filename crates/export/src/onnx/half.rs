//! A graph in f16: weights and activations have 16 bits, the input and the output stay f32.
//!
//! Sums of many values, what divides by them and exponentials are computed in f32, as libtorch's autocast does: 65,504
//! is the largest number of f16, and a sum of 2,048 ones in f16 stays there.

use super::lower::Lowered;
use super::proto::{AttributeProto, FLOAT, FLOAT16, INT64, NodeProto, TensorProto};
use crate::{INPUT, OUTPUT};
use half::f16;
use std::collections::{BTreeMap, BTreeSet};

/// Operators that are computed in f32.
const IN_F32: [&str; 15] = [
    "BatchNormalization",
    "CumSum",
    "Erf",
    "Exp",
    "GlobalAveragePool",
    "InstanceNormalization",
    "LayerNormalization",
    "Log",
    "LogSoftmax",
    "Pow",
    "ReduceMean",
    "ReduceSum",
    "Reciprocal",
    "Softmax",
    "Softplus",
];

/// Operators whose floating-point inputs from this position on stay f32.
const KEPT: [(&str, usize); 1] = [("Resize", 1)];

/// Number type of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    F16,
    F32,
    /// Integers and truth values.
    Whole,
}

/// Returns the graph in f16.
pub fn half(lowered: &Lowered) -> Lowered {
    let mut half = Half {
        constants: lowered.weights.iter().filter_map(|weight| Some((weight.name.as_deref()?, weight))).collect(),
        types: BTreeMap::from([(INPUT.to_string(), Type::F32)]),
        casts: BTreeSet::new(),
        nodes: Vec::new(),
        weights: Vec::new(),
    };
    for node in &lowered.nodes {
        half.node(node);
    }
    Lowered { nodes: half.nodes, weights: half.weights, names: lowered.names.clone() }
}

struct Half<'a> {
    constants: BTreeMap<&'a str, &'a TensorProto>,
    types: BTreeMap<String, Type>,
    /// Names of converted values and constants that exist already.
    casts: BTreeSet<String>,
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
}

impl Half<'_> {
    fn node(&mut self, node: &NodeProto) {
        let kind = node.op_type.as_deref().unwrap_or_default();
        if kind == "Cast" {
            return self.cast_node(node);
        }
        let kept = KEPT.iter().find(|(name, _)| *name == kind).map_or(usize::MAX, |(_, from)| *from);
        let wide = IN_F32.contains(&kind) || node.output.iter().any(|output| output == OUTPUT);
        let to = if wide { Type::F32 } else { Type::F16 };
        let mut copy = node.clone();
        for (position, input) in copy.input.iter_mut().enumerate().filter(|(_, input)| !input.is_empty()) {
            *input = self.typed(input, if position >= kept { Type::F32 } else { to });
        }
        let of = match kind {
            "Shape" | "Range" => Type::Whole,
            "GreaterOrEqual" | "Less" | "And" => Type::Whole,
            // Arithmetic on sizes.
            _ if copy.input.first().is_some_and(|input| self.type_of(input) == Type::Whole) => Type::Whole,
            _ => to,
        };
        self.types.extend(copy.output.iter().map(|output| (output.clone(), of)));
        self.nodes.push(copy);
    }

    /// Copies a cast of a size to a floating-point number.
    fn cast_node(&mut self, node: &NodeProto) {
        self.types.extend(node.output.iter().map(|output| (output.clone(), Type::F32)));
        self.nodes.push(node.clone());
    }

    fn type_of(&self, name: &str) -> Type {
        let constant = || match self.constants.get(name)?.data_type {
            Some(INT64) => Some(Type::Whole),
            _ => Some(Type::F32),
        };
        self.types.get(name).copied().or_else(constant).unwrap_or(Type::F16)
    }

    /// Returns the name of a value in the wanted type.
    fn typed(&mut self, name: &str, wanted: Type) -> String {
        let given = self.type_of(name);
        let as_f16 = wanted == Type::F16 && given == Type::F32;
        if let Some(constant) = self.constants.get(name).copied() {
            let converted = if as_f16 { format!("{name}.f16") } else { name.to_string() };
            if self.casts.insert(converted.clone()) {
                self.weights.push(if as_f16 { narrowed(constant, &converted) } else { constant.clone() });
                self.types.insert(converted.clone(), if as_f16 { Type::F16 } else { given });
            }
            return converted;
        }
        if given == Type::Whole || given == wanted {
            return name.into();
        }
        let (suffix, to) = if as_f16 { ("f16", FLOAT16) } else { ("f32", FLOAT) };
        let converted = format!("{name}.{suffix}");
        if self.casts.insert(converted.clone()) {
            self.types.insert(converted.clone(), wanted);
            self.nodes.push(NodeProto {
                input: vec![name.into()],
                output: vec![converted.clone()],
                name: Some(format!("Cast.{converted}")),
                op_type: Some("Cast".into()),
                attribute: vec![AttributeProto::int("to", to.into())],
            });
        }
        converted
    }
}

/// Returns a constant of f32 in f16.
fn narrowed(constant: &TensorProto, name: &str) -> TensorProto {
    let values = constant.raw_data.iter().flat_map(|bytes| bytes.as_chunks().0);
    let bytes = values.flat_map(|bytes: &[u8; 4]| f16::from_f32(f32::from_le_bytes(*bytes)).to_le_bytes());
    TensorProto {
        dims: constant.dims.clone(),
        data_type: Some(FLOAT16),
        name: Some(name.into()),
        raw_data: Some(bytes.collect()),
    }
}
