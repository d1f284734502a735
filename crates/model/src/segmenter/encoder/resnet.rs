//! ResNet (He et al., 2016), with torchvision's names.

use crate::blocks::{Constants, ConvNorm, Layout, convolution, norm};
use crate::part::Buffers;
use crate::segmenter::encoder::{Growing, Settings, Staged};
use crate::units::{Act, Block, Unit, beside};
use tch::Tensor;
use tch::nn;
use torch_ext::Relu;

/// Ratio of a bottleneck's output channels to its inner channels.
const EXPANSION: i64 = 4;

/// Number of blocks in each of the four stages, and their kind (table 1 of the paper).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Depths {
    blocks: [usize; 4],
    bottleneck: bool,
}

/// ResNet-18.
pub(crate) const RESNET18: Depths = Depths { blocks: [2, 2, 2, 2], bottleneck: false };
/// ResNet-34.
pub(crate) const RESNET34: Depths = Depths { blocks: [3, 4, 6, 3], bottleneck: false };
/// ResNet-50.
pub(crate) const RESNET50: Depths = Depths { blocks: [3, 4, 6, 3], bottleneck: true };
/// ResNet-101.
pub(crate) const RESNET101: Depths = Depths { blocks: [3, 4, 23, 3], bottleneck: true };

/// Residual block: two or three convolutions with BatchNorm, and the shortcut past them.
#[derive(Debug)]
struct Residual {
    convs: Vec<ConvNorm>,
    downsample: Option<ConvNorm>,
}

impl Residual {
    /// Makes a block of `inputs` channels, with `width` channels within.
    fn new(path: &nn::Path, inputs: i64, width: i64, bottleneck: bool, layout: Layout) -> Self {
        let outputs = if bottleneck { width * EXPANSION } else { width };
        let plain = Layout { stride: 1, ..layout };
        // As in torchvision, a bottleneck strides in its middle convolution.
        let shapes: &[([i64; 2], i64, Layout)] = if bottleneck {
            &[([inputs, width], 1, plain), ([width, width], 3, layout), ([width, outputs], 1, plain)]
        } else {
            &[([inputs, width], 3, layout), ([width, width], 3, plain)]
        };
        let convs = shapes.iter().zip(1..).map(|(&(channels, kernel, layout), number)| {
            let conv = convolution(&(path / format!("conv{number}")), channels, kernel, layout);
            ConvNorm::new(conv, norm(&(path / format!("bn{number}")), channels[1]))
        });
        let convs = convs.collect();
        let downsample = || {
            let path = path / "downsample";
            ConvNorm::new(convolution(&(&path / 0), [inputs, outputs], 1, layout), norm(&(&path / 1), outputs))
        };
        // A dilated stage keeps the convolution that its stride asked for.
        let other = layout.stride != 1 || inputs != outputs;
        Self { convs, downsample: other.then(downsample) }
    }
}

impl Block for Residual {
    fn run(&self, x_nchw: &Tensor, kept: Option<&Tensor>, train: bool) -> Tensor {
        let mut y = x_nchw.shallow_clone();
        for (number, conv) in (1..).zip(&self.convs) {
            let last = number == self.convs.len();
            y = if last { y.apply_t(conv, train) } else { conv.relu(&y, Relu::Plain, train) };
        }
        let shortcut =
            self.downsample.as_ref().map_or_else(|| x_nchw.shallow_clone(), |conv| x_nchw.apply_t(conv, train));
        beside(y, kept, &shortcut).relu_()
    }

    fn has_shortcut(&self) -> bool {
        true
    }
}

impl Buffers for Residual {
    fn buffers(&self) -> Vec<Tensor> {
        self.convs.iter().chain(&self.downsample).flat_map(Buffers::buffers).collect()
    }
}

/// Max-pooling 3×3 with stride 2.
#[derive(Debug)]
struct MaxPool;

impl Block for MaxPool {
    fn run(&self, x_nchw: &Tensor, _: Option<&Tensor>, _: bool) -> Tensor {
        x_nchw.max_pool2d([3, 3], [2, 2], [1, 1], [1, 1], false)
    }
}

impl Buffers for MaxPool {
    fn buffers(&self) -> Vec<Tensor> {
        Vec::new()
    }
}

/// Makes the encoder at `path`. Its feature maps are those of the stem and of the four stages.
pub(crate) fn resnet(path: &nn::Path, depths: Depths, settings: Settings) -> Staged {
    let Depths { blocks: counts, bottleneck } = depths;
    let (mut inputs, layout) = (64, Layout { stride: 2, ..Layout::default() });
    let names = [path / "conv1", path / "bn1"];
    let stem = Unit::at(names, [settings.channels, inputs], 7, layout, Constants::default(), Act::Relu(Relu::Plain));
    let mut stages = Growing::new(2, settings);
    stages.end(inputs);
    for (stage, count) in counts.into_iter().enumerate() {
        let (path, width) = (path / format!("layer{}", stage + 1), 64 << stage);
        let [step, dilation] = stages.stride(2, inputs);
        if stage == 0 {
            stages.push(MaxPool);
        }
        for number in 0..count {
            let stride = if number == 0 && stage > 0 { step } else { 1 };
            let layout = Layout { stride, dilation, ..Layout::default() };
            stages.push(Residual::new(&(&path / number), inputs, width, bottleneck, layout));
            inputs = if bottleneck { width * EXPANSION } else { width };
        }
    }
    stages.done(stem, inputs)
}
