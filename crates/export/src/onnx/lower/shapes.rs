//! Operators that change the shape or the order of values, and sizes.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::proto::AttributeProto;
use torch_ext::Constant;

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn shape(&mut self, call: &Call) -> Result<bool, Error> {
        let output = call.output();
        match call.kind() {
            // Device, layout and memory mean nothing in ONNX.
            "contiguous" | "detach" | "alias" | "clone" | "type_as" => self.same(call, 0)?,
            "dropout" | "feature_dropout" => {
                call.expect(2, 0)?;
                self.same(call, 0)?;
            }
            "to" => {
                match call.operation.inputs.len() {
                    8 => call.expect_f32(1)?,
                    6 => call.expect_f32(2)?,
                    _ if matches!(call.constant(1), Some(Constant::Int(_))) => call.expect_f32(1)?,
                    _ => {}
                }
                self.same(call, 0)?;
            }
            "size" => {
                let x = self.inputs(call, &[0])?;
                let shape = self.part("Shape", x, output, Vec::new());
                let dim = self.ints(&[call.int(1)?]);
                self.node("Gather", vec![shape, dim], output, vec![AttributeProto::int("axis", 0)]);
                self.sizes.insert(output.into());
            }
            "prim::NumToTensor" | "Int" => {
                let input = call.operation.inputs.first().filter(|name| self.sizes.contains(*name));
                if input.is_none() {
                    return Err(call.wrong("a number that is no size"));
                }
                self.same(call, 0)?;
                self.sizes.insert(output.into());
            }
            "view" | "reshape" | "_unsafe_view" => {
                let inputs = vec![self.input(call, 0)?, self.sizes(call, 1)?];
                self.node("Reshape", inputs, output, Vec::new());
            }
            "view_as" | "reshape_as" | "expand_as" => {
                let kind = if call.kind() == "expand_as" { "Expand" } else { "Reshape" };
                let [x, other] = [self.input(call, 0)?, self.input(call, 1)?];
                let shape = self.part("Shape", vec![other], output, Vec::new());
                self.node(kind, vec![x, shape], output, Vec::new());
            }
            "expand" => {
                // ONNX's Expand keeps a side where 1 is asked for.
                let kept: Vec<i64> = call.ints(1)?.iter().map(|side| if *side == -1 { 1 } else { *side }).collect();
                let inputs = vec![self.input(call, 0)?, self.ints(&kept)];
                self.node("Expand", inputs, output, Vec::new());
            }
            "repeat" => {
                let times = call.ints(1)?;
                if times.len() != self.shape_of(call, 0)?.len() {
                    return Err(call.wrong("it adds dimensions"));
                }
                let inputs = vec![self.input(call, 0)?, self.ints(times)];
                self.node("Tile", inputs, output, Vec::new());
            }
            "flatten" => {
                let [first, last] = [self.dim(call, 0, call.int(1)?)?, self.dim(call, 0, call.int(2)?)?];
                self.between(call, first, &[-1], last + 1)?;
            }
            "unflatten" => {
                let dim = self.dim(call, 0, call.int(1)?)?;
                self.between(call, dim, call.ints(2)?, dim + 1)?;
            }
            "permute" => {
                let dims: Result<Vec<_>, _> = call.ints(1)?.iter().map(|dim| self.dim(call, 0, *dim)).collect();
                self.transposed(call, &dims?)?;
            }
            "transpose" => {
                let [first, second] = [self.dim(call, 0, call.int(1)?)?, self.dim(call, 0, call.int(2)?)?];
                let mut dims: Vec<usize> = (0..self.shape_of(call, 0)?.len()).collect();
                dims.swap(first, second);
                self.transposed(call, &dims)?;
            }
            "t" => self.transposed(call, &[1, 0])?,
            "unsqueeze" => {
                let inputs = vec![self.input(call, 0)?, self.ints(&[call.int(1)?])];
                self.node("Unsqueeze", inputs, output, Vec::new());
            }
            "squeeze" => self.squeeze(call)?,
            "slice" => {
                let bound = |position, default| match call.is_none(position) {
                    true => Ok(default),
                    false => call.int(position),
                };
                self.slice(call, call.int(1)?, bound(2, 0)?, bound(3, i64::MAX)?, call.int(4)?)?;
            }
            "narrow" => {
                let start = call.int(2)?;
                let end = start + call.int(3)?;
                self.slice(call, call.int(1)?, start, if start < 0 && end == 0 { i64::MAX } else { end }, 1)?;
            }
            "select" => {
                let inputs = vec![self.input(call, 0)?, self.int(call.int(2)?)];
                self.node("Gather", inputs, output, vec![AttributeProto::int("axis", call.int(1)?)]);
            }
            "ones_like" => self.filled(call, 1.0)?,
            "zeros_like" => self.filled(call, 0.0)?,
            "full_like" => self.filled(call, call.float(1)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the name of a list of sizes: known ones, and those of tensors.
    pub fn sizes(&mut self, call: &Call, position: usize) -> Result<String, Error> {
        if let Ok(known) = call.ints(position) {
            return Ok(self.ints(known));
        }
        let name = call.operation.inputs.get(position);
        let items = name.and_then(|name| self.lists.get(name)).cloned();
        let items = items.ok_or_else(|| call.other(position, "sizes"))?;
        let mut inputs = Vec::new();
        for item in items {
            inputs.push(match self.graph.constants.get(&item) {
                Some(Constant::Int(value)) => self.ints(&[*value]),
                _ if self.sizes.contains(&item) => self.value(&item)?,
                _ => return Err(call.other(position, "sizes")),
            });
        }
        Ok(self.part("Concat", inputs, call.output(), vec![AttributeProto::int("axis", 0)]))
    }

    /// Replaces the dimensions from `first` to before `end` by `sizes`.
    fn between(&mut self, call: &Call, first: usize, sizes: &[i64], end: usize) -> Result<(), Error> {
        let rank = self.shape_of(call, 0)?.len();
        let (x, output) = (self.input(call, 0)?, call.output());
        // In a Reshape, 0 keeps the side of the same number.
        let before = [vec![0; first], sizes.to_vec()].concat();
        let mut shape = self.ints(&before);
        if end < rank {
            let all = self.part("Shape", vec![x.clone()], output, Vec::new());
            let (from, until) = (self.ints(&[end as i64]), self.ints(&[rank as i64]));
            let after = self.part("Slice", vec![all, from, until], output, Vec::new());
            shape = self.part("Concat", vec![shape, after], output, vec![AttributeProto::int("axis", 0)]);
        }
        self.node("Reshape", vec![x, shape], output, Vec::new());
        Ok(())
    }

    fn transposed(&mut self, call: &Call, dims: &[usize]) -> Result<(), Error> {
        let dims: Vec<i64> = dims.iter().map(|dim| *dim as i64).collect();
        let inputs = self.inputs(call, &[0])?;
        self.node("Transpose", inputs, call.output(), vec![AttributeProto::ints("perm", &dims)]);
        Ok(())
    }

    /// Translates a squeeze, which keeps dimensions of other sizes than 1.
    fn squeeze(&mut self, call: &Call) -> Result<(), Error> {
        let given = match call.int(1) {
            Ok(dim) => vec![dim],
            Err(_) => call.ints(1)?.to_vec(),
        };
        let shape = self.shape_of(call, 0)?;
        let mut dims = Vec::new();
        for dim in given {
            let dim = self.dim(call, 0, dim)?;
            if dim == 0 {
                return Err(call.wrong("it would remove the batch's dimension"));
            }
            if shape[dim] == 1 {
                dims.push(dim as i64);
            }
        }
        if dims.is_empty() {
            return self.same(call, 0);
        }
        let inputs = vec![self.input(call, 0)?, self.ints(&dims)];
        self.node("Squeeze", inputs, call.output(), Vec::new());
        Ok(())
    }

    fn slice(&mut self, call: &Call, dim: i64, start: i64, end: i64, step: i64) -> Result<(), Error> {
        let mut inputs = vec![self.input(call, 0)?];
        inputs.extend([start, end, dim, step].map(|value| self.ints(&[value])));
        self.node("Slice", inputs, call.output(), Vec::new());
        Ok(())
    }

    fn filled(&mut self, call: &Call, value: f64) -> Result<(), Error> {
        let x = self.input(call, 0)?;
        let shape = self.part("Shape", vec![x], call.output(), Vec::new());
        let value = self.number(value);
        self.node("Expand", vec![value, shape], call.output(), Vec::new());
        Ok(())
    }
}
