//! Messages at the end of a training that failed: what is saved, and how to resume.

use crate::error::{Error, Gone};
use contract::Progress;
use executors::Error as Failure;

/// Returns the error that ends a training whose folder is `gone`: nothing can be saved.
pub fn gone(gone: Gone, now: Progress, saved: Option<u64>) -> Error {
    let lost = match saved {
        Some(step) if step == now.step => format!("all of it is in the checkpoint of step {step}"),
        Some(step) => format!("what it learnt after the checkpoint of step {step} is lost"),
        None => "it had no checkpoint yet".into(),
    };
    let said = format!(". Training ended at step {}; {lost}", now.step);
    Error::Gone { gone, said }
}

/// Logs what was saved before `error`, and how to resume with `command`. `saved` is the progress of the checkpoint, None
/// if the error came in the middle of a change, so that there is nothing sound to save; `before` is the step of the
/// checkpoint before.
pub fn tell(command: &str, error: &Error, saved: Option<Progress>, before: Option<u64>) {
    let Some(at) = saved else {
        // Other errors speak for themselves.
        if !matches!(error, Error::Loop(_)) {
            return;
        }
        let last =
            before.map_or("there is no checkpoint yet".into(), |step| format!("the last is that of step {step}"));
        log::warn!("The error came in the middle of a change, of which no checkpoint can be made; {last}");
        return;
    };
    log::info!("What was learnt up to step {} is saved. To go on: {command}", at.step);
    match error {
        Error::Loop(Failure::Input { .. }) => log::info!(
            "It will meet the same sample there: put its file right first, or let such samples be left out \
             (--set data.loader.max_skipped=1, or more)"
        ),
        Error::Loop(_) => log::info!(
            "It will meet the same samples there. If memory was short, that is enough once there is more of it; an \
             error that comes again at this place is in the model, the loss or these samples"
        ),
        _ => {}
    }
}
