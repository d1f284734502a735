//! `app data`: a look at a data set before anything is trained on it.

mod preview;
mod tables;

use crate::cli::{self, Configured, Look};
use crate::config::{self, Config};
use crate::report;
use crate::watch::Watch;
use anyhow::Result;
use data::{Report, Severity, Split};
use serde_json::json;
use std::process::ExitCode;
use std::thread::available_parallelism;

/// `app data`
pub fn run(command: &cli::Data) -> Result<ExitCode> {
    match command {
        cli::Data::Check(args) => check(args),
        cli::Data::Preview(args) => preview::run(args).map(|()| ExitCode::SUCCESS),
        cli::Data::Stats(args) => stats(args).map(|()| ExitCode::SUCCESS),
    }
}

/// `app data check`
fn check(args: &Look) -> Result<ExitCode> {
    let report = look(&args.data)?;
    let [errors, warnings] = [Severity::Error, Severity::Warning].map(|severity| report.count(severity));
    if args.json {
        let object = json!({
            "errors": errors,
            "warnings": warnings,
            "findings": report.findings,
            "splits": report.splits,
        });
        report::print(&object.to_string())?;
    } else {
        report::print(&tables::check(&report))?;
    }
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// `app data stats`
fn stats(args: &Look) -> Result<()> {
    let report = look(&args.data)?;
    if args.json {
        return report::print(&json!({ "splits": report.splits }).to_string());
    }
    report::print(&tables::stats(&report))
}

/// Looks at every sample of both splits, with all cores.
fn look(args: &Configured) -> Result<Report> {
    let config = configured(args)?;
    let mut splits = Vec::new();
    for split in [Split::Train, Split::Validation] {
        splits.push((split, config.data.open(split)?.into()));
    }
    let samples = splits.iter().map(|(_, dataset): &(Split, std::sync::Arc<dyn data::Dataset>)| dataset.len()).sum();
    let cores = available_parallelism().map_or(1, |cores| cores.get() as u64);
    let mut watch = Watch::new("Looking", 0, samples);
    let report = data::check(&splits, &config.data.classes(), cores, || watch.step(1, None))?;
    let rate = watch.rate();
    drop(watch);
    log::info!("Looked at {samples} samples, {rate:.0} a second");
    Ok(report)
}

/// The configuration that is meant.
fn configured(args: &Configured) -> Result<Config> {
    let base = match &args.config {
        Some(file) => Config::read(file)?,
        None => Config::parse(config::SHAPES, "configs/shapes.json")?,
    };
    base.with(&args.set)
}
