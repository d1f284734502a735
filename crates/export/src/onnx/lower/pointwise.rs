//! Operators on each value: activations and arithmetic.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::proto::AttributeProto;
use std::f64::consts::{FRAC_2_PI, SQRT_2};

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn pointwise(&mut self, call: &Call) -> Result<bool, Error> {
        let output = call.output();
        match call.kind() {
            "add" | "sub" | "rsub" => self.sum(call)?,
            "mul" | "div" => {
                call.expect_none(2)?;
                let inputs = self.inputs(call, &[0, 1])?;
                self.node(if call.kind() == "mul" { "Mul" } else { "Div" }, inputs, output, Vec::new());
            }
            "pow" => {
                let x = self.input(call, 0)?;
                match call.float(1)? {
                    2.0 => self.node("Mul", vec![x.clone(), x], output, Vec::new()),
                    _ => {
                        let exponent = self.input(call, 1)?;
                        self.node("Pow", vec![x, exponent], output, Vec::new());
                    }
                }
            }
            "rsqrt" => {
                let x = self.inputs(call, &[0])?;
                let root = self.part("Sqrt", x, output, Vec::new());
                self.node("Reciprocal", vec![root], output, Vec::new());
            }
            "relu6" => self.clip(call, Some(0.0), Some(6.0))?,
            "hardtanh" => self.clip(call, Some(call.float(1)?), Some(call.float(2)?))?,
            "clamp" => {
                let bound = |position| if call.is_none(position) { Ok(None) } else { call.float(position).map(Some) };
                self.clip(call, bound(1)?, bound(2)?)?;
            }
            "clamp_min" => self.clip(call, Some(call.float(1)?), None)?,
            "clamp_max" => self.clip(call, None, Some(call.float(1)?))?,
            "silu" => {
                let x = self.input(call, 0)?;
                let gate = self.part("Sigmoid", vec![x.clone()], output, Vec::new());
                self.node("Mul", vec![x, gate], output, Vec::new());
            }
            "mish" => {
                let x = self.input(call, 0)?;
                let soft = self.part("Softplus", vec![x.clone()], output, Vec::new());
                let gate = self.part("Tanh", vec![soft], output, Vec::new());
                self.node("Mul", vec![x, gate], output, Vec::new());
            }
            "gelu" => self.gelu(call)?,
            "hardsigmoid" => {
                let x = self.inputs(call, &[0])?;
                let attributes = vec![AttributeProto::float("alpha", 1.0 / 6.0), AttributeProto::float("beta", 0.5)];
                self.node("HardSigmoid", x, output, attributes);
            }
            "leaky_relu" => {
                let x = self.inputs(call, &[0])?;
                self.node("LeakyRelu", x, output, vec![AttributeProto::float("alpha", call.float(1)?)]);
            }
            "softmax" | "log_softmax" => {
                call.expect_f32(2)?;
                let x = self.inputs(call, &[0])?;
                let kind = if call.kind() == "softmax" { "Softmax" } else { "LogSoftmax" };
                self.node(kind, x, output, vec![AttributeProto::int("axis", call.int(1)?)]);
            }
            kind => {
                let Some(kind) = unary(kind) else { return Ok(false) };
                let x = self.inputs(call, &[0])?;
                self.node(kind, x, output, Vec::new());
            }
        }
        Ok(true)
    }

    /// Translates a sum or a difference, whose last argument is a factor of the second operand.
    fn sum(&mut self, call: &Call) -> Result<(), Error> {
        let (mut x, mut other) = (self.input(call, 0)?, self.input(call, 1)?);
        let factor = if call.is_none(2) { 1.0 } else { call.float(2)? };
        let reversed = call.kind() == "rsub";
        if factor != 1.0 {
            let factor = self.number(factor);
            let scaled = if reversed { &mut x } else { &mut other };
            *scaled = self.part("Mul", vec![scaled.clone(), factor], call.output(), Vec::new());
        }
        let inputs = if reversed { vec![other, x] } else { vec![x, other] };
        self.node(if call.kind() == "add" { "Add" } else { "Sub" }, inputs, call.output(), Vec::new());
        Ok(())
    }

    fn clip(&mut self, call: &Call, least: Option<f64>, most: Option<f64>) -> Result<(), Error> {
        let mut inputs = vec![self.input(call, 0)?];
        inputs.push(least.map(|value| self.number(value)).unwrap_or_default());
        if let Some(most) = most {
            inputs.push(self.number(most));
        }
        self.node("Clip", inputs, call.output(), Vec::new());
        Ok(())
    }

    /// Translates GELU, which has an operator of its own only in newer operator sets.
    fn gelu(&mut self, call: &Call) -> Result<(), Error> {
        let (x, output) = (self.input(call, 0)?, call.output());
        let (one, half) = (self.number(1.0), self.number(0.5));
        let gate = match call.text(1)? {
            "none" => {
                let scale = self.number(1.0 / SQRT_2);
                let scaled = self.part("Mul", vec![x.clone(), scale], output, Vec::new());
                self.part("Erf", vec![scaled], output, Vec::new())
            }
            "tanh" => {
                let (scale, cubic) = (self.number(FRAC_2_PI.sqrt()), self.number(0.044715));
                let square = self.part("Mul", vec![x.clone(), x.clone()], output, Vec::new());
                let square = self.part("Mul", vec![square, cubic], output, Vec::new());
                let factor = self.part("Add", vec![square, one.clone()], output, Vec::new());
                let scaled = self.part("Mul", vec![x.clone(), scale], output, Vec::new());
                let inner = self.part("Mul", vec![scaled, factor], output, Vec::new());
                self.part("Tanh", vec![inner], output, Vec::new())
            }
            _ => return Err(call.other(1, "none or tanh")),
        };
        let gate = self.part("Add", vec![gate, one], output, Vec::new());
        let halved = self.part("Mul", vec![x, half], output, Vec::new());
        self.node("Mul", vec![halved, gate], output, Vec::new());
        Ok(())
    }
}

/// Returns ONNX's name of an operator of one tensor that has no attributes.
fn unary(kind: &str) -> Option<&'static str> {
    Some(match kind {
        "relu" => "Relu",
        "sigmoid" => "Sigmoid",
        "tanh" => "Tanh",
        "hardswish" => "HardSwish",
        "erf" => "Erf",
        "exp" => "Exp",
        "log" => "Log",
        "sqrt" => "Sqrt",
        "reciprocal" => "Reciprocal",
        "sin" => "Sin",
        "cos" => "Cos",
        "neg" => "Neg",
        "abs" => "Abs",
        _ => return None,
    })
}
