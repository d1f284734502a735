//! Operators of a frozen network. A `model.pt` can make this program do nothing else.

use contract::TorchError;
use tch::{TchError, Tensor};

/// libtorch's numbers for channels-last and for f32 in its printed code.
const CHANNELS_LAST: i64 = 2;
const F32: i64 = 6;

/// Range of the integers in an export. The largest is the number of groups of a convolution with one group per channel.
const WHOLE: std::ops::RangeInclusive<i64> = 0..=1 << 16;

/// An operator with all its arguments but the tensors.
#[derive(Debug, Clone, PartialEq)]
pub enum Operator {
    /// Returns its input.
    Same,
    ChannelsLast,
    Convolution {
        stride: Vec<i64>,
        padding: Vec<i64>,
        dilation: Vec<i64>,
        transposed: bool,
        output_padding: Vec<i64>,
        groups: i64,
        /// `benchmark`, `deterministic`, `cudnn_enabled`, `allow_tf32`.
        flags: [bool; 4],
    },
    BatchNorm {
        momentum: f64,
        eps: f64,
        cudnn: bool,
    },
    MaxPool {
        kernel: Vec<i64>,
        stride: Vec<i64>,
        padding: Vec<i64>,
        dilation: Vec<i64>,
        ceil: bool,
    },
    /// By scale factors.
    UpsampleBilinear(Vec<f64>),
    UpsampleNearest(Vec<f64>),
    Cat(i64),
    /// An operator of one or two tensors; true if it works in place, on the first.
    Plain(Plain, bool),
}

/// Tensor input of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Local(usize),
    Constant(usize),
}

/// An operator that takes tensors only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plain {
    Add,
    Sub,
    Mul,
    Div,
    Relu,
    Relu6,
    Sigmoid,
}

/// Argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Tensor(Input),
    None,
    /// An integer, or a Boolean as 0 or 1.
    Int(i64),
    Float(f64),
    List(Vec<Argument>),
    /// A string or a device.
    Other,
}

/// Arguments of a call.
#[derive(Debug)]
pub struct Arguments {
    name: String,
    line: usize,
    positional: Vec<Argument>,
    keywords: Vec<(String, Argument)>,
}

impl Arguments {
    pub fn new(name: &str, line: usize) -> Self {
        Self { name: name.into(), line, positional: Vec::new(), keywords: Vec::new() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn is_empty(&self) -> bool {
        self.positional.is_empty() && self.keywords.is_empty()
    }

    pub fn add(&mut self, (keyword, argument): (Option<String>, Argument)) {
        match keyword {
            Some(keyword) => self.keywords.push((keyword, argument)),
            None => self.positional.push(argument),
        }
    }

    fn wrong(&self, what: &str) -> String {
        format!("line {} of its code uses {:.60} as no export does: {what}", self.line, self.name)
    }

    fn other(&self, position: usize, expected: &str) -> String {
        self.wrong(&format!("argument {position} is not {expected}"))
    }

    fn tensor(&self, position: usize) -> Result<Option<Input>, String> {
        match self.positional.get(position) {
            Some(Argument::Tensor(input)) => Ok(Some(*input)),
            _ => Err(self.other(position, "a tensor")),
        }
    }

    fn tensor_or_none(&self, position: usize) -> Result<Option<Input>, String> {
        match self.positional.get(position) {
            Some(Argument::None) => Ok(None),
            _ => self.tensor(position),
        }
    }

    fn int(&self, position: usize) -> Result<i64, String> {
        match self.positional.get(position) {
            Some(Argument::Int(value)) if WHOLE.contains(value) => Ok(*value),
            _ => Err(self.other(position, "a whole number as there should be")),
        }
    }

    fn flag(&self, position: usize) -> Result<bool, String> {
        Ok(self.int(position)? != 0)
    }

    fn float(&self, position: usize) -> Result<f64, String> {
        match self.positional.get(position) {
            Some(Argument::Float(value)) => Ok(*value),
            _ => Err(self.other(position, "a number")),
        }
    }

    fn list<T>(&self, position: usize, item: impl Fn(&Argument) -> Option<T>) -> Result<Vec<T>, String> {
        let items = match self.positional.get(position) {
            Some(Argument::List(items)) => items.iter().map(item).collect(),
            _ => None,
        };
        items.ok_or_else(|| self.other(position, "a list as there should be"))
    }

    fn ints(&self, position: usize) -> Result<Vec<i64>, String> {
        self.list(position, |item| match item {
            Argument::Int(value) if WHOLE.contains(value) => Some(*value),
            _ => None,
        })
    }

    /// Reads integers, which libtorch does not print where they are the default.
    fn ints_or(&self, position: usize, default: i64) -> Result<Vec<i64>, String> {
        if position < self.positional.len() { self.ints(position) } else { Ok(vec![default; 2]) }
    }

    /// Reads the factors of an upsampling; refuses an upsampling to a size.
    fn factors(&self, position: usize) -> Result<Vec<f64>, String> {
        if self.positional.get(1) != Some(&Argument::None) {
            return Err(self.wrong("an upsampling to a size, not by factors"));
        }
        self.list(position, |item| if let Argument::Float(value) = item { Some(*value) } else { None })
    }

    /// Refuses more than `most` positional arguments, and every keyword but the given one with this value.
    fn only(&self, most: usize, keyword: Option<(&str, i64)>) -> Result<(), String> {
        if self.positional.len() > most {
            return Err(self.wrong(&format!("it has {} arguments", self.positional.len())));
        }
        let known = |(name, value): &(String, Argument)| {
            keyword.is_some_and(|(known, expected)| name == known && *value == Argument::Int(expected))
        };
        match self.keywords.iter().find(|given| !known(given)) {
            Some((name, _)) => Err(self.wrong(&format!("argument {name:.40}"))),
            None => Ok(()),
        }
    }
}

impl Operator {
    /// Parses a call into its operator and its tensors.
    pub fn parse(mut call: Arguments) -> Result<(Self, Vec<Option<Input>>), String> {
        let short = call.name.strip_prefix("torch.").unwrap_or_default().to_string();
        Ok(match &*short {
            "contiguous" => {
                let last = call.keywords == [("memory_format".into(), Argument::Int(CHANNELS_LAST))];
                call.only(1, Some(("memory_format", if last { CHANNELS_LAST } else { 0 })))?;
                (if last { Self::ChannelsLast } else { Self::Same }, vec![call.tensor(0)?])
            }
            "detach" => {
                call.only(1, None)?;
                (Self::Same, vec![call.tensor(0)?])
            }
            "to" => {
                // Device and layout mean nothing here.
                call.keywords.retain(|(name, _)| name != "device" && name != "layout");
                call.only(1, Some(("dtype", F32)))?;
                (Self::Same, vec![call.tensor(0)?])
            }
            "_convolution" => {
                call.only(13, None)?;
                let flags = [call.flag(9)?, call.flag(10)?, call.flag(11)?, call.flag(12)?];
                let operator = Self::Convolution {
                    stride: call.ints(3)?,
                    padding: call.ints(4)?,
                    dilation: call.ints(5)?,
                    transposed: call.flag(6)?,
                    output_padding: call.ints(7)?,
                    groups: call.int(8)?,
                    flags,
                };
                (operator, vec![call.tensor(0)?, call.tensor(1)?, call.tensor_or_none(2)?])
            }
            "batch_norm" => {
                call.only(9, None)?;
                if call.flag(5)? {
                    return Err(call.wrong("with the statistics of a batch"));
                }
                let operator = Self::BatchNorm { momentum: call.float(6)?, eps: call.float(7)?, cudnn: call.flag(8)? };
                (operator, (0..5).map(|position| call.tensor(position)).collect::<Result<_, _>>()?)
            }
            "max_pool2d" => {
                call.only(6, None)?;
                let operator = Self::MaxPool {
                    kernel: call.ints(1)?,
                    stride: call.ints(2)?,
                    padding: call.ints_or(3, 0)?,
                    dilation: call.ints_or(4, 1)?,
                    ceil: call.positional.len() > 5 && call.flag(5)?,
                };
                (operator, vec![call.tensor(0)?])
            }
            "upsample_bilinear2d" => {
                call.only(4, None)?;
                if call.flag(2)? {
                    return Err(call.wrong("with corners that are aligned"));
                }
                (Self::UpsampleBilinear(call.factors(3)?), vec![call.tensor(0)?])
            }
            "upsample_nearest2d" => {
                call.only(3, None)?;
                (Self::UpsampleNearest(call.factors(2)?), vec![call.tensor(0)?])
            }
            "cat" => {
                call.only(2, None)?;
                let tensor =
                    |item: &Argument| if let Argument::Tensor(input) = item { Some(Some(*input)) } else { None };
                let all = call.list(0, tensor)?;
                if all.is_empty() {
                    return Err(call.wrong("nothing to put together"));
                }
                (Self::Cat(call.int(1)?), all)
            }
            name => {
                let (plain, tensors) = Plain::named(name.strip_suffix('_').unwrap_or(name)).ok_or_else(|| {
                    format!("line {} of its code calls {:.60}, which no export writes", call.line, call.name)
                })?;
                call.only(tensors, Some(("alpha", 1)))?;
                let inputs = (0..tensors).map(|position| call.tensor(position)).collect::<Result<_, _>>()?;
                (Self::Plain(plain, name.ends_with('_')), inputs)
            }
        })
    }

    /// Runs the operator. The inputs are those that [`Operator::parse`] returned.
    pub fn run(&self, inputs: &[Option<&Tensor>]) -> Result<Tensor, TorchError> {
        let missing = || TorchError::new("an operator of a saved network lacks a tensor");
        let x = inputs.first().copied().flatten().ok_or_else(missing)?;
        let second = || inputs.get(1).copied().flatten().ok_or_else(missing);
        Ok(match self {
            Self::Same => x.shallow_clone(),
            Self::ChannelsLast => torch_ext::channels_last(x)?,
            Self::Convolution { stride, padding, dilation, transposed, output_padding, groups, flags } => {
                let [benchmark, deterministic, cudnn, tf32] = *flags;
                let bias = inputs.get(2).copied().flatten();
                x.f_internal_convolution(
                    second()?,
                    bias,
                    stride,
                    padding,
                    dilation,
                    *transposed,
                    output_padding,
                    *groups,
                    benchmark,
                    deterministic,
                    cudnn,
                    tf32,
                )?
            }
            Self::BatchNorm { momentum, eps, cudnn } => {
                let of = |position: usize| inputs.get(position).copied().flatten();
                x.f_batch_norm(of(1), of(2), of(3), of(4), false, *momentum, *eps, *cudnn)?
            }
            Self::MaxPool { kernel, stride, padding, dilation, ceil } => {
                x.f_max_pool2d(kernel, stride, padding, dilation, *ceil)?
            }
            Self::UpsampleBilinear(factors) => {
                x.f_upsample_bilinear2d_vec(None::<&[i64]>, false, factors.as_slice())?
            }
            Self::UpsampleNearest(factors) => x.f_upsample_nearest2d_vec(None::<&[i64]>, factors.as_slice())?,
            Self::Cat(dim) => {
                let all = inputs.iter().map(|input| input.ok_or_else(missing)).collect::<Result<Vec<_>, _>>()?;
                Tensor::f_cat(&all, *dim)?
            }
            Self::Plain(plain, in_place) => plain.run(x, inputs.get(1).copied().flatten(), *in_place)?,
        })
    }
}

impl Plain {
    /// Returns the operator of this name, and the number of tensors that it takes.
    fn named(name: &str) -> Option<(Self, usize)> {
        Some(match name {
            "add" => (Self::Add, 2),
            "sub" => (Self::Sub, 2),
            "mul" => (Self::Mul, 2),
            "div" => (Self::Div, 2),
            "relu" => (Self::Relu, 1),
            "relu6" => (Self::Relu6, 1),
            "sigmoid" => (Self::Sigmoid, 1),
            _ => return None,
        })
    }

    fn run(self, x: &Tensor, other: Option<&Tensor>, in_place: bool) -> Result<Tensor, TchError> {
        let mut own = x.shallow_clone();
        let two = |run: fn(&Tensor, &Tensor) -> Result<Tensor, TchError>,
                   changed: fn(&mut Tensor, &Tensor) -> Result<Tensor, TchError>,
                   own: &mut Tensor| {
            let other = other.ok_or_else(|| TchError::Convert("a second tensor is missing".into()))?;
            if in_place { changed(own, other) } else { run(own, other) }
        };
        match self {
            Self::Add => two(Tensor::f_add, Tensor::f_add_, &mut own),
            Self::Sub => two(Tensor::f_sub, Tensor::f_sub_, &mut own),
            Self::Mul => two(Tensor::f_mul, Tensor::f_mul_, &mut own),
            Self::Div => two(Tensor::f_div, Tensor::f_div_, &mut own),
            Self::Relu if in_place => own.f_relu_(),
            Self::Relu => own.f_relu(),
            Self::Relu6 if in_place => own.f_relu6_(),
            Self::Relu6 => own.f_relu6(),
            Self::Sigmoid if in_place => own.f_sigmoid_(),
            Self::Sigmoid => own.f_sigmoid(),
        }
    }
}
