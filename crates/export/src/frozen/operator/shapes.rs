//! Operators that change shape, order or memory, and sizes.

use super::{Given, Operator, Run, op};
use tch::{TchError, Tensor};

/// libtorch's number for channels-last in its printed code.
const CHANNELS_LAST: i64 = 2;

static SAME: &[Operator] = &[
    op("contiguous", "Tensor x, layout memory_format=0", |given| {
        let x = given.tensor(0)?;
        match given.int(1)? {
            CHANNELS_LAST => torch_ext::channels_last(x).map_err(|error| TchError::Torch(error.to_string())),
            _ => x.f_contiguous(),
        }
    }),
    op("detach", "Tensor x", |given| given.own(0)),
    op("alias", "Tensor x", |given| given.own(0)),
    op("clone", "Tensor x, layout memory_format=None", |given| given.tensor(0)?.f_detach_copy()),
    op(
        "to",
        "Tensor x, f32 dtype=None, any layout=None, any device=None, any pin_memory=None, any non_blocking=False, \
         any copy=False, any memory_format=None",
        |given| given.own(0),
    ),
    op(
        "to",
        "Tensor x, any device, f32 dtype, any non_blocking=False, any copy=False, any memory_format=None",
        |given| given.own(0),
    ),
    op("type_as", "Tensor x, Tensor other", |given| given.own(0)),
];

static SHAPES: &[Operator] = &[
    op("view", "Tensor x, int[] size", |given| given.tensor(0)?.f_view(given.ints(1)?)),
    op("reshape", "Tensor x, int[] size", |given| given.tensor(0)?.f_reshape(given.ints(1)?)),
    op("view_as", "Tensor x, Tensor other", |given| given.tensor(0)?.f_view_as(given.tensor(1)?)),
    op("reshape_as", "Tensor x, Tensor other", |given| given.tensor(0)?.f_reshape_as(given.tensor(1)?)),
    op("expand", "Tensor x, int[] size, bool implicit=False", |given| {
        given.tensor(0)?.f_expand(given.ints(1)?, given.flag(2)?)
    }),
    op("expand_as", "Tensor x, Tensor other", |given| given.tensor(0)?.f_expand_as(given.tensor(1)?)),
    op("flatten", "Tensor x, int first=0, int last=-1", |given| {
        given.tensor(0)?.f_flatten(given.int(1)?, given.int(2)?)
    }),
    op("unflatten", "Tensor x, int dim, int[] sizes", |given| {
        given.tensor(0)?.f_unflatten(given.int(1)?, given.ints(2)?)
    }),
    op("permute", "Tensor x, int[] dims", |given| given.tensor(0)?.f_permute(given.ints(1)?)),
    op("transpose", "Tensor x, int first, int second", |given| {
        given.tensor(0)?.f_transpose(given.int(1)?, given.int(2)?)
    }),
    op("t", "Tensor x", |given| given.tensor(0)?.f_transpose(0, 1)),
    op("unsqueeze", "Tensor x, int dim", |given| given.tensor(0)?.f_unsqueeze(given.int(1)?)),
    op("squeeze", "Tensor x, int dim", |given| given.tensor(0)?.f_squeeze_dim(given.int(1)?)),
    op("squeeze", "Tensor x, int[] dims", |given| given.tensor(0)?.f_squeeze_dims(given.ints(1)?)),
    op("slice", "Tensor x, int dim=0, int? start=None, int? end=None, int step=1", |given| {
        given.tensor(0)?.f_slice(given.int(1)?, given.maybe_int(2), given.maybe_int(3), given.int(4)?)
    }),
    op("narrow", "Tensor x, int dim, int start, size length", |given| {
        given.tensor(0)?.f_narrow(given.int(1)?, given.int(2)?, given.int(3)?)
    }),
    op("select", "Tensor x, int dim, int index", |given| given.tensor(0)?.f_select(given.int(1)?, given.int(2)?)),
    op("repeat", "Tensor x, size[] times", |given| given.tensor(0)?.f_repeat(given.ints(1)?)),
    op("cat", "Tensor[] all, int dim=0", |given| Tensor::f_cat(given.tensors(0)?, given.int(1)?)),
    op("stack", "Tensor[] all, int dim=0", |given| Tensor::f_stack(given.tensors(0)?, given.int(1)?)),
    op("ones_like", LIKE, |given| given.tensor(0)?.f_ones_like()),
    op("zeros_like", LIKE, |given| given.tensor(0)?.f_zeros_like()),
    op(
        "full_like",
        "Tensor x, Scalar value, f32 dtype=None, any layout=None, any device=None, any pin_memory=None, \
         layout memory_format=None",
        |given| given.tensor(0)?.f_full_like(given.scalar(1)?),
    ),
];

const LIKE: &str = "Tensor x, f32 dtype=None, any layout=None, any device=None, any pin_memory=None, \
                    layout memory_format=None";

static PARTS: &[Operator] = &[
    list("chunk", "Tensor x, size count, int dim=0", |given| given.tensor(0)?.f_chunk(given.int(1)?, given.int(2)?)),
    list("split", "Tensor x, size length, int dim=0", |given| given.tensor(0)?.f_split(given.int(1)?, given.int(2)?)),
    list("split", "Tensor x, size[] lengths, int dim=0", split_with_sizes),
    list("split_with_sizes", "Tensor x, size[] lengths, int dim=0", split_with_sizes),
    list("unbind", "Tensor x, int dim=0", |given| given.tensor(0)?.f_unbind(given.int(1)?)),
    Operator {
        name: "size",
        schema: "Tensor x, int dim",
        run: Run::Size(|given| {
            let size = given.tensor(0)?.size();
            let dim = given.int(1)?;
            let dim = if dim < 0 { dim + size.len() as i64 } else { dim };
            let side = usize::try_from(dim).ok().and_then(|dim| size.get(dim));
            side.copied().ok_or_else(|| TchError::Convert(format!("a tensor of the shape {size:?} has no size {dim}")))
        }),
    },
    // A trace takes a size for a tensor in between.
    Operator { name: "ops.prim.NumToTensor", schema: "int size", run: Run::Size(|given| given.int(0)) },
    Operator { name: "int", schema: "int size", run: Run::Size(|given| given.int(0)) },
];

const fn list(name: &'static str, schema: &'static str, run: fn(&Given) -> Result<Vec<Tensor>, TchError>) -> Operator {
    Operator { name, schema, run: Run::Tensors(run) }
}

fn split_with_sizes(given: &Given) -> Result<Vec<Tensor>, TchError> {
    given.tensor(0)?.f_split_with_sizes(given.ints(1)?, given.int(2)?)
}

pub static ALL: &[&[Operator]] = &[SAME, SHAPES, PARTS];
