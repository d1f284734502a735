//! Operators of a frozen network. A `model.pt` can make this program do nothing else.

pub mod layers;
pub mod pointwise;
pub mod shapes;

use tch::{Scalar, TchError, Tensor};

/// An operator: its name after `torch.`, its parameters (in the notation of `schema.rs`), and how it runs.
#[derive(Debug)]
pub struct Operator {
    pub name: &'static str,
    pub schema: &'static str,
    pub run: Run,
}

/// Function of an operator, by the kind of its result.
#[derive(Debug, Clone, Copy)]
pub enum Run {
    Tensor(fn(&Given) -> Result<Tensor, TchError>),
    Tensors(fn(&Given) -> Result<Vec<Tensor>, TchError>),
    /// A size, or an integer that is one.
    Size(fn(&Given) -> Result<i64, TchError>),
}

/// Returns an operator of a Tensor.
const fn op(name: &'static str, schema: &'static str, run: fn(&Given) -> Result<Tensor, TchError>) -> Operator {
    Operator { name, schema, run: Run::Tensor(run) }
}

/// Value of an argument while a network runs.
#[derive(Debug)]
pub enum Value<'a> {
    None,
    Tensor(&'a Tensor),
    Tensors(Vec<&'a Tensor>),
    Int(i64),
    Float(f64),
    Text(&'a str),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
}

/// Arguments of a call while a network runs, in the order of the operator's parameters.
#[derive(Debug)]
pub struct Given<'a>(pub Vec<Value<'a>>);

/// Returns the error for an argument of another kind than its parameter. The binding of a call refuses it before.
fn other<T>(position: usize) -> Result<T, TchError> {
    Err(TchError::Convert(format!("argument {position} is of another kind")))
}

impl Given<'_> {
    fn tensor(&self, position: usize) -> Result<&Tensor, TchError> {
        match self.0.get(position) {
            Some(Value::Tensor(tensor)) => Ok(tensor),
            _ => other(position),
        }
    }

    /// Returns a handle of a tensor, for operators that change it in place.
    fn own(&self, position: usize) -> Result<Tensor, TchError> {
        Ok(self.tensor(position)?.shallow_clone())
    }

    fn maybe(&self, position: usize) -> Option<&Tensor> {
        self.tensor(position).ok()
    }

    fn tensors(&self, position: usize) -> Result<&[&Tensor], TchError> {
        match self.0.get(position) {
            Some(Value::Tensors(tensors)) => Ok(tensors),
            _ => other(position),
        }
    }

    fn int(&self, position: usize) -> Result<i64, TchError> {
        match self.0.get(position) {
            Some(Value::Int(value)) => Ok(*value),
            _ => other(position),
        }
    }

    fn maybe_int(&self, position: usize) -> Option<i64> {
        self.int(position).ok()
    }

    fn flag(&self, position: usize) -> Result<bool, TchError> {
        Ok(self.int(position)? != 0)
    }

    fn float(&self, position: usize) -> Result<f64, TchError> {
        match self.0.get(position) {
            Some(Value::Float(value)) => Ok(*value),
            Some(Value::Int(value)) => Ok(*value as f64),
            _ => other(position),
        }
    }

    fn maybe_float(&self, position: usize) -> Option<f64> {
        self.float(position).ok()
    }

    fn ints(&self, position: usize) -> Result<&[i64], TchError> {
        match self.0.get(position) {
            Some(Value::Ints(values)) => Ok(values),
            _ => other(position),
        }
    }

    fn floats(&self, position: usize) -> Result<&[f64], TchError> {
        match self.0.get(position) {
            Some(Value::Floats(values)) => Ok(values),
            _ => other(position),
        }
    }

    fn text(&self, position: usize) -> Result<&str, TchError> {
        match self.0.get(position) {
            Some(Value::Text(text)) => Ok(text),
            _ => other(position),
        }
    }

    fn scalar(&self, position: usize) -> Result<Scalar, TchError> {
        match self.0.get(position) {
            Some(Value::Int(value)) => Ok(Scalar::int(*value)),
            Some(Value::Float(value)) => Ok(Scalar::float(*value)),
            _ => other(position),
        }
    }
}
