//! Ends a training after an error: says what is saved and how to resume.

use crate::files::shown;
use crate::lock::Gone;
use crate::run::Run;
use anyhow::{Error, anyhow};
use contract::Progress;

/// The error that ends a training whose folder is `gone`: nothing can be saved.
pub fn gone(gone: &Gone, now: Progress, saved: Option<u64>) -> Error {
    let lost = match saved {
        Some(step) if step == now.step => format!("all of it is in the checkpoint of step {step}"),
        Some(step) => format!("what it learnt after the checkpoint of step {step} is lost"),
        None => "it had no checkpoint yet".into(),
    };
    let again = gone.moved().map(|to| format!(". To go on: app train --run {}", shown(to))).unwrap_or_default();
    anyhow!("{gone}. Training ended at step {}; {lost}{again}", now.step)
}

/// Says what became of what was learnt before `error`, and how to go on. `saved` is where a checkpoint stands now:
/// `None` where the error came in the middle of a change, so that there is nothing sound to save.
pub fn tell(run: &Run, error: &Error, saved: Option<Progress>, before: Option<u64>) {
    let command = format!("app train --run {}", shown(&run.folder));
    let Some(at) = saved else {
        // Other errors speak for themselves.
        if !error.is::<executors::Error>() {
            return;
        }
        let last =
            before.map_or("there is no checkpoint yet".into(), |step| format!("the last is that of step {step}"));
        log::warn!("The error came in the middle of a change, of which no checkpoint can be made; {last}");
        return;
    };
    log::info!("What was learnt up to step {} is saved. To go on: {command}", at.step);
    match error.downcast_ref() {
        Some(executors::Error::Input { .. }) => log::info!(
            "It will meet the same sample there: put its file right first, or let such samples be left out \
             (--set data.loader.max_skipped=1, or more)"
        ),
        Some(_) => log::info!(
            "It will meet the same samples there. If memory was short, that is enough once there is more of it; an \
             error that comes again at this place is in the model, the loss or these samples"
        ),
        None => {}
    }
}
