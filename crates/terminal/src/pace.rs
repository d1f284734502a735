//! Speed of work, share of time spent waiting for data, and time left.

use std::time::Duration;

/// Time constant in seconds of the exponential average behind the time left.
const MEMORY: f64 = 30.0;

/// Results of a step; `None` if unknown.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Step {
    /// Number of samples trained or validated on.
    pub samples: usize,
    /// Last known loss.
    pub loss: Option<f64>,
    /// Mean IoU so far, or another score.
    pub score: Option<f64>,
    /// Learning rate of the step.
    pub learning_rate: Option<f64>,
    /// Time of the step spent waiting for data.
    pub waited: Option<Duration>,
}

/// Speed of a stretch of work.
///
/// [`rate`](Self::rate) and [`waiting`](Self::waiting) cover the whole stretch. [`left`](Self::left) uses an
/// exponential average over about the last half minute, since the first step is slow and the load of a machine changes.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Pace {
    whole: Sums,
    recent: Sums,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sums {
    seconds: f64,
    samples: f64,
    waited: Option<f64>,
}

impl Sums {
    fn add(&mut self, seconds: f64, samples: f64, waited: Option<f64>) {
        self.seconds += seconds;
        self.samples += samples;
        self.waited = match (self.waited, waited) {
            (None, None) => None,
            (sum, waited) => Some(sum.unwrap_or(0.0) + waited.unwrap_or(0.0)),
        };
    }

    fn rate(&self) -> f64 {
        if self.samples > 0.0 && self.seconds > 0.0 { self.samples / self.seconds } else { f64::NAN }
    }
}

impl Pace {
    /// Records a step that took `seconds`.
    pub fn step(&mut self, seconds: f64, step: &Step) {
        let (samples, waited) = (step.samples as f64, step.waited.map(|waited| waited.as_secs_f64()));
        self.whole.add(seconds, samples, waited);
        let fading = (-seconds / MEMORY).exp();
        self.recent.seconds *= fading;
        self.recent.samples *= fading;
        self.recent.add(seconds, samples, None);
    }

    /// Starts another stretch of the same work, keeping the recent speed.
    pub fn again(&self) -> Self {
        Self { whole: Sums::default(), recent: self.recent }
    }

    /// Returns samples per second; NaN before the first.
    pub fn rate(&self) -> f64 {
        self.whole.rate()
    }

    /// Returns the recent samples per second; NaN before the first.
    pub fn recent_rate(&self) -> f64 {
        self.recent.rate()
    }

    /// Returns the share of time spent waiting for data, from 0 to 1; NaN if it is not measured.
    pub fn waiting(&self) -> f64 {
        let share = |waited: f64| (waited / self.whole.seconds.max(1e-9)).clamp(0.0, 1.0);
        self.whole.waited.map_or(f64::NAN, share)
    }

    /// Returns the estimated seconds for `samples` more; NaN before the first sample.
    pub fn left(&self, samples: u64) -> f64 {
        samples as f64 / self.recent_rate()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn step(samples: usize, waited: Option<f64>) -> Step {
        Step { samples, waited: waited.map(Duration::from_secs_f64), ..Step::default() }
    }

    #[test]
    fn nothing_is_known_before_the_first_step() {
        let pace = Pace::default();
        assert!(pace.rate().is_nan() && pace.waiting().is_nan() && pace.left(100).is_nan());
    }

    #[test]
    fn the_time_left_follows_the_last_steps_and_the_rate_is_that_of_the_whole() {
        let mut pace = Pace::default();
        (0..100).for_each(|_| pace.step(1.0, &step(10, Some(0.25))));
        assert!((pace.rate() - 10.0).abs() < 1e-9 && (pace.left(50) - 5.0).abs() < 1e-9);
        assert!((pace.waiting() - 0.25).abs() < 1e-9);
        (0..300).for_each(|_| pace.step(1.0, &step(2, None)));
        assert!((pace.rate() - 4.0).abs() < 1e-9);
        assert!((pace.left(50) - 25.0).abs() < 0.1, "{}", pace.left(50));
        assert!((pace.waiting() - 0.0625).abs() < 1e-9);
    }

    #[test]
    fn another_stretch_knows_the_speed_and_counts_anew() {
        let mut pace = Pace::default();
        pace.step(2.0, &step(10, Some(1.0)));
        let again = pace.again();
        assert!(again.rate().is_nan() && again.waiting().is_nan());
        assert_eq!(again.left(50), 10.0);
    }

    #[test]
    fn a_step_without_samples_counts_as_time() {
        let mut pace = Pace::default();
        pace.step(3.0, &step(0, None));
        assert!(pace.rate().is_nan());
        pace.step(1.0, &step(8, None));
        assert_eq!(pace.rate(), 2.0);
    }

    proptest! {
        #[test]
        fn a_steady_rate_is_found_whatever_the_steps(rate in 0.1..1e4f64, steps in prop::collection::vec(1usize..64, 1..50)) {
            let mut pace = Pace::default();
            steps.iter().for_each(|samples| pace.step(*samples as f64 / rate, &step(*samples, None)));
            prop_assert!((pace.recent_rate() / rate - 1.0).abs() < 1e-6);
            prop_assert!((pace.rate() / rate - 1.0).abs() < 1e-6);
        }
    }
}
