//! Progress display of a training: a bar and a table row per epoch, or the dashboard; without a terminal, a log line
//! per epoch.

use crate::error::Result;
use crate::folder::Folder;
use crate::guard::Readings;
use crate::settings::{Settings, Show};
use checkpoint::Mode;
use contract::{Progress, Scores};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};
use summary::history::{History, Stage};
use terminal::{Columns, Command, Dashboard, Epoch, Look, Setup, Step, Table, Watch};

/// Progress display of a training.
pub struct Screen {
    dashboard: Option<Dashboard>,
    /// Rows on a terminal; None for lines of the log.
    table: Option<Table>,
    /// None on a rank that shows nothing.
    watch: Option<Watch>,
    epochs: u64,
    /// Number of training and of validation samples.
    samples: [u64; 2],
    batch_size: u64,
    columns: Columns,
    /// Names of the classes' scores.
    groups: Vec<String>,
    since: Instant,
    stop_after_epoch: bool,
    /// The score of the last validation.
    score: Option<f64>,
}

/// Speed of a training.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Images per second.
    pub rate: f64,
    /// Fraction of the time spent waiting for data, from 0 to 1.
    pub waiting: f64,
}

/// Requests made by key.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Save a checkpoint.
    pub save: bool,
    /// Validate now.
    pub validate: bool,
    /// Stop now.
    pub stop: bool,
}

impl Screen {
    /// Opens the display of a run of `epochs` epochs, or the dashboard over the whole terminal, with what the run
    /// logged before. `scores` are those that a person looks at first.
    pub fn open(
        folder: &Folder,
        settings: &Settings,
        from: Progress,
        epochs: u64,
        scores: Vec<String>,
    ) -> Result<Self> {
        let (show, config) = (&settings.show, &settings.checkpoint);
        let columns = Columns::new(scores, &config.best, config.mode == Mode::Max);
        let history = History::read(&folder.metrics())?;
        let groups: Vec<String> = show.classes.iter().map(|class| format!("{}/{}", show.group, class.name)).collect();
        let dashboard = match show.dashboard {
            true => Some(Dashboard::open(setup(folder, show, epochs, columns.clone()))?),
            false => None,
        };
        if let Some(dashboard) = &dashboard {
            before(dashboard, &history, &columns, &groups);
        }
        let of_before = |name: &str| history.scores(Stage::Validation, name).into_iter().map(|(_, score)| score);
        let better = |best: f64, score: f64| if columns.is_better(score, best) { score } else { best };
        let best = of_before(&config.best).fold(f64::NAN, better);
        let look = Look::of_environment();
        let rows = dashboard.is_none() && stderr().is_terminal() && look.moves && log::max_level() == log::Level::Info;
        let mut screen = Self {
            dashboard,
            table: rows.then(|| Table::new(columns.clone(), epochs, best, look)),
            watch: Some(Watch::new("", 0, 0)),
            epochs,
            samples: show.samples,
            batch_size: show.batch_size,
            groups,
            since: Instant::now(),
            stop_after_epoch: false,
            score: of_before(columns.score()).next_back(),
            columns,
        };
        screen.start_epoch(from);
        Ok(screen)
    }

    /// Returns the display of a rank that shows nothing.
    pub fn hidden(settings: &Settings, epochs: u64) -> Self {
        Self {
            dashboard: None,
            table: None,
            watch: None,
            epochs,
            samples: settings.show.samples,
            batch_size: settings.show.batch_size,
            columns: Columns::new(Vec::new(), &settings.checkpoint.best, settings.checkpoint.mode == Mode::Max),
            groups: Vec::new(),
            since: Instant::now(),
            stop_after_epoch: false,
            score: None,
        }
    }

    /// Closes it: later output is plain lines.
    pub fn close(&mut self) {
        self.watch.iter().for_each(Watch::finish);
        self.dashboard = None;
    }

    /// Shows that the training of an epoch begins or resumes.
    pub fn start_epoch(&mut self, at: Progress) {
        log::debug!("Start epoch {}", at.epoch + 1);
        self.since = Instant::now();
        self.train(at);
    }

    fn train(&mut self, at: Progress) {
        let (epoch, done) = (at.epoch + 1, (at.batch * self.batch_size).min(self.samples[0]));
        let Some(watch) = &mut self.watch else { return };
        watch.finish();
        let later = self.epochs.saturating_sub(epoch) * self.samples[0];
        *watch = Watch::new(&format!("Epoch {epoch}/{}", self.epochs), done, self.samples[0]).then(later, 0.0);
        if let Some(dashboard) = &self.dashboard {
            dashboard.train(epoch, done);
        }
    }

    /// Shows a training step.
    pub fn step(&mut self, samples: usize, readings: &Readings, learning_rate: f64, waited: Duration) {
        let (learning_rate, waited) = (Some(learning_rate), Some(waited));
        self.tell(&Step { samples, loss: readings.loss, score: self.score, learning_rate, waited });
    }

    fn tell(&mut self, step: &Step) {
        self.watch.iter_mut().for_each(|watch| watch.step(step));
        if let Some(dashboard) = &self.dashboard {
            dashboard.step(step);
        }
    }

    /// Returns the requests since the last call.
    pub fn asked(&mut self) -> Asked {
        let mut asked = Asked::default();
        for command in self.dashboard.iter().flat_map(Dashboard::commands) {
            match command {
                Command::Save => asked.save = true,
                Command::Validate => asked.validate = true,
                Command::StopAfterEpoch => self.stop_after_epoch = true,
                Command::StopNow => asked.stop = true,
            }
        }
        asked
    }

    /// Returns whether the run shall stop at the end of this epoch.
    pub fn stops_after_epoch(&self) -> bool {
        self.stop_after_epoch
    }

    /// Returns the speed of this epoch's training so far.
    pub fn pace(&self) -> Pace {
        let of = |pace: fn(&Watch) -> f64| self.watch.as_ref().map_or(f64::NAN, pace);
        Pace { rate: of(Watch::rate), waiting: of(Watch::waiting) }
    }

    /// Starts the display of a validation, in the place of the training.
    pub fn validation(&mut self) -> Validation<'_> {
        self.watch.iter().for_each(Watch::finish);
        if let Some(dashboard) = &self.dashboard {
            dashboard.validate();
        }
        let watch = self.watch.is_some().then(|| Watch::new("Validation", 0, self.samples[1]));
        Validation { dashboard: self.dashboard.as_ref(), watch }
    }

    /// Shows the scores of a validation that was requested in the middle of an epoch, and returns to the training.
    pub fn validated(&mut self, at: Progress, scores: &Scores) {
        if self.watch.is_none() {
            return;
        }
        log::info!("Step {} | validation: {}", at.step, brief(scores, &self.columns));
        self.score = Some(score(scores, self.columns.score()));
        if let Some(dashboard) = &self.dashboard {
            dashboard.validated(&self.measured(scores), &self.of_classes(scores));
        }
        self.train(at);
    }

    /// Shows the results of an epoch.
    pub fn end_epoch(&mut self, at: Progress, pace: Pace, [training, validation]: [&Scores; 2]) {
        if self.watch.is_none() {
            return;
        }
        let Pace { rate, waiting } = pace;
        self.score = Some(score(validation, self.columns.score()));
        let epoch = Epoch {
            epoch: at.epoch,
            training: self.measured(training),
            validation: self.measured(validation),
            seconds: self.since.elapsed().as_secs_f64(),
            rate,
            waiting,
        };
        if let Some(dashboard) = &self.dashboard {
            dashboard.epoch(&epoch, &self.of_classes(validation));
        }
        match &mut self.table {
            Some(table) => terminal::say(&table.row(&epoch)),
            None => {
                let trained = match scores_have(training, "accuracy") {
                    true => format!(
                        "Training acc over epoch: {:.4}, loss {:.4}",
                        score(training, "accuracy"),
                        score(training, "loss")
                    ),
                    false => format!("training: {}", brief(training, &self.columns)),
                };
                log::info!(
                    "Epoch {}/{} | {trained} | validation: {}{}",
                    at.epoch,
                    self.epochs,
                    brief(validation, &self.columns),
                    // A run that resumed at the end of an epoch trained nothing of it.
                    if rate.is_finite() { format!(" | {rate:.0} images/s") } else { String::new() },
                );
            }
        }
    }

    fn measured(&self, scores: &Scores) -> Vec<f64> {
        self.columns.names().map(|name| score(scores, name)).collect()
    }

    fn of_classes(&self, scores: &Scores) -> Vec<f64> {
        self.groups.iter().map(|name| score(scores, name)).collect()
    }
}

/// Progress display of a validation.
pub struct Validation<'s> {
    dashboard: Option<&'s Dashboard>,
    watch: Option<Watch>,
}

impl Validation<'_> {
    /// Shows that `samples` more are measured.
    pub fn step(&mut self, samples: usize) {
        let step = Step { samples, ..Step::default() };
        self.watch.iter_mut().for_each(|watch| watch.step(&step));
        if let Some(dashboard) = self.dashboard {
            dashboard.step(&step);
        }
    }
}

fn setup(folder: &Folder, show: &Show, epochs: u64, columns: Columns) -> Setup {
    let [samples, validation_samples] = show.samples;
    Setup {
        title: folder.path().display().to_string(),
        about: format!("{samples} samples to train on, {validation_samples} to validate on"),
        epochs,
        samples,
        validation_samples,
        columns,
        classes: show.classes.clone(),
    }
}

/// Returns the score of this name; NaN if there is none.
pub fn score(scores: &Scores, name: &str) -> f64 {
    scores.iter().find(|(known, _)| known == name).map_or(f64::NAN, |(_, value)| *value)
}

fn scores_have(scores: &Scores, name: &str) -> bool {
    scores.iter().any(|(known, _)| known == name)
}

/// Returns the scores of the columns, on one line.
fn brief(scores: &Scores, columns: &Columns) -> String {
    let short = |name: &str| format!("{name} {:.4}", score(scores, name));
    columns.names().map(short).collect::<Vec<_>>().join(", ")
}

/// Shows the dashboard the epochs before.
fn before(dashboard: &Dashboard, history: &History, columns: &Columns, groups: &[String]) {
    for line in history.of(Stage::Train) {
        let Some(validation) = history.of(Stage::Validation).find(|other| other.epoch == line.epoch) else { continue };
        let of = |name: &str| line.get(name).unwrap_or(f64::NAN);
        let of_validation = |name: &str| validation.get(name).unwrap_or(f64::NAN);
        let epoch = Epoch {
            epoch: line.epoch,
            training: columns.names().map(of).collect(),
            validation: columns.names().map(of_validation).collect(),
            seconds: of("seconds/epoch"),
            rate: of("images_per_second"),
            waiting: of("seconds/data") / of("seconds/epoch"),
        };
        let of_classes: Vec<f64> = groups.iter().map(|name| of_validation(name)).collect();
        dashboard.epoch(&epoch, &of_classes);
    }
}
