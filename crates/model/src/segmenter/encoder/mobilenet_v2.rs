//! MobileNetV2 (Sandler et al., 2018), with torchvision's names.

use crate::blocks::{Constants, Layout};
use crate::segmenter::encoder::{Growing, Settings, Staged};
use crate::units::{Act, Inverted, Names, Shape, Unit};
use tch::nn;
use torch_ext::Relu;

/// Expansion factor, channels, number of blocks and stride of the first block, for each group of blocks (table 2 of the
/// paper).
pub(crate) const GROUPS: [[i64; 4]; 7] =
    [[1, 16, 1, 1], [6, 24, 2, 2], [6, 32, 3, 2], [6, 64, 4, 2], [6, 96, 3, 1], [6, 160, 3, 2], [6, 320, 1, 1]];

/// Channels of the stem, and of the convolution 1×1 behind the groups.
const ENDS: [i64; 2] = [32, 1280];

const ACT: Act = Act::Relu(Relu::Six);

/// Returns `channels` times `multiplier`, rounded to a multiple of 8 that is at most a tenth below.
pub(crate) fn scaled(channels: i64, multiplier: f64) -> i64 {
    let wanted = channels as f64 * multiplier;
    let nearest = ((wanted + 4.0) as i64 / 8 * 8).max(8);
    if (nearest as f64) < 0.9 * wanted { nearest + 8 } else { nearest }
}

/// Makes the first convolution below the path of the features.
pub(crate) fn stem(features: &nn::Path, channels: [i64; 2]) -> Unit {
    let (path, layout) = (features / 0, Layout { stride: 2, ..Layout::default() });
    Unit::at([&path / 0, &path / 1], channels, 3, layout, Constants::default(), ACT)
}

/// Makes a block that widens by `times`.
pub(crate) fn block(
    path: &nn::Path,
    [inputs, outputs]: [i64; 2],
    times: i64,
    [stride, dilation]: [i64; 2],
) -> Inverted {
    let path = path / "conv";
    // torchvision numbers only the layers that exist.
    let first = usize::from(times > 1);
    let (widen, depthwise, narrow) = (&path / 0, &path / first, [&path / (first + 1), &path / (first + 2)]);
    let names = Names {
        widen: [&widen / 0, &widen / 1],
        depthwise: [&depthwise / 0, &depthwise / 1],
        squeeze: [&path / "none", &path / "none"],
        narrow,
    };
    let layout = Layout { stride, dilation, ..Layout::default() };
    let (wide, constants) = (inputs * times, Constants::default());
    let shape =
        Shape { inputs, wide, outputs, kernel: 3, layout, squeeze: None, act: ACT, constants, shortcut: stride == 1 };
    Inverted::new(names, shape)
}

/// Makes the encoder at `path`. Its feature maps are those before each halving and the last convolution's, as in
/// segmentation_models.pytorch.
pub(crate) fn mobilenet_v2(path: &nn::Path, settings: Settings) -> Staged {
    let (features, [mut inputs, last]) = (path / "features", ENDS);
    let stem = stem(&features, [settings.channels, inputs]);
    let (mut stages, mut place) = (Growing::new(2, settings), 1);
    for [times, outputs, count, step] in GROUPS {
        let [step, dilation] = stages.stride(step, inputs);
        for number in 0..count {
            let step = if number == 0 { step } else { 1 };
            stages.push(block(&(&features / place), [inputs, outputs], times, [step, dilation]));
            (inputs, place) = (outputs, place + 1);
        }
    }
    let path = &features / place;
    stages.push(Unit::at([&path / 0, &path / 1], [inputs, last], 1, Layout::default(), Constants::default(), ACT));
    stages.done(stem, last)
}
