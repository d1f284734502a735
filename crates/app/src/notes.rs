//! What a run writes down, on a disk that may be full for a while.

mod board;

use crate::config::Config;
use anyhow::{Context, Result};
use checkpoint::OnError;
use contract::{Progress, Scores};
use summary::{Error, Stage, Summary};

/// The summary of a run. What cannot be written waits in memory and is tried again; whether the run goes on meanwhile is
/// up to the same policy as for checkpoints.
pub struct Notes {
    summary: Summary,
    on_error: OnError,
    /// Whether TensorBoard's files are written.
    on_board: bool,
    /// Whether the run ends with a report.
    on_page: bool,
    has_graph: bool,
    failing: bool,
}

impl Notes {
    /// Notes by a policy.
    pub fn new(summary: Summary, config: &Config) -> Self {
        let (on_error, on_board, on_page) =
            (config.checkpoint.on_error, config.summary.tensorboard, config.summary.report);
        Self { summary, on_error, on_board, on_page, has_graph: false, failing: false }
    }

    /// Whether single steps are written down.
    pub fn per_step(&self) -> bool {
        self.summary.per_step()
    }

    /// A training step.
    pub fn step(&mut self, at: Progress, scalars: &[(String, f64)]) -> Result<()> {
        let written = self.summary.step(at.epoch, at.step, scalars);
        self.hear(written)
    }

    /// The scores of an epoch, of training and of validation; and `how` the training went.
    pub fn epoch(&mut self, at: Progress, learning_rate: f64, scores: [&Scores; 2], how: &Scores) -> Result<()> {
        for (stage, scores) in [Stage::Train, Stage::Validation].into_iter().zip(scores) {
            let mut scalars = scores.clone();
            scalars.push(("learning_rate".into(), learning_rate));
            if stage == Stage::Train {
                scalars.extend_from_slice(how);
            }
            let written = self.summary.epoch(stage, at.epoch, at.step, &scalars);
            self.hear(written)?;
        }
        self.flush()
    }

    /// Hands everything to the system.
    pub fn flush(&mut self) -> Result<()> {
        let written = self.summary.flush();
        let all = written.is_ok();
        self.hear(written)?;
        if self.failing && all {
            self.failing = false;
            log::info!("What waited in memory is written down");
        }
        Ok(())
    }

    /// The same at the end of a run, where what cannot be written is lost.
    pub fn finish(&mut self) -> Result<()> {
        self.summary.flush().context("the last lines were not written")
    }

    fn hear(&mut self, written: Result<(), Error>) -> Result<()> {
        match written {
            Err(error @ Error::Io { .. }) if self.on_error == OnError::Continue => {
                if !self.failing {
                    log::error!(
                        "{error}. Training goes on (checkpoint.on_error); what is to be written waits in memory"
                    );
                }
                self.failing = true;
                Ok(())
            }
            written => Ok(written?),
        }
    }
}
