//! Mix transformer, the encoder of SegFormer (Xie et al., 2021), with the names of the authors' weights, which
//! segmentation_models.pytorch has too. Its feature maps are the outputs of the four stages.

use crate::part::Buffers;
use crate::segmenter::encoder::{Encoder, Level, Settings};
use crate::segmenter::transformer::{
    Blocks, LayerNorm, Mlp, added, attention, dropped, layer_norm, linear, patches, split, to_last, to_second,
};
use tch::Tensor;
use tch::nn::{self, Module};

/// Heads of the attention in each stage (table 6 of the paper).
const HEADS: [i64; 4] = [1, 2, 5, 8];

/// Strides of the convolutions that make keys and values fewer, by stage (R of equation 2, table 6).
const REDUCTION: [i64; 4] = [8, 4, 2, 1];

/// Kernel and stride of the convolution before each stage (K and S of section 3.1).
const PATCHES: [[i64; 2]; 4] = [[7, 4], [3, 2], [3, 2], [3, 2]];

/// Epsilon of the LayerNorms before a block's branches and after a stage. Those after a convolution have PyTorch's.
const EPSILON: f64 = 1e-6;
const AFTER_CONVOLUTION: f64 = 1e-5;

/// Size of the encoder, by the paper's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    B0,
    B1,
    B2,
    B3,
}

impl Size {
    /// Returns channels and number of blocks of each stage (table 6 of the paper).
    fn stages(self) -> [[i64; 2]; 4] {
        match self {
            Self::B0 => [[32, 2], [64, 2], [160, 2], [256, 2]],
            Self::B1 => [[64, 2], [128, 2], [320, 2], [512, 2]],
            Self::B2 => [[64, 3], [128, 4], [320, 6], [512, 3]],
            Self::B3 => [[64, 3], [128, 4], [320, 18], [512, 3]],
        }
    }
}

/// Returns the initial distribution of a convolution's weights: that of He et al. (2015) by the number of outputs per
/// input.
fn by_outputs(outputs: i64, kernel: i64, groups: i64) -> nn::Init {
    nn::Init::Randn { mean: 0.0, stdev: (2.0 / (kernel * kernel * outputs / groups) as f64).sqrt() }
}

/// Attention whose keys and values are of fewer pixels than its queries.
#[derive(Debug)]
struct Attention {
    query: nn::Linear,
    key_value: nn::Linear,
    proj: nn::Linear,
    reduction: Option<(nn::Conv2D, LayerNorm)>,
    heads: i64,
    channels: i64,
}

impl Attention {
    fn new(path: &nn::Path, channels: i64, heads: i64, reduction: i64) -> Self {
        let reduced = || {
            let weights = by_outputs(channels, reduction, 1);
            let conv = patches(&(path / "sr"), [channels; 2], reduction, [reduction, 0], weights);
            (conv, layer_norm(&(path / "norm"), channels, AFTER_CONVOLUTION))
        };
        Self {
            query: linear(&(path / "q"), channels, channels, true),
            key_value: linear(&(path / "kv"), channels, 2 * channels, true),
            proj: linear(&(path / "proj"), channels, channels, true),
            reduction: (reduction > 1).then(reduced),
            heads,
            channels,
        }
    }
}

impl Module for Attention {
    fn forward(&self, x_nhwc: &Tensor) -> Tensor {
        let query = x_nhwc.flatten(1, 2).apply(&self.query);
        let seen = match &self.reduction {
            Some((conv, norm)) => to_last(&to_second(x_nhwc).apply(conv)).apply(norm),
            None => x_nhwc.shallow_clone(),
        };
        let key_value = seen.flatten(1, 2).apply(&self.key_value);
        let part = |number: i64| key_value.narrow(2, number * self.channels, self.channels);
        let [query, key, value] = [query, part(0), part(1)].map(|x| split(&x, self.heads));
        // Like another tensor: sizes would become constants of a trace.
        attention(&query, &key, &value).apply(&self.proj).reshape_as(x_nhwc)
    }
}

/// Attention, and a feed-forward network with a depthwise convolution 3×3, which stands in for position embeddings.
#[derive(Debug)]
struct Mixed {
    norm1: LayerNorm,
    attention: Attention,
    norm2: LayerNorm,
    mlp: Mlp,
    depthwise: nn::Conv2D,
}

impl Mixed {
    fn new(path: &nn::Path, channels: i64, heads: i64, reduction: i64) -> Self {
        let of_mlp = path / "mlp";
        let mlp = Mlp::new(&of_mlp, channels, ["fc1", "fc2"]);
        let within = mlp.fc1.ws.size()[0];
        let config =
            nn::ConvConfig { padding: 1, groups: within, ws_init: by_outputs(within, 3, within), ..Default::default() };
        Self {
            norm1: layer_norm(&(path / "norm1"), channels, EPSILON),
            attention: Attention::new(&(path / "attn"), channels, heads, reduction),
            norm2: layer_norm(&(path / "norm2"), channels, EPSILON),
            depthwise: nn::conv2d(of_mlp / "dwconv" / "dwconv", within, within, 3, config),
            mlp,
        }
    }

    fn fed_forward(&self, x_nhwc: &Tensor) -> Tensor {
        let within = to_second(&x_nhwc.apply(&self.mlp.fc1)).apply(&self.depthwise);
        to_last(&within).gelu("none").apply(&self.mlp.fc2)
    }

    fn forward(&self, x_nhwc: &Tensor, kept: Option<&Tensor>) -> Tensor {
        let x = added(x_nhwc, x_nhwc.apply(&self.norm1).apply(&self.attention), kept, 0);
        let y = self.fed_forward(&x.apply(&self.norm2));
        added(&x, y, kept, 1)
    }
}

impl Buffers for Mixed {
    fn buffers(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// A stage: overlapping patches, blocks, and a LayerNorm.
#[derive(Debug)]
struct Stage {
    conv: nn::Conv2D,
    norm_before: LayerNorm,
    blocks: Blocks<Mixed>,
    norm_after: LayerNorm,
}

/// Mix transformer.
#[derive(Debug)]
pub(crate) struct Mit {
    stages: Vec<Stage>,
    levels: Vec<Level>,
}

impl Mit {
    /// Makes the encoder at `path`.
    pub(crate) fn new(path: &nn::Path, size: Size, settings: Settings) -> Self {
        let (shapes, mut inputs, mut number) = (size.stages(), settings.channels, 0);
        let total = shapes.iter().map(|[_, count]| count).sum();
        let (mut stages, mut levels) = (Vec::new(), Vec::new());
        for (stage, [outputs, count]) in shapes.into_iter().enumerate() {
            let numbered = |name: &str| path / format!("{name}{}", stage + 1);
            let ([kernel, stride], before) = (PATCHES[stage], numbered("patch_embed"));
            let weights = by_outputs(outputs, kernel, 1);
            let conv = patches(&(&before / "proj"), [inputs, outputs], kernel, [stride, kernel / 2], weights);
            let norm_before = layer_norm(&(&before / "norm"), outputs, AFTER_CONVOLUTION);
            let of_stage = numbered("block");
            let blocks = Blocks::new(
                2,
                (0..count).map(|place| {
                    let block = Mixed::new(&(&of_stage / place), outputs, HEADS[stage], REDUCTION[stage]);
                    (block, dropped(settings.stochastic_depth, number + place, total))
                }),
            );
            let norm_after = layer_norm(&numbered("norm"), outputs, EPSILON);
            stages.push(Stage { conv, norm_before, blocks, norm_after });
            levels.push(Level { channels: outputs, stride: 4 << stage });
            (inputs, number) = (outputs, number + count);
        }
        Self { stages, levels }
    }
}

impl Encoder for Mit {
    fn levels(&self) -> &[Level] {
        &self.levels
    }

    fn encode(&self, x_nchw: &Tensor, train: bool, recompute: bool) -> Vec<Tensor> {
        let (mut x, mut features) = (x_nchw.shallow_clone(), Vec::new());
        for stage in &self.stages {
            let x_nhwc = to_last(&x.apply(&stage.conv)).apply(&stage.norm_before);
            let y_nhwc = stage.blocks.run(x_nhwc, [train, recompute], Mixed::forward, |_, _| ());
            x = to_second(&y_nhwc.apply(&stage.norm_after));
            features.push(x.shallow_clone());
        }
        features
    }
}
