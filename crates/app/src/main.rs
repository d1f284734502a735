//! The program `app`: reads the command line, runs one subcommand, turns its result into an exit status.
//!
//! Results go to stdout, logs and progress to stderr. Exit status: 0 done, 1 failed, 2 wrong usage or configuration, 75
//! stopped by a signal and ready to be resumed.

mod cli;
mod common;
mod data;
mod export;
mod model;
mod predict;
mod report;
mod runs;
mod train;
mod tune;
mod validate;
mod verify_resume;

use anstream::{AutoStream, ColorChoice};
use clap::Parser;
use cli::{Cli, Command};
use common::ranked::{self, Ranked};
use common::usage::{Usage, in_words};
use common::{bounds, config};
use env_logger::{Target, WriteStyle};
use session::{RESUMABLE, Signals};
use std::env;
use std::io::stderr;
use std::panic::{self, AssertUnwindSafe};
use std::process::{self, ExitCode};

fn main() -> ExitCode {
    // Before anything that takes time, so that a training can be stopped in order while it starts. A launcher of ranks
    // or folds listens by itself.
    let trains = env::args_os().nth(1).as_deref() == Some("train".as_ref());
    let starts = |argument: &str| argument.starts_with("--nproc") || argument.starts_with("--folds");
    let launches = env::args_os().any(|argument| starts(&argument.to_string_lossy()));
    let signals = (trains && !launches).then(Signals::listen);
    if !train::outlives_no_launcher() {
        return ExitCode::from(RESUMABLE);
    }
    let command = command();
    start_log();
    // A model's panic becomes an error of its loop; the location in the source is for debugging.
    panic::set_hook(Box::new(|info| log::debug!("{info}")));
    let result = panic::catch_unwind(AssertUnwindSafe(|| run(&command, signals))).unwrap_or_else(|_| {
        Err(anyhow::anyhow!("internal error; please report it, with what RUST_LOG=debug prints before this line"))
    });
    let status = result.unwrap_or_else(|error| {
        log::error!("{}", bounds::explained(in_words(&error), &command));
        if error.is::<Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
    });
    terminal::flush();
    status
}

/// Parses the command line. Error messages escape arguments that hold control characters.
fn command() -> Command {
    Cli::try_parse().map_or_else(
        |error| {
            let odd = |argument: &str| terminal::clean_line(argument) != argument;
            if !env::args_os().any(|argument| odd(&argument.to_string_lossy())) {
                error.exit();
            }
            terminal::say(&terminal::clean_line(error.to_string().trim_end()));
            terminal::flush();
            process::exit(error.exit_code())
        },
        |cli| cli.command,
    )
}

/// Starts logging to stderr, at the levels that RUST_LOG asks for.
fn start_log() {
    let rank = ranked::rank();
    let environment = env_logger::Env::default().default_filter_or(ranked::default_level(rank));
    let mut builder = env_logger::Builder::from_env(environment);
    builder.format_target(false).target(Target::Pipe(Box::new(terminal::Stderr)));
    // The logger cannot know whether its pipe ends at a terminal.
    let asked = env::var("RUST_LOG_STYLE").is_ok_and(|style| style == "always" || style == "never");
    if !asked && AutoStream::choice(&stderr()) != ColorChoice::Never {
        builder.write_style(WriteStyle::Always);
    }
    let logger = builder.build();
    let level = logger.filter();
    // Fails only if there is a logger already.
    if log::set_boxed_logger(Box::new(bounds::Bounded(terminal::Lines(Ranked { logger, rank })))).is_ok() {
        log::set_max_level(level);
    }
}

fn run(command: &Command, signals: Option<Result<Signals, session::Error>>) -> anyhow::Result<ExitCode> {
    session::outlive_limits()?;
    match command {
        Command::Train(args) => match (args.folds, args.nproc) {
            (Some(count), _) => return train::folds(args, count),
            (None, Some(processes)) => return train::launch(args, processes),
            (None, None) => return train::run(args, &signals.unwrap_or_else(Signals::listen)?),
        },
        Command::VerifyResume(args) => return verify_resume::run(args),
        Command::Validate(args) => validate::run(args)?,
        Command::Predict(args) => predict::run(args)?,
        Command::TunePostprocessing(args) => tune::run(args)?,
        Command::Report(args) => report::run(args)?,
        Command::Export(args) => export::run(args)?,
        Command::Data(command) => return data::run(command),
        Command::Model(cli::Model::Summary(args)) => model::summary::run(args)?,
        Command::Model(cli::Model::List(args)) => model::list::run(args)?,
        Command::Runs(args) => runs::run(args)?,
        Command::Schema => config::schema()?,
    }
    Ok(ExitCode::SUCCESS)
}
