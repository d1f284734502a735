//! The classic UNet (Ronneberger, Fischer & Brox, 2015) with same-size convolutions and BatchNorm.

use crate::Upsampling;
use tch::Tensor;
use tch::nn::{self, ModuleT};

/// Two times convolution 3×3, BatchNorm, ReLU.
#[derive(Debug)]
struct DoubleConv {
    conv1: nn::Conv2D,
    norm1: nn::BatchNorm,
    conv2: nn::Conv2D,
    norm2: nn::BatchNorm,
}

impl DoubleConv {
    fn new(path: &nn::Path, inputs: i64, outputs: i64) -> Self {
        Self {
            conv1: conv(&(path / "conv1"), inputs, outputs, 3, false),
            norm1: norm(&(path / "norm1"), outputs),
            conv2: conv(&(path / "conv2"), outputs, outputs, 3, false),
            norm2: norm(&(path / "norm2"), outputs),
        }
    }
}

impl ModuleT for DoubleConv {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        x_nchw
            .apply(&self.conv1)
            .apply_t(&self.norm1, train)
            .relu_()
            .apply(&self.conv2)
            .apply_t(&self.norm2, train)
            .relu_()
    }
}

/// Doubles height and width and halves the channels.
#[derive(Debug)]
enum Up {
    Transposed(nn::ConvTranspose2D),
    Bilinear(nn::Conv2D),
}

impl Up {
    fn new(path: &nn::Path, inputs: i64, outputs: i64, upsampling: Upsampling) -> Self {
        match upsampling {
            Upsampling::Transposed => {
                let config = nn::ConvTransposeConfig { stride: 2, ws_init: he(inputs), ..Default::default() };
                Self::Transposed(nn::conv_transpose2d(path, inputs, outputs, 2, config))
            }
            Upsampling::Bilinear => Self::Bilinear(conv(path, inputs, outputs, 1, true)),
        }
    }

    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        match self {
            Self::Transposed(conv) => x_nchw.apply(conv),
            Self::Bilinear(conv) => {
                let size = [x_nchw.size()[2] * 2, x_nchw.size()[3] * 2];
                x_nchw.apply(conv).upsample_bilinear2d(size, false, None, None)
            }
        }
    }
}

/// A UNet: `depth` times down by 2, and up again with the activations of the way down beside those of the way up.
///
/// Takes `[N, C, H, W]` f32 of any height and width, gives logits `[N, K, H, W]`. Sizes that `2^depth` does not divide are
/// padded at the right and the bottom by repeating the border, and the logits are cropped back.
#[derive(Debug)]
pub struct UNet {
    encoder: Vec<DoubleConv>,
    bottom: DoubleConv,
    /// From the deepest up, like the decoder.
    ups: Vec<Up>,
    decoder: Vec<DoubleConv>,
    head: nn::Conv2D,
}

impl UNet {
    /// `width` channels at full size, doubled at each of `depth` steps down.
    pub fn new(path: &nn::Path, channels: i64, classes: i64, width: i64, depth: i64, upsampling: Upsampling) -> Self {
        let at = |level: i64| width << level;
        let before = |level: i64| if level == 0 { channels } else { at(level - 1) };
        let numbered = |name: &str, level: i64| path / format!("{name}{level}");
        let down = |level| DoubleConv::new(&numbered("encoder", level), before(level), at(level));
        let up = |level| Up::new(&numbered("up", level), at(level + 1), at(level), upsampling);
        let merge = |level| DoubleConv::new(&numbered("decoder", level), 2 * at(level), at(level));
        Self {
            encoder: (0..depth).map(down).collect(),
            bottom: DoubleConv::new(&(path / "bottom"), before(depth), at(depth)),
            ups: (0..depth).rev().map(up).collect(),
            decoder: (0..depth).rev().map(merge).collect(),
            head: conv(&(path / "head"), width, classes, 1, true),
        }
    }
}

impl ModuleT for UNet {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let (height, width) = (x_nchw.size()[2], x_nchw.size()[3]);
        let mut x = pad_to_multiple(x_nchw, 1 << self.encoder.len());
        let mut skips = Vec::new();
        for block in &self.encoder {
            let skip = x.apply_t(block, train);
            x = skip.max_pool2d_default(2);
            skips.push(skip);
        }
        x = x.apply_t(&self.bottom, train);
        for ((up, block), skip) in self.ups.iter().zip(&self.decoder).zip(skips.into_iter().rev()) {
            x = Tensor::cat(&[skip, up.forward(&x)], 1).apply_t(block, train);
        }
        x.apply(&self.head).narrow(2, 0, height).narrow(3, 0, width)
    }
}

/// He et al., 2015, for layers that a ReLU follows; `fan_in` counts the inputs that one output sees.
fn he(fan_in: i64) -> nn::Init {
    nn::Init::Randn { mean: 0.0, stdev: (2.0 / fan_in as f64).sqrt() }
}

/// A convolution that keeps height and width; without `bias` where a BatchNorm follows, which would take it off again.
fn conv(path: &nn::Path, inputs: i64, outputs: i64, kernel: i64, bias: bool) -> nn::Conv2D {
    let ws_init = he(inputs * kernel * kernel);
    let config = nn::ConvConfig { padding: kernel / 2, bias, ws_init, ..Default::default() };
    nn::conv2d(path, inputs, outputs, kernel, config)
}

fn norm(path: &nn::Path, channels: i64) -> nn::BatchNorm {
    // tch would draw the weight from U(0, 1).
    nn::batch_norm2d(path, channels, nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() })
}

fn pad_to_multiple(x_nchw: &Tensor, multiple: i64) -> Tensor {
    let missing = |size: i64| (multiple - size % multiple) % multiple;
    let (bottom, right) = (missing(x_nchw.size()[2]), missing(x_nchw.size()[3]));
    if bottom == 0 && right == 0 {
        return x_nchw.shallow_clone();
    }
    x_nchw.pad([0, right, 0, bottom], "replicate", None)
}
