//! Translation of libtorch's operators to those of ONNX.

use super::numbers::numbers;
use super::proto::{AttributeProto, NodeProto, TensorProto};
use crate::{Error, INPUT, OUTPUT};
use std::collections::{BTreeMap, BTreeSet};
use tch::Tensor;
use torch_ext::{Constant, Graph, Operation};

/// ONNX nodes and weights of a graph.
pub struct Lowered {
    pub nodes: Vec<NodeProto>,
    pub weights: Vec<TensorProto>,
}

/// Translates a graph with one input and one output, operator by operator.
pub fn lower(graph: &Graph) -> Result<Lowered, Error> {
    let ([input], [output]) = (&graph.inputs[..], &graph.outputs[..]) else {
        return Err(Error::Interface { inputs: graph.inputs.len(), outputs: graph.outputs.len() });
    };
    let mut names = BTreeMap::from([(input.clone(), INPUT.to_string())]);
    let mut lowering =
        Lowering { graph, lists: BTreeMap::new(), nodes: Vec::new(), weights: Vec::new(), made: BTreeSet::new() };
    for (number, operation) in graph.operations.iter().enumerate() {
        let changed = operation.inputs.first().filter(|_| operation.kind.ends_with('_'));
        let later = || graph.operations[number + 1..].iter().flat_map(|operation| &operation.inputs);
        if changed.is_some_and(|changed| changed == output || later().any(|name| name == changed)) {
            let arguments = Arguments { operation, graph };
            return Err(arguments.wrong("what it changes in place is used afterwards by its former name"));
        }
        if operation.kind == "prim::ListConstruct" {
            lowering.lists.insert(operation.outputs[0].clone(), operation.inputs.clone());
        } else {
            lowering.operation(operation, &mut names)?;
        }
    }
    // An Identity gives the last result the output's name, for the result may be used elsewhere, too.
    let last = names.get(output).cloned().unwrap_or_else(|| output.clone());
    lowering.node("Identity", vec![last], OUTPUT, Vec::new());
    Ok(Lowered { nodes: lowering.nodes, weights: lowering.weights })
}

struct Lowering<'a> {
    graph: &'a Graph,
    /// Lists of tensors, by name.
    lists: BTreeMap<String, Vec<String>>,
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    /// Names of `weights`.
    made: BTreeSet<String>,
}

impl Lowering<'_> {
    fn node(&mut self, kind: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input,
            output: vec![output.into()],
            name: Some(format!("{kind}_{}", self.nodes.len())),
            op_type: Some(kind.into()),
            attribute,
        });
    }

    fn operation(&mut self, operation: &Operation, names: &mut BTreeMap<String, String>) -> Result<(), Error> {
        let output = &*operation.outputs[0];
        // In-place operators have the same result.
        let kind = operation.kind.strip_suffix('_').unwrap_or(&operation.kind);
        let arguments = Arguments { operation, graph: self.graph };
        match kind {
            "aten::_convolution" => {
                let kernel = arguments.tensor(1)?.size();
                let transposed = arguments.int(6)? != 0;
                let padding = arguments.ints(4)?;
                let mut attributes = vec![
                    AttributeProto::ints("kernel_shape", &kernel[2..]),
                    AttributeProto::ints("strides", arguments.ints(3)?),
                    AttributeProto::ints("pads", &[padding, padding].concat()),
                    AttributeProto::ints("dilations", arguments.ints(5)?),
                    AttributeProto::int("group", arguments.int(8)?),
                ];
                if transposed {
                    attributes.push(AttributeProto::ints("output_padding", arguments.ints(7)?));
                }
                let inputs = self.inputs(&arguments, &[0, 1, 2], names)?;
                self.node(if transposed { "ConvTranspose" } else { "Conv" }, inputs, output, attributes);
            }
            "aten::batch_norm" => {
                arguments.expect(5, 0)?;
                let inputs = self.inputs(&arguments, &[0, 1, 2, 3, 4], names)?;
                self.node(
                    "BatchNormalization",
                    inputs,
                    output,
                    vec![AttributeProto::float("epsilon", arguments.float(7)?)],
                );
            }
            "aten::max_pool2d" => {
                let padding = arguments.ints(3)?;
                let (kernel, stride) = (arguments.ints(1)?, arguments.ints(2)?);
                let attributes = vec![
                    AttributeProto::ints("kernel_shape", kernel),
                    AttributeProto::ints("strides", if stride.is_empty() { kernel } else { stride }),
                    AttributeProto::ints("pads", &[padding, padding].concat()),
                    AttributeProto::ints("dilations", arguments.ints(4)?),
                    AttributeProto::int("ceil_mode", arguments.int(5)?),
                ];
                let inputs = self.inputs(&arguments, &[0], names)?;
                self.node("MaxPool", inputs, output, attributes);
            }
            "aten::upsample_bilinear2d" => {
                arguments.expect(2, 0)?;
                self.resize(&arguments, 3, ["linear", "half_pixel"], names)?;
            }
            "aten::upsample_nearest2d" => self.resize(&arguments, 2, ["nearest", "asymmetric"], names)?,
            "aten::cat" => {
                let parts = self.lists.get(&operation.inputs[0]);
                let parts = parts.ok_or_else(|| arguments.wrong("what is put together is not known"))?.clone();
                let inputs = parts.iter().map(|part| self.value(part, names)).collect::<Result<_, _>>()?;
                self.node("Concat", inputs, output, vec![AttributeProto::int("axis", arguments.int(1)?)]);
            }
            "aten::add" | "aten::sub" => {
                arguments.expect(2, 1)?;
                let inputs = self.inputs(&arguments, &[0, 1], names)?;
                self.node(if kind == "aten::add" { "Add" } else { "Sub" }, inputs, output, Vec::new());
            }
            "aten::mul" | "aten::div" => {
                let inputs = self.inputs(&arguments, &[0, 1], names)?;
                self.node(if kind == "aten::mul" { "Mul" } else { "Div" }, inputs, output, Vec::new());
            }
            "aten::relu" | "aten::sigmoid" => {
                let inputs = self.inputs(&arguments, &[0], names)?;
                self.node(if kind == "aten::relu" { "Relu" } else { "Sigmoid" }, inputs, output, Vec::new());
            }
            "aten::relu6" => {
                let bounds = [("least", 0.0), ("most", 6.0)].map(|(what, value)| {
                    let name = format!("{output}.{what}");
                    self.weights.push(TensorProto::f32(&name, Vec::new(), &[value]));
                    name
                });
                let mut inputs = self.inputs(&arguments, &[0], names)?;
                inputs.extend(bounds);
                self.node("Clip", inputs, output, Vec::new());
            }
            // Device and layout mean nothing in ONNX. All values are f32, or were checked to be.
            "aten::contiguous" | "aten::to" | "aten::detach" => {
                let same = self.value(&operation.inputs[0], names)?;
                names.insert(output.into(), same);
            }
            _ => return Err(Error::Operator { name: operation.kind.clone() }),
        }
        Ok(())
    }

    /// Translates an upsampling by scale factors, which are the argument at position `factors`.
    fn resize(
        &mut self,
        arguments: &Arguments,
        factors: usize,
        [mode, places]: [&str; 2],
        names: &BTreeMap<String, String>,
    ) -> Result<(), Error> {
        let Some(Constant::Floats(factors)) = arguments.constant(factors) else {
            return Err(arguments.wrong("an upsampling to a size, not by factors"));
        };
        let output = &*arguments.operation.outputs[0];
        let scales = format!("{output}.scales");
        self.weights.push(TensorProto::f32(&scales, vec![4], &[1.0, 1.0, factors[0] as f32, factors[1] as f32]));
        let mut inputs = self.inputs(arguments, &[0], names)?;
        inputs.extend([String::new(), scales]);
        let attributes = vec![
            AttributeProto::text("mode", mode),
            AttributeProto::text("coordinate_transformation_mode", places),
            AttributeProto::text("nearest_mode", "floor"),
        ];
        self.node("Resize", inputs, output, attributes);
        Ok(())
    }

    /// Returns the names of the arguments at `positions`. None, which stands at the end only, is left out.
    fn inputs(
        &mut self,
        arguments: &Arguments,
        positions: &[usize],
        names: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Error> {
        let given = positions.iter().map(|position| &arguments.operation.inputs[*position]);
        let given = given.filter(|name| !matches!(self.graph.constants.get(*name), Some(Constant::None)));
        let given: Vec<String> = given.cloned().collect();
        given.iter().map(|name| self.value(name, names)).collect()
    }

    /// Returns the name of a value in the file, and adds a constant to the file at its first use.
    fn value(&mut self, name: &str, names: &BTreeMap<String, String>) -> Result<String, Error> {
        let (dims, values) = match self.graph.constants.get(name) {
            Some(Constant::Tensor(tensor)) => (tensor.size(), numbers(tensor).map_err(Error::of_weights(name))?),
            Some(Constant::Float(value)) => (Vec::new(), vec![*value as f32]),
            Some(Constant::Int(value)) => (Vec::new(), vec![*value as f32]),
            _ => return Ok(names.get(name).cloned().unwrap_or_else(|| name.into())),
        };
        if self.made.insert(name.into()) {
            self.weights.push(TensorProto::f32(name, dims, &values));
        }
        Ok(name.into())
    }
}

/// Arguments of an operator that are constants.
struct Arguments<'a> {
    operation: &'a Operation,
    graph: &'a Graph,
}

impl Arguments<'_> {
    fn constant(&self, position: usize) -> Option<&Constant> {
        self.graph.constants.get(self.operation.inputs.get(position)?)
    }

    fn wrong(&self, what: &str) -> Error {
        Error::Argument { name: self.operation.kind.clone(), what: what.into() }
    }

    fn other(&self, position: usize, expected: &str) -> Error {
        self.wrong(&format!("argument {position} is {:?}, not {expected}", self.constant(position)))
    }

    fn tensor(&self, position: usize) -> Result<&Tensor, Error> {
        match self.constant(position) {
            Some(Constant::Tensor(tensor)) => Ok(tensor),
            _ => Err(self.other(position, "a tensor")),
        }
    }

    fn int(&self, position: usize) -> Result<i64, Error> {
        match self.constant(position) {
            Some(Constant::Int(value)) => Ok(*value),
            _ => Err(self.other(position, "a whole number")),
        }
    }

    fn float(&self, position: usize) -> Result<f64, Error> {
        match self.constant(position) {
            Some(Constant::Float(value)) => Ok(*value),
            _ => Err(self.other(position, "a number")),
        }
    }

    fn ints(&self, position: usize) -> Result<&[i64], Error> {
        match self.constant(position) {
            Some(Constant::Ints(values)) => Ok(values),
            _ => Err(self.other(position, "whole numbers")),
        }
    }

    /// Refuses any value but the one that has a translation.
    fn expect(&self, position: usize, value: i64) -> Result<(), Error> {
        if self.int(position)? == value { Ok(()) } else { Err(self.other(position, &value.to_string())) }
    }
}
