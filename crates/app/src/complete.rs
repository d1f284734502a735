//! What a finished run is to have besides its checkpoints: a report, a saved network.

use crate::closer::Best;
use crate::start::Start;
use crate::{export, page};
use anyhow::Result;
use data::Loader;
use std::process::ExitCode;

/// Makes what a finished run is to have and lacks: its report, its saved network. What cannot be made keeps nothing
/// else from being made. `just` is the look at its best network, and its validation data, of a run that was trained
/// just now.
pub fn complete(start: &Start, just: Option<(Option<&Best>, &Loader)>) -> Result<ExitCode> {
    let Start { run, config, .. } = start;
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
