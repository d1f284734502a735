//! Layers: convolutions, normalisation, pooling, resizing, products.

use super::{Given, Operator, op};
use tch::{Kind, TchError, Tensor};

static LAYERS: &[Operator] = &[
    op(
        "_convolution",
        "Tensor x, Tensor weight, Tensor? bias, size[] stride, size[] padding, size[] dilation, bool transposed, \
         size[] output_padding, size groups, bool benchmark, bool deterministic, bool cudnn, bool tf32",
        convolution,
    ),
    op(
        "batch_norm",
        "Tensor x, Tensor? weight, Tensor? bias, Tensor mean, Tensor variance, 0 training, Scalar momentum, \
         Scalar eps, bool cudnn",
        |given| {
            let (momentum, eps, cudnn) = (given.float(6)?, given.float(7)?, given.flag(8)?);
            let of = |position| given.maybe(position);
            given.tensor(0)?.f_batch_norm(of(1), of(2), of(3), of(4), false, momentum, eps, cudnn)
        },
    ),
    op(
        "layer_norm",
        "Tensor x, size[] shape, Tensor? weight=None, Tensor? bias=None, Scalar eps=1e-5, bool cudnn=True",
        |given| {
            let (weight, bias) = (given.maybe(2), given.maybe(3));
            given.tensor(0)?.f_layer_norm(given.ints(1)?, weight, bias, given.float(4)?, given.flag(5)?)
        },
    ),
    op(
        "group_norm",
        "Tensor x, size groups, Tensor? weight=None, Tensor? bias=None, Scalar eps=1e-5, bool cudnn=True",
        |given| {
            let (weight, bias) = (given.maybe(2), given.maybe(3));
            given.tensor(0)?.f_group_norm(given.int(1)?, weight, bias, given.float(4)?, given.flag(5)?)
        },
    ),
    op(
        "instance_norm",
        "Tensor x, Tensor? weight, Tensor? bias, None mean, None variance, bool own, Scalar momentum, Scalar eps, \
         bool cudnn",
        |given| {
            let (weight, bias, none) = (given.maybe(1), given.maybe(2), None::<&Tensor>);
            let (momentum, eps) = (given.float(6)?, given.float(7)?);
            given.tensor(0)?.f_instance_norm(weight, bias, none, none, given.flag(5)?, momentum, eps, given.flag(8)?)
        },
    ),
    op(
        "max_pool2d",
        "Tensor x, size[] kernel, size[] stride=[], size[] padding=[0 0], size[] dilation=[1 1], bool ceil=False",
        |given| {
            let (kernel, stride, padding) = (given.ints(1)?, given.ints(2)?, given.ints(3)?);
            given.tensor(0)?.f_max_pool2d(kernel, stride, padding, given.ints(4)?, given.flag(5)?)
        },
    ),
    op(
        "avg_pool2d",
        "Tensor x, size[] kernel, size[] stride=[], size[] padding=[0 0], bool ceil=False, bool counted=True, \
         None divisor=None",
        |given| {
            let (kernel, stride, padding) = (given.ints(1)?, given.ints(2)?, given.ints(3)?);
            given.tensor(0)?.f_avg_pool2d(kernel, stride, padding, given.flag(4)?, given.flag(5)?, None::<i64>)
        },
    ),
    op("adaptive_avg_pool2d", "Tensor x, size[] size", |given| given.tensor(0)?.f_adaptive_avg_pool2d(given.ints(1)?)),
    op("pad", "Tensor x, int[] pad, str mode=constant, Scalar? value=None", |given| {
        given.tensor(0)?.f_pad(given.ints(1)?, given.text(2)?, given.maybe_float(3))
    }),
    op("constant_pad_nd", "Tensor x, int[] pad, Scalar value=0", |given| {
        given.tensor(0)?.f_pad(given.ints(1)?, "constant", given.float(2)?)
    }),
    op("replication_pad2d", "Tensor x, int[] pad", |given| given.tensor(0)?.f_replication_pad2d(given.ints(1)?)),
    op("reflection_pad2d", "Tensor x, int[] pad", |given| given.tensor(0)?.f_reflection_pad2d(given.ints(1)?)),
    op("matmul", "Tensor x, Tensor other", |given| given.tensor(0)?.f_matmul(given.tensor(1)?)),
    op("bmm", "Tensor x, Tensor other", |given| given.tensor(0)?.f_bmm(given.tensor(1)?)),
    op("mm", "Tensor x, Tensor other", |given| given.tensor(0)?.f_mm(given.tensor(1)?)),
    op("linear", "Tensor x, Tensor weight, Tensor? bias=None", |given| {
        given.tensor(0)?.f_linear(given.tensor(1)?, given.maybe(2))
    }),
    op("addmm", "Tensor bias, Tensor x, Tensor weight, 1 beta=1, 1 alpha=1", |given| {
        given.tensor(0)?.f_addmm(given.tensor(1)?, given.tensor(2)?)
    }),
    op(
        "scaled_dot_product_attention",
        "Tensor query, Tensor key, Tensor value, Tensor? mask=None, 0 dropout=0, bool causal=False, \
         Scalar? scale=None, bool grouped=False",
        |given| {
            let (query, key, value) = (given.tensor(0)?, given.tensor(1)?, given.tensor(2)?);
            let (causal, scale, grouped) = (given.flag(5)?, given.maybe_float(6), given.flag(7)?);
            Tensor::f_scaled_dot_product_attention(query, key, value, given.maybe(3), 0.0, causal, scale, grouped)
        },
    ),
];

fn convolution(given: &Given) -> Result<Tensor, TchError> {
    let (transposed, groups) = (given.flag(6)?, given.int(8)?);
    let [benchmark, deterministic, cudnn, tf32] = [given.flag(9)?, given.flag(10)?, given.flag(11)?, given.flag(12)?];
    given.tensor(0)?.f_internal_convolution(
        given.tensor(1)?,
        given.maybe(2),
        given.ints(3)?,
        given.ints(4)?,
        given.ints(5)?,
        transposed,
        given.ints(7)?,
        groups,
        benchmark,
        deterministic,
        cudnn,
        tf32,
    )
}

static RESIZING: &[Operator] = &[
    op("upsample_nearest2d", "Tensor x, None size, float[] factors", |given| {
        given.tensor(0)?.f_upsample_nearest2d_vec(None::<&[i64]>, given.floats(2)?)
    }),
    op("upsample_nearest2d", "Tensor x, size[] size, Scalar? height=None, Scalar? width=None", |given| {
        given.tensor(0)?.f_upsample_nearest2d(given.ints(1)?, given.maybe_float(2), given.maybe_float(3))
    }),
    op("upsample_bilinear2d", "Tensor x, None size, bool aligned, float[] factors", |given| {
        given.tensor(0)?.f_upsample_bilinear2d_vec(None::<&[i64]>, given.flag(2)?, given.floats(3)?)
    }),
    op("upsample_bilinear2d", BY_SIZE, |given| {
        let [height, width] = [given.maybe_float(3), given.maybe_float(4)];
        given.tensor(0)?.f_upsample_bilinear2d(given.ints(1)?, given.flag(2)?, height, width)
    }),
    op("upsample_bicubic2d", "Tensor x, None size, bool aligned, float[] factors", |given| {
        given.tensor(0)?.f_upsample_bicubic2d_vec(None::<&[i64]>, given.flag(2)?, given.floats(3)?)
    }),
    op("upsample_bicubic2d", BY_SIZE, |given| {
        let [height, width] = [given.maybe_float(3), given.maybe_float(4)];
        given.tensor(0)?.f_upsample_bicubic2d(given.ints(1)?, given.flag(2)?, height, width)
    }),
];

const BY_SIZE: &str = "Tensor x, size[] size, bool aligned, Scalar? height=None, Scalar? width=None";

static REDUCTIONS: &[Operator] = &[
    op("mean", "Tensor x, f32 dtype=None", |given| given.tensor(0)?.f_mean(None::<Kind>)),
    op("mean", OVER, |given| given.tensor(0)?.f_mean_dim(given.ints(1)?, given.flag(2)?, None::<Kind>)),
    op("sum", OVER, |given| given.tensor(0)?.f_sum_dim_intlist(given.ints(1)?, given.flag(2)?, None::<Kind>)),
    op("amax", "Tensor x, int[] dims, bool kept=False", |given| {
        given.tensor(0)?.f_amax(given.ints(1)?, given.flag(2)?)
    }),
    op("cumsum", "Tensor x, int dim, f32 dtype=None", |given| given.tensor(0)?.f_cumsum(given.int(1)?, None::<Kind>)),
    op("dropout", "Tensor x, Scalar p, 0 training", same),
    op("dropout_", "Tensor x, Scalar p, 0 training", same),
    op("feature_dropout", "Tensor x, Scalar p, 0 training", same),
    op("leaky_relu", "Tensor x, Scalar slope=0.01", |given| {
        let x = given.tensor(0)?;
        // tch knows the default slope only.
        x.f_clamp_min(0.0)?.f_add(&x.f_clamp_max(0.0)?.f_mul_scalar(given.scalar(1)?)?)
    }),
];

const OVER: &str = "Tensor x, int[] dims, bool kept=False, f32 dtype=None";

fn same(given: &Given) -> Result<Tensor, TchError> {
    given.own(0)
}

pub static ALL: &[&[Operator]] = &[LAYERS, RESIZING, REDUCTIONS];
