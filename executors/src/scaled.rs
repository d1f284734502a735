//! Prediction averaged over sizes of the input.

use tch::nn::ModuleT;
use tch::{Kind, Tensor};

/// A model averaged over scales of its input: the mean of its probabilities for the input at each scale, brought back
/// to the input's size. Returns logarithms of probabilities, which are valid logits.
///
/// Inputs are resized bilinearly, with antialiasing where they shrink, probabilities bilinearly. At scale 1 the input
/// stays as it is.
#[derive(Debug)]
pub struct Scaled {
    /// The model.
    pub model: Box<dyn ModuleT>,
    /// Factors of height and width.
    pub scales: Vec<f64>,
}

impl ModuleT for Scaled {
    fn forward_t(&self, x_nchw: &Tensor, train: bool) -> Tensor {
        let size: [i64; 2] = [x_nchw.size()[2], x_nchw.size()[3]];
        let probabilities = |x: &Tensor| self.model.forward_t(x, train).softmax(1, Kind::Float);
        let seen = self.scales.iter().map(|scale| {
            let to = size.map(|length| (length as f64 * scale).round().max(1.0) as i64);
            if to == size {
                return probabilities(x_nchw);
            }
            let resized = x_nchw.internal_upsample_bilinear2d_aa(to, false, None, None);
            probabilities(&resized).upsample_bilinear2d(size, false, None, None)
        });
        (seen.sum::<Tensor>() / self.scales.len() as f64).log()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn;
    use testing::noise;

    fn off(one: &Tensor, other: &Tensor) -> f64 {
        (one - other).abs().max().double_value(&[])
    }

    #[test]
    fn scales_are_averaged_as_probabilities() {
        // Pixels decide alone, so the scales see what resizing leaves of them.
        let model = || Box::new(nn::func_t(|x: &Tensor, _| x * 3.0)) as Box<dyn ModuleT>;
        let image = noise(&[2, 3, 20, 31], 5);
        let probabilities = |scales: &[f64]| {
            Scaled { model: model(), scales: scales.to_vec() }.forward_t(&image, false).softmax(1, Kind::Float)
        };
        let plain = model().forward_t(&image, false).softmax(1, Kind::Float);
        assert!(off(&probabilities(&[1.0]), &plain) < 1e-6);
        let each = [0.5, 1.0, 1.7].map(|scale| probabilities(&[scale]));
        let mean = each.iter().sum::<Tensor>() / 3.0;
        assert!(off(&probabilities(&[0.5, 1.0, 1.7]), &mean) < 1e-6);
        assert!(off(&each[0], &plain) > 0.05, "half the size differs");
        // At half the size each pixel is a mean of its surroundings with Pillow's triangle filter, as in training.
        let to = |x: &Tensor, size: [i64; 2]| x.internal_upsample_bilinear2d_aa(size, false, None, None);
        let half =
            (to(&image, [10, 16]) * 3.0).softmax(1, Kind::Float).upsample_bilinear2d([20, 31], false, None, None);
        assert!(off(&each[0], &half) < 1e-6);
    }

    #[test]
    fn a_single_row_is_no_problem() {
        let model = Box::new(nn::func_t(|x: &Tensor, _| x.shallow_clone()));
        let found = Scaled { model, scales: vec![0.25, 4.0] }.forward_t(&noise(&[1, 2, 1, 7], 1), false);
        assert_eq!(found.size(), [1, 2, 1, 7]);
    }
}
