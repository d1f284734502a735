//! Completes a finished run: report and saved network.

use crate::closer::Best;
use crate::start::Start;
use crate::{export, files, page};
use anyhow::Result;
use data::Loader;
use std::process::ExitCode;
use std::time::Duration;

/// Makes the report and the saved network of a finished run where they are missing. A failure of one does not keep the
/// other from being made. For a run that was trained just now, `just` holds the look at its best network and its
/// validation data.
pub fn complete(start: &Start, just: Option<(Option<&Best>, &Loader)>) -> Result<ExitCode> {
    let Start { run, config, .. } = start;
    if start.lock().is_some_and(|lock| lock.check().is_ok()) {
        // Nobody else writes here.
        files::clean(&run.folder, Duration::ZERO);
    }
    let best = just.and_then(|(best, input)| Some((best?, input)));
    let page = || match config.summary.report && (just.is_some() || page::is_due(run, config)?) {
        true => make(start, || page::finished(run, config, start.lock(), best)),
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
            log::error!("{}", crate::in_words(&first));
            Err(second)
        }
    }
}

/// Makes something of a run, as long as the folder is still the run's.
fn make(start: &Start, make: impl FnOnce() -> Result<()>) -> Result<()> {
    if let Some(lock) = start.lock() {
        lock.check()?;
    }
    // A person may have removed it while the run trained, and whoever reads the run needs it.
    start.run.keep_if_missing(&start.config)?;
    make()
}
