//! MobileNetV3 (Howard et al., 2019), with torchvision's names.

use crate::blocks::{Constants, Layout};
use crate::segmenter::encoder::mobilenet_v2::scaled;
use crate::segmenter::encoder::{Growing, Settings, Staged};
use crate::units::{Act, Gate, Inverted, Names, Shape, Unit};
use tch::nn;
use torch_ext::Relu;

/// A block: side of the kernel, channels of the depthwise convolution, channels, and stride; true with
/// squeeze-and-excitation, and true with hard swish instead of ReLU.
type Row = ([i64; 4], bool, bool);

/// Blocks of MobileNetV3-Large (table 1 of the paper).
pub(crate) const LARGE: &[Row] = &[
    ([3, 16, 16, 1], false, false),
    ([3, 64, 24, 2], false, false),
    ([3, 72, 24, 1], false, false),
    ([5, 72, 40, 2], true, false),
    ([5, 120, 40, 1], true, false),
    ([5, 120, 40, 1], true, false),
    ([3, 240, 80, 2], false, true),
    ([3, 200, 80, 1], false, true),
    ([3, 184, 80, 1], false, true),
    ([3, 184, 80, 1], false, true),
    ([3, 480, 112, 1], true, true),
    ([3, 672, 112, 1], true, true),
    ([5, 672, 160, 2], true, true),
    ([5, 960, 160, 1], true, true),
    ([5, 960, 160, 1], true, true),
];

/// Blocks of MobileNetV3-Small (table 2).
pub(crate) const SMALL: &[Row] = &[
    ([3, 16, 16, 2], true, false),
    ([3, 72, 24, 2], false, false),
    ([3, 88, 24, 1], false, false),
    ([5, 96, 40, 2], true, true),
    ([5, 240, 40, 1], true, true),
    ([5, 240, 40, 1], true, true),
    ([5, 120, 48, 1], true, true),
    ([5, 144, 48, 1], true, true),
    ([5, 288, 96, 2], true, true),
    ([5, 576, 96, 1], true, true),
    ([5, 576, 96, 1], true, true),
];

/// Channels of the stem.
const STEM: i64 = 16;

/// Ratio of the last convolution's channels to the last block's.
const LAST: i64 = 6;

/// Constants of every BatchNorm, in torchvision.
const CONSTANTS: Constants = Constants { momentum: 0.01, epsilon: 1e-3 };

/// Makes the encoder at `path`. Its feature maps are those before each halving and the last convolution's.
pub(crate) fn mobilenet_v3(path: &nn::Path, rows: &[Row], settings: Settings) -> Staged {
    let (features, mut inputs) = (path / "features", STEM);
    let unit = |place: usize, channels, kernel, layout| {
        let path = &features / place;
        Unit::at([&path / 0, &path / 1], channels, kernel, layout, CONSTANTS, Act::Hardswish)
    };
    let stem = unit(0, [settings.channels, inputs], 3, Layout { stride: 2, ..Layout::default() });
    let mut stages = Growing::new(2, settings);
    for (&([kernel, wide, outputs, step], squeezes, hard), place) in rows.iter().zip(1usize..) {
        let [stride, dilation] = stages.stride(step, inputs);
        let path = &features / place / "block";
        let squeeze = squeezes.then(|| (scaled(wide / 4, 1.0), Gate::Hard));
        let shape = Shape {
            inputs,
            wide,
            outputs,
            kernel,
            layout: Layout { stride, dilation, ..Layout::default() },
            squeeze,
            act: if hard { Act::Hardswish } else { Act::Relu(Relu::Plain) },
            constants: CONSTANTS,
            shortcut: step == 1,
        };
        stages.push(Inverted::new(Names::numbered(&path, wide != inputs, squeezes), shape));
        inputs = outputs;
    }
    let last = LAST * inputs;
    stages.push(unit(rows.len() + 1, [inputs, last], 1, Layout::default()));
    stages.done(stem, last)
}
