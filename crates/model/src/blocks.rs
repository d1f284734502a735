//! What the networks are made of.

use tch::Tensor;
use tch::nn::{self, ModuleT};

/// He et al., 2015, for layers that a ReLU follows; `fan_in` counts the inputs that one output sees.
pub(crate) fn he(fan_in: i64) -> nn::Init {
    nn::Init::Randn { mean: 0.0, stdev: (2.0 / fan_in as f64).sqrt() }
}

/// A convolution that keeps height and width; without `bias` where a BatchNorm follows, which would take it off again.
pub(crate) fn conv(path: &nn::Path, inputs: i64, outputs: i64, kernel: i64, bias: bool) -> nn::Conv2D {
    let ws_init = he(inputs * kernel * kernel);
    let config = nn::ConvConfig { padding: kernel / 2, bias, ws_init, ..Default::default() };
    nn::conv2d(path, inputs, outputs, kernel, config)
}

/// A convolution without bias whose outputs are `stride` pixels apart, of `groups` that see channels of their own only.
pub(crate) fn strided(
    path: &nn::Path,
    [inputs, outputs]: [i64; 2],
    kernel: i64,
    stride: i64,
    groups: i64,
) -> nn::Conv2D {
    let ws_init = he(inputs / groups * kernel * kernel);
    let config = nn::ConvConfig { padding: kernel / 2, stride, groups, bias: false, ws_init, ..Default::default() };
    nn::conv2d(path, inputs, outputs, kernel, config)
}

/// BatchNorm, its weight 1 and its bias 0.
pub(crate) fn norm(path: &nn::Path, channels: i64) -> nn::BatchNorm {
    // tch would draw the weight from U(0, 1).
    nn::batch_norm2d(path, channels, nn::BatchNormConfig { ws_init: nn::Init::Const(1.0), ..Default::default() })
}

/// Sets whole channels to zero with this probability in training, and scales the others up for it (Tompson et al., 2015).
pub(crate) fn dropout(x_nchw: Tensor, probability: f64, train: bool) -> Tensor {
    if train && probability > 0.0 { x_nchw.feature_dropout(probability, train) } else { x_nchw }
}

/// Runs `network` on `x_nchw`, padded at the right and the bottom to a multiple of `multiple` by repeating the border, and
/// crops what it gives to the size of `x_nchw`.
pub(crate) fn padded(x_nchw: &Tensor, multiple: i64, network: impl FnOnce(Tensor) -> Tensor) -> Tensor {
    let (height, width) = (x_nchw.size()[2], x_nchw.size()[3]);
    let missing = |size: i64| (multiple - size % multiple) % multiple;
    let (bottom, right) = (missing(height), missing(width));
    if bottom == 0 && right == 0 {
        return network(x_nchw.shallow_clone());
    }
    let x_nchw = x_nchw.pad([0, right, 0, bottom], "replicate", None);
    network(x_nchw).narrow(2, 0, height).narrow(3, 0, width)
}

/// A convolution with BatchNorm.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv: nn::Conv2D,
    norm: nn::BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(conv: nn::Conv2D, norm: nn::BatchNorm) -> Self {
        Self { conv, norm }
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        x_nchw.apply(&self.conv).apply_t(&self.norm, train)
    }
}
