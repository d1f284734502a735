//! Translation of libtorch's operators to those of ONNX.

mod aliases;
mod call;
mod layers;
mod lists;
mod normalisation;
mod pointwise;
mod products;
mod resize;
mod shapes;

use super::numbers::numbers;
use super::proto::{AttributeProto, NodeProto, TensorProto};
use crate::{Error, INPUT, OUTPUT};
use aliases::Aliases;
use call::Call;
use std::collections::{BTreeMap, BTreeSet};
use tch::Tensor;
use torch_ext::{Constant, Graph};

/// ONNX nodes and weights of a graph.
#[derive(Debug)]
pub struct Lowered {
    pub nodes: Vec<NodeProto>,
    pub weights: Vec<TensorProto>,
    /// Names in the file of values that have another one in the graph.
    pub names: BTreeMap<String, String>,
}

/// Translates a graph with one input and one output, operator by operator. The graph has the shapes of all tensors for
/// an input of the shape `example`: their ranks, and sizes that are the same for every input, are taken from there.
pub fn lower(graph: &Graph, example: &[i64]) -> Result<Lowered, Error> {
    let ([input], [output]) = (&graph.inputs[..], &graph.outputs[..]) else {
        return Err(Error::Interface { inputs: graph.inputs.len(), outputs: graph.outputs.len() });
    };
    let mut lowering = Lowering::new(graph);
    lowering.names.insert(input.clone(), INPUT.to_string());
    lowering.shapes.insert(input, example);
    let mut aliases = Aliases::default();
    for (number, operation) in graph.operations.iter().enumerate() {
        let call = Call { operation, graph };
        for (output, shape) in operation.outputs.iter().zip(&operation.shapes) {
            if let Some(shape) = shape {
                lowering.shapes.insert(output, shape);
            }
        }
        let later = graph.operations[number + 1..].iter().flat_map(|operation| &operation.inputs).chain([output]);
        if aliases.changes(operation, later) {
            return Err(call.wrong("what it changes in place is used afterwards by its former name"));
        }
        lowering.operation(&call)?;
    }
    // An Identity gives the last result the output's name, for the result may be used elsewhere, too.
    let last = lowering.names.get(output).cloned().unwrap_or_else(|| output.clone());
    lowering.node("Identity", vec![last], OUTPUT, Vec::new());
    Ok(Lowered { nodes: lowering.nodes, weights: lowering.weights, names: lowering.names })
}

struct Lowering<'a> {
    graph: &'a Graph,
    /// Shapes of values for the example.
    shapes: BTreeMap<&'a str, &'a [i64]>,
    /// Names in the file of values that have another one in the graph.
    names: BTreeMap<String, String>,
    /// Lists of tensors and sizes, by name.
    lists: BTreeMap<String, Vec<String>>,
    /// Sizes, which are tensors `[1]` of i64 in the file.
    sizes: BTreeSet<String>,
    nodes: Vec<NodeProto>,
    weights: Vec<TensorProto>,
    /// Names of `weights`.
    made: BTreeSet<String>,
}

impl<'a> Lowering<'a> {
    fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            shapes: BTreeMap::new(),
            names: BTreeMap::new(),
            lists: BTreeMap::new(),
            sizes: BTreeSet::new(),
            nodes: Vec::new(),
            weights: Vec::new(),
            made: BTreeSet::new(),
        }
    }

    fn operation(&mut self, call: &Call) -> Result<(), Error> {
        let found = self.list(call)?
            || self.pointwise(call)?
            || self.layer(call)?
            || self.normalisation(call)?
            || self.resize(call)?
            || self.shape(call)?
            || self.product(call)?;
        if found { Ok(()) } else { Err(Error::Operator { name: call.operation.kind.clone() }) }
    }

    fn node(&mut self, kind: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) {
        self.nodes.push(NodeProto {
            input,
            output: vec![output.into()],
            name: Some(format!("{kind}_{}", self.nodes.len())),
            op_type: Some(kind.into()),
            attribute,
        });
    }

    /// Adds a node and returns the name of its result, which is part of what makes `output`.
    fn part(&mut self, kind: &str, input: Vec<String>, output: &str, attribute: Vec<AttributeProto>) -> String {
        let name = format!("{output}.{}", self.nodes.len());
        self.node(kind, input, &name, attribute);
        name
    }

    /// Gives a value the name of another one, which is the same in the file.
    fn same(&mut self, call: &Call, as_input: usize) -> Result<(), Error> {
        let same = self.input(call, as_input)?;
        self.names.insert(call.output().into(), same);
        Ok(())
    }

    /// Returns the names of the arguments at `positions`. None, which stands at the end only, is left out.
    fn inputs(&mut self, call: &Call, positions: &[usize]) -> Result<Vec<String>, Error> {
        let given: Vec<usize> = positions.iter().copied().filter(|position| !call.is_none(*position)).collect();
        given.into_iter().map(|position| self.input(call, position)).collect()
    }

    /// Returns the name of the argument at `position`, a tensor or a number.
    fn input(&mut self, call: &Call, position: usize) -> Result<String, Error> {
        let name = call.operation.inputs.get(position);
        let name = name.ok_or_else(|| call.wrong(&format!("it has no argument {position}")))?;
        self.value(name)
    }

    /// Returns the name of a value in the file, and adds a constant to the file at its first use.
    fn value(&mut self, name: &str) -> Result<String, Error> {
        let (dims, values) = match self.graph.constants.get(name) {
            Some(Constant::Tensor(tensor)) => (tensor.size(), numbers(tensor).map_err(Error::of_weights(name))?),
            Some(Constant::Float(value)) => (Vec::new(), vec![*value as f32]),
            Some(Constant::Int(value)) => (Vec::new(), vec![*value as f32]),
            _ => return Ok(self.names.get(name).cloned().unwrap_or_else(|| name.into())),
        };
        Ok(self.floats(name, dims, &values))
    }

    /// Returns the name of constant numbers of this name and shape.
    fn floats(&mut self, name: &str, dims: Vec<i64>, values: &[f32]) -> String {
        if self.made.insert(name.into()) {
            self.weights.push(TensorProto::f32(name, dims, values));
        }
        name.into()
    }

    /// Returns the name of a constant number.
    fn number(&mut self, value: f64) -> String {
        self.floats(&format!("number.{value:e}"), Vec::new(), &[value as f32])
    }

    /// Returns the name of constant integers `[n]`.
    fn ints(&mut self, values: &[i64]) -> String {
        let all: Vec<String> = values.iter().map(ToString::to_string).collect();
        let name = format!("ints.{}", all.join("."));
        if self.made.insert(name.clone()) {
            self.weights.push(TensorProto::i64(&name, vec![values.len() as i64], values));
        }
        name
    }

    /// Returns the name of a constant integer.
    fn int(&mut self, value: i64) -> String {
        let name = format!("int.{value}");
        if self.made.insert(name.clone()) {
            self.weights.push(TensorProto::i64(&name, Vec::new(), &[value]));
        }
        name
    }

    /// Returns the shape of an argument for the example.
    fn shape_of(&self, call: &Call, position: usize) -> Result<Vec<i64>, Error> {
        let name = call.operation.inputs.get(position).map(String::as_str).unwrap_or_default();
        let constant = || match self.graph.constants.get(name) {
            Some(Constant::Tensor(tensor)) => Some(tensor.size()),
            _ => None,
        };
        let known = self.shapes.get(name).map(|shape| shape.to_vec()).or_else(constant);
        known.ok_or_else(|| call.wrong(&format!("the rank of argument {position} is not known")))
    }

    /// Returns a dimension of an argument, counted from the first.
    fn dim(&self, call: &Call, position: usize, dim: i64) -> Result<usize, Error> {
        let rank = self.shape_of(call, position)?.len();
        let counted = if dim < 0 { dim + rank as i64 } else { dim };
        let fits = usize::try_from(counted).ok().filter(|dim| *dim < rank.max(1));
        fits.ok_or_else(|| call.wrong(&format!("a tensor of {rank} dimensions has no dimension {dim}")))
    }

    /// Returns the constant tensor at `position`, if it is one.
    fn constant_tensor(&self, call: &Call, position: usize) -> Option<&'a Tensor> {
        match self.graph.constants.get(call.operation.inputs.get(position)?) {
            Some(Constant::Tensor(tensor)) => Some(tensor),
            _ => None,
        }
    }
}
