//! A full-screen dashboard, drawn by a thread of its own.

use crate::{
    draw::{self, Scene},
    error::Error,
    lines,
    load::{Gpu, Meter},
    look::Look,
    output::{self, Drawing},
    pace::Step,
    screen, signals,
    state::{Setup, State},
    table::Epoch,
    view::{Command, Meaning, View},
};
use ratatui::{
    Terminal, TerminalOptions, Viewport,
    backend::CrosstermBackend,
    crossterm::event::{self, Event, KeyEventKind},
    layout::Rect,
};
use signal_hook::{SigId, consts::SIGINT, flag, low_level};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Interval between frames, and the minimum after a key was pressed.
const PICTURE: Duration = Duration::from_millis(250);
const SHORTEST: Duration = Duration::from_millis(100);
/// Maximum wait for the thread when a dashboard closes.
const CLOSING: Duration = Duration::from_secs(6);

/// Full-screen dashboard, open until it is dropped.
///
/// The training loop passes it numbers and polls for commands; neither waits for the terminal, and the dashboard closes
/// itself if the terminal disappears. A signal that asks the program to stop closes the dashboard at once and yields
/// [`Command::StopNow`]: later output is shown line by line, and a second signal finds the terminal restored. These
/// signals are SIGTERM, SIGINT (Ctrl-C raises it, as outside of a dashboard), SIGHUP and SIGXCPU, the last two unless
/// they are ignored. The program must handle them itself. SIGQUIT restores the terminal, then takes its default action.
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
    /// True once SIGQUIT has come, or may take its default action.
    quit: Arc<AtomicBool>,
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
    /// Covers the terminal. From now on it shows the log ([`Lines`](crate::Lines)), and no progress bars.
    pub fn open(setup: Setup) -> Result<Self, Error> {
        let look = Look::of_environment();
        screen::enter(look)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State::new(setup)),
            opened: Instant::now(),
            closing: AtomicBool::new(false),
            stop: Arc::default(),
            quit: Arc::default(),
        });
        let (sender, commands) = mpsc::channel();
        // From here on, dropping it restores the terminal.
        let mut dashboard = Self { shared, commands, signals: Vec::new(), thread: None };
        for signal in signals::to_stop() {
            let stop = Arc::clone(&dashboard.shared.stop);
            dashboard.signals.push(flag::register(signal, stop).map_err(Error::io("listen to signals"))?);
        }
        signals::quit(&dashboard.shared.quit).map_err(Error::io("listen to signals"))?;
        let area = area();
        let terminal = Terminal::with_options(
            CrosstermBackend::new(Drawing::default()),
            TerminalOptions { viewport: Viewport::Fixed(area) },
        );
        let mut artist = Artist {
            terminal: terminal.map_err(Error::io("draw on the terminal"))?,
            area,
            shared: Arc::clone(&dashboard.shared),
            view: View::default(),
            look,
            commands: sender,
        };
        let work = move || {
            // Ignore the error: nobody reads a terminal that disappeared.
            let _ = artist.work();
            screen::leave();
            artist.shared.quit.store(true, Ordering::SeqCst);
        };
        let thread = thread::Builder::new().name("dashboard".into()).spawn(work);
        dashboard.thread = Some(thread.map_err(Error::io("start a thread"))?);
        Ok(dashboard)
    }

    /// Starts or resumes the training of `epoch`, counted from 1, with `done` of its samples completed.
    pub fn train(&self, epoch: u64, done: u64) {
        self.shared.state().train(epoch, done, self.shared.now());
    }

    /// Starts a validation.
    pub fn validate(&self) {
        self.shared.state().validate(self.shared.now());
    }

    /// Records another step of training or validation.
    pub fn step(&self, step: &Step) {
        self.shared.state().step(step, self.shared.now());
    }

    /// Records a finished epoch, also one from before a resume: see [`State::epoch`].
    pub fn epoch(&self, epoch: &Epoch, ious: &[f64]) {
        self.shared.state().epoch(epoch, ious, self.shared.now());
    }

    /// Records a validation in the middle of an epoch; training continues with [`train`](Self::train).
    pub fn validated(&self, validation: &[f64], ious: &[f64]) {
        self.shared.state().validated(validation, ious, self.shared.now());
    }

    /// Updates the load of the GPU.
    pub fn gpu(&self, gpu: Gpu) {
        self.shared.state().gpu = Some(gpu);
    }

    /// Returns the commands since the last call. Never waits.
    pub fn commands(&self) -> impl Iterator<Item = Command> + '_ {
        self.commands.try_iter()
    }
}

impl Drop for Dashboard {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            let since = Instant::now();
            while !thread.is_finished() && since.elapsed() < CLOSING {
                thread::sleep(Duration::from_millis(10));
            }
        }
        screen::leave();
        self.shared.quit.store(true, Ordering::SeqCst);
        for signal in self.signals.drain(..) {
            low_level::unregister(signal);
        }
    }
}

/// Returns the area of the screen.
fn area() -> Rect {
    let [width, height] = screen::size();
    Rect::new(0, 0, width, height)
}

/// State of the drawing thread.
struct Artist {
    terminal: Terminal<CrosstermBackend<Drawing>>,
    area: Rect,
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
            // At most one frame is queued.
            if output::is_idle() && !self.draw()? {
                return Ok(());
            }
            let mut next = drawn + PICTURE;
            while Instant::now() < next {
                if self.shared.closing.load(Ordering::SeqCst) {
                    return Ok(());
                }
                if self.shared.stop.load(Ordering::SeqCst) {
                    self.ask(Command::StopNow);
                    return Ok(());
                }
                if self.shared.quit.load(Ordering::SeqCst) {
                    screen::leave();
                    return signals::emulate_quit();
                }
                let left = next.saturating_duration_since(Instant::now()).min(SHORTEST);
                if screen::pressed_within(left)? && self.answer_all()? || area() != self.area {
                    next = next.min(drawn + SHORTEST);
                }
            }
        }
    }

    /// Handles all pending events, and returns true if there is something new to show.
    fn answer_all(&mut self) -> io::Result<bool> {
        let (mut some, mut new) = (false, false);
        while event::poll(Duration::ZERO)? {
            new |= self.answer(event::read()?)?;
            some = true;
        }
        if !some {
            // Half of an escape sequence: the rest will come.
            thread::sleep(SHORTEST);
        }
        Ok(new)
    }

    /// Handles an event, and returns true if there is something new to show.
    fn answer(&mut self, event: Event) -> io::Result<bool> {
        let key = match event {
            Event::Key(key) if key.kind != KeyEventKind::Release => key,
            Event::Resize(..) => return Ok(true),
            _ => return Ok(false),
        };
        match self.view.press(key, self.shared.now()) {
            Meaning::None => {}
            Meaning::Command(command) => self.ask(command),
            Meaning::Redraw => self.terminal.resize(self.area)?,
            Meaning::Interrupt => {
                // The signal may end the program at once.
                screen::leave();
                low_level::raise(SIGINT)?;
            }
        }
        Ok(true)
    }

    fn ask(&self, command: Command) {
        // The receiver is gone only while the dashboard closes.
        let _ = self.commands.send(command);
    }

    /// Draws a frame; returns false once the terminal was given back.
    fn draw(&mut self) -> io::Result<bool> {
        // Copy the state, so that training need not wait for the drawing.
        let state = self.shared.state().clone();
        let Some(_pen) = screen::pen() else { return Ok(false) };
        let area = area();
        if area != self.area {
            self.area = area;
            self.terminal.resize(area)?;
        }
        self.view.follow(lines::count(), draw::log_rows(area.width, area.height));
        let log = lines::window(self.view.scroll, self.view.page);
        let (view, look, now) = (&self.view, self.look, self.shared.now());
        let scene = Scene { state: &state, view, log: &log, look, now };
        self.terminal.draw(|frame| frame.render_widget(&scene, frame.area()))?;
        Ok(true)
    }
}
