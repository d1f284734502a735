//! Handles signals: SIGTERM, SIGINT, SIGHUP and SIGXCPU stop a run, SIGUSR1 saves a checkpoint.
//!
//! Until training begins there is nothing to save, and every file is written whole or not at all: a signal then ends
//! the program at once, with the status that says "run me again". Afterwards the first signal is a request that the
//! loop looks at between two steps, and a second SIGTERM or SIGINT ends the program at once. A terminal that closes may
//! send SIGHUP twice, and the system sends SIGXCPU every second, so these two only ever ask. They are left alone where
//! they are ignored at the start: `nohup` means that the run goes on.
//!
//! The program listens before it does anything else. Before that the system loads libtorch, whose own initialisers take
//! 0.3 seconds of a quiet processor (the loader takes 0.02), and a signal ends it as any other (SIGTERM: status 143).
//! Nothing was begun then.

use anyhow::{Context, Result};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The exit status of a run that was stopped and can be resumed: EX_TEMPFAIL of sysexits.h.
pub const RESUMABLE: u8 = 75;

/// The requests that have come in.
pub struct Signals {
    starting: Arc<AtomicBool>,
    /// SIGTERM or SIGINT came.
    told: Arc<AtomicBool>,
    /// Any of the four came.
    stop: Arc<AtomicBool>,
    save: Arc<AtomicBool>,
}

/// A file that outgrows its limit (ulimit -f) would end the program, whatever it does. With a handler the write fails instead.
pub fn outlive_limits() -> Result<()> {
    #[cfg(unix)]
    flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).context("listening to signals")?;
    Ok(())
}

impl Signals {
    /// Listens from now on; the program counts as starting up.
    pub fn listen() -> Result<Self> {
        let signals = Self {
            starting: Arc::new(AtomicBool::new(true)),
            told: Arc::new(AtomicBool::new(false)),
            stop: Arc::new(AtomicBool::new(false)),
            save: Arc::new(AtomicBool::new(false)),
        };
        signals.register().context("listening to signals")?;
        Ok(signals)
    }

    fn register(&self) -> io::Result<()> {
        for signal in [SIGTERM, SIGINT] {
            // They run in this order.
            flag::register_conditional_shutdown(signal, RESUMABLE.into(), Arc::clone(&self.starting))?;
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&self.told))?;
            flag::register(signal, Arc::clone(&self.told))?;
            flag::register(signal, Arc::clone(&self.stop))?;
        }
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

    /// Training begins: from now on a signal waits for the end of the step.
    pub fn begin(&self) {
        self.starting.store(false, Ordering::SeqCst);
    }

    /// Whether the run shall stop.
    pub fn stop(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Whether a checkpoint was asked for; asking forgets it.
    pub fn take_save(&self) -> bool {
        self.save.swap(false, Ordering::SeqCst)
    }
}
