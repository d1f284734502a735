//! Lists of tensors: taken apart, put together.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::proto::{AttributeProto, NodeProto};

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn list(&mut self, call: &Call) -> Result<bool, Error> {
        let operation = call.operation;
        match &*operation.kind {
            "prim::ListConstruct" => {
                self.lists.insert(call.output().into(), operation.inputs.clone());
            }
            "prim::ListUnpack" => {
                let items = self.items(call, 0)?;
                for (output, item) in operation.outputs.iter().zip(items) {
                    let name = self.value(&item)?;
                    self.names.insert(output.clone(), name);
                }
            }
            "aten::cat" | "aten::stack" => {
                let axis = call.int(1)?;
                let items = self.items(call, 0)?;
                let mut inputs = Vec::new();
                for item in items {
                    let name = self.value(&item)?;
                    inputs.push(match call.kind() {
                        "cat" => name,
                        _ => {
                            let axis = self.ints(&[axis]);
                            self.part("Unsqueeze", vec![name, axis], call.output(), Vec::new())
                        }
                    });
                }
                self.node("Concat", inputs, call.output(), vec![AttributeProto::int("axis", axis)]);
            }
            "aten::chunk" => {
                let (count, dim) = (call.int(1)?, call.int(2)?);
                let side = self.shape_of(call, 0)?[self.dim(call, 0, dim)?];
                let lengths = lengths(side, side.div_euclid(count) + i64::from(side % count != 0));
                self.split(call, &lengths, dim)?;
            }
            "aten::split" | "aten::split_with_sizes" => {
                let dim = call.int(2)?;
                let given = match call.ints(1) {
                    Ok(given) => given.to_vec(),
                    Err(_) => lengths(self.shape_of(call, 0)?[self.dim(call, 0, dim)?], call.int(1)?),
                };
                self.split(call, &given, dim)?;
            }
            "aten::unbind" => {
                let dim = call.int(1)?;
                let count = self.shape_of(call, 0)?[self.dim(call, 0, dim)?];
                let x = self.input(call, 0)?;
                let names = (0..count).map(|number| {
                    let number = self.int(number);
                    let axis = vec![AttributeProto::int("axis", dim)];
                    self.part("Gather", vec![x.clone(), number], call.output(), axis)
                });
                let names = names.collect();
                self.lists.insert(call.output().into(), names);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the names of a list's items.
    fn items(&self, call: &Call, position: usize) -> Result<Vec<String>, Error> {
        let items = call.operation.inputs.get(position).and_then(|list| self.lists.get(list));
        items.cloned().ok_or_else(|| call.wrong("what is in its list is not known"))
    }

    fn split(&mut self, call: &Call, lengths: &[i64], dim: i64) -> Result<(), Error> {
        let names: Vec<String> = (0..lengths.len()).map(|number| format!("{}.part{number}", call.output())).collect();
        let input = vec![self.input(call, 0)?, self.ints(lengths)];
        self.nodes.push(NodeProto {
            input,
            output: names.clone(),
            name: Some(format!("Split_{}", self.nodes.len())),
            op_type: Some("Split".into()),
            attribute: vec![AttributeProto::int("axis", dim)],
        });
        self.lists.insert(call.output().into(), names);
        Ok(())
    }
}

/// Returns the lengths of a side's parts, all `length` but the last.
fn lengths(side: i64, length: i64) -> Vec<i64> {
    let step = usize::try_from(length).unwrap_or(1).max(1);
    (0..side).step_by(step).map(|from| length.min(side - from)).collect()
}
