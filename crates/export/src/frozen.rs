//! A `model.pt` that this crate wrote, read as data.
//!
//! TorchScript is a program, and libtorch's loader runs it with access to every file. So the code is parsed here
//! instead, and only what [`torchscript`](crate::torchscript) writes is accepted: one function without branches and
//! loops, made of the operators in [`operator`]. libtorch never sees the file.

mod code;
mod operator;
mod read;
#[cfg(test)]
mod tests;

use crate::Error;
use code::Code;
use contract::TorchError;
use operator::Input;
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
        let mut locals: Vec<Option<Tensor>> = vec![Some(images.shallow_clone())];
        locals.resize_with(self.code.locals, || None);
        let unset = || TorchError::new("a value of a saved network is used before it is there");
        for step in &self.code.steps {
            let get = |input: &Option<Input>| match input {
                Some(Input::Local(number)) => locals[*number].as_ref().ok_or_else(unset).map(Some),
                Some(Input::Constant(number)) => Ok(self.constants.get(*number)),
                None => Ok(None),
            };
            let inputs = step.inputs.iter().map(get).collect::<Result<Vec<_>, _>>()?;
            let made = step.operator.run(&inputs)?;
            // Freed early: activations of large images fill the memory.
            step.last_uses.iter().for_each(|number| locals[*number] = None);
            locals[step.output] = Some(made);
        }
        locals[self.code.output].take().ok_or_else(unset)
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
