//! Building blocks of the networks.

use crate::part::Buffers;
use tch::Tensor;
use tch::nn::{self, ModuleT};
use torch_ext::{self as ext, Geometry, Relu};

/// Returns the initialisation of He et al. (2015) for a layer that a ReLU follows; `fan_in` is the number of inputs per
/// output.
pub(crate) fn he(fan_in: i64) -> nn::Init {
    nn::Init::Randn { mean: 0.0, stdev: (2.0 / fan_in as f64).sqrt() }
}

/// A convolution, computed by [`ext::conv3x3`] if it can be.
#[derive(Debug)]
pub(crate) struct Conv {
    conv: nn::Conv2D,
    how: Geometry,
    /// True if [`ext::conv3x3`] takes it: 3×3, stride 1, one group, no bias.
    plain3x3: bool,
}

impl nn::Module for Conv {
    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        if !self.plain3x3 {
            return x_nchw.apply(&self.conv);
        }
        ext::conv3x3(x_nchw, &self.conv.ws).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Makes a convolution that keeps height and width. Set `bias` to false if a BatchNorm follows, which would subtract it
/// again.
pub(crate) fn conv(path: &nn::Path, inputs: i64, outputs: i64, kernel: i64, bias: bool) -> Conv {
    let ws_init = he(inputs * kernel * kernel);
    let config = nn::ConvConfig { padding: kernel / 2, bias, ws_init, ..Default::default() };
    let how = Geometry { stride: 1, padding: kernel / 2, groups: 1 };
    Conv { conv: nn::conv2d(path, inputs, outputs, kernel, config), how, plain3x3: kernel == 3 && !bias }
}

/// Makes a convolution without bias whose outputs are `stride` pixels apart, in `groups` of channels that see only
/// their own inputs.
pub(crate) fn strided(path: &nn::Path, [inputs, outputs]: [i64; 2], kernel: i64, stride: i64, groups: i64) -> Conv {
    let ws_init = he(inputs / groups * kernel * kernel);
    let config = nn::ConvConfig { padding: kernel / 2, stride, groups, bias: false, ws_init, ..Default::default() };
    let how = Geometry { stride, padding: kernel / 2, groups };
    let plain3x3 = kernel == 3 && stride == 1 && groups == 1;
    Conv { conv: nn::conv2d(path, inputs, outputs, kernel, config), how, plain3x3 }
}

/// A transposed convolution that doubles height and width.
#[derive(Debug)]
pub(crate) struct ConvTranspose {
    conv: nn::ConvTranspose2D,
    /// Rows and columns cropped at the top and the left, but not at the bottom and the right.
    padding: i64,
}

impl ConvTranspose {
    /// Makes one with a kernel of 2×2 or 3×3.
    pub(crate) fn new(path: &nn::Path, inputs: i64, outputs: i64, kernel: i64, bias: bool) -> Self {
        // Each output sees about a quarter of the weights between two channels.
        let ws_init = he(inputs * kernel * kernel / 4);
        let padding = kernel - 2;
        let config = nn::ConvTransposeConfig {
            stride: 2,
            padding,
            output_padding: padding,
            bias,
            ws_init,
            ..Default::default()
        };
        Self { conv: nn::conv_transpose2d(path, inputs, outputs, kernel, config), padding }
    }
}

impl nn::Module for ConvTranspose {
    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        let Some(bias) = &self.conv.bs else { return x_nchw.apply(&self.conv) };
        let padding = [self.padding; 2];
        let conv =
            |bias: &Tensor| x_nchw.f_conv_transpose2d(&self.conv.ws, Some(bias), [2, 2], padding, padding, 1, [1, 1]);
        ext::with_bias(bias, conv).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// BatchNorm's momentum (a batch's share in the running statistics) and epsilon (added to the variance), as in PyTorch.
const MOMENTUM: f64 = 0.1;
const EPSILON: f64 = 1e-5;

/// Makes a BatchNorm with weight 1 and bias 0.
pub(crate) fn norm(path: &nn::Path, channels: i64) -> nn::BatchNorm {
    // tch would draw the weight from U(0, 1).
    let ws_init = nn::Init::Const(1.0);
    let config = nn::BatchNormConfig { momentum: MOMENTUM, eps: EPSILON, ws_init, ..Default::default() };
    nn::batch_norm2d(path, channels, config)
}

/// Returns the parts of a BatchNorm made by [`norm`].
fn parts(norm: &nn::BatchNorm) -> Option<ext::BatchNorm<'_>> {
    let (running_mean, running_var) = (&norm.running_mean, &norm.running_var);
    let (weight, bias) = (norm.ws.as_ref()?, norm.bs.as_ref()?);
    Some(ext::BatchNorm { weight, bias, running_mean, running_var, momentum: MOMENTUM, epsilon: EPSILON })
}

/// Applies BatchNorm and ReLU, as one operator where [`ext::Fusion`] says so.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
pub(crate) fn norm_relu(x_nchw: Tensor, norm: &nn::BatchNorm, relu: Relu, train: bool) -> Tensor {
    let y = match parts(norm) {
        Some(norm) => ext::batch_norm_relu(x_nchw, norm, relu, train),
        None => relu.apply(&mut x_nchw.apply_t(norm, train)),
    };
    y.unwrap_or_else(|error| panic!("{error}"))
}

/// Applies BatchNorm.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
fn normed(x_nchw: &Tensor, norm: &nn::BatchNorm, train: bool) -> Tensor {
    match parts(norm) {
        Some(norm) => ext::batch_norm(x_nchw, norm, train).unwrap_or_else(|error| panic!("{error}")),
        None => x_nchw.apply_t(norm, train),
    }
}

/// Applies [`ext::dropout`] in training.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
pub(crate) fn dropout(x_nchw: Tensor, probability: f64, train: bool) -> Tensor {
    if !train || probability <= 0.0 {
        return x_nchw;
    }
    ext::dropout(&x_nchw, probability).unwrap_or_else(|error| panic!("{error}"))
}

/// Pads `x_nchw` at the right and the bottom to a multiple of `multiple` by repeating the border, runs `network` on it,
/// and crops the output to the size of `x_nchw`.
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

/// A convolution followed by BatchNorm.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv: Conv,
    norm: nn::BatchNorm,
}

impl ConvNorm {
    pub(crate) fn new(conv: Conv, norm: nn::BatchNorm) -> Self {
        Self { conv, norm }
    }

    /// Runs the convolution with BatchNorm folded into its weight, and ReLU if given; `None` where [`ext::folded`]
    /// returns it.
    fn folded(&self, x_nchw: &Tensor, relu: Option<Relu>, train: bool) -> Option<Tensor> {
        // A bias would have to be folded too; none of ours has one before a BatchNorm.
        let norm = parts(&self.norm).filter(|_| !train && self.conv.conv.bs.is_none())?;
        let Conv { conv, how, .. } = &self.conv;
        ext::folded(x_nchw, &conv.ws, *how, norm, relu).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Runs convolution, BatchNorm and ReLU, as one or two operators where [`ext::Fusion`] says so.
    ///
    /// # Panics
    ///
    /// Panics if libtorch reports an error, as every tch module does.
    pub(crate) fn relu(&self, x_nchw: &Tensor, relu: Relu, train: bool) -> Tensor {
        if let Some(y) = self.folded(x_nchw, Some(relu), train) {
            return y;
        }
        if let Some(norm) = parts(&self.norm).filter(|_| !train && self.conv.plain3x3) {
            let y = ext::conv3x3_norm_relu(x_nchw, &self.conv.conv.ws, norm, relu);
            return y.unwrap_or_else(|error| panic!("{error}"));
        }
        norm_relu(x_nchw.apply(&self.conv), &self.norm, relu, train)
    }
}

/// Runs `first`, ReLU and the convolution of `second`, but not the BatchNorm of `second`. In training everything after
/// the first convolution is one operator where [`ext::Fusion`] says so.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
fn chained(x_nchw: &Tensor, [first, second]: [&ConvNorm; 2], relu: Relu, train: bool) -> Tensor {
    match parts(&first.norm).filter(|_| train && second.conv.plain3x3) {
        Some(norm) => ext::norm_relu_conv3x3(&x_nchw.apply(&first.conv), norm, relu, &second.conv.conv.ws)
            .unwrap_or_else(|error| panic!("{error}")),
        None => first.relu(x_nchw, relu, train).apply(&second.conv),
    }
}

/// Runs two convolutions, each with BatchNorm and ReLU.
pub(crate) fn twice(x_nchw: &Tensor, [first, second]: [&ConvNorm; 2], train: bool) -> Tensor {
    let relu = Relu::Plain;
    if !train {
        return second.relu(&first.relu(x_nchw, relu, train), relu, train);
    }
    norm_relu(chained(x_nchw, [first, second], relu, train), &second.norm, relu, train)
}

/// Like [`twice`], but adds `beside` before the last ReLU.
pub(crate) fn twice_beside(x_nchw: &Tensor, [first, second]: [&ConvNorm; 2], beside: &Tensor, train: bool) -> Tensor {
    (normed(&chained(x_nchw, [first, second], Relu::Plain, train), &second.norm, train) + beside).relu_()
}

impl Buffers for ConvNorm {
    fn buffers(&self) -> Vec<Tensor> {
        [&self.norm.running_mean, &self.norm.running_var].map(Tensor::shallow_clone).into()
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        self.folded(x_nchw, None, train).unwrap_or_else(|| normed(&x_nchw.apply(&self.conv), &self.norm, train))
    }
}
