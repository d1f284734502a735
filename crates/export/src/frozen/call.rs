//! A call in the code of a frozen network: its arguments, brought into the order of the operator's parameters.

use super::schema::{Default, Kind, Parameter};

/// Range of the integers in an export: the largest is the number of groups of a convolution with one group per channel.
const WHOLE: i64 = 1 << 16;

/// Input of a step: a value that is computed, or a constant of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Input {
    Local(usize),
    Constant(usize),
}

/// Argument of a call.
#[derive(Debug, Clone, PartialEq)]
pub enum Argument {
    Tensor(Input),
    /// A list of tensors that an operator returned.
    Tensors(usize),
    /// An integer that is computed: a size.
    Size(usize),
    None,
    /// An integer, or a Boolean as 0 or 1.
    Int(i64),
    Float(f64),
    Text(String),
    List(Vec<Argument>),
    Device,
}

impl Argument {
    /// Adds the values that it holds to `all`.
    pub fn inputs(&self, all: &mut Vec<Input>) {
        match self {
            Self::Tensor(input) => all.push(*input),
            Self::Tensors(local) | Self::Size(local) => all.push(Input::Local(*local)),
            Self::List(items) => items.iter().for_each(|item| item.inputs(all)),
            _ => {}
        }
    }
}

/// Arguments of a call.
#[derive(Debug)]
pub struct Call {
    pub name: String,
    line: usize,
    positional: Vec<Argument>,
    keywords: Vec<(String, Argument)>,
}

impl Call {
    pub fn new(name: &str, line: usize) -> Self {
        Self { name: name.into(), line, positional: Vec::new(), keywords: Vec::new() }
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

    pub fn wrong(&self, what: &str) -> String {
        format!("line {} of its code uses {:.60} as no export does: {what}", self.line, self.name)
    }

    pub fn unknown(&self) -> String {
        format!("line {} of its code calls {:.60}, which no export writes", self.line, self.name)
    }

    /// Returns an argument for each parameter; libtorch prints none that has the default value.
    pub fn bind(&self, parameters: &[Parameter]) -> Result<Vec<Argument>, String> {
        if self.positional.len() > parameters.len() {
            return Err(self.wrong(&format!("it has {} arguments", self.positional.len())));
        }
        let by_name = &parameters[self.positional.len()..];
        if let Some((name, _)) =
            self.keywords.iter().find(|(name, _)| by_name.iter().all(|parameter| parameter.name != *name))
        {
            return Err(self.wrong(&format!("argument {name:.40}")));
        }
        let bound = parameters.iter().enumerate().map(|(position, parameter)| {
            let keyword = || self.keywords.iter().find(|(name, _)| *name == parameter.name).map(|(_, value)| value);
            match (self.positional.get(position).or_else(keyword), &parameter.default) {
                (Some(given), _) if fits(given, parameter.kind) => Ok(given.clone()),
                (None, Some(default)) => Ok(default.argument()),
                _ if self.positional.len() > position => Err(self.other(&position.to_string(), parameter.kind)),
                _ => Err(self.other(parameter.name, parameter.kind)),
            }
        });
        bound.collect()
    }

    fn other(&self, argument: &str, kind: Kind) -> String {
        self.wrong(&format!("argument {argument} is not {}", kind.described()))
    }
}

impl Default<'_> {
    fn argument(&self) -> Argument {
        match self {
            Self::None => Argument::None,
            Self::Int(value) => Argument::Int(*value),
            Self::Float(value) => Argument::Float(*value),
            Self::Ints(values) => Argument::List(values.iter().map(|value| Argument::Int(*value)).collect()),
            Self::Text(text) => Argument::Text((*text).into()),
        }
    }
}

fn fits(given: &Argument, kind: Kind) -> bool {
    let is_number = |given: &Argument| matches!(given, Argument::Int(_) | Argument::Float(_));
    let is_index = |given: &Argument| match given {
        // The end of a slice that has none.
        Argument::Int(i64::MAX) => true,
        Argument::Int(value) => (-WHOLE..=WHOLE).contains(value),
        _ => matches!(given, Argument::Size(_)),
    };
    let is_size = |given: &Argument| match given {
        Argument::Int(value) => (0..=WHOLE).contains(value),
        _ => matches!(given, Argument::Size(_)),
    };
    let all = |fits: &dyn Fn(&Argument) -> bool| matches!(given, Argument::List(items) if items.iter().all(fits));
    let is_tensor = |given: &Argument| matches!(given, Argument::Tensor(_));
    match kind {
        Kind::Tensor => is_tensor(given),
        Kind::MaybeTensor => is_tensor(given) || *given == Argument::None,
        Kind::Tensors => {
            matches!(given, Argument::Tensors(_)) || all(&is_tensor) && *given != Argument::List(Vec::new())
        }
        Kind::Operand => is_tensor(given) || is_number(given),
        Kind::Number => is_number(given),
        Kind::MaybeNumber => is_number(given) || *given == Argument::None,
        Kind::Size => is_size(given),
        Kind::Index => is_index(given),
        Kind::MaybeIndex => is_index(given) || *given == Argument::None,
        Kind::Sizes => all(&is_size),
        Kind::Indices => all(&is_index),
        Kind::Factors => all(&|item| matches!(item, Argument::Float(_))),
        Kind::Flag => matches!(given, Argument::Int(0 | 1)),
        Kind::Text => matches!(given, Argument::Text(_)),
        Kind::Zero => *given == Argument::Int(0) || *given == Argument::Float(0.0),
        Kind::One => *given == Argument::Int(1),
        Kind::F32 => matches!(given, Argument::Int(super::schema::F32) | Argument::None),
        Kind::Layout => matches!(given, Argument::Int(_) | Argument::None),
        Kind::Nothing => *given == Argument::None,
        Kind::Ignored => matches!(given, Argument::Int(_) | Argument::Device | Argument::None),
    }
}
