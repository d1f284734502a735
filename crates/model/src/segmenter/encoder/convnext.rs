//! ConvNeXt (Liu et al., 2022), with torchvision's names, whose weights (`convnext_tiny`, `convnext_small`) most people
//! have. Its feature maps are the outputs of the four stages.

use crate::part::Buffers;
use crate::segmenter::encoder::{Encoder, Level, Settings};
use crate::segmenter::transformer::{
    Blocks, LayerNorm, Mlp, added, dropped, initial, layer_norm, normed, patches, to_last, to_second,
};
use tch::Tensor;
use tch::nn;

/// Channels of the stages (section 3.1 of the paper, "changing stage compute ratio", and its table 9).
const CHANNELS: [i64; 4] = [96, 192, 384, 768];

/// Epsilon of every LayerNorm.
const EPSILON: f64 = 1e-6;

/// Initial LayerScale (Touvron et al., 2021).
const SCALE: f64 = 1e-6;

/// Number of blocks in each stage (table 9 of the paper).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Tiny,
    Small,
}

impl Size {
    fn blocks(self) -> [i64; 4] {
        match self {
            Self::Tiny => [3, 3, 9, 3],
            Self::Small => [3, 3, 27, 3],
        }
    }
}

/// A depthwise convolution 7×7, LayerNorm, and a linear layer that widens and one that narrows.
#[derive(Debug)]
struct Inverted {
    depthwise: nn::Conv2D,
    norm: LayerNorm,
    mlp: Mlp,
    /// `[C, 1, 1]`.
    scale: Tensor,
}

impl Inverted {
    fn new(path: &nn::Path, channels: i64) -> Self {
        let block = path / "block";
        let config = nn::ConvConfig { padding: 3, groups: channels, ws_init: initial(), ..Default::default() };
        Self {
            depthwise: nn::conv2d(&block / 0, channels, channels, 7, config),
            norm: layer_norm(&(&block / 2), channels, EPSILON),
            mlp: Mlp::new(&block, channels, ["3", "5"]),
            scale: path.var("layer_scale", &[channels, 1, 1], nn::Init::Const(SCALE)),
        }
    }

    fn forward(&self, x_nchw: &Tensor, kept: Option<&Tensor>) -> Tensor {
        let y = to_last(&x_nchw.apply(&self.depthwise)).apply(&self.norm).apply(&self.mlp);
        added(x_nchw, to_second(&y) * &self.scale, kept, 0)
    }
}

impl Buffers for Inverted {
    fn buffers(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// A stage: what halves height and width (the first divides them by 4), and its blocks.
#[derive(Debug)]
struct Stage {
    conv: nn::Conv2D,
    norm: LayerNorm,
    blocks: Blocks<Inverted>,
}

/// ConvNeXt without its classifier.
#[derive(Debug)]
pub(crate) struct ConvNeXt {
    stages: Vec<Stage>,
    levels: Vec<Level>,
}

impl ConvNeXt {
    /// Makes the encoder at `path`.
    pub(crate) fn new(path: &nn::Path, size: Size, settings: Settings) -> Self {
        let features = path / "features";
        let (counts, mut inputs, mut number) = (size.blocks(), settings.channels, 0);
        let total = counts.iter().sum();
        let mut stages = Vec::new();
        for (stage, (count, outputs)) in (0i64..).zip(counts.into_iter().zip(CHANNELS)) {
            let before = &features / (2 * stage);
            // The stem normalises after its convolution, the others before.
            let (conv, norm) = if stage == 0 {
                let conv = patches(&(&before / 0), [inputs, outputs], 4, [4, 0], initial());
                (conv, layer_norm(&(&before / 1), outputs, EPSILON))
            } else {
                let norm = layer_norm(&(&before / 0), inputs, EPSILON);
                (patches(&(&before / 1), [inputs, outputs], 2, [2, 0], initial()), norm)
            };
            let of_stage = &features / (2 * stage + 1);
            let blocks = Blocks::new(
                1,
                (0..count).map(|place| {
                    let rate = dropped(settings.stochastic_depth, number + place, total);
                    (Inverted::new(&(&of_stage / place), outputs), rate)
                }),
            );
            stages.push(Stage { conv, norm, blocks });
            (inputs, number) = (outputs, number + count);
        }
        let levels = CHANNELS.into_iter().zip([4, 8, 16, 32]).map(|(channels, stride)| Level { channels, stride });
        Self { stages, levels: levels.collect() }
    }
}

impl Encoder for ConvNeXt {
    fn levels(&self) -> &[Level] {
        &self.levels
    }

    fn encode(&self, x_nchw: &Tensor, train: bool, recompute: bool) -> Vec<Tensor> {
        let (mut x, mut features) = (x_nchw.shallow_clone(), Vec::new());
        for (number, Stage { conv, norm, blocks }) in self.stages.iter().enumerate() {
            x = if number == 0 { normed(&x.apply(conv), norm) } else { normed(&x, norm).apply(conv) };
            x = blocks.run(x, [train, recompute], Inverted::forward, |_, _| ());
            features.push(x.shallow_clone());
        }
        features
    }
}
