//! UPerNet's decoder (Xiao et al., 2018), with the names of segmentation_models.pytorch's `UPerNet`: pyramid pooling of
//! the coarsest feature map, a feature pyramid down to stride 4, and a convolution over all its maps.

use crate::blocks::{ConvNorm, conv, norm, strided};
use crate::part::{Buffers, Part};
use crate::segmenter::decoder::{Decoder, PARTS};
use crate::segmenter::encoder::Level;
use crate::segmenter::resize::{resized_as, scaled};
use crate::segmenter::transformer::{LayerNorm, layer_norm, normed};
use tch::Tensor;
use tch::nn;
use torch_ext::Relu;

/// Stride of the finest feature map that is used.
const FINEST: i64 = 4;

/// Epsilon of the LayerNorm of each feature map.
const EPSILON: f64 = 1e-6;

/// Makes a convolution with BatchNorm; `kernel` is 1 or 3.
fn conv_norm(path: &nn::Path, inputs: i64, outputs: i64, kernel: i64) -> ConvNorm {
    let conv = match kernel {
        1 => strided(&(path / 0), [inputs, outputs], 1, 1, 1),
        _ => conv(&(path / 0), inputs, outputs, kernel, false),
    };
    ConvNorm::new(conv, norm(&(path / 1), outputs))
}

/// Pyramid pooling (Zhao et al., 2017): means over parts of the map, each with a convolution, beside the map itself.
#[derive(Debug)]
struct Pyramid {
    pooled: Vec<ConvNorm>,
    joined: ConvNorm,
}

impl Pyramid {
    fn new(path: &nn::Path, inputs: i64, channels: i64) -> Self {
        let blocks = path / "blocks";
        let pooled = (0..PARTS.len()).map(|number| conv_norm(&(&blocks / number / 1), inputs, channels, 1)).collect();
        let joined = inputs + PARTS.len() as i64 * channels;
        Self { pooled, joined: conv_norm(&(path / "out_conv"), joined, channels, 3) }
    }

    fn forward(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let mut maps = vec![x_nchw.shallow_clone()];
        for (conv, parts) in self.pooled.iter().zip(PARTS) {
            let y = conv.relu(&x_nchw.adaptive_avg_pool2d([parts, parts]), Relu::Plain, train);
            maps.push(resized_as(&y, x_nchw, false));
        }
        self.joined.relu(&Tensor::cat(&maps, 1), Relu::Plain, train)
    }
}

impl Buffers for Pyramid {
    fn buffers(&self) -> Vec<Tensor> {
        self.pooled.iter().chain([&self.joined]).flat_map(Buffers::buffers).collect()
    }
}

/// Pyramid pooling, and the feature pyramid on top of it (Lin et al., 2017).
#[derive(Debug)]
pub(crate) struct UperDecoder {
    /// Finest first, as are all lists here.
    levels: Vec<Level>,
    /// Of all feature maps used.
    norms: Vec<LayerNorm>,
    pyramid: Part<Pyramid>,
    /// Of all maps but the coarsest: of the feature map, and of its sum with the coarser one.
    laterals: Vec<Part<ConvNorm>>,
    convs: Vec<Part<ConvNorm>>,
    fusion: Part<ConvNorm>,
    channels: i64,
}

impl UperDecoder {
    /// Makes the decoder, which gives `channels` channels.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], channels: i64) -> Self {
        let levels: Vec<Level> = levels.iter().copied().filter(|level| level.stride >= FINEST).collect();
        let of_norms = path / "feature_norms";
        let norms = levels.iter().enumerate();
        let norms = norms.map(|(number, level)| layer_norm(&(&of_norms / number), level.channels, EPSILON)).collect();
        let coarsest = levels.last().map_or(0, |level| level.channels);
        let pyramid = Part::new(Pyramid::new(&(path / "psp"), coarsest, channels));
        let (of_laterals, of_convs) = (path / "fpn_lateral_blocks", path / "fpn_conv_blocks");
        let (mut laterals, mut convs) = (Vec::new(), Vec::new());
        // Numbered from the coarsest.
        for (number, level) in levels.iter().rev().skip(1).enumerate() {
            let lateral = &of_laterals / number / "conv_norm_relu";
            laterals.insert(0, Part::new(conv_norm(&lateral, level.channels, channels, 1)));
            convs.insert(0, Part::new(conv_norm(&(&of_convs / number), channels, channels, 3)));
        }
        let joined = levels.len() as i64 * channels;
        let fusion = Part::new(conv_norm(&(path / "fusion_block"), joined, channels, 3));
        Self { levels, norms, pyramid, laterals, convs, fusion, channels }
    }
}

impl Decoder for UperDecoder {
    fn decode(&self, features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        let again = recompute && train;
        let relu = move |conv: &ConvNorm, [x]: [&Tensor; 1]| conv.relu(x, Relu::Plain, train);
        let used = features.iter().skip(features.len() - self.levels.len());
        let features: Vec<Tensor> = used.zip(&self.norms).map(|(map, norm)| normed(map, norm)).collect();
        let Some(coarsest) = features.last() else { return features };
        let mut sum = self.pyramid.run(again, [coarsest], move |pyramid, [x]| pyramid.forward(x, train));
        let stride = |number: usize| self.levels[number].stride;
        let mut maps = vec![scaled(&sum, [stride(self.laterals.len()), stride(0)])];
        for number in (0..self.laterals.len()).rev() {
            let lateral = self.laterals[number].run(again, [&features[number]], relu);
            sum = scaled(&sum, [stride(number + 1), stride(number)]) + lateral;
            let map = self.convs[number].run(again, [&sum], relu);
            maps.push(scaled(&map, [stride(number), stride(0)]));
        }
        maps.reverse();
        vec![self.fusion.run(again, [&Tensor::cat(&maps, 1)], relu)]
    }

    fn outputs(&self) -> Vec<Level> {
        let stride = self.levels.first().map_or(FINEST, |level| level.stride);
        vec![Level { channels: self.channels, stride }]
    }
}
