//! Completes a finished run: report and saved network.

use crate::common::closer::Best;
use crate::common::files;
use crate::train::start::Start;
use crate::{export, report};
use anyhow::Result;
use data::Loader;
use std::process::ExitCode;
use std::time::Duration;

/// Creates the report and the saved network of a finished run, where the configuration asks for them and they are
/// missing or outdated. A failure of one does not prevent the other. For a run that was trained just now, creates them
/// anyway; `just` then holds the look at its best network and its validation data.
pub fn complete(start: &Start, just: Option<(Option<&Best>, &Loader)>) -> Result<ExitCode> {
    let Start { run, config, .. } = start;
    if start.lock().is_some_and(|lock| lock.check().is_ok()) {
        // The lock is held, so nobody else writes here.
        files::clean(&run.folder, Duration::ZERO);
    }
    let best = just.and_then(|(best, input)| Some((best?, input)));
    let page = || match config.summary.report && (just.is_some() || report::is_due(run, config)?) {
        true => make(start, || report::finished(run, config, start.lock(), best)),
        false => Ok(()),
    };
    let network = || match config.export.at_end && (just.is_some() || export::is_due(run, config)?) {
        true => make(start, || export::finished(run)),
        false => Ok(()),
    };
    match (page(), network()) {
        (Ok(()), Ok(())) => Ok(ExitCode::SUCCESS),
        (Err(error), Ok(())) | (Ok(()), Err(error)) => Err(error),
        (Err(first), Err(second)) => {
            log::error!("{}", crate::common::usage::in_words(&first));
            Err(second)
        }
    }
}

/// Calls `make` if the folder still belongs to the run.
fn make(start: &Start, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if let Some(lock) = start.lock() {
        lock.check()?;
    }
    // Somebody may have removed the configuration while the run trained, and readers of the run need it.
    start.run.keep_if_missing(&start.config)?;
    make()
}
