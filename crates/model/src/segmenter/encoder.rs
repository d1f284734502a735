//! Encoders: what a decoder sees of them.

pub(crate) mod convnext;
pub(crate) mod efficientnet;
pub(crate) mod mit;
pub(crate) mod mobilenet_v2;
pub(crate) mod mobilenet_v3;
pub(crate) mod resnet;
pub(crate) mod vit;

use crate::BatchNorm;
use crate::part::Part;
use crate::units::{Block, Unit, kept};
use std::fmt::Debug;
use tch::Tensor;

/// One of an encoder's feature maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Level {
    /// Number of channels.
    pub channels: i64,
    /// Distance of neighbouring values in pixels of the input (of [`Encoder::unit`]).
    pub stride: i64,
}

/// Backbone of a segmenter.
pub(crate) trait Encoder: Debug + Send {
    /// Describes the feature maps, finest first (strides 2, 4, 8, 16 and 32 for example, or without 2).
    fn levels(&self) -> &[Level];

    /// Maps `[N, C, H, W]` to the feature maps of [`levels`](Self::levels). With `recompute` blocks keep only their
    /// inputs for the backward pass.
    fn encode(&self, x_nchw: &Tensor, train: bool, recompute: bool) -> Vec<Tensor>;

    /// Returns the number that height and width of the input are a multiple of.
    fn multiple(&self) -> i64 {
        self.levels().iter().map(|level| level.stride).max().unwrap_or(1)
    }

    /// Returns the number of the input's pixels that a stride of 1 is: 1, but 14/16 where patches of 14 pixels count as
    /// a stride of 16.
    fn unit(&self) -> f64 {
        1.0
    }
}

/// Settings of an encoder that its kind does not decide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Settings {
    /// Number of the image's channels.
    pub channels: i64,
    /// Greatest stride; further blocks are dilated instead.
    pub output_stride: i64,
    /// Statistics that BatchNorm normalises with in training.
    pub batch_norm: BatchNorm,
    /// Probability that the last block is dropped from a sample; those before it are dropped less.
    pub stochastic_depth: f64,
}

/// An encoder that is a stem and stages of blocks after it. Each stage ends with a feature map; one without blocks ends
/// with the stem's output.
#[derive(Debug)]
pub(crate) struct Staged {
    stem: Unit,
    stages: Vec<Vec<Part<Box<dyn Block>>>>,
    levels: Vec<Level>,
    settings: Settings,
}

/// Stages of a [`Staged`] in the making.
#[derive(Debug)]
pub(crate) struct Growing {
    stages: Vec<Vec<Part<Box<dyn Block>>>>,
    levels: Vec<Level>,
    /// Stride of the next block's input in the undilated network.
    stride: i64,
    settings: Settings,
}

impl Growing {
    /// Begins after a stem of this stride.
    pub(crate) fn new(stride: i64, settings: Settings) -> Self {
        Self { stages: vec![Vec::new()], levels: Vec::new(), stride, settings }
    }

    /// Ends a stage with a feature map of this many channels, and begins the next one.
    pub(crate) fn end(&mut self, channels: i64) {
        self.levels.push(Level { channels, stride: self.stride.min(self.settings.output_stride) });
        self.stages.push(Vec::new());
    }

    /// Returns stride and dilation of the blocks that follow, whose first one strides by `step` in the undilated
    /// network. Ends a stage with `channels` before it does, unless the stage at that stride has ended. All
    /// convolutions of a dilated stage have the same dilation, as in segmentation_models.pytorch.
    pub(crate) fn stride(&mut self, step: i64, channels: i64) -> [i64; 2] {
        if step > 1 {
            if self.levels.len() < self.stride.ilog2() as usize {
                self.end(channels);
            }
            self.stride *= step;
        }
        let output_stride = self.settings.output_stride;
        if self.stride > output_stride { [1, self.stride / output_stride] } else { [step, 1] }
    }

    /// Adds a block.
    pub(crate) fn push(&mut self, block: impl Block + 'static) {
        if let Some(stage) = self.stages.last_mut() {
            stage.push(Part::new(Box::new(block)));
        }
    }

    /// Ends the last stage, with this many channels.
    pub(crate) fn done(mut self, stem: Unit, channels: i64) -> Staged {
        self.end(channels);
        self.stages.pop();
        let Self { stages, levels, settings, .. } = self;
        Staged { stem, stages, levels, settings }
    }
}

impl Encoder for Staged {
    fn levels(&self) -> &[Level] {
        &self.levels
    }

    fn encode(&self, x_nchw: &Tensor, train: bool, recompute: bool) -> Vec<Tensor> {
        let (encoding, again) = (self.settings.batch_norm.trains(train), recompute && train);
        let mut x = x_nchw.apply_t(&self.stem, encoding);
        let (mut features, mut number) = (Vec::new(), 0);
        let count: usize = self.stages.iter().map(Vec::len).sum();
        for stage in &self.stages {
            for block in stage {
                // As in torchvision, from 0 for the first block on, over those without a shortcut too.
                let probability = self.settings.stochastic_depth * f64::from(number) / count as f64;
                let dropped = block.look(|block| block.has_shortcut()).then(|| kept(&x, probability, train)).flatten();
                number += 1;
                // What is drawn at random is drawn here, since a block may run twice.
                x = match &dropped {
                    Some(kept) => {
                        block.run(again, [&x, kept], move |block, [x, kept]| block.run(x, Some(kept), encoding))
                    }
                    None => block.run(again, [&x], move |block, [x]| block.run(x, None, encoding)),
                };
            }
            features.push(x.shallow_clone());
        }
        features
    }
}
