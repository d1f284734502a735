//! Units that encoders are made of: a convolution with BatchNorm and an activation, squeeze-and-excitation, and blocks
//! with a shortcut.

use crate::blocks::{Constants, Conv, ConvNorm, Layout, conv, convolution, dropout, norm_with};
use crate::part::Buffers;
use std::fmt::Debug;
use tch::Tensor;
use tch::nn::{self, Module, ModuleT};
use torch_ext::Relu;

/// Activation after a BatchNorm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// None.
    Linear,
    /// ReLU, or ReLU6.
    Relu(Relu),
    /// `x sigmoid(x)` (SiLU, also called Swish).
    Silu,
    /// `x relu6(x + 3) / 6`
    Hardswish,
}

/// A convolution with BatchNorm and an activation.
#[derive(Debug)]
pub(crate) struct Unit {
    conv: ConvNorm,
    act: Act,
}

impl Unit {
    pub(crate) fn new(conv: ConvNorm, act: Act) -> Self {
        Self { conv, act }
    }

    /// Makes the convolution at the first path and the BatchNorm at the second.
    pub(crate) fn at(
        [of_conv, of_norm]: [nn::Path; 2],
        channels: [i64; 2],
        kernel: i64,
        layout: Layout,
        constants: Constants,
        act: Act,
    ) -> Self {
        let conv = convolution(&of_conv, channels, kernel, layout);
        Self::new(ConvNorm::new(conv, norm_with(&of_norm, channels[1], constants)), act)
    }
}

impl ModuleT for Unit {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        match self.act {
            Act::Linear => x_nchw.apply_t(&self.conv, train),
            Act::Relu(relu) => self.conv.relu(x_nchw, relu, train),
            Act::Silu => x_nchw.apply_t(&self.conv, train).silu(),
            Act::Hardswish => x_nchw.apply_t(&self.conv, train).hardswish(),
        }
    }
}

impl Buffers for Unit {
    fn buffers(&self) -> Vec<Tensor> {
        self.conv.buffers()
    }
}

/// Gate of a squeeze-and-excitation, which maps to weights from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Between the convolutions ReLU, after them `relu6(x + 3) / 6` (MobileNetV3).
    Hard,
    /// Between the convolutions SiLU, after them the sigmoid (EfficientNet).
    Smooth,
}

/// Squeeze-and-excitation (Hu, Shen & Sun, 2018): weights each channel, judging by the means of all channels.
#[derive(Debug)]
pub(crate) struct Squeeze {
    squeeze: Conv,
    excite: Conv,
    gate: Gate,
}

impl Squeeze {
    /// Makes one for this many channels, with `between` channels within, at the paths of its two convolutions.
    pub(crate) fn new([first, second]: [nn::Path; 2], channels: i64, between: i64, gate: Gate) -> Self {
        let (squeeze, excite) = (conv(&first, channels, between, 1, true), conv(&second, between, channels, 1, true));
        Self { squeeze, excite, gate }
    }
}

impl Module for Squeeze {
    fn forward(&self, x_nchw: &Tensor) -> Tensor {
        let squeezed = x_nchw.adaptive_avg_pool2d([1, 1]).apply(&self.squeeze);
        x_nchw
            * match self.gate {
                Gate::Hard => squeezed.relu().apply(&self.excite).hardsigmoid(),
                Gate::Smooth => squeezed.silu().apply(&self.excite).sigmoid(),
            }
    }
}

/// A block of an encoder.
pub(crate) trait Block: Buffers + Debug + Send {
    /// Runs the block. `kept` (`[N, 1, 1, 1]`) is what the branch beside the shortcut is multiplied by, if the block
    /// has a shortcut.
    fn run(&self, x_nchw: &Tensor, kept: Option<&Tensor>, train: bool) -> Tensor;

    /// Returns true if the block has a shortcut.
    fn has_shortcut(&self) -> bool {
        false
    }
}

impl Buffers for Box<dyn Block> {
    fn buffers(&self) -> Vec<Tensor> {
        (**self).buffers()
    }
}

impl Block for Unit {
    fn run(&self, x_nchw: &Tensor, _: Option<&Tensor>, train: bool) -> Tensor {
        x_nchw.apply_t(self, train)
    }
}

/// Adds the branch of a block to its shortcut.
pub(crate) fn beside(branch: Tensor, kept: Option<&Tensor>, shortcut: &Tensor) -> Tensor {
    match kept {
        Some(kept) => branch * kept + shortcut,
        None => branch + shortcut,
    }
}

/// Draws the factors of stochastic depth (Huang et al., 2016) for the samples of a batch in training: 0 with this
/// `probability`, else `1 / (1 - probability)`. Returns `None` if nothing is dropped.
///
/// # Panics
///
/// Panics if libtorch reports an error, as every tch module does.
pub(crate) fn kept(x_nchw: &Tensor, probability: f64, train: bool) -> Option<Tensor> {
    let drops = train && probability > 0.0;
    // Of one channel for each sample, dropout of channels drops samples.
    drops.then(|| {
        let ones = Tensor::ones([x_nchw.size()[0], 1, 1, 1], (x_nchw.kind(), x_nchw.device()));
        dropout(ones, probability, train)
    })
}

/// Part of an inverted residual block.
#[derive(Debug)]
enum Link {
    Unit(Unit),
    Squeeze(Squeeze),
}

impl ModuleT for Link {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        match self {
            Self::Unit(unit) => x_nchw.apply_t(unit, train),
            Self::Squeeze(squeeze) => x_nchw.apply(squeeze),
        }
    }
}

/// Shape of an [`Inverted`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub inputs: i64,
    /// Channels of the depthwise convolution. If they equal the inputs, no convolution comes before it.
    pub wide: i64,
    pub outputs: i64,
    /// Side of the depthwise convolution's kernel.
    pub kernel: i64,
    /// Layout of the depthwise convolution, except for its groups.
    pub layout: Layout,
    /// Channels within squeeze-and-excitation, if there is one.
    pub squeeze: Option<(i64, Gate)>,
    pub act: Act,
    pub constants: Constants,
    /// True if the input is added to the output where both have the same size.
    pub shortcut: bool,
}

/// Paths of an [`Inverted`]: of convolution and BatchNorm, or of the two convolutions of a squeeze-and-excitation.
pub(crate) struct Names<'p> {
    pub widen: [nn::Path<'p>; 2],
    pub depthwise: [nn::Path<'p>; 2],
    pub squeeze: [nn::Path<'p>; 2],
    pub narrow: [nn::Path<'p>; 2],
}

impl<'p> Names<'p> {
    /// Returns torchvision's names, which number the parts that exist.
    pub(crate) fn numbered(path: &nn::Path<'p>, widens: bool, squeezes: bool) -> Self {
        let (depthwise, squeeze) = (usize::from(widens), usize::from(widens) + 1);
        let narrow = squeeze + usize::from(squeezes);
        let unit = |number: usize| [0, 1].map(|part| path / number / part);
        let gate = ["fc1", "fc2"].map(|part| path / squeeze / part);
        Self { widen: unit(0), depthwise: unit(depthwise), squeeze: gate, narrow: unit(narrow) }
    }
}

/// Inverted residual block (Sandler et al., 2018): a convolution 1×1 that widens, a depthwise one, and a linear one 1×1
/// that narrows; before it squeeze-and-excitation, if any (Howard et al., 2019).
#[derive(Debug)]
pub(crate) struct Inverted {
    widen: Option<Unit>,
    rest: Vec<Link>,
    residual: bool,
}

impl Inverted {
    pub(crate) fn new(names: Names, shape: Shape) -> Self {
        let Shape { inputs, wide, outputs, kernel, layout, squeeze, act, constants, shortcut } = shape;
        let unit = |names, channels, kernel, layout, act| Unit::at(names, channels, kernel, layout, constants, act);
        let plain = Layout::default();
        // This order decides the initial weights, which are drawn from one generator.
        let narrow = Link::Unit(unit(names.narrow, [wide, outputs], 1, plain, Act::Linear));
        let widen = (wide != inputs).then(|| unit(names.widen, [inputs, wide], 1, plain, act));
        let depthwise = unit(names.depthwise, [wide, wide], kernel, Layout { groups: wide, ..layout }, act);
        let squeeze = squeeze.map(|(between, gate)| Squeeze::new(names.squeeze, wide, between, gate));
        let rest = [Link::Unit(depthwise)].into_iter().chain(squeeze.map(Link::Squeeze)).chain([narrow]);
        Self { widen, rest: rest.collect(), residual: shortcut && layout.stride == 1 && inputs == outputs }
    }

    /// Makes a block of one convolution that widens and one 1×1 that narrows (Gupta & Tan, 2019), at the first two
    /// names, or of one alone if nothing is widened.
    pub(crate) fn fused(names: Names, shape: Shape) -> Self {
        let Shape { inputs, wide, outputs, kernel, layout, act, constants, shortcut, .. } = shape;
        let (widen, rest) = if wide == inputs {
            (None, Unit::at(names.widen, [inputs, outputs], kernel, layout, constants, act))
        } else {
            let widen = Unit::at(names.widen, [inputs, wide], kernel, layout, constants, act);
            let narrow = Unit::at(names.depthwise, [wide, outputs], 1, Layout::default(), constants, Act::Linear);
            (Some(widen), narrow)
        };
        Self { widen, rest: vec![Link::Unit(rest)], residual: shortcut && layout.stride == 1 && inputs == outputs }
    }

    /// Returns the input at the width of the depthwise convolution.
    pub(crate) fn widened(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        match &self.widen {
            Some(widen) => x_nchw.apply_t(widen, train),
            None => x_nchw.shallow_clone(),
        }
    }

    /// Returns the block's output, given the input and the widened input.
    pub(crate) fn narrowed(&self, x_nchw: &Tensor, wide_nchw: &Tensor, kept: Option<&Tensor>, train: bool) -> Tensor {
        let mut y = wide_nchw.shallow_clone();
        for link in &self.rest {
            y = y.apply_t(link, train);
        }
        if self.residual { beside(y, kept, x_nchw) } else { y }
    }
}

impl Block for Inverted {
    fn run(&self, x_nchw: &Tensor, kept: Option<&Tensor>, train: bool) -> Tensor {
        self.narrowed(x_nchw, &self.widened(x_nchw, train), kept, train)
    }

    fn has_shortcut(&self) -> bool {
        self.residual
    }
}

impl Buffers for Inverted {
    fn buffers(&self) -> Vec<Tensor> {
        let units = self.rest.iter().filter_map(|link| match link {
            Link::Unit(unit) => Some(unit),
            Link::Squeeze(_) => None,
        });
        self.widen.iter().chain(units).flat_map(Buffers::buffers).collect()
    }
}
