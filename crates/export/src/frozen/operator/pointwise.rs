//! Operators on each value: activations and arithmetic.

use super::{Given, Operator, Value, op};
use tch::{Kind, Scalar, TchError, Tensor};

/// Operators of one tensor that exist in place too.
macro_rules! unary {
    ($($name:ident $run:ident $in_place:ident;)*) => {
        [$(
            op(stringify!($name), "Tensor x", |given| given.tensor(0)?.$run()),
            op(concat!(stringify!($name), "_"), "Tensor x", |given| given.own(0)?.$in_place()),
        )*]
    };
}

static UNARY: &[Operator] = &unary! {
    relu f_relu f_relu_;
    relu6 f_relu6 f_relu6_;
    sigmoid f_sigmoid f_sigmoid_;
    tanh f_tanh f_tanh_;
    hardswish f_hardswish f_hardswish_;
    hardsigmoid f_hardsigmoid f_hardsigmoid_;
    silu f_silu f_silu_;
    mish f_mish f_mish_;
    exp f_exp f_exp_;
    log f_log f_log_;
    erf f_erf f_erf_;
    sqrt f_sqrt f_sqrt_;
    rsqrt f_rsqrt f_rsqrt_;
    reciprocal f_reciprocal f_reciprocal_;
    sin f_sin f_sin_;
    cos f_cos f_cos_;
    neg f_neg f_neg_;
    abs f_abs f_abs_;
};

/// Arithmetic with a tensor or a number.
macro_rules! binary {
    ($($name:literal $own:literal $schema:literal $run:ident $scalar:ident $in_place:ident $both:ident;)*) => {
        [$(
            op($name, $schema, |given| with(given, Tensor::$run, |x, value| x.$scalar(value))),
            op($own, $schema, |given| {
                let mut own = given.own(0)?;
                match given.0.get(1) {
                    Some(Value::Tensor(other)) => own.$in_place(other),
                    _ => own.$both(given.scalar(1)?),
                }
            }),
        )*]
    };
}

static BINARY: &[Operator] = &binary! {
    "add" "add_" "Tensor x, Operand other, 1 alpha=1" f_add f_add_scalar f_add_ f_add_scalar_;
    "sub" "sub_" "Tensor x, Operand other, 1 alpha=1" f_sub f_sub_scalar f_sub_ f_sub_scalar_;
    "mul" "mul_" "Tensor x, Operand other" f_mul f_mul_scalar f_mul_ f_mul_scalar_;
    "div" "div_" "Tensor x, Operand other" f_div f_div_scalar f_div_ f_div_scalar_;
};

fn with(
    given: &Given,
    tensor: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>,
    scalar: fn(&Tensor, Scalar) -> Result<Tensor, TchError>,
) -> Result<Tensor, TchError> {
    match given.0.get(1) {
        Some(Value::Tensor(other)) => tensor(given.tensor(0)?, other),
        _ => scalar(given.tensor(0)?, given.scalar(1)?),
    }
}

static REST: &[Operator] = &[
    op("rsub", "Tensor x, Operand other, 1 alpha=1", |given| {
        with(given, Tensor::f_rsub, |x, other| x.f_rsub_scalar(other))
    }),
    op("pow", "Tensor x, Scalar exponent", |given| given.tensor(0)?.f_pow_tensor_scalar(given.scalar(1)?)),
    op("gelu", "Tensor x, str approximate=none", |given| given.tensor(0)?.f_gelu(given.text(1)?)),
    op("gelu_", "Tensor x, str approximate=none", |given| given.own(0)?.f_gelu_(given.text(1)?)),
    op("hardtanh", CLAMP, |given| clamp(given.tensor(0)?, given)),
    op("hardtanh_", CLAMP, |given| clamp_(given.own(0)?, given)),
    op("clamp", "Tensor x, Scalar? min=None, Scalar? max=None", |given| clamp(given.tensor(0)?, given)),
    op("clamp_", "Tensor x, Scalar? min=None, Scalar? max=None", |given| clamp_(given.own(0)?, given)),
    op("clamp_min", "Tensor x, Scalar min", |given| given.tensor(0)?.f_clamp_min(given.scalar(1)?)),
    op("clamp_max", "Tensor x, Scalar max", |given| given.tensor(0)?.f_clamp_max(given.scalar(1)?)),
    op("softmax", "Tensor x, int dim, f32 dtype=None", |given| given.tensor(0)?.f_softmax(given.int(1)?, None::<Kind>)),
    op("log_softmax", "Tensor x, int dim, f32 dtype=None", |given| {
        given.tensor(0)?.f_log_softmax(given.int(1)?, None::<Kind>)
    }),
];

const CLAMP: &str = "Tensor x, Scalar min=-1, Scalar max=1";

fn clamp(x: &Tensor, given: &Given) -> Result<Tensor, TchError> {
    match (given.scalar(1), given.scalar(2)) {
        (Ok(least), Ok(most)) => x.f_clamp(least, most),
        (Ok(least), Err(_)) => x.f_clamp_min(least),
        (_, most) => x.f_clamp_max(most?),
    }
}

fn clamp_(mut x: Tensor, given: &Given) -> Result<Tensor, TchError> {
    match (given.scalar(1), given.scalar(2)) {
        (Ok(least), Ok(most)) => x.f_clamp_(least, most),
        (Ok(least), Err(_)) => x.f_clamp_min_(least),
        (_, most) => x.f_clamp_max_(most?),
    }
}

pub static ALL: &[&[Operator]] = &[UNARY, BINARY, REST];
