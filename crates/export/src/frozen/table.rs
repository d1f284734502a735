//! The table of all operators.

use super::call::{Argument, Call};
use super::operator::{Operator, layers, pointwise, shapes};
use super::schema::parameters;

/// Returns all operators. Of those with one name, the first whose parameters fit is called.
pub fn all() -> impl Iterator<Item = &'static Operator> {
    [pointwise::ALL, layers::ALL, shapes::ALL].into_iter().flatten().flat_map(|part| part.iter())
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
