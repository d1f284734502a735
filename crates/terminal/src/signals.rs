//! Signals that matter to a program that has taken over a terminal.

use signal_hook::consts::{SIGINT, SIGTERM};
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Returns true if a signal is ignored, as SIGHUP is under `nohup`. On systems without `/proc/self/status` every signal
/// counts as ignored, so that it is left alone.
pub fn is_ignored(signal: i32) -> bool {
    std::fs::read_to_string("/proc/self/status").ok().and_then(|about| ignored(&about, signal)).unwrap_or(true)
}

fn ignored(about: &str, signal: i32) -> Option<bool> {
    let mask = about.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    let mask = u64::from_str_radix(mask.trim(), 16).ok()?;
    Some(mask >> u32::try_from(signal - 1).ok()? & 1 == 1)
}

/// Returns the signals that ask a program to stop.
pub(crate) fn to_stop() -> Vec<i32> {
    #[cfg(unix)]
    let more = [signal_hook::consts::SIGHUP, signal_hook::consts::SIGXCPU];
    #[cfg(not(unix))]
    let more: [i32; 0] = [];
    [SIGINT, SIGTERM].into_iter().chain(more.into_iter().filter(|signal| !is_ignored(*signal))).collect()
}

/// Makes the first SIGQUIT set `quit` only; one that arrives with `quit` set takes its default action.
#[cfg(unix)]
pub(crate) fn quit(quit: &Arc<AtomicBool>) -> io::Result<()> {
    use signal_hook::{consts::SIGQUIT, flag};
    if !is_ignored(SIGQUIT) {
        flag::register_conditional_default(SIGQUIT, Arc::clone(quit))?;
        flag::register(SIGQUIT, Arc::clone(quit))?;
    }
    Ok(())
}

#[cfg(not(unix))]
pub(crate) fn quit(_: &Arc<AtomicBool>) -> io::Result<()> {
    Ok(())
}

/// Takes the default action of SIGQUIT, which ends the program.
pub(crate) fn emulate_quit() -> io::Result<()> {
    #[cfg(unix)]
    signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGQUIT)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_of_the_system_is_read() {
        let about = "Name:\tapp\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";
        assert_eq!(
            [1, 13, 2, 15, 64].map(|signal| ignored(about, signal)),
            [true, true, false, false, false].map(Some)
        );
        assert_eq!(ignored("Name:\tapp\n", 1), None);
        assert_eq!(ignored("SigIgn:\tnothing\n", 1), None);
    }
}
