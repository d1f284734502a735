//! The decoder of UNet++ (Zhou et al., 2018) as segmentation_models.pytorch has it.

use crate::part::Part;
use crate::segmenter::decoder::Decoder;
use crate::segmenter::decoder::unet::UpBlock;
use crate::segmenter::encoder::Level;
use std::collections::BTreeMap;
use tch::Tensor;
use tch::nn;

/// A grid of steps up. Step `(depth, level)` doubles the output of `(depth, level - 1)`, or the encoder's map `depth`
/// where both are equal, and joins it with those of all deeper steps at its level and with the encoder's map there.
/// Levels count from the coarsest one; the last step, to stride 1, has no skip. At a stride that the encoder has no map
/// of, there is the step of depth 0 alone.
#[derive(Debug)]
pub(crate) struct UnetPlusPlusDecoder {
    steps: BTreeMap<(usize, usize), Part<UpBlock>>,
    /// For each level, true if the encoder has a map there.
    skips: Vec<bool>,
    output: Level,
}

impl UnetPlusPlusDecoder {
    /// Makes the decoder at `path`, with the channels of the steps of depth 0, coarsest first; one for each halving of
    /// the coarsest stride.
    pub(crate) fn new(path: &nn::Path, levels: &[Level], channels: &[i64]) -> Self {
        let coarsest = levels.last().copied().unwrap_or(Level { channels: 0, stride: 1 });
        let at = |stride: i64| levels.iter().find(|level| level.stride == stride).map_or(0, |level| level.channels);
        let skips: Vec<i64> = (1..=channels.len()).map(|level| at(coarsest.stride >> level)).collect();
        let path = path / "blocks";
        let block = |depth: usize, level: usize, inputs: i64, outputs: i64| {
            ((depth, level), Part::new(UpBlock::new(&(&path / format!("x_{depth}_{level}")), inputs, outputs)))
        };
        let mut steps = BTreeMap::new();
        for (level, skip) in skips.iter().copied().enumerate() {
            for depth in 0..=level {
                let before = |level: usize| if level == 0 { coarsest.channels } else { skips[level - 1] };
                let joined = skip * (level + 1 - depth) as i64;
                if depth == 0 {
                    let inputs = if level == 0 { coarsest.channels } else { channels[level - 1] };
                    steps.extend([block(depth, level, inputs + joined, channels[level])]);
                } else if skip > 0 {
                    steps.extend([block(depth, level, before(level) + joined, skip)]);
                }
            }
        }
        let output = Level { channels: channels.last().copied().unwrap_or(coarsest.channels), stride: 1 };
        Self { steps, skips: skips.iter().map(|&skip| skip > 0).collect(), output }
    }
}

impl Decoder for UnetPlusPlusDecoder {
    fn decode(&self, mut features: Vec<Tensor>, train: bool, recompute: bool) -> Vec<Tensor> {
        features.reverse();
        let again = recompute && train;
        let mut made: BTreeMap<(usize, usize), Tensor> = BTreeMap::new();
        for (level, has_skip) in self.skips.iter().copied().enumerate() {
            for depth in (0..=level).rev() {
                let Some(step) = self.steps.get(&(depth, level)) else { continue };
                let x = if depth == level { &features[level] } else { &made[&(depth, level - 1)] };
                let y = if has_skip {
                    let deeper = (depth + 1..=level).map(|depth| &made[&(depth, level)]);
                    let skip = Tensor::cat(&deeper.chain([&features[level + 1]]).collect::<Vec<_>>(), 1);
                    step.run(again, [x, &skip], move |step, [x, skip]| step.forward(x, Some(skip), train))
                } else {
                    step.run(again, [x], move |step, [x]| step.forward(x, None, train))
                };
                drop(made.insert((depth, level), y));
            }
        }
        made.remove(&(0, self.skips.len().saturating_sub(1))).into_iter().collect()
    }

    fn outputs(&self) -> Vec<Level> {
        vec![self.output]
    }

    fn kernel(&self) -> i64 {
        3
    }
}
