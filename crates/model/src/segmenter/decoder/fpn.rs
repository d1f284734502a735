//! The decoder of a feature pyramid network (Lin et al., 2017; Kirillov et al., 2019) as segmentation_models.pytorch
//! has it.

use crate::blocks::{Conv, Layout, conv, convolution};
use crate::part::{Buffers, Part};
use crate::segmenter::decoder::Decoder;
use crate::segmenter::encoder::Level;
use tch::Tensor;
use tch::nn::{self, Module};

/// Number of the encoder's maps that are joined: the coarsest ones.
const LEVELS: usize = 4;

/// Number of groups of channels of a GroupNorm.
pub(crate) const GROUPS: i64 = 32;

/// A convolution 3×3 with GroupNorm and ReLU, and bilinear doubling of height and width if asked for.
#[derive(Debug)]
struct Step {
    conv: Conv,
    norm: nn::GroupNorm,
    doubles: bool,
}

impl Step {
    fn new(path: &nn::Path, channels: [i64; 2], doubles: bool) -> Self {
        let path = path / "block";
        let norm = nn::group_norm(&path / 1, GROUPS, channels[1], nn::GroupNormConfig::default());
        Self { conv: convolution(&(&path / 0), channels, 3, Layout::default()), norm, doubles }
    }
}

impl Module for Step {
    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        let y = x_nchw.apply(&self.conv).apply(&self.norm).relu_();
        // By a factor: a size would become a constant of the trace.
        if self.doubles { y.upsample_bilinear2d_vec(None::<&[i64]>, true, [2.0, 2.0].as_slice()) } else { y }
    }
}

/// Steps that bring a map of the pyramid to the size of its finest one.
#[derive(Debug)]
struct Branch(Vec<Step>);

impl Buffers for Branch {
    fn buffers(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// A pyramid of maps with the same number of channels, each the sum of the encoder's map through a convolution 1×1 and
/// of the next coarser one; then a branch for each, and the sum of all branches.
#[derive(Debug)]
pub(crate) struct FpnDecoder {
    /// Convolutions of the encoder's maps, coarsest first, and how much finer each map is than the one before.
    lateral: Vec<(Conv, i64)>,
    branches: Vec<Part<Branch>>,
    output: Level,
}

impl FpnDecoder {
    /// Makes the decoder at `path`, with the channels of the pyramid and of the branches.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], [pyramid, channels]: [i64; 2]) -> Self {
        let used: Vec<Level> = levels.iter().rev().take(LEVELS).copied().collect();
        let finest = used.last().map_or(1, |level| level.stride);
        let mut before = None;
        let lateral = used.iter().enumerate().map(|(number, level)| {
            // The coarsest one has no coarser one to join.
            let path = path / format!("p{}", 5 - number);
            let path = if number == 0 { path } else { path / "skip_conv" };
            let factor = before.replace(level.stride).map_or(1, |before: i64| before / level.stride);
            (conv(&path, level.channels, pyramid, 1, true), factor)
        });
        let lateral = lateral.collect();
        let blocks = path / "seg_blocks";
        let branch = |(number, level): (usize, &Level)| {
            let doublings = (level.stride / finest).max(1).ilog2();
            let step = |step: u32| {
                let inputs = if step == 0 { pyramid } else { channels };
                Step::new(&(&blocks / number / "block" / step), [inputs, channels], doublings > 0)
            };
            Part::new(Branch((0..doublings.max(1)).map(step).collect()))
        };
        let branches = used.iter().enumerate().map(branch).collect();
        Self { lateral, branches, output: Level { channels, stride: finest } }
    }
}

impl Decoder for FpnDecoder {
    fn decode(&self, features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        let mut joined: Option<Tensor> = None;
        let mut sum: Option<Tensor> = None;
        for (((conv, factor), branch), map) in self.lateral.iter().zip(&self.branches).zip(features.iter().rev()) {
            let lateral = map.apply(conv);
            let map = match joined.take() {
                None => lateral,
                Some(coarser) if *factor == 1 => coarser + lateral,
                Some(coarser) => {
                    coarser.upsample_nearest2d_vec(None::<&[i64]>, [*factor as f64; 2].as_slice()) + lateral
                }
            };
            let y = branch.run(recompute && train, [&map], |branch, [x]| {
                branch.0.iter().fold(x.shallow_clone(), |x, step| x.apply(step))
            });
            sum = Some(match sum {
                Some(sum) => sum + y,
                None => y,
            });
            joined = Some(map);
        }
        sum.into_iter().collect()
    }

    fn outputs(&self) -> Vec<Level> {
        vec![self.output]
    }
}
