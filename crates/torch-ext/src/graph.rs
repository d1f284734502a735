//! What a TorchScript file computes.

use crate::ffi;
use crate::script::name;
use contract::TorchError;
use std::collections::BTreeMap;
use std::ffi::CStr;
use std::path::Path;
use tch::Tensor;

/// What a TorchScript computes, without branches and loops. Values have names.
#[derive(Debug, Default)]
pub struct Graph {
    /// What it is given.
    pub inputs: Vec<String>,
    /// What is in it.
    pub constants: BTreeMap<String, Constant>,
    /// What it does, in order. (A list of numbers is no operation but a constant.)
    pub operations: Vec<Operation>,
    /// What it gives.
    pub outputs: Vec<String>,
}

/// A value that is known.
#[derive(Debug)]
pub enum Constant {
    /// Python's None.
    None,
    /// A tensor.
    Tensor(Tensor),
    /// A whole number, or a truth value: 0 or 1.
    Int(i64),
    /// A number.
    Float(f64),
    /// A list of whole numbers.
    Ints(Vec<i64>),
    /// A list of numbers.
    Floats(Vec<f64>),
    /// What has a kind of another name.
    Other(String),
}

/// An operator with the names of its inputs and outputs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Its name in libtorch, such as `aten::relu_`.
    pub kind: String,
    /// The values that it is given, by position.
    pub inputs: Vec<String>,
    /// The values that it gives.
    pub outputs: Vec<String>,
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
    /// Reads the `forward` of a TorchScript file.
    pub fn read(path: &Path) -> Result<Self, TorchError> {
        let path = name(path)?;
        let mut held = std::ptr::null_mut();
        // SAFETY: a NUL-terminated string and a pointer to a live pointer.
        ffi::checked(unsafe { ffi::oxiseg_read_graph(path.as_ptr(), &mut held) })?;
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

    /// Takes in a line of the shim; nothing where it is none.
    fn add(&mut self, line: &str, tensor: impl Fn(usize) -> Result<Tensor, TorchError>) -> Option<()> {
        let parts: Vec<&str> = line.split('\t').collect();
        match parts[..] {
            ["input", name] => self.inputs.push(name.into()),
            ["output", names] => self.outputs = list(names)?,
            ["operator", kind, inputs, outputs] => {
                let operation = Operation { kind: kind.into(), inputs: list(inputs)?, outputs: list(outputs)? };
                match self.list_of_constants(&operation) {
                    Some(value) => drop(self.constants.insert(outputs.into(), value)),
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
                    _ => Constant::Other(value.into()),
                };
                self.constants.insert(name.into(), value);
            }
            _ => return None,
        }
        Some(())
    }

    /// What an operation gives that makes a list of numbers that are known.
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

/// The items of a list that commas part.
fn list<T: std::str::FromStr>(text: &str) -> Option<Vec<T>> {
    text.split(',').filter(|item| !item.is_empty()).map(|item| item.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freeze_script;
    use tch::{CModule, Device, Kind};

    #[test]
    fn a_graph_has_operators_constants_inputs_and_outputs() {
        let folder = std::env::temp_dir().join(format!("oxiseg-graph-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [followed, frozen] = ["followed.pt", "frozen.pt"].map(|name| folder.join(name));
        let weight = Tensor::ones([4, 3, 3, 3], (Kind::Float, Device::Cpu));
        let image = Tensor::ones([1, 3, 8, 8], (Kind::Float, Device::Cpu));
        let mut follow = |inputs: &[Tensor]| {
            let found = inputs[0].conv2d(&weight, None::<Tensor>, [2, 1], [1, 1], [1, 1], 1);
            vec![Tensor::cat(&[found.relu(), found], 1)]
        };
        let script = CModule::create_by_tracing("Network", "forward", &[image], &mut follow).unwrap();
        script.save(&followed).unwrap();
        freeze_script(&followed, &frozen).unwrap();
        let graph = Graph::read(&frozen).unwrap();
        let error = Graph::read(&folder.join("none.pt")).unwrap_err().to_string();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(error.contains("none.pt") && !error.contains('\n'), "{error}");

        let kinds: Vec<&str> = graph.operations.iter().map(|operation| &*operation.kind).collect();
        assert_eq!(kinds, ["aten::_convolution", "aten::relu", "prim::ListConstruct", "aten::cat"]);
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
}
