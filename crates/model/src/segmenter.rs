//! Networks that join any encoder with any decoder.

pub(crate) mod build;
pub(crate) mod config;
pub(crate) mod decoder;
pub(crate) mod encoder;
mod head;
mod resize;
mod transformer;

use crate::SegmenterConfig;
use crate::blocks::{cropped, pad_to};
use crate::network::Network;
use contract::Outputs;
use decoder::Decoder;
use encoder::Encoder;
use head::{FcnHead, Head};
use tch::Tensor;
use tch::nn::{self, ModuleT};

/// A network of an encoder, a decoder and heads.
///
/// Maps `[N, C, H, W]` f32 of any height and width to logits `[N, K, H, W]`. Sizes that are no multiple of the
/// encoder's stride are padded at the right and the bottom by repeating the border, and the logits are cropped back.
/// Its variables have the names that segmentation_models.pytorch's networks have.
#[derive(Debug)]
pub struct Segmenter {
    encoder: Box<dyn Encoder>,
    decoder: Box<dyn Decoder>,
    head: Head,
    /// Heads of the decoder's further maps.
    deep: Vec<Head>,
    /// Head of one of the encoder's maps, by its number.
    auxiliary: Option<(usize, FcnHead)>,
    dropout: f64,
    recompute: bool,
}

impl Segmenter {
    /// Makes the network for images with `channels` channels and `classes` classes.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, config: &SegmenterConfig) -> Self {
        let encoder = build::encoder(path, channels, &config.encoder);
        let decoder = build::decoder(path, encoder.levels(), &config.decoder);
        let mut heads = decoder.outputs().into_iter().enumerate().map(|(number, level)| {
            let path = match number {
                0 => path / "segmentation_head",
                _ => path / "deep_supervision" / (number - 1),
            };
            Head::new(&path, level, encoder.unit(), classes, decoder.kernel())
        });
        let head = heads.next().unwrap_or_else(|| panic!("a decoder without a map"));
        let deep = heads.collect();
        let second = encoder.levels().len().saturating_sub(2);
        let fcn = || FcnHead::new(&(path / "aux_classifier"), encoder.levels()[second], encoder.unit(), classes);
        let auxiliary = config.auxiliary.then(|| (second, fcn()));
        let (dropout, recompute) = (config.common.dropout, config.common.recompute);
        Self { encoder, decoder, head, deep, auxiliary, dropout, recompute }
    }

    /// Returns the strides of the encoder's feature maps, finest first.
    pub fn strides(&self) -> Vec<i64> {
        self.encoder.levels().iter().map(|level| level.stride).collect()
    }

    /// Returns the logits, and in training those of the further heads if `all` of them are asked for, each at the size
    /// of its map.
    fn run(&self, x_nchw: &Tensor, train: bool, all: bool) -> (Tensor, Vec<Tensor>) {
        let size = [x_nchw.size()[2], x_nchw.size()[3]];
        let x = pad_to(x_nchw, self.encoder.multiple());
        let features = self.encoder.encode(&x, train, self.recompute);
        let with_all = train && all;
        let of_encoder = self.auxiliary.as_ref().filter(|_| with_all).map(|(level, head)| {
            cropped(head.logits(&features[*level], self.dropout), size.map(|size| apart(size, head.stride)))
        });
        let mut maps = self.decoder.decode(features, train, self.recompute).into_iter();
        let map = maps.next().unwrap_or_else(|| panic!("a decoder without a map"));
        let logits = self.head.enlarged(self.head.logits(map, self.dropout, train));
        let mut further = Vec::new();
        if with_all {
            for (head, map) in self.deep.iter().zip(maps) {
                let size = size.map(|size| apart(size, head.stride));
                further.push(cropped(head.logits(map, 0.0, train), size));
            }
        }
        further.extend(of_encoder);
        (cropped(logits, size), further)
    }
}

/// Returns the number of values `stride` pixels apart that cover `size` pixels.
fn apart(size: i64, stride: f64) -> i64 {
    (size as f64 / stride).ceil() as i64
}

impl ModuleT for Segmenter {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        self.run(x_nchw, train, false).0
    }
}

impl Network for Segmenter {
    fn outputs_t(&self, x_nchw: &Tensor, train: bool) -> Outputs {
        let (logits, further) = self.run(x_nchw, train, true);
        Outputs::new(logits, further)
    }
}

#[cfg(test)]
mod tests;
