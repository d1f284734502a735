//! PSPNet's decoder (Zhao et al., 2017), with the names of segmentation_models.pytorch's `PSPNet`: pyramid pooling of
//! the coarsest feature map and a convolution 1×1. In the paper the encoder's output stride is 8.

use crate::blocks::{Conv, ConvNorm, conv, norm, strided};
use crate::part::{Buffers, Part};
use crate::segmenter::decoder::{Decoder, PARTS};
use crate::segmenter::encoder::Level;
use crate::segmenter::resize::resized_as;
use tch::Tensor;
use tch::nn;
use torch_ext::Relu;

/// A mean over parts of the map, with a convolution and ReLU.
#[derive(Debug)]
enum Pooled {
    /// With BatchNorm.
    Normed(ConvNorm),
    /// Of the whole map. The values of a batch would be too few for a BatchNorm, so there is a bias instead.
    Biased(Conv),
}

/// Pyramid pooling and a convolution.
#[derive(Debug)]
struct Pyramid {
    pooled: Vec<(Pooled, i64)>,
    conv: ConvNorm,
}

impl Pyramid {
    fn new(path: &nn::Path, inputs: i64, channels: i64) -> Self {
        let (blocks, within) = (path / "psp" / "blocks", inputs / PARTS.len() as i64);
        let pooled = PARTS.into_iter().enumerate().map(|(number, parts)| {
            let path = &blocks / number / "pool" / 1;
            let pooled = if parts == 1 {
                Pooled::Biased(conv(&(&path / 0), inputs, within, 1, true))
            } else {
                let conv = strided(&(&path / 0), [inputs, within], 1, 1, 1);
                Pooled::Normed(ConvNorm::new(conv, norm(&(&path / 1), within)))
            };
            (pooled, parts)
        });
        let (pooled, path) = (pooled.collect(), path / "conv");
        let joined = inputs + PARTS.len() as i64 * within;
        let conv = strided(&(&path / 0), [joined, channels], 1, 1, 1);
        Self { pooled, conv: ConvNorm::new(conv, norm(&(&path / 1), channels)) }
    }

    fn forward(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let mut maps: Vec<Tensor> = Vec::new();
        for (pooled, parts) in &self.pooled {
            let means = x_nchw.adaptive_avg_pool2d([*parts, *parts]);
            let y = match pooled {
                Pooled::Normed(conv) => conv.relu(&means, Relu::Plain, train),
                Pooled::Biased(conv) => means.apply(conv).relu_(),
            };
            maps.push(resized_as(&y, x_nchw, true));
        }
        maps.push(x_nchw.shallow_clone());
        self.conv.relu(&Tensor::cat(&maps, 1), Relu::Plain, train)
    }
}

impl Buffers for Pyramid {
    fn buffers(&self) -> Vec<Tensor> {
        let normed = self.pooled.iter().filter_map(|(pooled, _)| match pooled {
            Pooled::Normed(conv) => Some(conv),
            Pooled::Biased(_) => None,
        });
        normed.chain([&self.conv]).flat_map(Buffers::buffers).collect()
    }
}

/// Pyramid pooling of the coarsest map.
#[derive(Debug)]
pub(crate) struct PspDecoder {
    pyramid: Part<Pyramid>,
    output: Level,
}

impl PspDecoder {
    /// Makes the decoder, which gives `channels` channels.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], channels: i64) -> Self {
        let coarsest = levels.last().copied().unwrap_or(Level { channels: 0, stride: 1 });
        let pyramid = Part::new(Pyramid::new(path, coarsest.channels, channels));
        Self { pyramid, output: Level { channels, stride: coarsest.stride } }
    }
}

impl Decoder for PspDecoder {
    fn decode(&self, mut features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        let Some(x) = features.pop() else { return features };
        vec![self.pyramid.run(recompute && train, [&x], move |pyramid, [x]| pyramid.forward(x, train))]
    }

    fn outputs(&self) -> Vec<Level> {
        vec![self.output]
    }

    fn kernel(&self) -> i64 {
        3
    }
}
