//! The update rules as plain tensor operations in f64.

use super::*;

/// Reference of each rule as in its paper, in f64: Kingma & Ba (2015), algorithm 1; Loshchilov & Hutter (2019),
/// algorithms 1 and 2; Sutskever et al. (2013) with the learning rate outside of the velocity; Liu et al. (2020),
/// algorithm 2; Chen et al. (2023), algorithm 2.
pub struct Oracle {
    config: Config,
    values: Vec<Tensor>,
    first: Vec<Tensor>,
    second: Vec<Tensor>,
    t: i32,
}

impl Oracle {
    pub fn new(config: &Config, parameters: &[(String, Tensor)]) -> Self {
        let values: Vec<Tensor> = parameters.iter().map(|(_, p)| p.detach().to_kind(Kind::Double).copy()).collect();
        let zeros = || values.iter().map(Tensor::zeros_like).collect();
        Self { config: config.clone(), first: zeros(), second: zeros(), values, t: 0 }
    }

    /// Makes one update with the mean of the `batches`, and returns the norm of that mean.
    pub fn update(&mut self, batches: &[Vec<Tensor>], lr: f64) -> f64 {
        let mean = |i: usize| batches.iter().map(|b| b[i].to_kind(Kind::Double)).sum::<Tensor>() / batches.len() as f64;
        let gradients: Vec<Tensor> = (0..self.values.len()).map(mean).collect();
        let norm = gradients.iter().map(|g| g.square().sum(Kind::Double).double_value(&[])).sum::<f64>().sqrt();
        let scale = self.config.clip_norm.map_or(1.0, |limit| (limit / (norm + 1e-6)).min(1.0));
        let decay = self.config.weight_decay;
        self.t += 1;
        for (i, gradient) in gradients.into_iter().enumerate() {
            let (w, g) = (&self.values[i], gradient * scale);
            let (step, first, second) = match self.config.rule {
                Rule::Adam(adam) => Self::adam(adam, self.t, &(g + w * decay), &self.first[i], &self.second[i]),
                Rule::AdamW(adam) => {
                    let (step, first, second) = Self::adam(adam, self.t, &g, &self.first[i], &self.second[i]);
                    (step + w * decay, first, second)
                }
                Rule::RAdam(adam) => {
                    let (within, outside) = if adam.decoupled_weight_decay { (0.0, decay) } else { (decay, 0.0) };
                    let g = g + w * within;
                    let (step, first, second) = Self::radam(adam, self.t, &g, &self.first[i], &self.second[i]);
                    (step + w * outside, first, second)
                }
                Rule::Lion(Lion { beta1, beta2 }) => {
                    let step = (&self.first[i] * beta1 + &g * (1.0 - beta1)).sign() + w * decay;
                    (step, &self.first[i] * beta2 + g * (1.0 - beta2), self.second[i].copy())
                }
                Rule::Sgd(Sgd { momentum, nesterov }) => {
                    let g = g + w * decay;
                    let velocity = &self.first[i] * momentum + &g;
                    let step = if nesterov { g + &velocity * momentum } else { velocity.copy() };
                    (step, velocity, self.second[i].copy())
                }
            };
            (self.values[i], self.first[i], self.second[i]) = (w - step * lr, first, second);
        }
        norm
    }

    fn adam(adam: Adam, t: i32, g: &Tensor, first: &Tensor, second: &Tensor) -> (Tensor, Tensor, Tensor) {
        let first = first * adam.beta1 + g * (1.0 - adam.beta1);
        let second = second * adam.beta2 + g.square() * (1.0 - adam.beta2);
        let corrected = &first / (1.0 - adam.beta1.powi(t));
        let root = (&second / (1.0 - adam.beta2.powi(t))).sqrt();
        (corrected / (root + adam.epsilon), first, second)
    }

    fn radam(adam: RAdam, t: i32, g: &Tensor, first: &Tensor, second: &Tensor) -> (Tensor, Tensor, Tensor) {
        let first = first * adam.beta1 + g * (1.0 - adam.beta1);
        let second = second * adam.beta2 + g.square() * (1.0 - adam.beta2);
        let corrected = &first / (1.0 - adam.beta1.powi(t));
        let longest = 2.0 / (1.0 - adam.beta2) - 1.0;
        let length = longest - 2.0 * f64::from(t) * adam.beta2.powi(t) / (1.0 - adam.beta2.powi(t));
        if length <= 5.0 {
            return (corrected, first, second);
        }
        let adaptive = (1.0 - adam.beta2.powi(t)).sqrt() / (second.sqrt() + adam.epsilon);
        let share = (length - 4.0) * (length - 2.0) * longest / ((longest - 4.0) * (longest - 2.0) * length);
        (corrected * adaptive * share.sqrt(), first, second)
    }

    /// Returns the greatest difference of `parameters` from the reference, as a fraction of the greatest value.
    pub fn difference(&self, parameters: &[(String, Tensor)]) -> f64 {
        let greatest = |t: Tensor| t.abs().max().double_value(&[]);
        let all = self.values.iter().zip(parameters);
        let differences = all.map(|(w, (_, p))| greatest(p.detach() - w) / greatest(w.copy()).max(1.0));
        differences.fold(0.0, |a, b| if b.is_nan() { b } else { f64::max(a, b) })
    }
}
