//! A UNet with a ResNet encoder (He et al., 2016) and the decoder of segmentation_models.pytorch.
//!
//! The encoder's variables have torchvision's names under `encoder`. Together, all variables have the names of
//! segmentation_models.pytorch's `Unet`.

use crate::blocks::{Conv, ConvNorm, conv, dropout, norm, padded, strided, twice};
use crate::encoder::{ENCODER, EncoderConfig};
use crate::part::{Buffers, Part};
use crate::{Layers, ResNetUNetConfig};
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext::Relu;

/// Channels of the decoder's steps, deepest first.
const UP: [i64; 5] = [256, 128, 64, 32, 16];

/// Ratio of a bottleneck's output channels to its inner channels.
const EXPANSION: i64 = 4;

impl Layers {
    /// Returns the number of blocks in each of the four groups, and true if they are bottlenecks (table 1 of the
    /// paper).
    fn blocks(self) -> ([i64; 4], bool) {
        match self {
            Self::Eighteen => ([2, 2, 2, 2], false),
            Self::ThirtyFour => ([3, 4, 6, 3], false),
            Self::Fifty => ([3, 4, 6, 3], true),
        }
    }
}

/// Residual block: two or three convolutions with BatchNorm, and the shortcut past them.
#[derive(Debug)]
struct Residual {
    convs: Vec<ConvNorm>,
    downsample: Option<ConvNorm>,
}

impl Residual {
    /// Makes a block of `inputs` channels, with `width` channels within.
    fn new(path: &nn::Path, inputs: i64, width: i64, stride: i64, bottleneck: bool) -> Self {
        let outputs = if bottleneck { width * EXPANSION } else { width };
        // Channels, kernel and stride of each. As in torchvision, a bottleneck strides in its middle convolution.
        let shapes: &[([i64; 2], i64, i64)] = if bottleneck {
            &[([inputs, width], 1, 1), ([width, width], 3, stride), ([width, outputs], 1, 1)]
        } else {
            &[([inputs, width], 3, stride), ([width, width], 3, 1)]
        };
        let convs = shapes.iter().zip(1..).map(|(&(channels, kernel, stride), number)| {
            let conv = strided(&(path / format!("conv{number}")), channels, kernel, stride, 1);
            ConvNorm::new(conv, norm(&(path / format!("bn{number}")), channels[1]))
        });
        let downsample = || {
            let path = path / "downsample";
            ConvNorm::new(strided(&(&path / 0), [inputs, outputs], 1, stride, 1), norm(&(&path / 1), outputs))
        };
        Self { convs: convs.collect(), downsample: (stride != 1 || inputs != outputs).then(downsample) }
    }
}

impl ModuleT for Residual {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let mut y = x_nchw.shallow_clone();
        for (number, conv) in (1..).zip(&self.convs) {
            let last = number == self.convs.len();
            y = if last { y.apply_t(conv, train) } else { conv.relu(&y, Relu::Plain, train) };
        }
        let beside =
            self.downsample.as_ref().map_or_else(|| x_nchw.shallow_clone(), |conv| x_nchw.apply_t(conv, train));
        (y + beside).relu_()
    }
}

impl Buffers for Residual {
    fn buffers(&self) -> Vec<Tensor> {
        self.convs.iter().chain(&self.downsample).flat_map(Buffers::buffers).collect()
    }
}

/// A decoder step: nearest-neighbour upsampling, concatenation with the skip, two convolutions 3×3 with BatchNorm and
/// ReLU.
#[derive(Debug)]
struct UpBlock {
    convs: [ConvNorm; 2],
}

impl UpBlock {
    fn new(path: &nn::Path, inputs: i64, outputs: i64) -> Self {
        let conv_norm = |name: &str, inputs| {
            let path = path / name;
            ConvNorm::new(conv(&(&path / 0), inputs, outputs, 3, false), norm(&(&path / 1), outputs))
        };
        Self { convs: [conv_norm("conv1", inputs), conv_norm("conv2", outputs)] }
    }

    fn forward(&self, x_nchw: &Tensor, skip_nchw: Option<&Tensor>, train: bool) -> Tensor {
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

/// UNet with ResNet as the encoder, nearest-neighbour upsampling and convolutions as the decoder, and the encoder's
/// activations as skips.
///
/// Maps `[N, C, H, W]` f32 of any height and width to logits `[N, K, H, W]`. Sizes that are no multiple of 32 are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct ResNetUNet {
    stem: ConvNorm,
    groups: Vec<Vec<Part<Residual>>>,
    decoder: Vec<Part<UpBlock>>,
    head: Conv,
    encoder: EncoderConfig,
    dropout: f64,
    recompute: bool,
}

impl ResNetUNet {
    /// Makes the network for images with `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &ResNetUNetConfig) -> Self {
        let (counts, bottleneck) = config.layers.blocks();
        let encoder = path / ENCODER;
        let stem =
            ConvNorm::new(strided(&(&encoder / "conv1"), [channels, 64], 7, 2, 1), norm(&(&encoder / "bn1"), 64));
        let (mut inputs, mut widths, mut groups) = (64, vec![64], Vec::new());
        for (group, count) in counts.into_iter().enumerate() {
            let (path, width) = (&encoder / format!("layer{}", group + 1), 64 << group);
            let mut blocks = Vec::new();
            for number in 0..count {
                let stride = if number == 0 && group > 0 { 2 } else { 1 };
                blocks.push(Part::new(Residual::new(&(&path / number), inputs, width, stride, bottleneck)));
                inputs = if bottleneck { width * EXPANSION } else { width };
            }
            groups.push(blocks);
            widths.push(inputs);
        }
        let blocks = path / "decoder" / "blocks";
        let mut decoder = Vec::new();
        // The deepest width is the decoder's input, not a skip; the last step, to full size, has no skip.
        let skips = widths.iter().rev().skip(1).copied().chain([0]);
        for (number, (outputs, skip)) in UP.into_iter().zip(skips).enumerate() {
            decoder.push(Part::new(UpBlock::new(&(&blocks / number), inputs + skip, outputs)));
            inputs = outputs;
        }
        let head = conv(&(path / "segmentation_head" / 0), inputs, classes, 3, true);
        let (dropout, recompute) = (config.common.dropout, config.common.recompute);
        Self { stem, groups, decoder, head, encoder: config.encoder.clone(), dropout, recompute }
    }

    fn logits(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let (encoding, again) = (self.encoder.trains(train), self.recompute && train);
        let mut skips = vec![self.stem.relu(x_nchw, Relu::Plain, encoding)];
        let mut x = skips[0].max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false);
        for group in &self.groups {
            for block in group {
                x = block.run(again, [&x], move |block, [x]| x.apply_t(block, encoding));
            }
            skips.push(x.shallow_clone());
        }
        skips.pop();
        for step in &self.decoder {
            x = match skips.pop() {
                Some(skip) => step.run(again, [&x, &skip], move |step, [x, skip]| step.forward(x, Some(skip), train)),
                None => step.run(again, [&x], move |step, [x]| step.forward(x, None, train)),
            };
        }
        dropout(x, self.dropout, train).apply(&self.head)
    }
}

impl ModuleT for ResNetUNet {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        padded(x_nchw, 32, |x| self.logits(&x, train))
    }
}
