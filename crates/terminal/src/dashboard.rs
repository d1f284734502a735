//! A dashboard over the whole terminal, drawn by a thread of its own.

use crate::{
    draw::{self, Scene},
    error::Error,
    lines,
    load::{Gpu, Meter},
    look::Look,
    pace::Step,
    screen,
    state::{Setup, State},
    table::{Epoch, Measured},
    view::{Command, Meaning, View},
};
use ratatui::{
    Terminal,
    backend::CrosstermBackend,
    crossterm::event::{self, Event, KeyEventKind},
};
use signal_hook::{
    SigId,
    consts::{SIGINT, SIGTERM},
    flag, low_level,
};
use std::io::{self, BufWriter, Stderr, stderr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// The time between two pictures, unless a key was pressed; and at least.
const PICTURE: Duration = Duration::from_millis(250);
const SHORTEST: Duration = Duration::from_millis(100);

/// A dashboard over the whole terminal, until it is dropped.
///
/// Whoever trains tells it numbers and asks for commands; neither waits for the terminal. A signal that asks the program
/// to stop (SIGTERM, or SIGINT, which Ctrl-C becomes as it is outside of a dashboard) closes it at once and gives
/// [`Command::StopNow`]: what happens until the program ends is shown line by line, and a second signal finds the
/// terminal as it was. The program must handle these two signals itself.
pub struct Dashboard {
    shared: Arc<Shared>,
    commands: Receiver<Command>,
    signals: Vec<SigId>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    opened: Instant,
    closing: AtomicBool,
    stop: Arc<AtomicBool>,
}

impl Shared {
    fn now(&self) -> f64 {
        self.opened.elapsed().as_secs_f64()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Dashboard {
    /// Covers the terminal. From now on the log is shown there ([`Lines`](crate::Lines)), and no bar is.
    pub fn open(setup: Setup) -> Result<Self, Error> {
        let look = Look::of_environment();
        screen::enter(look)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(setup)),
            opened: Instant::now(),
            closing: AtomicBool::new(false),
            stop: Arc::default(),
        });
        let (sender, commands) = mpsc::channel();
        // From here on dropping it gives the terminal back.
        let mut dashboard = Self { shared, commands, signals: Vec::new(), thread: None };
        for signal in [SIGINT, SIGTERM] {
            let stop = Arc::clone(&dashboard.shared.stop);
            dashboard.signals.push(flag::register(signal, stop).map_err(Error::io("listen to signals"))?);
        }
        let terminal = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, stderr())));
        let mut artist = Artist {
            terminal: terminal.map_err(Error::io("draw on the terminal"))?,
            shared: Arc::clone(&dashboard.shared),
            view: View::default(),
            look,
            commands: sender,
        };
        let work = move || {
            // A terminal that went away leaves nobody to tell.
            let _ = artist.work();
            screen::leave();
        };
        let thread = thread::Builder::new().name("dashboard".into()).spawn(work);
        dashboard.thread = Some(thread.map_err(Error::io("start a thread"))?);
        Ok(dashboard)
    }

    /// Training of `epoch`, counted from 1, begins or goes on: `done` of its samples are behind us.
    pub fn train(&self, epoch: u64, done: u64) {
        self.shared.state().train(epoch, done, self.shared.now());
    }

    /// A validation begins.
    pub fn validate(&self) {
        self.shared.state().validate(self.shared.now());
    }

    /// Another step of training or of validation is done.
    pub fn step(&self, step: &Step) {
        self.shared.state().step(step, self.shared.now());
    }

    /// An epoch is over, or was before the run was resumed: see [`State::epoch`].
    pub fn epoch(&self, epoch: &Epoch, ious: &[f64]) {
        self.shared.state().epoch(epoch, ious, self.shared.now());
    }

    /// A validation in the middle of an epoch is over; training goes on by [`train`](Self::train).
    pub fn validated(&self, validation: &Measured, ious: &[f64]) {
        self.shared.state().validated(validation, ious, self.shared.now());
    }

    /// What the graphics card is busy with.
    pub fn gpu(&self, gpu: Gpu) {
        self.shared.state().gpu = Some(gpu);
    }

    /// What was asked for since the last call. Never waits.
    pub fn commands(&self) -> impl Iterator<Item = Command> + '_ {
        self.commands.try_iter()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        // Whether the thread panicked, the hook has said.
        let _ = self.thread.take().map(JoinHandle::join);
        screen::leave();
        for signal in self.signals.drain(..) {
            low_level::unregister(signal);
        }
    }
}

/// What the thread has.
struct Artist {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    shared: Arc<Shared>,
    view: View,
    look: Look,
    commands: Sender<Command>,
}

impl Artist {
    fn work(&mut self) -> io::Result<()> {
        let mut meter = Meter::new();
        loop {
            let drawn = Instant::now();
            if let Some(load) = meter.read() {
                self.shared.state().load = load;
            }
            if !self.draw()? {
                return Ok(());
            }
            let mut next = drawn + PICTURE;
            loop {
                if self.shared.closing.load(Ordering::SeqCst) {
                    return Ok(());
                }
                if self.shared.stop.load(Ordering::SeqCst) {
                    self.ask(Command::StopNow);
                    return Ok(());
                }
                let left = next.saturating_duration_since(Instant::now()).min(SHORTEST);
                let some = event::poll(left)?;
                if some && self.answer(event::read()?)? {
                    next = next.min(drawn + SHORTEST);
                }
                if !some && Instant::now() >= next {
                    break;
                }
            }
        }
    }

    /// Whether there is something new to see.
    fn answer(&mut self, event: Event) -> io::Result<bool> {
        let key = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Resize(..) => return Ok(true),
            _ => return Ok(false),
        };
        match self.view.press(key, self.shared.now()) {
            Meaning::None => {}
            Meaning::Command(command) => self.ask(command),
            Meaning::Redraw => self.terminal.clear()?,
            Meaning::Interrupt => {
                // The signal may end the program at once.
                screen::leave();
                low_level::raise(SIGINT)?;
            }
        }
        Ok(true)
    }

    fn ask(&self, command: Command) {
        // Nobody listens any more only while the dashboard closes.
        let _ = self.commands.send(command);
    }

    /// Draws a picture; false once the terminal was given back.
    fn draw(&mut self) -> io::Result<bool> {
        // Copied, so that training need not wait for the drawing.
        let state = self.shared.state().clone();
        let Some(_pen) = screen::pen() else { return Ok(false) };
        let size = self.terminal.size()?;
        self.view.follow(lines::count(), draw::log_rows(size.width, size.height));
        let log = lines::window(self.view.scroll, self.view.page);
        let (view, look, now) = (&self.view, self.look, self.shared.now());
        let scene = Scene { state: &state, view, log: &log, look, now };
        self.terminal.draw(|frame| frame.render_widget(&scene, frame.area()))?;
        Ok(true)
    }
}
