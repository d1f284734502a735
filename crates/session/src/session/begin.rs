//! The beginning of a session.

use super::Session;
use crate::error::{Error, Result};
use crate::generators;
use crate::guard::Guard;
use crate::journal::Journal;
use crate::lockstep::{Asked, Lockstep};
use crate::neighbours::Neighbours;
use crate::notes::Notes;
use crate::opened::Opened;
use crate::recovery::Recovery;
use crate::saver::Saver;
use crate::screen::Screen;
use crate::settings::{Policy, Settings};
use crate::signals::Signals;
use crate::states::{GENERATOR, Own, RECOVERY, states};
use crate::stopping::{STOPPING, Waiting};
use crate::times::Times;
use contract::{Ranks, Scores, Stateful};
use executors::{Trainer, Training};
use regular::Permit;
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
        Self::begin_as(None, opened, settings, signals, trainer)
    }

    /// Begins on each of several ranks that train together, from what [`Opened::across`] returned. The first rank
    /// writes; the others run the same code and write nothing. See [several ranks](crate#several-ranks).
    ///
    /// # Errors
    ///
    /// Fails on all ranks for the reasons of [`begin`](Self::begin), or if a rank is lost.
    pub fn begin_across<'t, 'a>(
        ranks: &'s dyn Ranks,
        opened: &mut Opened,
        settings: Settings,
        signals: &'s Signals,
        trainer: &'t mut Trainer<'a>,
    ) -> Result<(Self, Training<'t, 'a>)> {
        Self::begin_as(Some(ranks), opened, settings, signals, trainer)
    }

    fn begin_as<'t, 'a>(
        ranks: Option<&'s dyn Ranks>,
        opened: &mut Opened,
        settings: Settings,
        signals: &'s Signals,
        trainer: &'t mut Trainer<'a>,
    ) -> Result<(Self, Training<'t, 'a>)> {
        let lockstep = Lockstep::new(ranks);
        lockstep.all(opened.restore_rank(trainer, lockstep.place()))?;
        // Called on every rank: the scores of several are computed together.
        let columns = trainer.metric.columns().map_err(Error::Caller)?;
        let made = Self::make(Lockstep::new(ranks), opened, settings, signals, trainer, columns);
        let (mut session, mut training) = lockstep.all(made)?;
        let from = session.at;
        if from.step == 0 && session.settings.non_finite.policy == Policy::Rollback {
            // Something to go back to from the first step on.
            session.save(&mut training, &Scores::new())?;
            session.sound = Some(from);
        }
        signals.begin();
        Ok((session, training))
    }

    /// Makes the session of this rank, without the others.
    fn make<'t, 'a>(
        lockstep: Lockstep<'s>,
        opened: &mut Opened,
        settings: Settings,
        signals: &'s Signals,
        trainer: &'t mut Trainer<'a>,
        columns: Vec<String>,
    ) -> Result<(Self, Training<'t, 'a>)> {
        let from = opened.progress();
        let lock = if lockstep.writes() { Some(opened.enter()?) } else { None };
        let folder = opened.folder().clone();
        let permit = match lock.clone() {
            Some(still) => Permit::new(move || Ok(still.check()?)),
            None => Permit::default(),
        };

        let mut recovery = Recovery::new(&settings, folder.rejected(), &permit);
        let own = opened.own_states();
        if let Some(state) = own.get(RECOVERY) {
            let failed = |cause: contract::StateError| Error::Caller(cause.into());
            recovery.load_state(state).map_err(failed)?;
        }
        let early_stopping = settings.early_stopping.as_ref();
        let waiting = early_stopping.map(|rule| Waiting::read(rule, own.get(STOPPING))).transpose();
        let waiting = waiting.map_err(|cause| Error::Caller(cause.into()))?.unwrap_or_default();
        let ended = early_stopping.is_some_and(|rule| waiting.is_over(rule));
        if let Some(states) = own.get(GENERATOR) {
            generators::restore(states, trainer.devices())?;
        }
        let device = trainer.devices().last().copied().unwrap_or(Device::Cpu);
        let store = folder.store(&settings.checkpoint).permitted(&permit);
        let saver = Saver::new(store, &settings.save, settings.about.clone(), from);
        let mut training = trainer.train(from);
        let (epochs, batches) = (training.trainer.epochs, training.trainer.input.len());
        let for_good = settings.checkpoint.keep_every.map_or(0, |every| epochs / every);
        let (summary, screen) = if lockstep.writes() {
            let own = Own { recovery: &recovery, stopping: early_stopping.map(|rule| (rule, &waiting)) };
            saver.prepare(states(&mut training, own, &lockstep)?, epochs, batches, for_good)?;
            let has_begun = folder.has_begun();
            let mut summary = Summary::permitted(folder.path(), &settings.summary, &permit)?;
            if has_begun {
                // What was logged after the checkpoint will come again.
                summary.restart(from.epoch, from.step)?;
            }
            folder.forget_requeue()?;
            (Some(summary), Screen::open(&folder, &settings, from, epochs, columns)?)
        } else {
            (None, Screen::hidden(&settings, epochs))
        };
        let notes = Notes::new(summary, settings.save.on_error);
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
            waiting,
            ended,
            journal,
            sound: Some(from),
            at: from,
            validation: Scores::new(),
            unscored: false,
            has_validated: false,
            pace,
            asked: Asked::default(),
            waits: false,
            stopped: false,
            lockstep,
        };
        Ok((session, training))
    }
}
