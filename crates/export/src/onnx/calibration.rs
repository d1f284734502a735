//! Ranges of a network's values on images, for their quantisation.

use contract::TorchError;
use std::collections::BTreeMap;
use tch::Tensor;
use torch_ext::{Graph, Script};

/// Ranges of the values of a traced network: for each tensor the mean over images of its smallest and of its largest
/// value. (The extremes of all images would give a few outliers most of the 256 steps.)
#[derive(Debug, Default)]
pub struct Calibration {
    sums: BTreeMap<String, [f64; 2]>,
    images: u64,
}

impl Calibration {
    /// Runs the network on an image `[1, C, H, W]` and takes note of the ranges.
    ///
    /// # Errors
    ///
    /// Fails with libtorch's error, and for values that are not finite.
    pub fn add(&mut self, script: &Script, image: &Tensor) -> Result<(), TorchError> {
        let ranges = Graph::ranges(script, image)?;
        if let Some((name, _)) = ranges.iter().find(|(_, range)| range.iter().any(|value| !value.is_finite())) {
            return Err(TorchError::new(&format!("the network has values that are not finite ({name})")));
        }
        for (name, [least, most]) in ranges {
            let sums = self.sums.entry(name).or_default();
            *sums = [sums[0] + least, sums[1] + most];
        }
        self.images += 1;
        Ok(())
    }

    /// Returns the number of images so far.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Returns the range of a value of the graph, which contains 0; None for one that was never computed.
    pub(super) fn range(&self, name: &str) -> Option<[f64; 2]> {
        let [least, most] = self.sums.get(name)?.map(|sum| sum / self.images as f64);
        Some([least.min(0.0), most.max(0.0)])
    }

    /// Returns the names of the values whose ranges are known.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.sums.keys().map(String::as_str)
    }
}
