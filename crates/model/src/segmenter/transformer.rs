//! Layers that transformers and ConvNeXt share. Channels are last here: `[N, H, W, C]`, or `[N, T, C]` for T tokens.

use crate::blocks::dropout;
use crate::part::{Buffers, Part};
use std::fmt::Debug;
use tch::nn::{self, Module};
use tch::{Kind, Tensor};

/// Standard deviation of the initial weights, as in ConvNeXt and vision transformers. (PyTorch's `trunc_normal_` cuts
/// the distribution off at ±2, a hundred deviations away.)
const DEVIATION: f64 = 0.02;

/// Returns the initial distribution of a transformer's weights.
pub(crate) fn initial() -> nn::Init {
    nn::Init::Randn { mean: 0.0, stdev: DEVIATION }
}

/// Makes a linear layer of a transformer.
pub(crate) fn linear(path: &nn::Path, inputs: i64, outputs: i64, bias: bool) -> nn::Linear {
    linear_with(path, [inputs, outputs], bias, initial())
}

/// Makes a linear layer with the given initial weights and a bias of 0.
pub(crate) fn linear_with(path: &nn::Path, [inputs, outputs]: [i64; 2], bias: bool, ws_init: nn::Init) -> nn::Linear {
    let config = nn::LinearConfig { ws_init, bs_init: Some(nn::Init::Const(0.0)), bias };
    nn::linear(path, inputs, outputs, config)
}

/// LayerNorm (Ba et al., 2016) over the last dimension, in the precision of its weights.
#[derive(Debug)]
pub(crate) struct LayerNorm(nn::LayerNorm);

/// Makes a LayerNorm with weight 1 and bias 0.
pub(crate) fn layer_norm(path: &nn::Path, channels: i64, eps: f64) -> LayerNorm {
    LayerNorm(nn::layer_norm(path, vec![channels], nn::LayerNormConfig { eps, ..Default::default() }))
}

impl Module for LayerNorm {
    fn forward(&self, x: &Tensor) -> Tensor {
        match self.0.ws.as_ref().map(Tensor::kind) {
            // On a CPU, autocast leaves the sums to the precision of what comes in.
            Some(kind) if kind != x.kind() => x.to_kind(kind).apply(&self.0),
            _ => x.apply(&self.0),
        }
    }
}

/// Makes a convolution with bias whose outputs are `stride` pixels apart.
pub(crate) fn patches(
    path: &nn::Path,
    [inputs, outputs]: [i64; 2],
    kernel: i64,
    [stride, padding]: [i64; 2],
    ws_init: nn::Init,
) -> nn::Conv2D {
    let config = nn::ConvConfig { stride, padding, ws_init, ..Default::default() };
    nn::conv2d(path, inputs, outputs, kernel, config)
}

/// Moves the channels from the second place to the last.
pub(crate) fn to_last(x_nchw: &Tensor) -> Tensor {
    x_nchw.permute([0, 2, 3, 1])
}

/// Moves the channels from the last place to the second.
pub(crate) fn to_second(x_nhwc: &Tensor) -> Tensor {
    x_nhwc.permute([0, 3, 1, 2])
}

/// Applies a LayerNorm over the channels of `[N, C, H, W]`.
pub(crate) fn normed(x_nchw: &Tensor, norm: &LayerNorm) -> Tensor {
    to_second(&to_last(x_nchw).apply(norm))
}

/// Splits the channels of tokens `[N, T, C]` among `heads`: `[N, heads, T, C / heads]`.
pub(crate) fn split(x_ntc: &Tensor, heads: i64) -> Tensor {
    // Not by `view`: its sizes would become constants of a trace.
    x_ntc.unflatten(-1, [heads, x_ntc.size()[2] / heads]).transpose(1, 2)
}

/// Computes attention (Vaswani et al., 2017) of [split] queries, keys and values, and joins the heads: `[N, T, C]`.
pub(crate) fn attention(query: &Tensor, key: &Tensor, value: &Tensor) -> Tensor {
    let mask = None::<&Tensor>;
    let of_heads = Tensor::scaled_dot_product_attention(query, key, value, mask, 0.0, false, None, false);
    of_heads.transpose(1, 2).flatten(2, -1)
}

/// Returns the factor of a branch, which is applied to its output of `dims` dimensions.
fn factor(kept: &Tensor, branch: i64, dims: usize) -> Tensor {
    let factor = kept.narrow(1, branch, 1);
    if dims == 3 { factor.squeeze_dim(3) } else { factor }
}

/// Returns `x` plus the output of a branch, times the branch's factor.
pub(crate) fn added(x: &Tensor, y: Tensor, kept: Option<&Tensor>, branch: i64) -> Tensor {
    match kept {
        Some(kept) => x + y * factor(kept, branch, x.dim()).to_kind(x.kind()),
        None => x + y,
    }
}

/// Returns the probability that a branch of block `number` of `count` is dropped: it grows from 0 to `rate`.
pub(crate) fn dropped(rate: f64, number: i64, count: i64) -> f64 {
    if count > 1 { rate * number as f64 / (count - 1) as f64 } else { 0.0 }
}

/// Residual blocks in a row. In training their branches are dropped for some samples (stochastic depth; Huang et al.,
/// 2016).
#[derive(Debug)]
pub(crate) struct Blocks<B> {
    /// Each with the probability that a branch is dropped.
    blocks: Vec<(Part<B>, f64)>,
    /// Branches of a block, which are dropped one by one.
    branches: i64,
}

impl<B: Buffers + Debug + Send + 'static> Blocks<B> {
    pub(crate) fn new(branches: i64, blocks: impl IntoIterator<Item = (B, f64)>) -> Self {
        Self { blocks: blocks.into_iter().map(|(block, rate)| (Part::new(block), rate)).collect(), branches }
    }

    /// Runs the blocks by `forward`, which gets the input and factors for samples and branches ([`added`]). Calls
    /// `seen` with each block's number and output.
    pub(crate) fn run(
        &self,
        mut x: Tensor,
        [train, recompute]: [bool; 2],
        forward: impl Fn(&B, &Tensor, Option<&Tensor>) -> Tensor + Clone + Send + 'static,
        mut seen: impl FnMut(usize, &Tensor),
    ) -> Tensor {
        let again = recompute && train;
        for (number, (block, rate)) in self.blocks.iter().enumerate() {
            let forward = forward.clone();
            // Drawn outside the block: run a second time, it must return the same.
            x = match (train && *rate > 0.0).then(|| drawn(&x, self.branches, *rate)) {
                Some(kept) => block.run(again, [&x, &kept], move |block, [x, kept]| forward(block, x, Some(kept))),
                None => block.run(again, [&x], move |block, [x]| forward(block, x, None)),
            };
            seen(number, &x);
        }
        x
    }
}

/// Draws a factor for each sample of `x` and branch: 0 or 1 / (1 - `rate`), `[N, branches, 1, 1]`.
fn drawn(x: &Tensor, branches: i64, rate: f64) -> Tensor {
    dropout(Tensor::ones([x.size()[0], branches, 1, 1], (Kind::Float, x.device())), rate, true)
}

/// Two linear layers with a GELU in between (Hendrycks & Gimpel, 2016).
#[derive(Debug)]
pub(crate) struct Mlp {
    pub(crate) fc1: nn::Linear,
    pub(crate) fc2: nn::Linear,
}

/// Ratio of the channels within an [`Mlp`] to those outside.
pub(crate) const EXPANSION: i64 = 4;

impl Mlp {
    /// Makes it with the names of its layers in the reference.
    pub(crate) fn new(path: &nn::Path, channels: i64, [first, second]: [&str; 2]) -> Self {
        let within = channels * EXPANSION;
        Self {
            fc1: linear(&(path / first), channels, within, true),
            fc2: linear(&(path / second), within, channels, true),
        }
    }
}

impl Module for Mlp {
    fn forward(&self, x: &Tensor) -> Tensor {
        x.apply(&self.fc1).gelu("none").apply(&self.fc2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    /// Adds 1 by one branch and 10 by another.
    #[derive(Debug)]
    struct Counting;

    impl Buffers for Counting {
        fn buffers(&self) -> Vec<Tensor> {
            Vec::new()
        }
    }

    impl Counting {
        fn forward(&self, x: &Tensor, kept: Option<&Tensor>) -> Tensor {
            let x = added(x, x.ones_like(), kept, 0);
            added(&x, x.ones_like() * 10.0, kept, 1)
        }
    }

    #[test]
    fn branches_are_dropped_one_by_one_sample_by_sample_and_later_blocks_more_often() {
        assert_eq!([0, 1, 2].map(|number| dropped(0.5, number, 3)), [0.0, 0.25, 0.5]);
        assert_eq!(dropped(0.5, 0, 1), 0.0);
        let blocks = Blocks::new(2, [(Counting, 0.0), (Counting, 0.5)]);
        for shape in [vec![400, 3, 2], vec![400, 2, 2, 3]] {
            let x = Tensor::zeros(&shape, (Kind::Float, Device::Cpu));
            let run = |train| blocks.run(x.shallow_clone(), [train, false], Counting::forward, |_, _| ());
            assert!(run(false).equal(&(&x + 22.0)));
            let y = run(true).flatten(1, -1);
            assert!(y.equal(&y.narrow(1, 0, 1).expand_as(&y)), "one draw for all values of a sample");
            // The first block adds 11, the second each of 0 or 2, and 0 or 20.
            let values = Vec::<f64>::try_from(y.select(1, 0).to_kind(Kind::Double)).unwrap();
            for expected in [11.0, 13.0, 31.0, 33.0] {
                let count = values.iter().filter(|value| **value == expected).count();
                assert!((50..150).contains(&count), "{expected}: {count} of 400");
            }
        }
    }
}
