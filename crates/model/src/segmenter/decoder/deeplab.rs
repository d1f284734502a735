//! The decoder of DeepLabV3+ (Chen et al., 2018) as segmentation_models.pytorch has it.

use crate::blocks::{Constants, Conv, ConvNorm, Layout, convolution, norm};
use crate::part::{Buffers, Part};
use crate::segmenter::decoder::Decoder;
use crate::segmenter::encoder::Level;
use crate::units::{Act, Unit};
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext::Relu;

/// Stride of the encoder's map that is joined.
const FINE: i64 = 4;

/// Channels that this map is brought to (section 4.1 of the paper).
const FINE_CHANNELS: i64 = 48;

const ACT: Act = Act::Relu(Relu::Plain);

/// A depthwise convolution 3×3 and one 1×1, with BatchNorm and ReLU after both.
#[derive(Debug)]
struct Separable {
    depthwise: Conv,
    pointwise: ConvNorm,
}

impl Separable {
    /// Makes the two convolutions below the first path, the BatchNorm at the second.
    fn new([path, of_norm]: [nn::Path; 2], [inputs, outputs]: [i64; 2], dilation: i64) -> Self {
        let layout = Layout { dilation, groups: inputs, ..Layout::default() };
        let depthwise = convolution(&(&path / 0), [inputs, inputs], 3, layout);
        let pointwise = convolution(&(&path / 1), [inputs, outputs], 1, Layout::default());
        Self { depthwise, pointwise: ConvNorm::new(pointwise, norm(&of_norm, outputs)) }
    }
}

impl ModuleT for Separable {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        self.pointwise.relu(&x_nchw.apply(&self.depthwise), Relu::Plain, train)
    }
}

/// Atrous spatial pyramid pooling (Chen et al., 2017), and a separable convolution.
#[derive(Debug)]
struct Pyramid {
    plain: Unit,
    atrous: Vec<Separable>,
    pooled: Unit,
    project: Unit,
    last: Separable,
}

impl Pyramid {
    fn new(path: &nn::Path, [inputs, outputs]: [i64; 2], rates: &[i64]) -> Self {
        let unit = |names, inputs| Unit::at(names, [inputs, outputs], 1, Layout::default(), Constants::default(), ACT);
        let convs = path / 0 / "convs";
        let plain = unit([0, 1].map(|part| &convs / 0 / part), inputs);
        let atrous = rates
            .iter()
            .zip(1usize..)
            .map(|(rate, number)| Separable::new([0, 1].map(|part| &convs / number / part), [inputs, outputs], *rate));
        let atrous: Vec<_> = atrous.collect();
        let pooled = unit([1, 2].map(|part| &convs / (atrous.len() + 1) / part), inputs);
        let project = [0, 1].map(|part| path / 0 / "project" / part);
        let project = unit(project, outputs * (atrous.len() as i64 + 2));
        let last = Separable::new([path / 1, path / 2], [outputs, outputs], 1);
        Self { plain, atrous, pooled, project, last }
    }
}

impl ModuleT for Pyramid {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let mut branches = vec![x_nchw.apply_t(&self.plain, train)];
        branches.extend(self.atrous.iter().map(|conv| x_nchw.apply_t(conv, train)));
        let pooled = x_nchw.adaptive_avg_pool2d([1, 1]).apply_t(&self.pooled, train);
        // Of one pixel, this is what bilinear interpolation gives.
        branches.push(pooled.expand_as(&branches[0]));
        Tensor::cat(&branches, 1).apply_t(&self.project, train).apply_t(&self.last, train)
    }
}

impl Buffers for Pyramid {
    fn buffers(&self) -> Vec<Tensor> {
        let separable = self.atrous.iter().chain([&self.last]).flat_map(|conv| conv.pointwise.buffers());
        let units = [&self.plain, &self.pooled, &self.project].into_iter().flat_map(Buffers::buffers);
        separable.chain(units).collect()
    }
}

/// The way from a fine map and a coarse one to one map.
#[derive(Debug)]
struct Join {
    fine: Unit,
    both: Separable,
    /// Ratio of the coarse map's stride to the fine one's.
    factor: i64,
}

impl Join {
    fn forward(&self, coarse_nchw: &Tensor, fine_nchw: &Tensor, train: bool) -> Tensor {
        let mut coarse = coarse_nchw.shallow_clone();
        if self.factor > 1 {
            // By a factor: a size would become a constant of the trace.
            coarse = coarse.upsample_bilinear2d_vec(None::<&[i64]>, true, [self.factor as f64; 2].as_slice());
        }
        Tensor::cat(&[coarse, fine_nchw.apply_t(&self.fine, train)], 1).apply_t(&self.both, train)
    }
}

impl Buffers for Join {
    fn buffers(&self) -> Vec<Tensor> {
        self.fine.buffers().into_iter().chain(self.both.pointwise.buffers()).collect()
    }
}

/// Pyramid pooling of the coarsest map, joined with the map of stride 4.
#[derive(Debug)]
pub(crate) struct DeeplabDecoder {
    pyramid: Part<Pyramid>,
    join: Part<Join>,
    /// Number of the fine map among the encoder's.
    fine: usize,
    output: Level,
}

impl DeeplabDecoder {
    /// Makes the decoder at `path`.
    ///
    /// # Panics
    ///
    /// Panics if the encoder has no map of stride 4.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], channels: i64, rates: &[i64]) -> Self {
        let fine = levels.iter().position(|level| level.stride == FINE);
        let fine = fine.unwrap_or_else(|| panic!("the encoder has no feature map of stride {FINE}"));
        let coarsest = levels[levels.len() - 1];
        let pyramid = Pyramid::new(&(path / "aspp"), [coarsest.channels, channels], rates);
        let names = [0, 1].map(|part| path / "block1" / part);
        let from = [levels[fine].channels, FINE_CHANNELS];
        let join = Join {
            fine: Unit::at(names, from, 1, Layout::default(), Constants::default(), ACT),
            both: Separable::new([0, 1].map(|part| path / "block2" / part), [FINE_CHANNELS + channels, channels], 1),
            factor: coarsest.stride / FINE,
        };
        let output = Level { channels, stride: FINE };
        Self { pyramid: Part::new(pyramid), join: Part::new(join), fine, output }
    }
}

impl Decoder for DeeplabDecoder {
    fn decode(&self, features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        let again = recompute && train;
        let coarsest = &features[features.len() - 1];
        let coarse = self.pyramid.run(again, [coarsest], move |pyramid, [x]| x.apply_t(pyramid, train));
        let fine = &features[self.fine];
        vec![self.join.run(again, [&coarse, fine], move |join, [coarse, fine]| join.forward(coarse, fine, train))]
    }

    fn outputs(&self) -> Vec<Level> {
        vec![self.output]
    }
}
