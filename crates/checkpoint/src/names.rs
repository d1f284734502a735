//! Names of the folders of checkpoints.

use std::path::Path;

/// Returns the name of a published checkpoint's folder.
pub fn name(step: u64) -> String {
    format!("step-{step:010}")
}

/// Returns the name of a folder that is no published checkpoint: `partial`, `replaced` or `removed`.
pub fn hidden(step: u64, state: &str) -> String {
    format!(".{}.{state}", name(step))
}

/// Returns the step in the name of a checkpoint's folder, in any state; `None` if the name has no step.
pub fn step_of(folder: &Path) -> Option<u64> {
    parse(folder).map(|(step, _)| step)
}

/// Parses `step-N` into (N, None) and `.step-N.state` into (N, Some(state)).
pub fn parse(path: &Path) -> Option<(u64, Option<&str>)> {
    let file = path.file_name()?.to_str()?;
    let (visible, state) = match file.strip_prefix('.') {
        Some(rest) => rest.split_once('.').map(|(name, state)| (name, Some(state)))?,
        None => (file, None),
    };
    let step = visible.strip_prefix("step-")?.parse().ok()?;
    let known = matches!(state, None | Some("partial" | "replaced" | "removed"));
    (known && visible == name(step)).then_some((step, state))
}
