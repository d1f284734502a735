//! The program `app`: reads the command line, runs one subcommand, turns its result into an exit status.
//!
//! Results go to stdout, logs and progress to stderr. Exit status: 0 done, 1 failed, 2 wrong usage or configuration.

mod cli;
mod config;
mod files;
mod guard;
mod paint;
mod parts;
mod predict;
mod report;
mod run;
mod snapshot;
mod start;
mod train;
mod trained;
mod usage;
mod validate;
mod watch;

use clap::Parser;
use cli::{Cli, Command};
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    torch_ext::tune_allocator();
    let command = Cli::parse().command;
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).format_target(false).init();
    // What a model panics with becomes an error of its loop; the place in the source is for whoever debugs it.
    panic::set_hook(Box::new(|info| log::debug!("{info}")));
    let result = panic::catch_unwind(|| run(&command)).unwrap_or_else(|_| {
        Err(anyhow::anyhow!("internal error; please report it, with what RUST_LOG=debug prints before this line"))
    });
    let Err(error) = result else { return ExitCode::SUCCESS };
    log::error!("{}", in_words(&error));
    if error.is::<usage::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}

fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Train(args) => train::run(args),
        Command::Validate(args) => validate::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Schema => config::schema(),
    }
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
