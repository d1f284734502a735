//! What a person sees while it runs: a progress bar at a terminal, nothing in a file (lines are logged instead).

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use log::{Log, Metadata, Record};
use std::io::{IsTerminal, stderr};
use std::sync::LazyLock;
use std::time::Instant;

/// What is on the terminal at the moment.
static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// A log whose lines do not tear the bar.
pub struct Lines(pub env_logger::Logger);

impl Log for Lines {
    fn enabled(&self, metadata: &Metadata) -> bool {
        self.0.enabled(metadata)
    }

    fn log(&self, record: &Record) {
        if self.0.matches(record) {
            BARS.suspend(|| self.0.log(record));
        }
    }

    fn flush(&self) {
        self.0.flush();
    }
}

/// A stretch of work on samples, as it goes on.
pub struct Watch {
    bar: Option<ProgressBar>,
    since: Instant,
    seen: u64,
}

impl Watch {
    /// Starts: `done` of `samples` are behind us.
    pub fn new(title: &str, done: u64, samples: u64) -> Self {
        // Lines for every step would tear the bar.
        let at_terminal = stderr().is_terminal() && log::max_level() <= log::LevelFilter::Info;
        let bar = at_terminal.then(|| {
            let template = "{prefix} {bar:24} {pos}/{len} {msg} {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = BARS.add(ProgressBar::new(samples)).with_style(style).with_prefix(title.to_string());
            bar.set_position(done);
            bar.reset_eta();
            bar
        });
        Self { bar, since: Instant::now(), seen: 0 }
    }

    /// Another `samples` are done; the last known loss is `loss`.
    pub fn step(&mut self, samples: usize, loss: Option<f64>) {
        self.seen += samples as u64;
        let Some(bar) = &self.bar else { return };
        let rate = self.rate();
        match loss {
            Some(loss) => bar.set_message(format!("loss {loss:.4}, {rate:.0} images/s,")),
            None if bar.message().is_empty() => bar.set_message(format!("{rate:.0} images/s,")),
            None => {}
        }
        bar.inc(samples as u64);
    }

    /// Samples a second.
    pub fn rate(&self) -> f64 {
        self.seen as f64 / self.since.elapsed().as_secs_f64().max(1e-9)
    }

    /// Takes the bar off the terminal, so that lines can be written.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.finish();
    }
}
