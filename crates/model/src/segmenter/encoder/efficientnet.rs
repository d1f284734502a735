//! EfficientNet (Tan & Le, 2019), EfficientNetV2 (Tan & Le, 2021) and EfficientNet-Lite, with the names of torchvision,
//! EfficientNet-Lite with timm's.

use crate::blocks::{Constants, Layout, Padding};
use crate::segmenter::encoder::mobilenet_v2::scaled;
use crate::segmenter::encoder::{Growing, Settings, Staged};
use crate::units::{Act, Gate, Inverted, Names, Shape, Unit};
use tch::nn;
use torch_ext::Relu;

/// A group of blocks.
#[derive(Debug, Clone, Copy)]
struct Group {
    /// True if one full convolution stands for the first two of a block (Fused-MBConv).
    fused: bool,
    times: i64,
    kernel: i64,
    /// Stride of the first block.
    step: i64,
    channels: i64,
    count: i64,
}

const fn group([times, kernel, step, channels, count]: [i64; 5]) -> Group {
    Group { fused: false, times, kernel, step, channels, count }
}

const fn fused(numbers: [i64; 5]) -> Group {
    Group { fused: true, ..group(numbers) }
}

/// Groups of EfficientNet-B0 (table 1 of the paper).
const B0: &[Group] = &[
    group([1, 3, 1, 16, 1]),
    group([6, 3, 2, 24, 2]),
    group([6, 5, 2, 40, 2]),
    group([6, 3, 2, 80, 3]),
    group([6, 5, 1, 112, 3]),
    group([6, 5, 2, 192, 4]),
    group([6, 3, 1, 320, 1]),
];

/// Groups of EfficientNetV2-S (table 4 of the paper).
const V2_S: &[Group] = &[
    fused([1, 3, 1, 24, 2]),
    fused([4, 3, 2, 48, 4]),
    fused([4, 3, 2, 64, 4]),
    group([4, 3, 2, 128, 6]),
    group([6, 3, 1, 160, 9]),
    group([6, 3, 2, 256, 15]),
];

/// Kind of an [`Architecture`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    First,
    Second,
    /// Without squeeze-and-excitation, with ReLU6, stem and first and last group unscaled, and TensorFlow's padding.
    Lite,
}

/// A member of the family.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Architecture {
    kind: Kind,
    groups: &'static [Group],
    /// Channels of the stem before scaling.
    stem: i64,
    /// Multipliers on channels and on the number of blocks.
    scale: [f64; 2],
    constants: Constants,
}

/// Makes EfficientNet-B0 to -B4 by their multipliers.
const fn first(scale: [f64; 2]) -> Architecture {
    let constants = Constants { momentum: 0.1, epsilon: 1e-5 };
    Architecture { kind: Kind::First, groups: B0, stem: 32, scale, constants }
}

/// Makes EfficientNet-Lite by its multipliers. (The constants are TensorFlow's.)
const fn lite(scale: [f64; 2]) -> Architecture {
    let constants = Constants { momentum: 0.01, epsilon: 1e-3 };
    Architecture { kind: Kind::Lite, constants, ..first(scale) }
}

/// EfficientNet-B0.
pub(crate) const EFFICIENTNET_B0: Architecture = first([1.0, 1.0]);
/// EfficientNet-B1.
pub(crate) const EFFICIENTNET_B1: Architecture = first([1.0, 1.1]);
/// EfficientNet-B2.
pub(crate) const EFFICIENTNET_B2: Architecture = first([1.1, 1.2]);
/// EfficientNet-B3.
pub(crate) const EFFICIENTNET_B3: Architecture = first([1.2, 1.4]);
/// EfficientNet-B4.
pub(crate) const EFFICIENTNET_B4: Architecture = first([1.4, 1.8]);
/// EfficientNetV2-S, with torchvision's constants.
pub(crate) const EFFICIENTNET_V2_S: Architecture = Architecture {
    kind: Kind::Second,
    groups: V2_S,
    stem: 24,
    scale: [1.0, 1.0],
    constants: Constants { momentum: 0.1, epsilon: 1e-3 },
};
/// EfficientNet-Lite0.
pub(crate) const EFFICIENTNET_LITE0: Architecture = lite([1.0, 1.0]);
/// EfficientNet-Lite1.
pub(crate) const EFFICIENTNET_LITE1: Architecture = lite([1.0, 1.1]);
/// EfficientNet-Lite2.
pub(crate) const EFFICIENTNET_LITE2: Architecture = lite([1.1, 1.2]);

impl Architecture {
    fn lite(&self) -> bool {
        self.kind == Kind::Lite
    }

    fn act(&self) -> Act {
        if self.lite() { Act::Relu(Relu::Six) } else { Act::Silu }
    }

    fn layout(&self, [stride, dilation]: [i64; 2]) -> Layout {
        let padding = if self.lite() { Padding::Same } else { Padding::Centred };
        Layout { stride, dilation, padding, ..Layout::default() }
    }

    /// Returns the number of blocks of a group, given its number.
    fn count(&self, number: usize) -> i64 {
        let (count, ends) = (self.groups[number].count, [0, self.groups.len() - 1]);
        if self.lite() && ends.contains(&number) { count } else { (count as f64 * self.scale[1]).ceil() as i64 }
    }

    /// Returns the names of a block's parts, given its group and its number in it.
    fn names<'p>(&self, path: &nn::Path<'p>, group: usize, number: i64, widens: bool) -> Names<'p> {
        if !self.lite() {
            let squeezes = !self.groups[group].fused;
            return Names::numbered(&(path / "features" / (group + 1) / number / "block"), widens, squeezes);
        }
        let path = path / "blocks" / group / number;
        let at = |name: &str| &path / name;
        let unused = || [at("none"), at("none")];
        if widens {
            Names {
                widen: [at("conv_pw"), at("bn1")],
                depthwise: [at("conv_dw"), at("bn2")],
                squeeze: unused(),
                narrow: [at("conv_pwl"), at("bn3")],
            }
        } else {
            Names {
                widen: unused(),
                depthwise: [at("conv_dw"), at("bn1")],
                squeeze: unused(),
                narrow: [at("conv_pw"), at("bn2")],
            }
        }
    }
}

/// Makes the encoder at `path`. Its feature maps are those before each halving and the last block's; the finest is the
/// stem's (of EfficientNetV2 the first group's), as in segmentation_models.pytorch.
pub(crate) fn efficientnet(path: &nn::Path, architecture: &Architecture, settings: Settings) -> Staged {
    let &Architecture { groups, scale: [width, _], constants, .. } = architecture;
    let mut inputs = if architecture.lite() { architecture.stem } else { scaled(architecture.stem, width) };
    let names = match architecture.kind {
        Kind::Lite => [path / "conv_stem", path / "bn1"],
        Kind::First | Kind::Second => [0, 1].map(|part| path / "features" / 0 / part),
    };
    let (act, layout) = (architecture.act(), architecture.layout([2, 1]));
    let stem = Unit::at(names, [settings.channels, inputs], 3, layout, constants, act);
    let mut stages = Growing::new(2, settings);
    if architecture.kind != Kind::Second {
        stages.end(inputs);
    }
    for (number, &Group { fused, times, kernel, step, channels, .. }) in groups.iter().enumerate() {
        let [stride, dilation] = stages.stride(step, inputs);
        let outputs = scaled(channels, width);
        for place in 0..architecture.count(number) {
            let strides = if place == 0 { [stride, step] } else { [1, 1] };
            let squeeze = (!fused && !architecture.lite()).then(|| ((inputs / 4).max(1), Gate::Smooth));
            let shape = Shape {
                inputs,
                wide: inputs * times,
                outputs,
                kernel,
                layout: architecture.layout([strides[0], dilation]),
                squeeze,
                act,
                constants,
                shortcut: strides[1] == 1,
            };
            let names = architecture.names(path, number, place, times > 1);
            stages.push(if fused { Inverted::fused(names, shape) } else { Inverted::new(names, shape) });
            inputs = outputs;
        }
    }
    stages.done(stem, inputs)
}
