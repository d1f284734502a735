//! A call of an operator, and those of its arguments that are constants.

use crate::Error;
use tch::Tensor;
use torch_ext::{Constant, Graph, Operation};

/// libtorch's number for f32.
const F32: i64 = 6;

/// A call of an operator.
pub struct Call<'a> {
    pub operation: &'a Operation,
    pub graph: &'a Graph,
}

impl<'a> Call<'a> {
    /// Returns the operator's name without its namespace. Operators that work in place have the same result.
    pub fn kind(&self) -> &'a str {
        let kind = &self.operation.kind;
        let kind = kind.strip_prefix("aten::").unwrap_or(kind);
        kind.strip_suffix('_').unwrap_or(kind)
    }

    /// Returns the name of its first result.
    pub fn output(&self) -> &'a str {
        self.operation.outputs.first().map(String::as_str).unwrap_or_default()
    }

    pub fn constant(&self, position: usize) -> Option<&'a Constant> {
        self.graph.constants.get(self.operation.inputs.get(position)?)
    }

    /// Returns true if an argument is None, or not given.
    pub fn is_none(&self, position: usize) -> bool {
        matches!(self.constant(position), Some(Constant::None)) || position >= self.operation.inputs.len()
    }

    pub fn wrong(&self, what: &str) -> Error {
        Error::Argument { name: self.operation.kind.clone(), what: what.into() }
    }

    pub fn other(&self, position: usize, expected: &str) -> Error {
        self.wrong(&format!("argument {position} is {:?}, not {expected}", self.constant(position)))
    }

    pub fn tensor(&self, position: usize) -> Result<&'a Tensor, Error> {
        match self.constant(position) {
            Some(Constant::Tensor(tensor)) => Ok(tensor),
            _ => Err(self.other(position, "a tensor")),
        }
    }

    pub fn int(&self, position: usize) -> Result<i64, Error> {
        match self.constant(position) {
            Some(Constant::Int(value)) => Ok(*value),
            _ => Err(self.other(position, "a whole number")),
        }
    }

    pub fn float(&self, position: usize) -> Result<f64, Error> {
        match self.constant(position) {
            Some(Constant::Float(value)) => Ok(*value),
            Some(Constant::Int(value)) => Ok(*value as f64),
            _ => Err(self.other(position, "a number")),
        }
    }

    pub fn ints(&self, position: usize) -> Result<&'a [i64], Error> {
        match self.constant(position) {
            Some(Constant::Ints(values)) => Ok(values),
            _ => Err(self.other(position, "whole numbers")),
        }
    }

    pub fn text(&self, position: usize) -> Result<&'a str, Error> {
        match self.constant(position) {
            Some(Constant::Text(text)) => Ok(text),
            _ => Err(self.other(position, "a text")),
        }
    }

    /// Refuses any value but the one that has a translation.
    pub fn expect(&self, position: usize, value: i64) -> Result<(), Error> {
        if self.int(position)? == value { Ok(()) } else { Err(self.other(position, &value.to_string())) }
    }

    /// Refuses another value than None.
    pub fn expect_none(&self, position: usize) -> Result<(), Error> {
        if self.is_none(position) { Ok(()) } else { Err(self.other(position, "None")) }
    }

    /// Refuses another number type than f32: every value is f32 here.
    pub fn expect_f32(&self, position: usize) -> Result<(), Error> {
        if self.is_none(position) || self.int(position)? == F32 { Ok(()) } else { Err(self.other(position, "f32")) }
    }
}
