//! The program `app`: reads the command line, runs one subcommand, turns its result into an exit status.
//!
//! Results go to stdout, logs and progress to stderr. Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 75
//! stopped by a signal and ready to be resumed.

mod cli;
mod closer;
mod config;
mod data;
mod environment;
mod export;
mod files;
mod graph;
mod guard;
mod identity;
mod journal;
mod kernels;
mod layers;
mod lock;
mod neighbours;
mod notes;
mod page;
mod paint;
mod parts;
mod predict;
mod recovery;
mod replay;
mod report;
mod run;
mod runs;
mod saved;
mod saver;
mod screen;
mod signals;
mod snapshot;
mod start;
mod times;
mod train;
mod trained;
mod usage;
mod validate;
mod verify_resume;

use clap::Parser;
use cli::{Cli, Command};
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    let command = Cli::parse().command;
    start_log();
    // What a model panics with becomes an error of its loop; the place in the source is for whoever debugs it.
    panic::set_hook(Box::new(|info| log::debug!("{info}")));
    let result = panic::catch_unwind(|| run(&command)).unwrap_or_else(|_| {
        Err(anyhow::anyhow!("internal error; please report it, with what RUST_LOG=debug prints before this line"))
    });
    result.unwrap_or_else(|error| {
        log::error!("{}", in_words(&error));
        if error.is::<usage::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
    })
}

/// Lines on stderr, of the levels that RUST_LOG asks for.
fn start_log() {
    let environment = env_logger::Env::default().default_filter_or("info");
    let logger = env_logger::Builder::from_env(environment).format_target(false).build();
    let level = logger.filter();
    // It fails only where there is a log already.
    if log::set_boxed_logger(Box::new(terminal::Lines(logger))).is_ok() {
        log::set_max_level(level);
    }
}

fn run(command: &Command) -> anyhow::Result<ExitCode> {
    signals::outlive_limits()?;
    match command {
        Command::Train(args) => return train::run(args),
        Command::VerifyResume(args) => return verify_resume::run(args),
        Command::Validate(args) => validate::run(args)?,
        Command::Predict(args) => predict::run(args)?,
        Command::Report(args) => page::run(args)?,
        Command::Export(args) => export::run(args)?,
        Command::Data(command) => return data::run(command),
        Command::Model(cli::Model::Summary(args)) => layers::run(args)?,
        Command::Runs(args) => runs::run(args)?,
        Command::Schema => config::schema()?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The error and its causes on one line. Typed errors already say their cause, which is not repeated.
fn in_words(error: &anyhow::Error) -> String {
    let mut said = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !said.contains(&cause) {
            said = format!("{said}: {cause}");
        }
    }
    said
}
