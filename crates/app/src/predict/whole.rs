//! Images as they were trained on: brought to the network's size, and their predictions back.

use super::rows;
use super::writer::{Image, Work, Writer};
use crate::report;
use anyhow::{Context, Result};
use data::{Images, Loader, LoaderConfig, Order, Passed, Rectangle, Split};
use executors::{Prediction, Predictor};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use tch::nn::ModuleT;
use tch::{Device, Kind, TchError, Tensor};

/// How many numbers are brought to a photograph's size at once.
const AT_ONCE: u64 = 1 << 24;

/// A network that sees images whole.
pub struct Whole<'a> {
    pub model: &'a dyn ModuleT,
    pub device: Device,
    pub data: &'a data::Config,
    pub with_probabilities: bool,
}

impl Whole<'_> {
    /// Predicts `files`, by their names, and gives those that cannot be read. `told` is called after each.
    pub fn predict(
        &self,
        files: &BTreeMap<String, PathBuf>,
        writer: &Writer,
        mut told: impl FnMut(),
    ) -> Result<Vec<Passed>> {
        let data = self.data;
        let named = files.iter().map(|(name, file)| (name.clone(), file.clone())).collect();
        let images = Arc::new(Images::new(named, data.size(), data.channels(), data.orientation(), data.resize()));
        let loader = LoaderConfig { max_skipped: files.len() as u64, ..data.loader().clone() };
        let pipeline = data.pipeline(Split::Validation);
        let input = Loader::new(images.clone(), pipeline, &loader, Order::Sequential, 0, self.device)?;
        for prediction in Predictor::new(self.model, &input).predict() {
            let Prediction { name, probabilities } = prediction?;
            for passed in input.skipped().fresh() {
                report::skipped(std::slice::from_ref(&passed));
                writer.send(Work::Broken(passed))?;
                told();
            }
            // A batch of which nothing is left has an image that is none.
            let Some(file) = files.get(&name) else { continue };
            let size = data::dimensions(file, data.orientation())?;
            let part = images.rectangle(size);
            self.write(Image { name, file: file.clone(), size }, &probabilities, part, writer)
                .with_context(|| format!("predicting {}", file.display()))?;
            told();
        }
        Ok(input.skipped().all())
    }

    /// Hands over the `part` of `[K, H, W]` probabilities that shows a photograph, at the photograph's size.
    fn write(&self, image: Image, probabilities: &Tensor, part: Rectangle, writer: &Writer) -> Result<()> {
        let shown = probabilities.f_narrow(1, part.top.into(), part.height.into())?;
        let shown = shown.f_narrow(2, part.left.into(), part.width.into())?;
        let size = image.size.map(i64::from);
        let count = AT_ONCE / (shown.size()[0] as u64 * size[1] as u64).max(1);
        writer.send(Work::Image(image))?;
        for first in (0..size[0]).step_by(count.max(1) as usize) {
            let count = (count.max(1) as i64).min(size[0] - first);
            writer.send(Work::Rows(rows(&resized(&shown, size, first, count)?, self.with_probabilities)?))?;
        }
        Ok(())
    }
}

/// The rows from `first` on, so many, of `[K, h, w]` brought to this height and width by bilinear interpolation, pixels being
/// squares with their value in the middle.
fn resized(all: &Tensor, [height, width]: [i64; 2], first: i64, count: i64) -> Result<Tensor, TchError> {
    let (last, device) = (all.size()[1] - 1, all.device());
    let places: Vec<f64> = (first..first + count)
        .map(|row| ((row as f64 + 0.5) * (last + 1) as f64 / height as f64 - 0.5).clamp(0.0, last as f64))
        .collect();
    let tensor = |values: Vec<i64>| Tensor::f_from_slice(&values)?.f_to_device(device);
    let above = all.f_index_select(1, &tensor(places.iter().map(|place| *place as i64).collect())?)?;
    let below = all.f_index_select(1, &tensor(places.iter().map(|place| (*place as i64 + 1).min(last)).collect())?)?;
    let shares: Vec<f64> = places.iter().map(|place| place.fract()).collect();
    let shares = Tensor::f_from_slice(&shares)?.f_to_kind(Kind::Float)?.f_view([1, -1, 1])?.f_to_device(device)?;
    let rows = above.f_lerp_tensor(&below, &shares)?.f_unsqueeze(0)?;
    rows.f_upsample_bilinear2d([count, width], false, None, None)?.f_squeeze_dim(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use data::{Orientation, Resize};

    fn images() -> Images {
        Images::new(Vec::new(), [8, 8], 3, Orientation::Apply, Resize::Fit { to: None })
    }

    #[test]
    fn what_lies_around_a_fitted_photograph_does_not_leak_into_its_classes() {
        // 4 of 8 rows show the photograph: its left half is class 0, its right half 1; around it all is class 2.
        let part = images().rectangle([20, 40]);
        let probabilities = Tensor::zeros([3, 8, 8], (Kind::Float, Device::Cpu));
        let fill = |class: i64, top: u32, left: i64, height: u32, width: i64| {
            let class = probabilities.get(class).narrow(0, top.into(), height.into());
            let _ = class.narrow(1, left, width).fill_(1.0);
        };
        fill(2, 0, 0, part.top, 8);
        fill(2, part.top + part.height, 0, 8 - part.top - part.height, 8);
        fill(0, part.top, 0, part.height, 4);
        fill(1, part.top, 4, part.height, 4);
        let shown = probabilities.narrow(1, part.top.into(), part.height.into());
        let classes = resized(&shown, [20, 40], 0, 20).unwrap().argmax(0, false);
        let expected = Tensor::from_slice(&[0i64, 1]).repeat_interleave_self_int(20, 0, None).expand([20, 40], false);
        assert_eq!(classes, expected);
    }

    #[test]
    fn rows_are_those_of_the_whole_resized() {
        let values = Tensor::arange(2 * 7 * 5, (Kind::Float, Device::Cpu)).sin().view([2, 7, 5]);
        for (height, width) in [(7, 5), (20, 31), (3, 2), (1, 1), (100, 5)] {
            let whole = values.unsqueeze(0).upsample_bilinear2d([height, width], false, None, None).squeeze_dim(0);
            for count in [1, 4, height] {
                let parts: Vec<Tensor> = (0..height)
                    .step_by(count as usize)
                    .map(|first| resized(&values, [height, width], first, count.min(height - first)).unwrap())
                    .collect();
                let worst = (Tensor::cat(&parts, 1) - &whole).abs().max().double_value(&[]);
                assert!(worst < 1e-6, "{height}x{width} by {count}: {worst}");
            }
        }
    }
}
