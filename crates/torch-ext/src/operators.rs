//! Record of the operators that a thread runs, and of their tensors.

use crate::ffi;
use contract::TorchError;
use std::ffi::CStr;
use std::marker::PhantomData;

/// Guard that records every operator that this thread calls while it lives, without those that operators call in turn.
#[derive(Debug)]
pub struct Operators {
    handle: u64,
    /// libtorch keeps the observer per thread.
    this_thread: PhantomData<*const ()>,
}

/// A call of an operator.
#[derive(Debug, Clone, PartialEq)]
pub struct Operator {
    /// Its name in libtorch, such as `aten::conv2d`; those that work in place end in `_`.
    pub name: String,
    /// Duration on this thread, to the microsecond.
    pub seconds: f64,
    /// First tensor that it returned.
    pub output: Option<Extent>,
    /// First two arguments, where they are tensors: a layer's input and weight.
    pub inputs: [Option<Extent>; 2],
}

/// Address, bytes and shape of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extent {
    /// Address of its values: as long as a tensor lives, no other is there.
    pub address: usize,
    /// Size of its values in bytes.
    pub bytes: u64,
    /// Its shape.
    pub size: Vec<i64>,
}

impl Operators {
    /// Starts to record. One at a time on a thread: another one begins anew.
    pub fn watch() -> Result<Self, TorchError> {
        let mut handle = 0;
        // SAFETY: a pointer to a live integer.
        ffi::checked(unsafe { ffi::oxiseg_watch_operators(&mut handle) })?;
        Ok(Self { handle, this_thread: PhantomData })
    }

    /// Returns the calls since the start, in order.
    pub fn seen(&self) -> Vec<Operator> {
        // SAFETY: the shim returns a NUL-terminated string of this thread that stays as it is until the next operator.
        let text = unsafe { CStr::from_ptr(ffi::oxiseg_operators()) }.to_string_lossy();
        text.lines().filter_map(parse).collect()
    }
}

impl Drop for Operators {
    fn drop(&mut self) {
        // SAFETY: removes what `watch` has added, on the same thread.
        unsafe { ffi::oxiseg_unwatch(self.handle) };
    }
}

/// Parses a line of the shim: the name, and after tabs the seconds and the tensors as `address:bytes,side,side…`.
fn parse(line: &str) -> Option<Operator> {
    let mut parts = line.split('\t');
    let name = parts.next()?.into();
    let seconds = parts.next()?.parse().ok()?;
    let mut tensor = || {
        let mut numbers = parts.next()?.split(',');
        let (address, bytes) = numbers.next()?.split_once(':')?;
        let size = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
        Some(Extent { address: address.parse().ok()?, bytes: bytes.parse().ok()?, size })
    };
    Some(Operator { name, seconds, output: tensor(), inputs: [tensor(), tensor()] })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn operators_are_told_with_their_tensors_and_without_what_they_call() {
        let x = Tensor::ones([2, 3, 8, 8], (Kind::Float, Device::Cpu));
        let weight = Tensor::ones([4, 3, 3, 3], (Kind::Float, Device::Cpu));
        let operators = Operators::watch().unwrap();
        let y = x.conv2d(&weight, None::<Tensor>, [1, 1], [1, 1], [1, 1], 1).relu_();
        let _ = y.sum(Kind::Float);
        let seen = operators.seen();
        let names: Vec<&str> = seen.iter().map(|operator| &*operator.name).collect();
        assert_eq!(names, ["aten::conv2d", "aten::relu_", "aten::sum"]);
        let [Some(input), Some(of_weight)] = &seen[0].inputs else { panic!("{seen:?}") };
        assert_eq!((input.size.as_slice(), input.bytes), (&[2, 3, 8, 8][..], 2 * 3 * 64 * 4));
        assert_eq!((of_weight.address, &*of_weight.size), (weight.data_ptr() as usize, &[4, 3, 3, 3][..]));
        assert_eq!(seen[0].output.as_ref().unwrap().size, [2, 4, 8, 8]);
        assert_eq!(seen[2].output.as_ref().unwrap().size, [0i64; 0]);
        assert!(seen.iter().all(|operator| (0.0..10.0).contains(&operator.seconds)));
        drop(operators);
        let again = Operators::watch().unwrap();
        assert_eq!(again.seen(), []);
    }
}
