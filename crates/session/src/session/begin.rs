//! The beginning of a session.

use super::{Asked, Session};
use crate::error::{Error, Result};
use crate::generators;
use crate::guard::Guard;
use crate::journal::Journal;
use crate::neighbours::Neighbours;
use crate::notes::Notes;
use crate::opened::Opened;
use crate::recovery::Recovery;
use crate::saver::Saver;
use crate::screen::Screen;
use crate::settings::{Policy, Settings};
use crate::signals::Signals;
use crate::states::{GENERATOR, RECOVERY, states};
use crate::times::Times;
use contract::{Scores, Stateful};
use executors::{Trainer, Training};
use regular::Permit;
use std::sync::Arc;
use summary::Summary;
use tch::Device;

impl<'s> Session<'s> {
    /// Begins: restores the trainer's parts, makes the folder ready, tries to write, and opens log and display. From
    /// its return on, a signal waits for the end of a step.
    ///
    /// # Errors
    ///
    /// Fails if a state does not fit, the folder or the disk cannot be used, or there is no terminal for a dashboard.
    pub fn begin<'t, 'a>(
        opened: &mut Opened,
        settings: Settings,
        signals: &'s Signals,
        trainer: &'t mut Trainer<'a>,
    ) -> Result<(Self, Training<'t, 'a>)> {
        opened.restore(trainer)?;
        let from = opened.progress();
        let lock = opened.enter()?;
        let folder = opened.folder().clone();
        let still = Arc::clone(&lock);
        let permit = Permit::new(move || Ok(still.check()?));

        let mut recovery = Recovery::new(&settings, folder.rejected(), &permit);
        let own = opened.own_states();
        if let Some(state) = own.get(RECOVERY) {
            let failed = |cause: contract::StateError| Error::Caller(cause.into());
            recovery.load_state(state).map_err(failed)?;
        }
        if let Some(states) = own.get(GENERATOR) {
            generators::restore(states, trainer.devices())?;
        }
        let device = trainer.devices().last().copied().unwrap_or(Device::Cpu);
        let store = folder.store(&settings.checkpoint).permitted(&permit);
        let mut saver = Saver::new(store, &settings.save, settings.about.clone(), from);
        let mut training = trainer.train(from);
        let (epochs, batches) = (training.trainer.epochs, training.trainer.input.len());
        let for_good = settings.checkpoint.keep_every.map_or(0, |every| epochs / every);
        saver.prepare(states(&mut training, &recovery)?, epochs, batches, for_good)?;

        let has_begun = folder.has_begun();
        let mut summary = Summary::permitted(folder.path(), &settings.summary, &permit)?;
        if has_begun {
            // What was logged after the checkpoint will come again.
            summary.restart(from.epoch, from.step)?;
        }
        let notes = Notes::new(summary, settings.save.on_error);
        if from.step == 0 && settings.non_finite.policy == Policy::Rollback {
            // Something to go back to from the first step on.
            saver.save(states(&mut training, &recovery)?, from, &Scores::new())?;
        }
        let columns = training.trainer.metric.columns().map_err(Error::Caller)?;
        let screen = Screen::open(&folder, &settings, from, epochs, columns)?;
        let pace = screen.pace();
        let journal = Journal { notes, screen, times: Times::start(), neighbours: Neighbours::watch() };
        let session = Self {
            folder,
            lock,
            settings,
            signals,
            saver,
            guard: Guard::new(device),
            recovery,
            journal,
            sound: Some(from),
            at: from,
            validation: Scores::new(),
            unscored: false,
            has_validated: false,
            pace,
            asked: Asked::default(),
            stopped: false,
        };
        signals.begin();
        Ok((session, training))
    }
}
