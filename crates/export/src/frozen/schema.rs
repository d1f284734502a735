//! Parameters of operators, in a notation close to libtorch's own schemas.

/// libtorch's number for f32 in its printed code.
pub const F32: i64 = 6;

/// A parameter of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameter<'a> {
    pub name: &'a str,
    pub kind: Kind,
    /// Value of an argument that is not printed.
    pub default: Option<Default<'a>>,
}

/// Values that a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Tensor,
    MaybeTensor,
    Tensors,
    /// A tensor or a number.
    Operand,
    Number,
    MaybeNumber,
    /// An integer from 0 on.
    Size,
    /// An integer of either sign.
    Index,
    MaybeIndex,
    Sizes,
    Indices,
    /// Scale factors.
    Factors,
    Flag,
    Text,
    /// A flag that is off, or the number 0.
    Zero,
    /// The number 1.
    One,
    /// The number type f32, or None.
    F32,
    /// A memory format.
    Layout,
    /// None.
    Nothing,
    /// A device or a layout: decided here, not by the file.
    Ignored,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Tensor" => Self::Tensor,
            "Tensor?" => Self::MaybeTensor,
            "Tensor[]" => Self::Tensors,
            "Operand" => Self::Operand,
            "Scalar" => Self::Number,
            "Scalar?" => Self::MaybeNumber,
            "size" => Self::Size,
            "int" => Self::Index,
            "int?" => Self::MaybeIndex,
            "size[]" => Self::Sizes,
            "int[]" => Self::Indices,
            "float[]" => Self::Factors,
            "bool" => Self::Flag,
            "str" => Self::Text,
            "0" => Self::Zero,
            "1" => Self::One,
            "f32" => Self::F32,
            "layout" => Self::Layout,
            "None" => Self::Nothing,
            "any" => Self::Ignored,
            _ => return None,
        })
    }

    /// Describes the values, for an error.
    pub fn described(self) -> &'static str {
        match self {
            Self::Tensor => "a tensor",
            Self::MaybeTensor => "a tensor or None",
            Self::Tensors => "a list of tensors",
            Self::Operand => "a tensor or a number",
            Self::Number | Self::MaybeNumber => "a number",
            Self::Size | Self::Index | Self::MaybeIndex => "a whole number as there should be",
            Self::Sizes | Self::Indices | Self::Factors => "a list as there should be",
            Self::Flag => "a flag",
            Self::Text => "a text",
            Self::Zero => "off",
            Self::One => "1",
            Self::F32 => "f32",
            Self::Layout => "a memory format",
            Self::Nothing => "None",
            Self::Ignored => "a device",
        }
    }
}

/// Default value of a parameter.
#[derive(Debug, Clone, PartialEq)]
pub enum Default<'a> {
    None,
    Int(i64),
    Float(f64),
    Ints(Vec<i64>),
    Text(&'a str),
}

impl<'a> Default<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        if let Some(items) = text.strip_prefix('[') {
            let items = items.strip_suffix(']')?.split(' ').filter(|item| !item.is_empty());
            return items.map(|item| item.parse().ok()).collect::<Option<_>>().map(Self::Ints);
        }
        Some(match text {
            "None" => Self::None,
            "False" => Self::Int(0),
            "True" => Self::Int(1),
            "max" => Self::Int(i64::MAX),
            _ => match text.parse() {
                Ok(value) => Self::Int(value),
                Err(_) => text.parse().map_or(Self::Text(text), Self::Float),
            },
        })
    }
}

/// Parses a schema: `kind name=default, …`. Items of a list are separated by blanks.
pub fn parameters(schema: &str) -> Option<Vec<Parameter<'_>>> {
    let parameter = |text| {
        let (kind, rest) = str::split_once(text, ' ')?;
        let (name, default) = match rest.split_once('=') {
            Some((name, default)) => (name, Some(Default::parse(default)?)),
            None => (rest, None),
        };
        Some(Parameter { name, kind: Kind::named(kind)?, default })
    };
    schema.split(", ").map(parameter).collect()
}
