//! Graph of the operators in a TorchScript.

use crate::ffi;
use crate::script::Script;
use contract::TorchError;
use std::collections::BTreeMap;
use std::ffi::CStr;
use tch::Tensor;

/// Graph of a TorchScript without branches and loops. Values have names.
#[derive(Debug, Default)]
pub struct Graph {
    /// Names of the script's inputs.
    pub inputs: Vec<String>,
    /// Constants, by name.
    pub constants: BTreeMap<String, Constant>,
    /// Operations, in order. (A list of known numbers is a constant, not an operation.)
    pub operations: Vec<Operation>,
    /// Names of the script's outputs.
    pub outputs: Vec<String>,
}

/// A known value.
#[derive(Debug)]
pub enum Constant {
    /// Python's None.
    None,
    /// A tensor.
    Tensor(Tensor),
    /// An integer, or a Boolean as 0 or 1.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A list of integers.
    Ints(Vec<i64>),
    /// A list of floating-point numbers.
    Floats(Vec<f64>),
    /// A text without control characters.
    Text(String),
    /// A value of another kind, with the kind's name.
    Other(String),
}

/// An operator with the names of its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its name in libtorch, such as `aten::relu_`.
    pub kind: String,
    /// Names of its inputs, by position.
    pub inputs: Vec<String>,
    /// Names of its outputs.
    pub outputs: Vec<String>,
    /// Shape of each output that is a tensor, if the graph comes from [`Graph::with_shapes`].
    pub shapes: Vec<Option<Vec<i64>>>,
}

impl Operation {
    /// Returns the shape of its first output, if that is known.
    pub fn shape(&self) -> Option<&[i64]> {
        self.shapes.first()?.as_deref()
    }
}

/// A graph that the shim holds.
struct Held(*mut ffi::CGraph);

impl Drop for Held {
    fn drop(&mut self) {
        // SAFETY: the shim made it, and nobody else has it.
        unsafe { ffi::oxiseg_free_graph(self.0) };
    }
}

impl Graph {
    /// Returns the graph of the script.
    pub fn of(script: &Script) -> Result<Self, TorchError> {
        Self::given(script, None)
    }

    /// Like [`of`](Self::of), with the shapes of all tensors if each input is f32 of the shape `input`: every operator
    /// runs once on the CPU.
    pub fn with_shapes(script: &Script, input: &[i64]) -> Result<Self, TorchError> {
        Self::given(script, Some(input))
    }

    fn given(script: &Script, input: Option<&[i64]>) -> Result<Self, TorchError> {
        let (sides, n) = input.map_or((std::ptr::null(), 0), |input| (input.as_ptr(), input.len()));
        let mut held = std::ptr::null_mut();
        // SAFETY: a live script, n numbers (or a null pointer and no number), and a pointer to a live pointer.
        ffi::checked(unsafe { ffi::oxiseg_graph(script.as_ptr(), sides, n, &mut held) })?;
        let held = Held(held);
        // SAFETY: the shim returns a NUL-terminated string that lives as long as the graph.
        let text = unsafe { CStr::from_ptr(ffi::oxiseg_graph_text(held.0)) }.to_string_lossy();
        let tensor = |number| {
            // SAFETY: the graph is alive; the shim refuses a number that it has not.
            ffi::made(|out| unsafe { ffi::oxiseg_graph_tensor(held.0, number, out) })
        };
        let mut graph = Self::default();
        for line in text.lines() {
            graph
                .add(line, tensor)
                .ok_or_else(|| TorchError::new(&format!("an unexpected line of a graph: {line}")))?;
        }
        Ok(graph)
    }

    /// Runs the script on `input`, operator by operator, and returns the smallest and the largest value of every
    /// floating-point tensor, by its name in the graph.
    pub fn ranges(script: &Script, input: &Tensor) -> Result<BTreeMap<String, [f64; 2]>, TorchError> {
        let mut held = std::ptr::null_mut();
        // SAFETY: a live script, a live tensor, and a pointer to a live pointer.
        ffi::checked(unsafe { ffi::oxiseg_ranges(script.as_ptr(), input.as_ptr(), &mut held) })?;
        let held = Held(held);
        // SAFETY: the shim returns a NUL-terminated string that lives as long as the graph.
        let text = unsafe { CStr::from_ptr(ffi::oxiseg_graph_text(held.0)) }.to_string_lossy();
        let range = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
            ["range", name, least, most] => Some((name.into(), [least.parse().ok()?, most.parse().ok()?])),
            _ => None,
        };
        let ranges = text.lines().map(|line| {
            range(line).ok_or_else(|| TorchError::new(&format!("an unexpected line of a graph's ranges: {line}")))
        });
        ranges.collect()
    }

    /// Adds what a line of the shim describes; `None` if the line is malformed.
    fn add(&mut self, line: &str, tensor: impl Fn(usize) -> Result<Tensor, TorchError>) -> Option<()> {
        let parts: Vec<&str> = line.split('\t').collect();
        match parts[..] {
            ["input", name] => self.inputs.push(name.into()),
            ["output", names] => self.outputs = list(names)?,
            ["operator", kind, inputs, outputs, shapes] => {
                let (inputs, outputs) = (list(inputs)?, list(outputs)?);
                let shape = |shape: &str| if shape == "?" { Some(None) } else { Some(Some(list(shape)?)) };
                let shapes: Vec<_> = shapes.split_terminator(';').map(shape).collect::<Option<_>>()?;
                let operation = Operation { kind: kind.into(), inputs, outputs, shapes };
                match self.list_of_constants(&operation) {
                    Some(value) => drop(self.constants.insert(operation.outputs.first()?.clone(), value)),
                    None => self.operations.push(operation),
                }
            }
            ["constant", name, kind, value] => {
                let value = match kind {
                    "none" => Constant::None,
                    "tensor" => Constant::Tensor(tensor(value.parse().ok()?).ok()?),
                    "int" => Constant::Int(value.parse().ok()?),
                    "float" => Constant::Float(value.parse().ok()?),
                    "ints" => Constant::Ints(list(value)?),
                    "floats" => Constant::Floats(list(value)?),
                    "text" => Constant::Text(value.into()),
                    _ => Constant::Other(value.into()),
                };
                self.constants.insert(name.into(), value);
            }
            _ => return None,
        }
        Some(())
    }

    /// Returns the constant that an operation makes if it lists known numbers.
    fn list_of_constants(&self, operation: &Operation) -> Option<Constant> {
        let items = || operation.inputs.iter().map(|name| self.constants.get(name));
        if operation.kind != "prim::ListConstruct" {
            return None;
        }
        let int = |item: Option<&Constant>| if let Some(Constant::Int(item)) = item { Some(*item) } else { None };
        let float = |item: Option<&Constant>| if let Some(Constant::Float(item)) = item { Some(*item) } else { None };
        let ints = items().map(int).collect::<Option<_>>().map(Constant::Ints);
        ints.or_else(|| items().map(float).collect::<Option<_>>().map(Constant::Floats))
    }
}

/// Parses a list separated by commas.
fn list<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(',').filter(|item| !item.is_empty()).map(|item| item.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn a_graph_has_operators_constants_inputs_and_outputs() {
        let weight = Tensor::ones([4, 3, 3, 3], (Kind::Float, Device::Cpu));
        let image = Tensor::ones([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let script = Script::follow(&image, |image| {
            let found = image.conv2d(&weight, None::<Tensor>, [2, 1], [1, 1], [1, 1], 1);
            Tensor::cat(&[found.relu(), found], 1)
        });
        let graph = Graph::of(&script.unwrap()).unwrap();

        let kinds: Vec<&str> = graph.operations.iter().map(|operation| &*operation.kind).collect();
        assert_eq!(kinds, ["aten::_convolution", "aten::relu", "prim::ListConstruct", "aten::cat"]);
        assert!(graph.operations.iter().all(|operation| operation.shape().is_none()));
        let [conv, relu, list, cat] = &graph.operations[..] else { panic!("{graph:?}") };
        assert_eq!(conv.inputs[0], graph.inputs[0]);
        assert!(matches!(&graph.constants[&conv.inputs[1]], Constant::Tensor(held) if held.equal(&weight)));
        assert!(matches!(&graph.constants[&conv.inputs[2]], Constant::None));
        assert!(matches!(&graph.constants[&conv.inputs[3]], Constant::Ints(stride) if stride == &[2, 1]));
        assert!(matches!(&graph.constants[&conv.inputs[6]], Constant::Int(0)), "not transposed");
        assert_eq!(relu.inputs, conv.outputs);
        assert_eq!(list.inputs, [&relu.outputs[0], &conv.outputs[0]].map(Clone::clone));
        assert_eq!((&cat.inputs[0], &cat.outputs), (&list.outputs[0], &graph.outputs));
    }

    #[test]
    fn ranges_are_those_of_the_values_before_they_are_changed_in_place() {
        let image = Tensor::from_slice(&[-1f32, 2.0, 4.0]);
        let script = Script::follow(&image, |image| {
            let mut doubled = image * 2.0;
            doubled.relu_() - 1.0
        });
        let script = script.unwrap();
        let ranges = Graph::ranges(&script, &image).unwrap();
        let graph = Graph::of(&script).unwrap();
        let found = graph.operations.iter().map(|it| ranges[&it.outputs[0]]).collect::<Vec<_>>();
        assert_eq!((ranges[&graph.inputs[0]], &found[..]), ([-1.0, 4.0], &[[-2.0, 8.0], [0.0, 8.0], [-1.0, 7.0]][..]));
        assert_eq!(ranges.len(), 4, "no constants");
    }

    #[test]
    fn shapes_are_those_of_the_input_that_was_told() {
        let weight = Tensor::ones([4, 3, 3, 3], (Kind::Float, Device::Cpu));
        let image = Tensor::ones([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let script = Script::follow(&image, |image| {
            // libtorch's own analyses do not know replicated borders and changes in place.
            let padded = image.pad([0, 1, 0, 2], "replicate", None);
            let found = padded.conv2d(&weight, None::<Tensor>, [2, 1], [1, 1], [1, 1], 1).relu_();
            let pooled = found.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false);
            let up = pooled.upsample_bilinear2d_vec(None::<&[i64]>, false, [2.0, 2.0].as_slice());
            Tensor::cat(&[&up, &up], 1)
        });
        let script = script.unwrap();
        let graph = Graph::with_shapes(&script, &[2, 3, 10, 15]).unwrap();
        let error = Graph::with_shapes(&script, &[2, 1, 10, 15]).unwrap_err().to_string();
        assert!(error.contains("channels") && !error.contains('\n'), "{error}");

        let shapes: Vec<_> = graph.operations.iter().map(|it| (&*it.kind, it.shape())).collect();
        let expected: [(&str, Option<&[i64]>); 7] = [
            ("aten::pad", Some(&[2, 3, 12, 16])),
            ("aten::_convolution", Some(&[2, 4, 6, 16])),
            ("aten::relu_", Some(&[2, 4, 6, 16])),
            ("aten::max_pool2d", Some(&[2, 4, 3, 8])),
            ("aten::upsample_bilinear2d", Some(&[2, 4, 6, 16])),
            ("prim::ListConstruct", None),
            ("aten::cat", Some(&[2, 8, 6, 16])),
        ];
        assert_eq!(shapes, expected);
    }
}
