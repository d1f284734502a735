//! Input and output of a traced network.

use crate::Error;
use torch_ext::{Graph, Script};

/// Pixels that are added to the example's height and width to see if a network takes another size. They are divisible
/// by 2 as often as any network halves its input.
const MORE: i64 = 128;

/// Shapes that a traced network takes and gives: images `[N, channels, H, W]` and logits `[N, classes, H, W]`, for any
/// N.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// Channels of the images.
    pub channels: i64,
    /// Channels of the logits.
    pub classes: i64,
    /// Height and width, if the network takes no others; None if it takes every size that it can halve.
    pub size: Option<[i64; 2]>,
}

impl Ports {
    /// Runs the network on zeros of other shapes than the example's.
    ///
    /// # Errors
    ///
    /// Fails if it does not take several images at once: a size that passes through Rust while a network is traced
    /// becomes a constant, the number of images too.
    pub fn of(script: &Script) -> Result<Self, Error> {
        let &[_, channels, height, width] = script.example() else {
            return Err(Error::Example { shape: script.example().into() });
        };
        let output = |n: i64, height: i64, width: i64| {
            let graph = Graph::with_shapes(script, &[n, channels, height, width]).map_err(|error| error.to_string())?;
            let name = graph.outputs.first();
            let of_name = |operation: &torch_ext::Operation| {
                let at = operation.outputs.iter().position(|output| Some(output) == name)?;
                operation.shapes.get(at)?.clone()
            };
            match graph.operations.iter().rev().find_map(of_name) {
                Some(shape) if shape.len() == 4 && [shape[0], shape[2], shape[3]] == [n, height, width] => Ok(shape[1]),
                shape => Err(format!("it gives {shape:?} for {n} images of {height}×{width}")),
            }
        };
        let classes = output(2, height, width).map_err(|said| Error::Batch { said })?;
        let is_any = output(1, height + MORE, width + 2 * MORE).is_ok();
        Ok(Self { channels, classes, size: (!is_any).then_some([height, width]) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    fn ports(network: impl Fn(&Tensor) -> Tensor) -> Result<Ports, String> {
        let example = Tensor::zeros([1, 3, 8, 16], (Kind::Float, Device::Cpu));
        Ports::of(&Script::follow(&example, network).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_that_became_constants_are_found() {
        let any = Ports { channels: 3, classes: 3, size: None };
        assert_eq!(ports(|x| x.relu()), Ok(any));
        assert_eq!(ports(|x| x.narrow(1, 0, 2).relu()), Ok(Ports { classes: 2, ..any }));
        let fixed = Ports { size: Some([8, 16]), ..any };
        let positions = Tensor::ones([1, 3, 8, 16], (Kind::Float, Device::Cpu));
        assert_eq!(ports(|x| x + &positions), Ok(fixed));
        assert_eq!(
            ports(|x| x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false).upsample_nearest2d([8, 16], None, None)),
            Ok(fixed)
        );
        let error = ports(|x| x.reshape([x.size()[0], 3, 8, 16])).unwrap_err();
        assert!(error.contains("does not take several images at once"), "{error}");
        let error = ports(|x| x.max_pool2d([2, 2], [2, 2], [0, 0], [1, 1], false)).unwrap_err();
        assert!(error.contains("it gives Some([2, 3, 4, 8]) for 2 images of 8×16"), "{error}");
    }
}
