//! The terminal as a whole: taken over for a dashboard, and given back however the program leaves.

use crate::{error::Error, lines, look::Look};
use ratatui::crossterm::{
    cursor,
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use std::io::{IsTerminal, stderr, stdin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};
use std::time::Duration;
use std::{panic, thread};

/// Whether a dashboard covers the terminal.
static OPEN: AtomicBool = AtomicBool::new(false);
/// Held by whoever writes to the covered terminal.
static PEN: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();

/// Whether a dashboard covers the terminal.
pub(crate) fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst)
}

/// Covers the terminal, if stderr and stdin are one.
pub(crate) fn enter(look: Look) -> Result<(), Error> {
    let streams = [("standard error", stderr().is_terminal()), ("standard input", stdin().is_terminal())];
    if let Some((stream, _)) = streams.into_iter().find(|(_, is_terminal)| !is_terminal) {
        return Err(Error::NoTerminal { stream });
    }
    if !look.moves {
        return Err(Error::Dumb);
    }
    if OPEN.swap(true, Ordering::SeqCst) {
        return Err(Error::Open);
    }
    // The hook stays: others may be chained to it later, and where nothing is open it does nothing.
    HOOK.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            former(info);
        }));
    });
    lines::start_keeping();
    let entered = terminal::enable_raw_mode().map_err(Error::io("read the terminal's keys"));
    // What is pasted by mistake is then no row of keys that are pressed.
    let cover = || execute!(stderr(), EnterAlternateScreen, EnableBracketedPaste, cursor::Hide);
    let cover = || cover().map_err(Error::io("draw on the terminal"));
    entered.and_then(|()| cover()).inspect_err(|_| leave())
}

/// The right to write to the terminal; `None` once it was given back.
pub(crate) fn pen() -> Option<MutexGuard<'static, ()>> {
    let pen = PEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    is_open().then_some(pen)
}

/// Gives the terminal back as it was, with the lines that were logged meanwhile. Once is enough; more do no harm.
pub(crate) fn leave() {
    if !OPEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // A picture that is being drawn is waited for, lest its rest comes after. Not for ever: the one that panicked and is
    // here may be the one that draws.
    let mut pen = PEN.try_lock();
    for _ in 0..50 {
        if !matches!(pen, Err(TryLockError::WouldBlock)) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
        pen = PEN.try_lock();
    }
    // A terminal that is gone needs nothing back.
    let _ = execute!(stderr(), DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    lines::stop_keeping();
}
