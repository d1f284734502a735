//! Normalisation: of a batch's statistics, layers, groups and instances.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::proto::AttributeProto;

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn normalisation(&mut self, call: &Call) -> Result<bool, Error> {
        match call.kind() {
            "batch_norm" => {
                call.expect(5, 0)?;
                let channels = call.tensor(3)?.numel();
                let x = self.input(call, 0)?;
                let mut inputs = vec![x, self.or_all(call, 1, channels, 1.0)?, self.or_all(call, 2, channels, 0.0)?];
                inputs.extend(self.inputs(call, &[3, 4])?);
                let attributes = vec![AttributeProto::float("epsilon", call.float(7)?)];
                self.node("BatchNormalization", inputs, call.output(), attributes);
            }
            "layer_norm" => {
                let sides = call.ints(1)?;
                let count = sides.iter().product::<i64>() as usize;
                let mut inputs = vec![self.input(call, 0)?];
                if call.is_none(2) {
                    inputs.push(self.floats(&format!("{}.ones", call.output()), sides.to_vec(), &vec![1.0; count]));
                }
                inputs.extend(self.inputs(call, &[2, 3])?);
                if call.is_none(2) && !call.is_none(3) {
                    return Err(call.wrong("a shift without a scale"));
                }
                let attributes = vec![
                    AttributeProto::int("axis", -(sides.len() as i64)),
                    AttributeProto::float("epsilon", call.float(4)?),
                ];
                self.node("LayerNormalization", inputs, call.output(), attributes);
            }
            "group_norm" => self.group_norm(call)?,
            "instance_norm" => {
                call.expect_none(3)?;
                call.expect_none(4)?;
                call.expect(5, 1)?;
                let channels = self.shape_of(call, 0)?.get(1).copied().unwrap_or_default() as usize;
                let x = self.input(call, 0)?;
                let inputs = vec![x, self.or_all(call, 1, channels, 1.0)?, self.or_all(call, 2, channels, 0.0)?];
                let attributes = vec![AttributeProto::float("epsilon", call.float(7)?)];
                self.node("InstanceNormalization", inputs, call.output(), attributes);
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns the argument at `position`; if it is None, `count` times the same value.
    fn or_all(&mut self, call: &Call, position: usize, count: usize, value: f32) -> Result<String, Error> {
        if !call.is_none(position) {
            return self.input(call, position);
        }
        Ok(self.floats(&format!("all.{count}.{value}"), vec![count as i64], &vec![value; count]))
    }

    /// Translates the normalisation of groups, which newer operator sets have and few runtimes: as that of instances,
    /// over tensors `[N, groups, all values of a group]`.
    fn group_norm(&mut self, call: &Call) -> Result<(), Error> {
        let (groups, output, shape) = (call.int(1)?, call.output(), self.shape_of(call, 0)?);
        let x = self.input(call, 0)?;
        let split = self.ints(&[0, groups, -1]);
        let grouped = self.part("Reshape", vec![x.clone(), split], output, Vec::new());
        let ones = self.floats(&format!("all.{groups}.1"), vec![groups], &vec![1.0; groups as usize]);
        let zeros = self.floats(&format!("all.{groups}.0"), vec![groups], &vec![0.0; groups as usize]);
        let attributes = vec![AttributeProto::float("epsilon", call.float(4)?)];
        let normal = self.part("InstanceNormalization", vec![grouped, ones, zeros], output, attributes);
        let sizes = self.part("Shape", vec![x], output, Vec::new());
        let mut last = self.part("Reshape", vec![normal, sizes], output, Vec::new());
        for (position, kind) in [(2, "Mul"), (3, "Add")] {
            if !call.is_none(position) {
                let values = self.input(call, position)?;
                // `[C]` to `[C, 1, 1]`
                let mut sides = vec![1; shape.len() - 1];
                sides[0] = -1;
                let sides = self.ints(&sides);
                let values = self.part("Reshape", vec![values, sides], output, Vec::new());
                last = self.part(kind, vec![last, values], output, Vec::new());
            }
        }
        self.names.insert(output.into(), last);
        Ok(())
    }
}
