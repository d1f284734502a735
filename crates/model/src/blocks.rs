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

/// Zeros around the input of a convolution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Padding {
    /// As many on each side as keep height and width at stride 1.
    #[default]
    Centred,
    /// TensorFlow's `SAME` for heights and widths that the stride divides: of an odd number of rows or columns the
    /// bottom and the right get one more. The same as `Centred` at stride 1.
    Same,
}

/// Geometry of a convolution besides its channels and its kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Layout {
    /// Distance of neighbouring outputs in pixels.
    pub stride: i64,
    /// Distance in pixels of the inputs that neighbouring weights meet.
    pub dilation: i64,
    /// Number of groups of channels, which see only their own inputs.
    pub groups: i64,
    /// True if it has a bias. A BatchNorm after it would subtract that again.
    pub bias: bool,
    /// Zeros around the input.
    pub padding: Padding,
}

impl Default for Layout {
    fn default() -> Self {
        Self { stride: 1, dilation: 1, groups: 1, bias: false, padding: Padding::Centred }
    }
}

/// A convolution, computed by [`ext::conv3x3`] if it can be.
#[derive(Debug)]
pub(crate) struct Conv {
    conv: nn::Conv2D,
    /// None if [`ext::folded`] does not take it: dilated, padded on one side, or with a bias.
    how: Option<Geometry>,
    /// True if [`ext::conv3x3`] takes it: 3×3, stride 1, one group, no dilation, no bias.
    plain3x3: bool,
    /// Zeros left, right, top and bottom that no symmetric padding stands for.
    pad: Option<[i64; 4]>,
}

impl Conv {
    /// Returns the input with the zeros that libtorch's convolution cannot add.
    fn padded(&self, x_nchw: &Tensor) -> Tensor {
        match self.pad {
            Some(pad) => x_nchw.constant_pad_nd(pad),
            None => x_nchw.shallow_clone(),
        }
    }
}

impl nn::Module for Conv {
    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        if !self.plain3x3 {
            return self.padded(x_nchw).apply(&self.conv);
        }
        ext::conv3x3(x_nchw, &self.conv.ws).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// Makes a convolution, with the initialisation of He et al. for the weight and 0 for the bias.
pub(crate) fn convolution(path: &nn::Path, [inputs, outputs]: [i64; 2], kernel: i64, layout: Layout) -> Conv {
    let Layout { stride, groups, bias, .. } = layout;
    let dilation = if kernel == 1 { 1 } else { layout.dilation };
    let ws_init = he(inputs / groups * kernel * kernel);
    // Zeros that keep the size at stride 1; with a stride, `Same` lacks `stride - 1` of them on even sizes.
    let (both, centred) = (dilation * (kernel - 1), dilation * (kernel / 2));
    let missing = (both + 1 - stride).max(0);
    let (padding, pad) = match layout.padding {
        Padding::Centred => (centred, None),
        Padding::Same if missing % 2 == 0 => (missing / 2, None),
        Padding::Same => {
            let (before, after) = (missing / 2, missing - missing / 2);
            (0, Some([before, after, before, after]))
        }
    };
    let config = nn::ConvConfig { padding, stride, dilation, groups, bias, ws_init, ..Default::default() };
    let how = (dilation == 1 && !bias && pad.is_none()).then_some(Geometry { stride, padding, groups });
    let plain3x3 = kernel == 3 && stride == 1 && dilation == 1 && groups == 1 && padding == 1 && !bias;
    Conv { conv: nn::conv2d(path, inputs, outputs, kernel, config), how, plain3x3, pad }
}

/// Makes a convolution that keeps height and width. Set `bias` to false if a BatchNorm follows, which would subtract it
/// again.
pub(crate) fn conv(path: &nn::Path, inputs: i64, outputs: i64, kernel: i64, bias: bool) -> Conv {
    convolution(path, [inputs, outputs], kernel, Layout { bias, ..Layout::default() })
}

/// Makes a convolution without bias whose outputs are `stride` pixels apart, in `groups` of channels that see only
/// their own inputs.
pub(crate) fn strided(path: &nn::Path, channels: [i64; 2], kernel: i64, stride: i64, groups: i64) -> Conv {
    convolution(path, channels, kernel, Layout { stride, groups, ..Layout::default() })
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

/// Constants of a BatchNorm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Constants {
    /// Share of a batch in the running statistics.
    pub momentum: f64,
    /// Added to the variance.
    pub epsilon: f64,
}

impl Default for Constants {
    /// Returns PyTorch's.
    fn default() -> Self {
        Self { momentum: 0.1, epsilon: 1e-5 }
    }
}

/// BatchNorm.
#[derive(Debug)]
pub(crate) struct Norm {
    norm: nn::BatchNorm,
    constants: Constants,
}

impl Buffers for Norm {
    fn buffers(&self) -> Vec<Tensor> {
        [&self.norm.running_mean, &self.norm.running_var].map(Tensor::shallow_clone).into()
    }
}

/// Makes a BatchNorm with weight 1 and bias 0, and PyTorch's constants.
pub(crate) fn norm(path: &nn::Path, channels: i64) -> Norm {
    norm_with(path, channels, Constants::default())
}

/// Makes a BatchNorm with weight 1 and bias 0.
pub(crate) fn norm_with(path: &nn::Path, channels: i64, constants: Constants) -> Norm {
    // tch would draw the weight from U(0, 1).
    let ws_init = nn::Init::Const(1.0);
    let Constants { momentum, epsilon } = constants;
    let config = nn::BatchNormConfig { momentum, eps: epsilon, ws_init, ..Default::default() };
    Norm { norm: nn::batch_norm2d(path, channels, config), constants }
}

/// Returns the parts of a BatchNorm.
fn parts(norm: &Norm) -> Option<ext::BatchNorm<'_>> {
    let Norm { norm, constants: Constants { momentum, epsilon } } = norm;
    let (running_mean, running_var) = (&norm.running_mean, &norm.running_var);
    let (weight, bias) = (norm.ws.as_ref()?, norm.bs.as_ref()?);
    Some(ext::BatchNorm { weight, bias, running_mean, running_var, momentum: *momentum, epsilon: *epsilon })
}

/// Applies BatchNorm and ReLU, as one operator where [`ext::Fusion`] says so.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
pub(crate) fn norm_relu(x_nchw: Tensor, norm: &Norm, relu: Relu, train: bool) -> Tensor {
    let y = match parts(norm) {
        Some(norm) => ext::batch_norm_relu(x_nchw, norm, relu, train),
        None => relu.apply(&mut x_nchw.apply_t(&norm.norm, train)),
    };
    y.unwrap_or_else(|error| panic!("{error}"))
}

/// Applies BatchNorm.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
fn normed(x_nchw: &Tensor, norm: &Norm, train: bool) -> Tensor {
    match parts(norm) {
        Some(norm) => ext::batch_norm(x_nchw, norm, train).unwrap_or_else(|error| panic!("{error}")),
        None => x_nchw.apply_t(&norm.norm, train),
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

/// Pads `x_nchw` at the right and the bottom to a multiple of `multiple` by repeating the border.
pub(crate) fn pad_to(x_nchw: &Tensor, multiple: i64) -> Tensor {
    let missing = |size: i64| (multiple - size % multiple) % multiple;
    let (bottom, right) = (missing(x_nchw.size()[2]), missing(x_nchw.size()[3]));
    if bottom == 0 && right == 0 {
        return x_nchw.shallow_clone();
    }
    x_nchw.pad([0, right, 0, bottom], "replicate", None)
}

/// Crops `y_nchw` at the right and the bottom to this height and width.
pub(crate) fn cropped(y_nchw: Tensor, [height, width]: [i64; 2]) -> Tensor {
    if y_nchw.size()[2..] == [height, width] {
        return y_nchw;
    }
    y_nchw.narrow(2, 0, height).narrow(3, 0, width)
}

/// Pads `x_nchw` at the right and the bottom to a multiple of `multiple` by repeating the border, runs `network` on it,
/// and crops the output to the size of `x_nchw`.
pub(crate) fn padded(x_nchw: &Tensor, multiple: i64, network: impl FnOnce(Tensor) -> Tensor) -> Tensor {
    cropped(network(pad_to(x_nchw, multiple)), [x_nchw.size()[2], x_nchw.size()[3]])
}

/// A convolution followed by BatchNorm.
#[derive(Debug)]
pub(crate) struct ConvNorm {
    conv: Conv,
    norm: Norm,
}

impl ConvNorm {
    pub(crate) fn new(conv: Conv, norm: Norm) -> Self {
        Self { conv, norm }
    }

    /// Runs the convolution with BatchNorm folded into its weight, and ReLU if given; `None` where [`ext::folded`]
    /// returns it.
    fn folded(&self, x_nchw: &Tensor, relu: Option<Relu>, train: bool) -> Option<Tensor> {
        let norm = parts(&self.norm).filter(|_| !train)?;
        let Conv { conv, how, .. } = &self.conv;
        ext::folded(x_nchw, &conv.ws, (*how)?, norm, relu).unwrap_or_else(|error| panic!("{error}"))
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
        self.norm.buffers()
    }
}

impl ModuleT for ConvNorm {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        self.folded(x_nchw, None, train).unwrap_or_else(|| normed(&x_nchw.apply(&self.conv), &self.norm, train))
    }
}
