//! Simulates a training, to demonstrate the terminal output.
//!
//! `demo [SECONDS]` opens the dashboard, `demo --plain [SECONDS]` shows bars and a table, `demo --svg FILE` draws the
//! dashboard as an SVG image, and `demo --panic` panics while the dashboard is open. It exits as a training does: with
//! 0 at the end, and with 75 if it was asked to stop.

mod story;
mod svg;

use log::{LevelFilter, Log, Metadata, Record};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::error::Error;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use std::{env, thread};
use story::Story;
use terminal::{Command, Dashboard, Lines, Look, Table, Watch};

const RESUMABLE: u8 = 75;
static LOG: Lines<Plain> = Lines(Plain);

/// Minimal logger.
struct Plain;

impl Log for Plain {
    fn enabled(&self, metadata: &Metadata) -> bool {
        metadata.level() <= LevelFilter::Info
    }

    fn log(&self, record: &Record) {
        terminal::say(&format!("[{}] {}", record.level(), record.args()));
    }

    fn flush(&self) {}
}

fn main() -> ExitCode {
    let status = run().unwrap_or_else(|error| {
        terminal::say(&error.to_string());
        ExitCode::FAILURE
    });
    terminal::flush();
    status
}

fn run() -> Result<ExitCode, Box<dyn Error>> {
    log::set_logger(&LOG).map_err(|error| error.to_string())?;
    log::set_max_level(LevelFilter::Info);
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--svg", path] => svg::write(path)?,
        ["--plain", seconds @ ..] => plain(&Story::of(parse(seconds)?)),
        ["--panic"] => return dashboard(&Story::of(5.0), true),
        seconds => return dashboard(&Story::of(parse(seconds)?), false),
    }
    Ok(ExitCode::SUCCESS)
}

fn parse(seconds: &[&str]) -> Result<f64, std::num::ParseFloatError> {
    seconds.first().map_or(Ok(20.0), |seconds| seconds.parse())
}

/// Shows bars, and a row per epoch.
fn plain(story: &Story) {
    let mut table = Table::new(story.setup.columns.clone(), story.setup.epochs, f64::NAN, Look::of_environment());
    let (samples, epochs) = (story.setup.samples, story.setup.epochs);
    for epoch in 1..=epochs {
        let title = format!("Epoch {epoch}/{epochs}");
        let mut watch = Watch::new(&title, 0, samples).then((epochs - epoch) * samples, 0.0);
        for step in story.steps(epoch) {
            thread::sleep(Duration::from_secs_f64(story.pause));
            watch.step(&step);
        }
        watch.finish();
        let (row, _) = story.epoch(epoch);
        terminal::say(&table.row(&row));
    }
}

fn dashboard(story: &Story, panics: bool) -> Result<ExitCode, Box<dyn Error>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // Handlers run in this order: the second signal ends the program.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    #[cfg(unix)]
    if !terminal::is_ignored(signal_hook::consts::SIGHUP) {
        flag::register(signal_hook::consts::SIGHUP, Arc::clone(&stop))?;
    }
    let epochs = story.setup.epochs;
    let dashboard = Dashboard::open(story.setup.clone())?;
    log::info!("Training on {} samples", story.setup.samples);
    let mut last = epochs;
    for epoch in 1..=epochs {
        dashboard.train(epoch, 0);
        for step in story.steps(epoch) {
            thread::sleep(Duration::from_secs_f64(story.pause));
            dashboard.step(&step);
            let mut stopping = stop.load(Ordering::SeqCst);
            for command in dashboard.commands() {
                log::info!("Asked for: {command:?}");
                match command {
                    Command::StopNow => stopping = true,
                    Command::StopAfterEpoch => last = epoch,
                    Command::Save | Command::Validate => {}
                }
            }
            if stopping {
                log::info!("Stopped in epoch {epoch}");
                return Ok(ExitCode::from(RESUMABLE));
            }
            assert!(!panics || epoch < 2, "asked to panic");
        }
        dashboard.validate();
        for step in story.validation() {
            thread::sleep(Duration::from_secs_f64(story.pause / 3.0));
            dashboard.step(&step);
        }
        let (row, ious) = story.epoch(epoch);
        dashboard.epoch(&row, &ious);
        log::info!("Epoch {epoch}/{epochs} | validation: mean_iou {:.4}", row.validation[2]);
        if epoch == last && epoch < epochs {
            return Ok(ExitCode::from(RESUMABLE));
        }
    }
    drop(dashboard);
    // Ignore the error: nobody reads the terminal.
    let _ = terminal::show("The end");
    Ok(ExitCode::SUCCESS)
}
