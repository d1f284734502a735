//! Resizing of images, by factors or to a size.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::proto::AttributeProto;
use torch_ext::Constant;

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn resize(&mut self, call: &Call) -> Result<bool, Error> {
        let places = |position| Ok(if call.int(position)? == 0 { "half_pixel" } else { "align_corners" });
        match call.kind() {
            "upsample_nearest2d" => self.resized(call, 2, "nearest", "asymmetric")?,
            "upsample_bilinear2d" => self.resized(call, 3, "linear", places(2)?)?,
            "upsample_bicubic2d" => self.resized(call, 3, "cubic", places(2)?)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Translates a resizing to the size in argument 1, or else by the factors at position `factors`.
    fn resized(&mut self, call: &Call, factors: usize, mode: &str, places: &str) -> Result<(), Error> {
        let x = self.input(call, 0)?;
        let output = call.output();
        let mut inputs = vec![x.clone(), String::new()];
        if call.is_none(1) {
            let Some(Constant::Floats(factors)) = call.constant(factors) else {
                return Err(call.other(factors, "factors"));
            };
            let &[height, width] = &factors[..] else { return Err(call.wrong("factors of other than two dimensions")) };
            let scales = format!("{output}.scales");
            inputs.push(self.floats(&scales, vec![4], &[1.0, 1.0, height as f32, width as f32]));
        } else {
            for position in factors..call.operation.inputs.len() {
                call.expect_none(position)?;
            }
            let to = self.sizes(call, 1)?;
            let shape = self.part("Shape", vec![x], output, Vec::new());
            let (from, until) = (self.ints(&[0]), self.ints(&[2]));
            let kept = self.part("Slice", vec![shape, from, until], output, Vec::new());
            let sizes = self.part("Concat", vec![kept, to], output, vec![AttributeProto::int("axis", 0)]);
            inputs.extend([String::new(), sizes]);
        }
        let mut attributes = vec![
            AttributeProto::text("mode", mode),
            AttributeProto::text("coordinate_transformation_mode", places),
            AttributeProto::text("nearest_mode", "floor"),
        ];
        if mode == "cubic" {
            attributes.push(AttributeProto::float("cubic_coeff_a", -0.75));
        }
        self.node("Resize", inputs, output, attributes);
        Ok(())
    }
}
