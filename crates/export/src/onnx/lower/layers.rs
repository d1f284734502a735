//! Convolutions, pooling and borders.

use super::{Call, Lowering};
use crate::Error;
use crate::onnx::proto::AttributeProto;

impl Lowering<'_> {
    /// Translates an operator of this file; false for another one.
    pub fn layer(&mut self, call: &Call) -> Result<bool, Error> {
        match call.kind() {
            "_convolution" => self.convolution(call)?,
            "max_pool2d" => {
                let padding = call.ints(3)?;
                let (kernel, stride) = (call.ints(1)?, call.ints(2)?);
                let attributes = vec![
                    AttributeProto::ints("kernel_shape", kernel),
                    AttributeProto::ints("strides", if stride.is_empty() { kernel } else { stride }),
                    AttributeProto::ints("pads", &[padding, padding].concat()),
                    AttributeProto::ints("dilations", call.ints(4)?),
                    AttributeProto::int("ceil_mode", call.int(5)?),
                ];
                let inputs = self.inputs(call, &[0])?;
                self.node("MaxPool", inputs, call.output(), attributes);
            }
            "avg_pool2d" => {
                let (kernel, stride, padding) = (call.ints(1)?, call.ints(2)?, call.ints(3)?);
                // Runtimes disagree on the divisor at a border that only ceil_mode has.
                call.expect(4, 0)?;
                call.expect_none(6)?;
                let attributes = vec![
                    AttributeProto::ints("kernel_shape", kernel),
                    AttributeProto::ints("strides", if stride.is_empty() { kernel } else { stride }),
                    AttributeProto::ints("pads", &[padding, padding].concat()),
                    AttributeProto::int("count_include_pad", call.int(5)?),
                ];
                let inputs = self.inputs(call, &[0])?;
                self.node("AveragePool", inputs, call.output(), attributes);
            }
            "adaptive_avg_pool2d" => match call.ints(1)? {
                [1, 1] => {
                    let inputs = self.inputs(call, &[0])?;
                    self.node("GlobalAveragePool", inputs, call.output(), Vec::new());
                }
                [height, width] => self.bins(call, *height, *width)?,
                _ => return Err(call.other(1, "a height and a width")),
            },
            "pad" => {
                let value = if call.is_none(3) { 0.0 } else { call.float(3)? };
                let mode = match call.text(2)? {
                    "constant" => "constant",
                    "replicate" => "edge",
                    "reflect" => "reflect",
                    _ => return Err(call.other(2, "constant, replicate or reflect")),
                };
                self.pad(call, mode, value)?;
            }
            "constant_pad_nd" => self.pad(call, "constant", call.float(2)?)?,
            "replication_pad2d" => self.pad(call, "edge", 0.0)?,
            "reflection_pad2d" => self.pad(call, "reflect", 0.0)?,
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn convolution(&mut self, call: &Call) -> Result<(), Error> {
        let kernel = call.tensor(1)?.size();
        let transposed = call.int(6)? != 0;
        let padding = call.ints(4)?;
        let mut attributes = vec![
            AttributeProto::ints("kernel_shape", &kernel[2..]),
            AttributeProto::ints("strides", call.ints(3)?),
            AttributeProto::ints("pads", &[padding, padding].concat()),
            AttributeProto::ints("dilations", call.ints(5)?),
            AttributeProto::int("group", call.int(8)?),
        ];
        if transposed {
            attributes.push(AttributeProto::ints("output_padding", call.ints(7)?));
        }
        let inputs = self.inputs(call, &[0, 1, 2])?;
        self.node(if transposed { "ConvTranspose" } else { "Conv" }, inputs, call.output(), attributes);
        Ok(())
    }

    /// Translates borders, which libtorch names from the last dimension to the first, as pairs.
    fn pad(&mut self, call: &Call, mode: &str, value: f64) -> Result<(), Error> {
        let (pads, rank) = (call.ints(1)?, self.shape_of(call, 0)?.len());
        let mut begins = vec![0; rank];
        let mut ends = vec![0; rank];
        for (number, pair) in pads.chunks(2).enumerate() {
            let (dim, &[begin, end]) = (rank.checked_sub(number + 1), pair) else {
                return Err(call.other(1, "pairs"));
            };
            let dim = dim.ok_or_else(|| call.other(1, "pairs for as many dimensions as there are"))?;
            (begins[dim], ends[dim]) = (begin, end);
        }
        let mut inputs = self.inputs(call, &[0])?;
        inputs.push(self.ints(&[begins, ends].concat()));
        if mode == "constant" {
            inputs.push(self.number(value));
        }
        self.node("Pad", inputs, call.output(), vec![AttributeProto::text("mode", mode)]);
        Ok(())
    }

    /// Translates adaptive average pooling. ONNX has no such operator, and the sizes of the bins depend on the input's;
    /// so the means are products with a matrix of a row for each bin, which is computed from the size.
    fn bins(&mut self, call: &Call, height: i64, width: i64) -> Result<(), Error> {
        let x = self.input(call, 0)?;
        let rows = self.means(&x, call.output(), 2, height);
        let columns = self.means(&x, call.output(), 3, width);
        let columns = self.part("Transpose", vec![columns], call.output(), vec![AttributeProto::ints("perm", &[1, 0])]);
        let pooled = self.part("MatMul", vec![rows, x], call.output(), Vec::new());
        self.node("MatMul", vec![pooled, columns], call.output(), Vec::new());
        Ok(())
    }

    /// Returns a matrix `[count, side]` that averages a dimension of `x` in bins: bin i is from ⌊i · side / count⌋ to
    /// ⌈(i + 1) · side / count⌉.
    fn means(&mut self, x: &str, output: &str, dim: i64, count: i64) -> String {
        let column = |values: &[i64], this: &mut Self| {
            let name = this.ints(values);
            let axis = this.ints(&[1]);
            this.part("Unsqueeze", vec![name, axis], output, Vec::new())
        };
        let bins: Vec<i64> = (0..count).collect();
        let next: Vec<i64> = (1..=count).collect();
        let (bins, next) = (column(&bins, self), column(&next, self));
        let (dim, number, rounding) = (self.int(dim), self.int(count), self.int(count - 1));
        let shape = self.part("Shape", vec![x.into()], output, Vec::new());
        let side = self.part("Gather", vec![shape, dim], output, vec![AttributeProto::int("axis", 0)]);
        let (zero, one) = (self.int(0), self.int(1));
        let places = self.part("Range", vec![zero, side.clone(), one], output, Vec::new());
        let begin = self.part("Mul", vec![bins, side.clone()], output, Vec::new());
        let begin = self.part("Div", vec![begin, number.clone()], output, Vec::new());
        let end = self.part("Mul", vec![next, side], output, Vec::new());
        let end = self.part("Add", vec![end, rounding], output, Vec::new());
        let end = self.part("Div", vec![end, number], output, Vec::new());
        let is_after = self.part("GreaterOrEqual", vec![places.clone(), begin.clone()], output, Vec::new());
        let is_before = self.part("Less", vec![places, end.clone()], output, Vec::new());
        let is_inside = self.part("And", vec![is_after, is_before], output, Vec::new());
        let length = self.part("Sub", vec![end, begin], output, Vec::new());
        let to_f32 = || vec![AttributeProto::int("to", 1)];
        let inside = self.part("Cast", vec![is_inside], output, to_f32());
        let length = self.part("Cast", vec![length], output, to_f32());
        self.part("Div", vec![inside, length], output, Vec::new())
    }
}
