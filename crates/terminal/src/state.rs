//! State of a dashboard: plain numbers, updated by the training loop.

use crate::{
    clean::clean_line,
    columns::Columns,
    curve::Curve,
    load::{Gpu, Load},
    pace::{Pace, Step},
    table::Epoch,
};

/// Class of the data.
#[derive(Debug, Clone, PartialEq)]
pub struct Class {
    /// Name.
    pub name: String,
    /// Colour of its bar: red, green, blue.
    pub color: [u8; 3],
}

/// Description of a run, known before it starts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Setup {
    /// Title of the run, for example its folder.
    pub title: String,
    /// Short description of model and data.
    pub about: String,
    /// Number of epochs of the run.
    pub epochs: u64,
    /// Number of training samples per epoch.
    pub samples: u64,
    /// Number of validation samples.
    pub validation_samples: u64,
    /// Scores of each epoch.
    pub columns: Columns,
    /// Classes, in the order of their ids; empty for a task without.
    pub classes: Vec<Class>,
}

/// Current activity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Phase {
    /// Between phases: before the first one, and after each validation.
    #[default]
    Starting,
    /// Training.
    Training,
    /// Validating, at the end of an epoch or within it.
    Validating,
}

/// State of a dashboard. Times are in seconds since it opened; the x of the curves is in fractional epochs.
#[derive(Debug, Clone, Default)]
pub struct State {
    /// Description of the run.
    pub setup: Setup,
    /// Current activity.
    pub phase: Phase,
    /// Epoch under way, from 1.
    pub epoch: u64,
    /// Number of training samples done in this epoch.
    pub trained: u64,
    /// Number of validation samples done in this epoch.
    pub validated: u64,
    /// Speed of training in this epoch.
    pub training_pace: Pace,
    /// Speed of the current or last validation.
    pub validation_pace: Pace,
    /// Duration of the last complete validation in seconds; NaN before the first.
    pub validation_seconds: f64,
    /// Loss of each step.
    pub losses: Curve,
    /// Learning rate of each step.
    pub learning_rates: Curve,
    /// Training images per second, at each step.
    pub rates: Curve,
    /// Mean training loss of each epoch.
    pub training_loss: Curve,
    /// Mean loss of each validation.
    pub validation_loss: Curve,
    /// Score on the training data of each epoch.
    pub training_score: Curve,
    /// Score of each validation.
    pub validation_score: Curve,
    /// Score and epoch of the best validation so far.
    pub best: Option<(f64, u64)>,
    /// IoU of each class in the last validation; NaN for an absent class, empty before the first.
    pub ious: Vec<f64>,
    /// Load of the machine.
    pub load: Load,
    /// Load of its GPU, if known.
    pub gpu: Option<Gpu>,
    /// Time of the last update.
    pub last: f64,
    /// Start of the phase.
    pub since: f64,
}

impl State {
    /// Returns the initial state. Control characters in the names of `setup` are escaped.
    pub fn new(mut setup: Setup) -> Self {
        let names = setup.classes.iter_mut().map(|class| &mut class.name);
        for text in [&mut setup.title, &mut setup.about].into_iter().chain(names) {
            *text = clean_line(text);
        }
        Self { setup, validation_seconds: f64::NAN, ..Self::default() }
    }

    /// Starts or resumes the training of `epoch`, counted from 1, with `done` of its samples completed.
    pub fn train(&mut self, epoch: u64, done: u64, now: f64) {
        self.end_phase(now);
        (self.phase, self.epoch, self.trained, self.validated) = (Phase::Training, epoch, done, 0);
        self.training_pace = self.training_pace.again();
    }

    /// Starts a validation.
    pub fn validate(&mut self, now: f64) {
        self.end_phase(now);
        (self.phase, self.validated) = (Phase::Validating, 0);
        self.validation_pace = self.validation_pace.again();
    }

    fn end_phase(&mut self, now: f64) {
        // An aborted validation does not show how long one takes.
        if self.phase == Phase::Validating && self.validated >= self.setup.validation_samples {
            self.validation_seconds = now - self.since;
        }
        (self.since, self.last) = (now, now);
    }

    /// Records another step of training or validation.
    pub fn step(&mut self, step: &Step, now: f64) {
        let seconds = (now - self.last).max(0.0);
        self.last = now;
        let samples = step.samples as u64;
        match self.phase {
            Phase::Validating => {
                self.validated = self.validated.saturating_add(samples);
                self.validation_pace.step(seconds, step);
            }
            Phase::Starting | Phase::Training => {
                self.trained = self.trained.saturating_add(samples);
                self.training_pace.step(seconds, step);
                let x = self.position();
                let rate = self.training_pace.recent_rate();
                step.loss.into_iter().for_each(|loss| self.losses.push(x, loss));
                step.learning_rate.into_iter().for_each(|rate| self.learning_rates.push(x, rate));
                self.rates.push(x, rate);
            }
        }
    }

    /// Records a finished epoch. `ious` holds the IoU of each class in its validation, NaN for an absent class. The
    /// epochs before a resume may be recorded too, in order, before anything else.
    pub fn epoch(&mut self, epoch: &Epoch, ious: &[f64], now: f64) {
        let x = epoch.epoch as f64;
        let columns = &self.setup.columns;
        push(&mut self.training_loss, x, columns.loss_of(&epoch.training));
        push(&mut self.training_score, x, columns.score_of(&epoch.training));
        let value = columns.best_of(&epoch.validation);
        if columns.is_better(value, self.best.map_or(f64::NAN, |(best, _)| best)) {
            self.best = Some((value, epoch.epoch));
        }
        self.validation(x, &epoch.validation, ious, now);
        (self.epoch, self.trained, self.validated) = (epoch.epoch.saturating_add(1), 0, 0);
    }

    /// Records a validation in the middle of an epoch; training continues with [`train`](Self::train).
    pub fn validated(&mut self, validation: &[f64], ious: &[f64], now: f64) {
        self.validation(self.position(), validation, ious, now);
    }

    fn validation(&mut self, x: f64, validation: &[f64], ious: &[f64], now: f64) {
        self.end_phase(now);
        self.phase = Phase::Starting;
        push(&mut self.validation_loss, x, self.setup.columns.loss_of(validation));
        push(&mut self.validation_score, x, self.setup.columns.score_of(validation));
        if !ious.is_empty() {
            self.ious = ious.to_vec();
        }
    }

    /// Returns the progress of the run, in epochs.
    pub fn position(&self) -> f64 {
        let within = self.trained as f64 / self.setup.samples.max(1) as f64;
        self.epoch.saturating_sub(1) as f64 + within.min(1.0)
    }

    /// Returns the remaining seconds of the epoch's training, or of its validation; NaN while unknown.
    pub fn phase_left(&self) -> f64 {
        match self.phase {
            Phase::Validating => {
                self.validation_pace.left(self.setup.validation_samples.saturating_sub(self.validated))
            }
            Phase::Starting | Phase::Training => {
                self.training_pace.left(self.setup.samples.saturating_sub(self.trained))
            }
        }
    }

    /// Returns the remaining seconds of the run, including validations once one was timed; NaN while unknown.
    pub fn run_left(&self) -> f64 {
        let later = self.setup.epochs.saturating_sub(self.epoch);
        let validation = if self.validation_seconds.is_nan() { 0.0 } else { self.validation_seconds };
        // A validation under way is included in the rest of the phase.
        let validations =
            later.saturating_add(u64::from(self.phase != Phase::Validating && self.epoch <= self.setup.epochs));
        let training = self.training_pace.left(later.saturating_mul(self.setup.samples));
        let phase = if self.epoch > self.setup.epochs { 0.0 } else { self.phase_left() };
        phase + training + validations as f64 * validation
    }
}

/// Pushes a value unless it is NaN, which means not measured.
fn push(curve: &mut Curve, x: f64, value: f64) {
    if !value.is_nan() {
        curve.push(x, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        let columns = Columns::new(["loss", "mean_iou"].map(String::from), "mean_iou", true);
        State::new(Setup { epochs: 4, samples: 100, validation_samples: 20, columns, ..Setup::default() })
    }

    fn step(samples: usize) -> Step {
        Step { samples, loss: Some(0.5), learning_rate: Some(1e-3), ..Step::default() }
    }

    fn epoch(epoch: u64, mean_iou: f64) -> Epoch {
        let validation = vec![0.4, mean_iou];
        Epoch { epoch, training: Vec::new(), validation, seconds: 1.0, rate: 1.0, waiting: f64::NAN }
    }

    #[test]
    fn time_left_counts_the_epochs_and_validations_to_come() {
        let mut state = state();
        assert!(state.run_left().is_nan() && state.phase_left().is_nan());
        state.train(1, 0, 0.0);
        state.step(&step(50), 10.0);
        assert_eq!((state.phase_left().round(), state.run_left().round()), (10.0, 70.0));
        state.step(&step(50), 20.0);
        state.validate(20.0);
        assert!(state.phase_left().is_nan());
        state.step(&step(10), 22.0);
        assert_eq!(state.phase_left().round(), 2.0);
        state.step(&step(10), 24.0);
        state.epoch(&epoch(1, 0.5), &[0.5], 24.0);
        assert_eq!(state.validation_seconds, 4.0);
        // Three epochs of 20 seconds and three validations of 4.
        assert_eq!(state.run_left().round(), 72.0);
        state.train(4, 100, 24.0);
        assert_eq!((state.position(), state.run_left()), (4.0, 4.0));
        state.epoch(&epoch(4, 0.5), &[], 30.0);
        assert_eq!((state.position(), state.run_left()), (4.0, 0.0));
    }

    #[test]
    fn a_validation_that_was_broken_off_does_not_count() {
        let mut state = state();
        state.validate(1.0);
        state.step(&step(5), 2.0);
        state.train(2, 0, 3.0);
        assert!(state.validation_seconds.is_nan());
    }

    #[test]
    fn the_best_epoch_is_the_first_with_the_greatest_mean_iou() {
        let mut state = state();
        for (number, iou) in [(1, f64::NAN), (2, 0.4), (3, 0.6), (4, 0.6)] {
            state.epoch(&epoch(number, iou), &[0.1, f64::NAN], 0.0);
        }
        assert_eq!(state.best, Some((0.6, 3)));
        assert_eq!((state.validation_score.points().len(), state.training_score.points().len()), (3, 0));
        assert_eq!((state.epoch, state.ious.len(), state.ious[0]), (5, 2, 0.1));
    }

    #[test]
    fn a_validation_in_between_is_a_point_between_two_epochs() {
        let mut state = state();
        state.train(3, 25, 0.0);
        state.validate(1.0);
        state.step(&step(20), 4.0);
        state.validated(&[0.3, 0.8], &[0.8], 4.0);
        state.train(3, 25, 4.0);
        assert_eq!((state.validation_loss.points()[0].x, state.validation_score.last()), (2.25, Some(0.8)));
        assert_eq!((state.validation_seconds, state.best, state.ious[0]), (3.0, None, 0.8));
        assert_eq!((state.phase, state.trained), (Phase::Training, 25));
    }

    #[test]
    fn steps_of_a_validation_are_in_no_curve() {
        let mut state = state();
        state.train(2, 50, 0.0);
        state.step(&step(25), 1.0);
        state.validate(1.0);
        state.step(&step(20), 2.0);
        assert_eq!((state.losses.points().len(), state.losses.points()[0].x), (1, 1.75));
        assert_eq!((state.trained, state.validated), (75, 20));
    }
}
