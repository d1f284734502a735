//! Calls that may never return, with a limit.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

/// Runs `call` on a thread of its own. Returns None if it takes longer than `limit`; then the thread is left behind.
pub(crate) fn bounded<T: Send + 'static>(limit: Duration, call: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (done, result) = mpsc::channel();
    let spawned = thread::Builder::new().name("oxiseg-bounded".into()).spawn(move || done.send(call()));
    spawned.ok()?;
    result.recv_timeout(limit).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_never_returns_is_given_up() {
        assert_eq!(bounded(Duration::from_secs(60), || 1), Some(1));
        let (_keep, never) = mpsc::channel::<()>();
        assert_eq!(bounded(Duration::from_millis(10), move || never.recv().is_ok()), None);
    }
}
