//! The decoder of a UNet (Ronneberger, Fischer & Brox, 2015) as segmentation_models.pytorch has it: nearest-neighbour
//! upsampling and two convolutions a step.

use crate::blocks::{ConvNorm, conv, norm, twice};
use crate::part::{Buffers, Part};
use crate::segmenter::decoder::Decoder;
use crate::segmenter::encoder::Level;
use tch::Tensor;
use tch::nn;

/// A decoder step: nearest-neighbour upsampling, concatenation with the skip, two convolutions 3×3 with BatchNorm and
/// ReLU.
#[derive(Debug)]
pub(crate) struct UpBlock {
    convs: [ConvNorm; 2],
}

impl UpBlock {
    /// Makes a step of `inputs` channels, those of the skip included.
    pub(crate) fn new(path: &nn::Path, inputs: i64, outputs: i64) -> Self {
        let conv_norm = |name: &str, inputs| {
            let path = path / name;
            ConvNorm::new(conv(&(&path / 0), inputs, outputs, 3, false), norm(&(&path / 1), outputs))
        };
        Self { convs: [conv_norm("conv1", inputs), conv_norm("conv2", outputs)] }
    }

    /// Joins the map with the skips of twice its height and width.
    pub(crate) fn forward(&self, x_nchw: &Tensor, skip_nchw: Option<&Tensor>, train: bool) -> Tensor {
        // By a factor: a size would become a constant of the trace.
        let mut x = x_nchw.upsample_nearest2d_vec(None::<&[i64]>, [2.0, 2.0].as_slice());
        if let Some(skip) = skip_nchw {
            x = Tensor::cat(&[&x, skip], 1);
        }
        twice(&x, self.convs.each_ref(), train)
    }
}

impl Buffers for UpBlock {
    fn buffers(&self) -> Vec<Tensor> {
        self.convs.iter().flat_map(Buffers::buffers).collect()
    }
}

/// Steps that each double height and width, down to stride 1. A step to a stride that the encoder has a map of reads
/// that too.
#[derive(Debug)]
pub(crate) struct UnetDecoder {
    steps: Vec<Part<UpBlock>>,
    /// The output of each step, coarsest first, and true if a skip comes in.
    outputs: Vec<(Level, bool)>,
    deep_supervision: bool,
}

impl UnetDecoder {
    /// Makes the decoder at `path`, with the channels of its steps, coarsest first; one for each halving of the
    /// coarsest stride.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], channels: &[i64], deep_supervision: bool) -> Self {
        let coarsest = levels.last().copied().unwrap_or(Level { channels: 0, stride: 1 });
        let (path, mut inputs) = (path / "blocks", coarsest.channels);
        let (mut steps, mut outputs) = (Vec::new(), Vec::new());
        for (number, channels) in channels.iter().copied().enumerate() {
            let stride = coarsest.stride >> (number + 1);
            let skip = levels.iter().find(|level| level.stride == stride);
            let beside = skip.map_or(0, |level| level.channels);
            steps.push(Part::new(UpBlock::new(&(&path / number), inputs + beside, channels)));
            outputs.push((Level { channels, stride }, skip.is_some()));
            inputs = channels;
        }
        Self { steps, outputs, deep_supervision }
    }
}

impl Decoder for UnetDecoder {
    fn decode(&self, mut features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        let (mut maps, again) = (Vec::new(), recompute && train);
        let Some(mut x) = features.pop() else { return maps };
        for (step, (_, skips)) in self.steps.iter().zip(&self.outputs) {
            let skip = if *skips { features.pop() } else { None };
            x = match skip {
                Some(skip) => step.run(again, [&x, &skip], move |step, [x, skip]| step.forward(x, Some(skip), train)),
                None => step.run(again, [&x], move |step, [x]| step.forward(x, None, train)),
            };
            maps.push(x.shallow_clone());
        }
        maps.reverse();
        if !(self.deep_supervision && train) {
            maps.truncate(1);
        }
        maps
    }

    fn outputs(&self) -> Vec<Level> {
        let count = if self.deep_supervision { self.outputs.len() } else { 1 };
        self.outputs.iter().rev().take(count).map(|(level, _)| *level).collect()
    }

    fn kernel(&self) -> i64 {
        3
    }
}
