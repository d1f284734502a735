//! Order among threads that finish images.

use anyhow::Result;
use std::ops::ControlFlow;
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;

/// Lets threads finish their images one after another.
#[derive(Default)]
pub struct Turns {
    state: Mutex<Turn>,
    changed: Condvar,
}

#[derive(Default)]
struct Turn {
    /// Number of the image whose turn it is.
    image: u64,
    /// An image failed, so no further one may be finished.
    stopped: bool,
}

impl Turns {
    /// Waits for the turn of image `number` and runs `finish`. Does not run it if an earlier image failed.
    pub fn take(&self, number: u64, finish: impl FnOnce() -> Result<()>) -> Result<ControlFlow<()>> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = self.changed.wait_while(state, |turn| turn.image < number && !turn.stopped);
        if waiting.unwrap_or_else(PoisonError::into_inner).stopped {
            return Ok(ControlFlow::Break(()));
        }
        let finished = finish();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = Turn { image: state.image.max(number + 1), stopped: state.stopped || finished.is_err() };
        self.changed.notify_all();
        finished.map(ControlFlow::Continue)
    }

    fn stop(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).stopped = true;
        self.changed.notify_all();
    }
}

/// Guard that stops the others if its thread panics: they must not wait for its turn.
pub struct StopIfPanicking<'t>(pub &'t Turns);

impl Drop for StopIfPanicking<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;
    use std::time::Duration;

    #[test]
    fn images_are_finished_in_order_whichever_is_done_first() {
        let (turns, order) = (Turns::default(), Mutex::new(Vec::new()));
        thread::scope(|scope| {
            for number in (0..6).rev() {
                let (turns, order) = (&turns, &order);
                scope.spawn(move || {
                    thread::sleep(Duration::from_millis(3 * (6 - number)));
                    let finish = || {
                        order.lock().unwrap().push(number);
                        if number == 3 { Err(anyhow!("full")) } else { Ok(()) }
                    };
                    assert_eq!(turns.take(number, finish).is_err(), number == 3);
                });
            }
        });
        assert_eq!(order.into_inner().unwrap(), [0, 1, 2, 3]);
    }
}
