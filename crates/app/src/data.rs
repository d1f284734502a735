//! `app data`: inspects a data set before training.

mod convert;
mod offers;
mod preview;
mod tables;

use crate::cli::{self, Inspect};
use crate::common::config::Config;
use crate::common::output;
use anyhow::Result;
use data::{Report, Severity};
use serde_json::json;
use std::process::ExitCode;
use std::thread::available_parallelism;
use terminal::{Step, Watch};

/// `app data`
pub fn run(command: &cli::Data) -> Result<ExitCode> {
    match command {
        cli::Data::Check(args) => check(args),
        cli::Data::Preview(args) => preview::run(args).map(|()| ExitCode::SUCCESS),
        cli::Data::Convert(args) => convert::run(args).map(|()| ExitCode::SUCCESS),
        cli::Data::Stats(args) => stats(args).map(|()| ExitCode::SUCCESS),
    }
}

/// `app data check`
fn check(args: &Inspect) -> Result<ExitCode> {
    let config = Config::configured(&args.data)?;
    let report = look(&config)?;
    let [errors, warnings] = [Severity::Error, Severity::Warning].map(|severity| report.count(severity));
    if args.json {
        let object = json!({
            "errors": errors,
            "warnings": warnings,
            "findings": report.findings,
            "splits": report.splits,
        });
        output::print(&object.to_string())?;
    } else {
        output::print(&tables::check(&report))?;
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `app data stats`
fn stats(args: &Inspect) -> Result<()> {
    let config = Config::configured(&args.data)?;
    let report = look(&config)?;
    if args.json {
        return output::print(&json!({ "splits": report.splits }).to_string());
    }
    output::print(&tables::stats(&report, &config))
}

/// Checks every sample of both splits on all cores.
fn look(config: &Config) -> Result<Report> {
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut watch = None;
    let report = data::check_config(&config.data, cores, |samples| {
        watch.get_or_insert_with(|| Watch::new("Looking", 0, samples)).step(&Step { samples: 1, ..Step::default() });
    })?;
    let rate = watch.map_or(f64::NAN, |watch| watch.rate());
    let samples: u64 = report.splits.iter().map(|split| split.samples).sum();
    log::info!("Looked at {samples} samples{}", output::at_rate(rate, 0));
    Ok(report)
}
