//! A capture whose replays are wrong, and what is logged of it.

use contract::{Agree, Capture, CaptureError, Stage, Step, TorchError};
use log::{Level, LevelFilter};
use std::cell::RefCell;
use tch::Tensor;
use torch_ext::FakeCapture;

/// A capture that may write another loss.
pub struct Spoiled {
    pub capture: FakeCapture,
    pub wrong: bool,
}

impl Capture for Spoiled {
    fn step_if_all(&mut self, step: &mut Step<'_>, all: &mut Agree<'_>) -> Result<Stage, CaptureError> {
        let stage = self.capture.step_if_all(step, all)?;
        if self.wrong && stage == Stage::Replay {
            let _ = self.outputs()[0].shallow_clone().g_add_scalar_(1.0);
        }
        Ok(stage)
    }

    fn outputs(&self) -> &[Tensor] {
        self.capture.outputs()
    }

    fn reset(&mut self) -> Result<(), TorchError> {
        self.capture.reset()
    }
}

thread_local! {
    static SAID: RefCell<Vec<(Level, String)>> = const { RefCell::new(Vec::new()) };
}

/// Keeps what each thread logs.
struct Kept;

impl log::Log for Kept {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        SAID.with_borrow_mut(|said| said.push((record.level(), record.args().to_string())));
    }

    fn flush(&self) {}
}

/// Keeps from now on what is logged.
pub fn listen() {
    if log::set_logger(&Kept).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
}

/// Returns what this thread has logged.
pub fn said() -> Vec<(Level, String)> {
    SAID.take()
}
