//! Operators of a frozen network. A `model.pt` can make this program do nothing else.

mod layers;
mod pointwise;
mod shapes;

use super::call::{Argument, Call};
use super::schema::parameters;
use tch::{Scalar, TchError, Tensor};

/// An operator: its name after `torch.`, its parameters (see [`parameters`]), and how it runs.
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

/// Returns all operators. Of those with one name, the first whose parameters fit is called.
pub fn all() -> impl Iterator<Item = &'static Operator> {
    [pointwise::ALL, layers::ALL, shapes::ALL].into_iter().flatten().flat_map(|part| part.iter())
}

/// Returns an operator of a Tensor.
const fn op(name: &'static str, schema: &'static str, run: fn(&Given) -> Result<Tensor, TchError>) -> Operator {
    Operator { name, schema, run: Run::Tensor(run) }
}

/// Operators of Python and of the trace itself, which have no `torch.` before them.
const BARE: [&str; 2] = ["int", "ops.prim.NumToTensor"];

/// Finds the operator of a call, and its arguments in the order of its parameters.
pub fn find(call: &Call) -> Result<(&'static Operator, Vec<Argument>), String> {
    let short = call.name.strip_prefix("torch.");
    let is_called = |operator: &&Operator| match short {
        Some(short) => operator.name == short && !BARE.contains(&short),
        None => operator.name == call.name && BARE.contains(&operator.name),
    };
    let mut first = None;
    for operator in all().filter(is_called) {
        let bound = parameters(operator.schema).ok_or_else(|| call.wrong("its parameters are not known"));
        match bound.and_then(|parameters| call.bind(&parameters)) {
            Ok(arguments) => return Ok((operator, arguments)),
            Err(error) => first = first.or(Some(error)),
        }
    }
    Err(first.unwrap_or_else(|| call.unknown()))
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

/// Returns the error for an argument of another kind than the parameter, which [`Call::bind`] has refused before.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_schema_can_be_read() {
        for operator in all() {
            assert!(parameters(operator.schema).is_some(), "{operator:?}");
        }
    }
}
