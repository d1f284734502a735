//! Handles signals: SIGTERM, SIGINT, SIGHUP and SIGXCPU stop a run, SIGUSR1 saves a checkpoint.
//!
//! Until training begins, nothing needs saving, and every file is written whole or not at all: a signal then ends the
//! program at once, with the status that says "run me again". Afterwards the first signal is a request that the loop
//! looks at between two steps, and a second SIGTERM or SIGINT ends the program at once. Within [`REPEATS`] after the
//! first it changes nothing, since a job's system and its launcher may both send one. A terminal that closes may send
//! SIGHUP twice, and the system sends SIGXCPU every second, so repeats of these two never change anything. They are
//! left alone if they are ignored at the start: `nohup` means that the run goes on.
//!
//! The program listens before it does anything else. Before that the system loads libtorch, whose own initialisers take
//! 0.3 seconds of a quiet processor (the loader takes 0.02), and a signal ends it like any other program (SIGTERM:
//! status 143). Nothing was begun then.

use crate::error::{Error, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use signal_hook::iterator::Signals as Coming;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Exit status of a run that was stopped and can be resumed: EX_TEMPFAIL of sysexits.h.
pub const RESUMABLE: u8 = 75;

/// Time after a SIGTERM or SIGINT in which another one is taken for the same request.
pub const REPEATS: Duration = Duration::from_secs(1);

/// Requests that have come in.
pub struct Signals {
    starting: Arc<AtomicBool>,
    /// Set once the next SIGTERM or SIGINT ends the program.
    told: Arc<AtomicBool>,
    /// Set once any of the four came.
    stop: Arc<AtomicBool>,
    save: Arc<AtomicBool>,
}

/// Makes a write fail when a file outgrows its limit (ulimit -f). Without a handler, the signal would end the program,
/// whatever it does.
pub fn outlive_limits() -> Result<()> {
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, Arc::default())
        .map_err(Error::io("listen to", Path::new("signals")))?;
    Ok(())
}

impl Signals {
    /// Starts to listen; the program counts as starting up.
    pub fn listen() -> Result<Self> {
        let signals = Self {
            starting: Arc::new(AtomicBool::new(true)),
            told: Arc::new(AtomicBool::new(false)),
            stop: Arc::new(AtomicBool::new(false)),
            save: Arc::new(AtomicBool::new(false)),
        };
        signals.register().map_err(Error::io("listen to", Path::new("signals")))?;
        Ok(signals)
    }

    fn register(&self) -> io::Result<()> {
        for signal in [SIGTERM, SIGINT] {
            // Handlers run in this order.
            flag::register_conditional_shutdown(signal, RESUMABLE.into(), Arc::clone(&self.starting))?;
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.told))?;
            flag::register(signal, Arc::clone(&self.stop))?;
        }
        let (mut coming, told) = (Coming::new([SIGTERM, SIGINT])?, Arc::clone(&self.told));
        let waits = move || {
            if coming.forever().next().is_some() {
                thread::sleep(REPEATS);
                told.store(true, Ordering::SeqCst);
            }
        };
        let _ = thread::Builder::new().name("oxiseg-signals".into()).spawn(waits)?;
        #[cfg(unix)]
        for signal in [signal_hook::consts::SIGHUP, signal_hook::consts::SIGXCPU] {
            if !terminal::is_ignored(signal) {
                flag::register_conditional_shutdown(signal, RESUMABLE.into(), Arc::clone(&self.starting))?;
                flag::register(signal, Arc::clone(&self.stop))?;
            }
        }
        #[cfg(unix)]
        flag::register(signal_hook::consts::SIGUSR1, Arc::clone(&self.save))?;
        Ok(())
    }

    /// Marks the beginning of the training: from now on a signal waits for the end of the step.
    pub fn begin(&self) {
        self.starting.store(false, Ordering::SeqCst);
    }

    /// Does what SIGTERM does.
    #[cfg(test)]
    pub fn pretend_to_stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }

    /// Returns whether the run shall stop.
    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Returns whether a checkpoint was requested, and clears the request.
    pub fn take_save(&self) -> bool {
        self.save.swap(false, Ordering::SeqCst)
    }
}
