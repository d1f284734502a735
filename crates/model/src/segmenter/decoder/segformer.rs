//! SegFormer's decoder (Xie et al., 2021), with the names of segmentation_models.pytorch's `Segformer`: a linear layer
//! for each feature map, and a convolution 1×1 over all of them at stride 4.

use crate::blocks::{ConvNorm, norm, strided};
use crate::part::Part;
use crate::segmenter::decoder::Decoder;
use crate::segmenter::encoder::Level;
use crate::segmenter::resize::scaled;
use crate::segmenter::transformer::{linear_with, to_last, to_second};
use tch::Tensor;
use tch::nn;
use torch_ext::Relu;

/// Stride of the output.
const STRIDE: i64 = 4;

/// Linear layers for the encoder's feature maps, and the convolution that joins them.
#[derive(Debug)]
pub(crate) struct SegformerDecoder {
    /// Coarsest first, each with the stride of its map.
    layers: Vec<(nn::Linear, i64)>,
    fuse: Part<ConvNorm>,
    channels: i64,
}

impl SegformerDecoder {
    /// Makes the decoder, which gives `channels` channels.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], channels: i64) -> Self {
        let of_layers = path / "mlp_stage";
        let layers = levels.iter().rev().enumerate().map(|(number, level)| {
            // Glorot & Bengio (2010), as there.
            let weights = nn::Init::Randn { mean: 0.0, stdev: (2.0 / (level.channels + channels) as f64).sqrt() };
            (linear_with(&(&of_layers / number / "linear"), [level.channels, channels], true, weights), level.stride)
        });
        let layers: Vec<_> = layers.collect();
        let of_fuse = path / "fuse_stage";
        let inputs = layers.len() as i64 * channels;
        let fuse =
            ConvNorm::new(strided(&(&of_fuse / 0), [inputs, channels], 1, 1, 1), norm(&(&of_fuse / 1), channels));
        Self { layers, fuse: Part::new(fuse), channels }
    }
}

impl Decoder for SegformerDecoder {
    fn decode(&self, features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        let maps = features
            .iter()
            .rev()
            .zip(&self.layers)
            .map(|(map, (layer, stride))| scaled(&to_second(&to_last(map).apply(layer)), [*stride, STRIDE]));
        let all = Tensor::cat(&maps.collect::<Vec<_>>(), 1);
        vec![self.fuse.run(recompute && train, [&all], move |fuse, [x]| fuse.relu(x, Relu::Plain, train))]
    }

    fn outputs(&self) -> Vec<Level> {
        vec![Level { channels: self.channels, stride: STRIDE }]
    }
}
