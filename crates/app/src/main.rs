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
use std::panic;
use std::process::ExitCode;

fn main() -> ExitCode {
    torch_ext::tune_allocator();
    let cli = cli::Cli::parse();
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info")).format_target(false).init();
    // What a model panics with becomes an error of its loop; the place in the source is for whoever debugs it.
    panic::set_hook(Box::new(|info| log::debug!("{info}")));
    let result = panic::catch_unwind(|| cli.run()).unwrap_or_else(|_| {
        Err(anyhow::anyhow!("internal error; please report it, with what RUST_LOG=debug prints before this line"))
    });
    let Err(error) = result else { return ExitCode::SUCCESS };
    log::error!("{error:#}");
    if error.is::<usage::Usage>() { ExitCode::from(2) } else { ExitCode::FAILURE }
}
