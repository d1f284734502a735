//! Vision transformers (Dosovitskiy et al., 2021) as pretrained by DINOv2 (Oquab et al., 2023) and DINOv3 (Siméoni et
//! al., 2025), with timm's names (`vit_small_patch14_dinov2`, `vit_small_patch16_dinov3` and their base sizes). They
//! are meant to be frozen.
//!
//! Their feature maps are the outputs of the blocks at 1/4, 1/2, 3/4 and the end, after the last LayerNorm, as both
//! papers use them for dense predictions. All have one stride, so they are resized to those of a pyramid, as
//! MMSegmentation does for UPerNet.

mod position;

use crate::part::Buffers;
use crate::segmenter::encoder::{Encoder, Level, Settings};
use crate::segmenter::resize::scaled;
use crate::segmenter::transformer::{
    Blocks, LayerNorm, Mlp, added, attention, dropped, initial, layer_norm, linear, patches, split,
};
use position::{Rotation, resized};
use tch::Tensor;
use tch::nn::{self, Module};

/// Number of blocks of both sizes (table 1 of Dosovitskiy et al.; Touvron et al., 2021).
const DEPTH: i64 = 12;

/// Channels of a head.
const HEAD: i64 = 64;

/// Initial LayerScale (Touvron et al., 2021).
const SCALE: f64 = 1e-5;

/// Rows and columns of the position embeddings of DINOv2: those of 518 × 518 pixels.
const GRID: i64 = 37;

/// Register tokens of DINOv3 (Darcet et al., 2024).
const REGISTERS: i64 = 4;

/// Strides of the feature maps that a decoder sees, and of the patches, whatever their size is in pixels.
const STRIDES: [i64; 4] = [4, 8, 16, 32];
const PATCH: i64 = 16;

/// Size of the encoder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    Small,
    Base,
}

impl Size {
    fn channels(self) -> i64 {
        match self {
            Self::Small => 384,
            Self::Base => 768,
        }
    }
}

/// Variant of the architecture, by what pretrained it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Learned position embeddings, patches of 14 × 14.
    Dinov2,
    /// Rotary position embeddings (Su et al., 2021), patches of 16 × 16, registers, no bias in queries, keys, values.
    Dinov3,
}

impl Style {
    /// Returns the rows and columns of a patch.
    fn patch(self) -> i64 {
        match self {
            Self::Dinov2 => 14,
            Self::Dinov3 => 16,
        }
    }

    /// Returns the epsilon of every LayerNorm.
    fn epsilon(self) -> f64 {
        match self {
            Self::Dinov2 => 1e-6,
            Self::Dinov3 => 1e-5,
        }
    }
}

/// Attention and a feed-forward network, each after a LayerNorm and before LayerScale.
#[derive(Debug)]
struct Layer {
    norm1: LayerNorm,
    qkv: nn::Linear,
    proj: nn::Linear,
    scale1: Tensor,
    norm2: LayerNorm,
    mlp: Mlp,
    scale2: Tensor,
}

impl Layer {
    fn new(path: &nn::Path, channels: i64, style: Style) -> Self {
        let scale = |number: i64| {
            let (path, name) = match style {
                Style::Dinov2 => (path / format!("ls{number}"), "gamma".into()),
                Style::Dinov3 => (path.clone(), format!("gamma_{number}")),
            };
            path.var(&name, &[channels], nn::Init::Const(SCALE))
        };
        let of_attention = path / "attn";
        Self {
            norm1: layer_norm(&(path / "norm1"), channels, style.epsilon()),
            qkv: linear(&(&of_attention / "qkv"), channels, 3 * channels, style == Style::Dinov2),
            proj: linear(&(&of_attention / "proj"), channels, channels, true),
            scale1: scale(1),
            norm2: layer_norm(&(path / "norm2"), channels, style.epsilon()),
            mlp: Mlp::new(&(path / "mlp"), channels, ["fc1", "fc2"]),
            scale2: scale(2),
        }
    }

    fn attended(&self, x_ntc: &Tensor, rotation: &Rotation) -> Tensor {
        let (channels, qkv) = (x_ntc.size()[2], x_ntc.apply(&self.qkv));
        let part = |number| split(&qkv.narrow(2, number * channels, channels), channels / HEAD);
        let (query, key) = (rotation.apply(part(0)), rotation.apply(part(1)));
        attention(&query, &key, &part(2)).apply(&self.proj)
    }

    fn forward(&self, x_ntc: &Tensor, rotation: &Rotation, kept: Option<&Tensor>) -> Tensor {
        let y = self.attended(&x_ntc.apply(&self.norm1), rotation) * &self.scale1;
        let x = added(x_ntc, y, kept, 0);
        let y = self.mlp.forward(&x.apply(&self.norm2)) * &self.scale2;
        added(&x, y, kept, 1)
    }
}

impl Buffers for Layer {
    fn buffers(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// Vision transformer without a classifier.
#[derive(Debug)]
pub(crate) struct Vit {
    patches: nn::Conv2D,
    class: Tensor,
    registers: Option<Tensor>,
    /// Embeddings of the class token and of [`GRID`] × [`GRID`] patches, `[1, T, C]`.
    positions: Option<Tensor>,
    blocks: Blocks<Layer>,
    norm: LayerNorm,
    levels: Vec<Level>,
    style: Style,
}

impl Vit {
    /// Makes the encoder at `path`.
    pub(crate) fn new(path: &nn::Path, size: Size, style: Style, settings: Settings) -> Self {
        let width = size.channels();
        let token = |name: &str, count: i64| path.var(name, &[1, count, width], initial());
        let patch = style.patch();
        let of_blocks = path / "blocks";
        let blocks = (0..DEPTH).map(|number| {
            (Layer::new(&(&of_blocks / number), width, style), dropped(settings.stochastic_depth, number, DEPTH))
        });
        Self {
            class: token("cls_token", 1),
            registers: (style == Style::Dinov3).then(|| token("reg_token", REGISTERS)),
            positions: (style == Style::Dinov2).then(|| token("pos_embed", GRID * GRID + 1)),
            patches: patches(
                &(path / "patch_embed" / "proj"),
                [settings.channels, width],
                patch,
                [patch, 0],
                initial(),
            ),
            blocks: Blocks::new(2, blocks),
            norm: layer_norm(&(path / "norm"), width, style.epsilon()),
            levels: STRIDES.into_iter().map(|stride| Level { channels: width, stride }).collect(),
            style,
        }
    }

    /// Returns the tokens `[N, T, C]` of patches `[N, C, H, W]`: the class's, registers, and the patches row by row.
    fn tokens(&self, patches_nchw: &Tensor) -> Tensor {
        let (height, width) = (patches_nchw.size()[2], patches_nchw.size()[3]);
        let mut patches = patches_nchw.flatten(2, 3).transpose(1, 2);
        // For every sample, like another tensor: the batch size would become a constant of a trace.
        let each = patches.narrow(1, 0, 1);
        let class = match &self.positions {
            Some(positions) => {
                patches = &patches + resized(&positions.narrow(1, 1, GRID * GRID), GRID, [height, width]);
                &self.class + positions.narrow(1, 0, 1)
            }
            None => self.class.shallow_clone(),
        };
        let mut all = vec![class.expand_as(&each)];
        if let Some(registers) = &self.registers {
            all.extend((0..REGISTERS).map(|number| registers.narrow(1, number, 1).expand_as(&each)));
        }
        all.push(patches);
        Tensor::cat(&all, 1)
    }

    /// Returns the outputs of the four blocks, `[N, C, H, W]` in patches.
    fn maps(&self, x_nchw: &Tensor, train: bool, recompute: bool) -> Vec<Tensor> {
        let patches = x_nchw.apply(&self.patches);
        let (height, width) = (patches.size()[2], patches.size()[3]);
        let tokens = self.tokens(&patches);
        let others = tokens.size()[1] - height * width;
        let rotation = match self.style {
            Style::Dinov2 => Rotation::none(),
            Style::Dinov3 => Rotation::new(others, [height, width], HEAD, x_nchw.device()),
        };
        let mut maps = Vec::new();
        let forward = move |layer: &Layer, x: &Tensor, kept: Option<&Tensor>| layer.forward(x, &rotation, kept);
        let _ = self.blocks.run(tokens, [train, recompute], forward, |number, x_ntc| {
            if (number as i64 + 1) % (DEPTH / 4) == 0 {
                let patches = x_ntc.apply(&self.norm).narrow(1, others, height * width);
                maps.push(patches.transpose(1, 2).unflatten(2, [height, width]));
            }
        });
        maps
    }
}

impl Encoder for Vit {
    fn levels(&self) -> &[Level] {
        &self.levels
    }

    fn encode(&self, x_nchw: &Tensor, train: bool, recompute: bool) -> Vec<Tensor> {
        let maps = self.maps(x_nchw, train, recompute);
        maps.into_iter().zip(STRIDES).map(|(map, stride)| scaled(&map, [PATCH, stride])).collect()
    }

    fn multiple(&self) -> i64 {
        // The coarsest map has half the rows and columns of the patches.
        2 * self.style.patch()
    }

    fn unit(&self) -> f64 {
        self.style.patch() as f64 / PATCH as f64
    }
}
