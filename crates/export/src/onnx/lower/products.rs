//! Matrix products, attention and reductions.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::numbers::numbers;
use crate::onnx::proto::AttributeProto;

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn product(&mut self, call: &Call) -> Result<bool, Error> {
        let output = call.output();
        match call.kind() {
            "matmul" | "bmm" | "mm" => {
                let inputs = self.inputs(call, &[0, 1])?;
                self.node("MatMul", inputs, output, Vec::new());
            }
            "linear" => {
                let x = self.input(call, 0)?;
                let weight = self.transposed_weight(call, 1)?;
                if call.is_none(2) {
                    self.node("MatMul", vec![x, weight], output, Vec::new());
                } else {
                    let product = self.part("MatMul", vec![x, weight], output, Vec::new());
                    let bias = self.input(call, 2)?;
                    self.node("Add", vec![product, bias], output, Vec::new());
                }
            }
            "addmm" => {
                for factor in [3, 4] {
                    if call.float(factor)? != 1.0 {
                        return Err(call.other(factor, "1"));
                    }
                }
                let inputs = self.inputs(call, &[1, 2])?;
                let product = self.part("MatMul", inputs, output, Vec::new());
                let bias = self.input(call, 0)?;
                self.node("Add", vec![product, bias], output, Vec::new());
            }
            "scaled_dot_product_attention" => self.attention(call)?,
            "mean" if call.operation.inputs.len() == 2 => {
                call.expect_f32(1)?;
                let inputs = self.inputs(call, &[0])?;
                self.node("ReduceMean", inputs, output, vec![AttributeProto::int("keepdims", 0)]);
            }
            "mean" | "amax" => {
                call.expect_f32(3)?;
                let inputs = self.inputs(call, &[0])?;
                let attributes =
                    vec![AttributeProto::ints("axes", call.ints(1)?), AttributeProto::int("keepdims", call.int(2)?)];
                self.node(if call.kind() == "mean" { "ReduceMean" } else { "ReduceMax" }, inputs, output, attributes);
            }
            "sum" => {
                call.expect_f32(3)?;
                // Unlike those of other reductions, its axes are an input.
                let inputs = vec![self.input(call, 0)?, self.ints(call.ints(1)?)];
                self.node("ReduceSum", inputs, output, vec![AttributeProto::int("keepdims", call.int(2)?)]);
            }
            "cumsum" => {
                call.expect_f32(2)?;
                let inputs = vec![self.input(call, 0)?, self.int(call.int(1)?)];
                self.node("CumSum", inputs, output, Vec::new());
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the transposed of a matrix; a constant is stored so.
    fn transposed_weight(&mut self, call: &Call, position: usize) -> Result<String, Error> {
        let Some(weight) = self.constant_tensor(call, position) else {
            let weight = self.input(call, position)?;
            return Ok(self.part(
                "Transpose",
                vec![weight],
                call.output(),
                vec![AttributeProto::ints("perm", &[1, 0])],
            ));
        };
        let name = format!("{}.transposed", call.operation.inputs[position]);
        let turned = weight.f_transpose(0, 1).map_err(Error::of_weights(&name))?;
        let values = numbers(&turned).map_err(Error::of_weights(&name))?;
        Ok(self.floats(&name, turned.size(), &values))
    }

    /// Translates softmax(q · kᵀ · scale + mask) · v.
    fn attention(&mut self, call: &Call) -> Result<(), Error> {
        let output = call.output();
        call.expect(5, 0)?;
        if call.float(4)? != 0.0 {
            return Err(call.other(4, "0"));
        }
        if !call.is_none(7) {
            call.expect(7, 0)?;
        }
        let shape = self.shape_of(call, 0)?;
        let &[.., width] = &shape[..] else { return Err(call.wrong("a query without dimensions")) };
        let scale = if call.is_none(6) { 1.0 / (width as f64).sqrt() } else { call.float(6)? };
        let [query, key, value] = [self.input(call, 0)?, self.input(call, 1)?, self.input(call, 2)?];
        let mut dims: Vec<i64> = (0..shape.len() as i64).collect();
        let last = dims.len();
        dims.swap(last - 2, last - 1);
        // Before the product, as libtorch does: a product of f16 could overflow.
        let scale = self.number(scale);
        let query = self.part("Mul", vec![query, scale], output, Vec::new());
        let key = self.part("Transpose", vec![key], output, vec![AttributeProto::ints("perm", &dims)]);
        let mut scores = self.part("MatMul", vec![query, key], output, Vec::new());
        if !call.is_none(3) {
            let mask = self.input(call, 3)?;
            scores = self.part("Add", vec![scores, mask], output, Vec::new());
        }
        let shares = self.part("Softmax", vec![scores], output, vec![AttributeProto::int("axis", -1)]);
        self.node("MatMul", vec![shares, value], output, Vec::new());
        Ok(())
    }
}
