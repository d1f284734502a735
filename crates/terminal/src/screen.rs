//! Takes over the terminal for a dashboard, and gives it back however the program ends.

use crate::{error::Error, lines, look::Look, output};
use ratatui::crossterm::{
    cursor,
    event::{DisableBracketedPaste, EnableBracketedPaste},
    execute,
    terminal::{self, EnterAlternateScreen, LeaveAlternateScreen},
};
use std::io::{self, IsTerminal, stderr, stdin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, Once, TryLockError};
use std::time::Duration;
use std::{panic, thread};

/// True while a dashboard covers the terminal.
static OPEN: AtomicBool = AtomicBool::new(false);
/// Lock for writing to the covered terminal.
static PEN: Mutex<()> = Mutex::new(());
static HOOK: Once = Once::new();
/// Default columns and rows, for terminals that report 0 because they do not know their size.
const USUAL: [u16; 2] = [80, 24];
/// Maximum columns and rows: a frame of 65,535 × 65,535 cells would not fit in memory.
const LARGEST: [u16; 2] = [640, 240];

/// Returns the terminal's columns and rows, clamped to what can be drawn.
pub(crate) fn size() -> [u16; 2] {
    believed(claimed().unwrap_or_default())
}

fn believed(claimed: [u16; 2]) -> [u16; 2] {
    let believed = |at: usize| if claimed[at] == 0 { USUAL[at] } else { claimed[at].min(LARGEST[at]) };
    [believed(0), believed(1)]
}

#[cfg(unix)]
fn claimed() -> Option<[u16; 2]> {
    // crossterm would start another program if this fails.
    rustix::termios::tcgetwinsize(stderr()).ok().map(|size| [size.ws_col, size.ws_row])
}

#[cfg(not(unix))]
fn claimed() -> Option<[u16; 2]> {
    terminal::size().ok().map(|(width, height)| [width, height])
}

/// Waits for keys, and returns true if any were pressed. An error means that the terminal is gone; crossterm would keep
/// reading it for ever.
#[cfg(unix)]
pub(crate) fn pressed_within(time: Duration) -> io::Result<bool> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let stdin = stdin();
    let mut asked = [PollFd::new(&stdin, PollFlags::IN)];
    match poll(&mut asked, Timespec::try_from(time).ok().as_ref()) {
        Err(rustix::io::Errno::INTR) => return Ok(false),
        polled => polled?,
    };
    let seen = asked[0].revents();
    if seen.intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(seen.contains(PollFlags::IN))
}

#[cfg(not(unix))]
pub(crate) fn pressed_within(time: Duration) -> io::Result<bool> {
    ratatui::crossterm::event::poll(time)
}

/// Returns true while a dashboard covers the terminal.
pub(crate) fn is_open() -> bool {
    OPEN.load(Ordering::SeqCst)
}

/// Covers the terminal, if stderr and stdin are terminals.
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
    // The hook stays: others may be chained to it later, and it does nothing while no dashboard is open.
    HOOK.call_once(|| {
        let former = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            output::flush();
            former(info);
        }));
    });
    lines::start_keeping();
    let entered = terminal::enable_raw_mode().map_err(Error::io("read the terminal's keys"));
    // Bracketed paste keeps text pasted by mistake from acting as keys.
    let mut drawing = output::Drawing::default();
    let mut cover = || execute!(drawing, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide);
    let mut cover = || cover().map_err(Error::io("draw on the terminal"));
    entered.and_then(|()| cover()).inspect_err(|_| leave())
}

/// Locks the terminal for writing; `None` once it was given back.
pub(crate) fn pen() -> Option<MutexGuard<'static, ()>> {
    let pen = PEN.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    is_open().then_some(pen)
}

/// Restores the terminal, and writes the lines that were logged meanwhile. Further calls do nothing. Waits for the
/// terminal no longer than [`output::flush`] does.
pub(crate) fn leave() {
    if !OPEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // Wait for a frame that is being drawn, so that its rest does not follow. Not for ever: after a panic, this may be
    // the thread that draws.
    let mut pen = PEN.try_lock();
    for _ in 0..50 {
        if !matches!(pen, Err(TryLockError::WouldBlock)) {
            break;
        }
        thread::sleep(Duration::from_millis(10));
        pen = PEN.try_lock();
    }
    // Ignore errors: the terminal may be gone.
    let mut drawing = output::Drawing::default();
    let _ = execute!(drawing, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
    lines::stop_keeping();
    drop(pen);
    output::flush();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_size_is_believed_that_nobody_has() {
        assert_eq!(believed([120, 40]), [120, 40]);
        assert_eq!(believed([0, 0]), USUAL);
        assert_eq!(believed([u16::MAX, 1]), [LARGEST[0], 1]);
        assert_eq!(believed([1, u16::MAX]), [1, LARGEST[1]]);
    }
}
