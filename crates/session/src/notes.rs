//! Logs of a run, on a disk that may be full for a while.

use crate::error::{Error, Result};
use crate::settings::OnError;
use contract::{Progress, Scores};
use summary::{Stage, Status, Summary};

/// Log writers of a run. Lines that cannot be written wait in memory and are tried again; the same policy as for
/// checkpoints decides whether the run goes on meanwhile.
pub struct Notes {
    /// None on a rank that writes nothing.
    summary: Option<Summary>,
    on_error: OnError,
    failing: bool,
}

impl Notes {
    /// Creates the log, with the policy of `on_error`; one that drops everything if there is no `summary`.
    pub fn new(summary: Option<Summary>, on_error: OnError) -> Self {
        Self { summary, on_error, failing: false }
    }

    /// Writes by `write`, under the policy.
    pub fn write(&mut self, write: impl FnOnce(&mut Summary) -> std::result::Result<(), summary::Error>) -> Result<()> {
        let written = self.summary.as_mut().map_or(Ok(()), write);
        self.hear(written)
    }

    /// Logs the end of a run, with the scores that runs are compared by.
    pub fn outcome(&mut self, at: Progress, scores: &[(String, f64)]) -> Result<()> {
        self.write(|summary| summary.outcome(at.epoch, at.step, Status::Success, scores))
    }

    /// Returns the writers.
    pub fn summary(&self) -> Option<&Summary> {
        self.summary.as_ref()
    }

    /// Returns whether single steps are logged.
    pub fn per_step(&self) -> bool {
        self.summary.as_ref().is_some_and(Summary::per_step)
    }

    /// Logs a training step.
    pub fn step(&mut self, at: Progress, scalars: &[(String, f64)]) -> Result<()> {
        self.write(|summary| summary.step(at.epoch, at.step, scalars))
    }

    /// Logs an epoch: the training and validation `scores`, and scalars in `how` that tell how the training went.
    /// Flushes.
    pub fn epoch(&mut self, at: Progress, learning_rate: f64, scores: [&Scores; 2], how: &Scores) -> Result<()> {
        for (stage, scores) in [Stage::Train, Stage::Validation].into_iter().zip(scores) {
            let mut scalars = scores.clone();
            scalars.push(("learning_rate".into(), learning_rate));
            if stage == Stage::Train {
                scalars.extend_from_slice(how);
            }
            self.write(|summary| summary.epoch(stage, at.epoch, at.step, &scalars))?;
        }
        self.flush()
    }

    /// Flushes everything to the operating system.
    pub fn flush(&mut self) -> Result<()> {
        let written = self.summary.as_mut().map_or(Ok(()), Summary::flush);
        let all = written.is_ok();
        self.hear(written)?;
        if self.failing && all {
            self.failing = false;
            log::info!("The lines that waited in memory are written");
        }
        Ok(())
    }

    /// Flushes at the end of a run. Fails if lines cannot be written, since they are lost then.
    pub fn finish(&mut self) -> Result<()> {
        let doing = Some("the last lines were not written");
        self.summary
            .as_mut()
            .map_or(Ok(()), Summary::flush)
            .map_err(|cause| Error::Summary { doing, cause: Box::new(cause) })
    }

    fn hear(&mut self, written: std::result::Result<(), summary::Error>) -> Result<()> {
        match written {
            Err(error @ summary::Error::Io { .. }) if self.on_error == OnError::Continue => {
                if !self.failing {
                    log::error!("{error}. Training goes on (checkpoint.on_error); unwritten lines wait in memory");
                }
                self.failing = true;
                Ok(())
            }
            written => Ok(written?),
        }
    }
}
