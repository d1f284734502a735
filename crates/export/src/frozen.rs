//! A `model.pt` that this crate wrote, read as data.
//!
//! TorchScript is a program, and libtorch's loader runs it with access to every file. So the code is parsed here
//! instead, and only what [`torchscript`](crate::torchscript) writes is accepted: one function without branches and
//! loops, made of the operators in [`table`]. libtorch never sees the file.

mod call;
mod code;
mod operator;
mod read;
mod schema;
mod table;
#[cfg(test)]
mod tests;
mod tokens;

use crate::Error;
use call::{Argument, Input};
use code::{Action, Code};
use contract::TorchError;
use operator::{Given, Run, Value};
use std::path::Path;
use tch::nn::ModuleT;
use tch::{Device, Tensor};

/// A network from a `model.pt`, for evaluation: it takes images from 0 to 1 and returns logits.
#[derive(Debug)]
pub struct Frozen {
    code: Code,
    constants: Vec<Tensor>,
}

impl Frozen {
    /// Reads the network from the `bytes` of a file and moves its `constants` to `device`. A reader of weights found
    /// the constants in the same bytes. `path` names the file in errors.
    ///
    /// # Errors
    ///
    /// [`Error::Foreign`] for a file with anything in it that [`torchscript`](crate::torchscript) does not write.
    pub fn read(path: &Path, bytes: &[u8], constants: &[Tensor], device: Device) -> Result<Self, Error> {
        let foreign = |problem: String| Error::Foreign { path: path.into(), problem };
        let code = Code::parse(&read::code(bytes).map_err(foreign)?).map_err(foreign)?;
        if let Some(missing) = code.constants().find(|number| *number >= constants.len()) {
            return Err(foreign(format!("its code uses constant {missing}, and it holds {}", constants.len())));
        }
        let constants = constants.iter().map(|tensor| tensor.f_to_device(device)).collect::<Result<_, _>>();
        Ok(Self { code, constants: constants.map_err(Error::torch("reading", path))? })
    }

    /// Returns the logits `[N, K, H, W]` of images `[N, C, H, W]`.
    ///
    /// # Errors
    ///
    /// Fails with libtorch's error if the shapes do not fit.
    pub fn run(&self, images: &Tensor) -> Result<Tensor, TorchError> {
        let mut locals = Locals { constants: &self.constants, values: Vec::new() };
        locals.values.push(Some(Held::Tensor(images.shallow_clone())));
        locals.values.resize_with(self.code.locals, || None);
        for step in &self.code.steps {
            let made = match &step.action {
                Action::Call(operator, arguments) => {
                    let given = arguments.iter().map(|argument| locals.value(argument)).collect::<Option<_>>();
                    let given = Given(given.ok_or_else(unset)?);
                    match operator.run {
                        Run::Tensor(run) => Held::Tensor(run(&given)?),
                        Run::Tensors(run) => Held::Tensors(run(&given)?),
                        Run::Size(run) => Held::Size(run(&given)?),
                    }
                }
                Action::Item { list, number } => match &locals.values[*list] {
                    Some(Held::Tensors(items)) => Held::Tensor(items.get(*number).ok_or_else(unset)?.shallow_clone()),
                    _ => return Err(unset()),
                },
            };
            // Freed early: activations of large images fill the memory.
            step.last_uses.iter().for_each(|number| locals.values[*number] = None);
            locals.values[step.output] = Some(made);
        }
        match locals.values[self.code.output].take() {
            Some(Held::Tensor(logits)) => Ok(logits),
            _ => Err(unset()),
        }
    }
}

fn unset() -> TorchError {
    TorchError::new("a value of a saved network is used before it is there")
}

/// Result of a step.
#[derive(Debug)]
enum Held {
    Tensor(Tensor),
    Tensors(Vec<Tensor>),
    Size(i64),
}

/// Results so far.
struct Locals<'a> {
    constants: &'a [Tensor],
    values: Vec<Option<Held>>,
}

impl Locals<'_> {
    fn tensor(&self, input: &Input) -> Option<&Tensor> {
        match input {
            Input::Constant(number) => self.constants.get(*number),
            Input::Local(number) => match &self.values[*number] {
                Some(Held::Tensor(tensor)) => Some(tensor),
                _ => None,
            },
        }
    }

    fn size(&self, local: usize) -> Option<i64> {
        if let Some(Held::Size(size)) = self.values[local] { Some(size) } else { None }
    }

    /// Returns the value of an argument; `None` if it is not there yet.
    fn value<'s>(&'s self, argument: &'s Argument) -> Option<Value<'s>> {
        Some(match argument {
            Argument::Tensor(input) => Value::Tensor(self.tensor(input)?),
            Argument::Tensors(local) => match &self.values[*local] {
                Some(Held::Tensors(items)) => Value::Tensors(items.iter().collect()),
                _ => return None,
            },
            Argument::Size(local) => Value::Int(self.size(*local)?),
            Argument::None | Argument::Device => Value::None,
            Argument::Int(value) => Value::Int(*value),
            Argument::Float(value) => Value::Float(*value),
            Argument::Text(text) => Value::Text(text),
            Argument::List(items) => self.list(items)?,
        })
    }

    fn list<'s>(&'s self, items: &'s [Argument]) -> Option<Value<'s>> {
        let tensor = |item: &'s Argument| if let Argument::Tensor(input) = item { self.tensor(input) } else { None };
        let int = |item: &Argument| match item {
            Argument::Int(value) => Some(*value),
            Argument::Size(local) => self.size(*local),
            _ => None,
        };
        let float = |item: &Argument| if let Argument::Float(value) = item { Some(*value) } else { None };
        let ints = items.iter().map(int).collect::<Option<_>>().map(Value::Ints);
        let floats = || items.iter().map(float).collect::<Option<_>>().map(Value::Floats);
        let tensors = || items.iter().map(tensor).collect::<Option<_>>().map(Value::Tensors);
        ints.or_else(floats).or_else(tensors)
    }
}

impl ModuleT for Frozen {
    /// # Panics
    ///
    /// Panics with libtorch's message where [`run`](Frozen::run) fails, as every network of tch does.
    fn forward_t(&self, images_nchw: &Tensor, _train: bool) -> Tensor {
        self.run(images_nchw).unwrap_or_else(|error| panic!("libtorch: {error}"))
    }
}
