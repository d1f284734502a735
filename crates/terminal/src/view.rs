//! View settings and commands from the keyboard.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Command to the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Save a checkpoint now.
    Save,
    /// Validate now.
    Validate,
    /// Stop at the end of this epoch.
    StopAfterEpoch,
    /// Save a checkpoint after this step, and stop.
    StopNow,
}

impl Command {
    /// Returns the notice shown until it is done.
    pub(crate) fn notice(self) -> &'static str {
        match self {
            Self::Save => "Saving after this step",
            Self::Validate => "Validating after this step",
            Self::StopAfterEpoch => "Stopping when this epoch is over",
            Self::StopNow => "Stopping after this step",
        }
    }
}

/// Part of the dashboard that fills the body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Focus {
    /// All parts.
    #[default]
    Overview,
    /// Losses.
    Loss,
    /// Mean IoU.
    Score,
    /// Learning rate.
    LearningRate,
    /// Images per second.
    Rate,
    /// Classes.
    Classes,
}

impl Focus {
    const ALL: [Self; 6] = [Self::Overview, Self::Loss, Self::Score, Self::LearningRate, Self::Rate, Self::Classes];

    fn moved(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|focus| *focus == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// State of the view.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Part that fills the body.
    pub focus: Focus,
    /// Number of the log's last lines below the visible ones.
    pub scroll: usize,
    /// Number of lines of the log.
    pub lines: usize,
    /// Number of lines visible at once.
    pub page: usize,
    /// True while the help on the keys is shown.
    pub help: bool,
    /// Last command and its time, in seconds since the dashboard opened.
    pub asked: Option<(Command, f64)>,
    /// True once the run was asked to stop, now or later.
    pub stopping: bool,
}

/// Effect of a key beyond the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// No effect.
    None,
    /// A command to the training.
    Command(Command),
    /// Ctrl-C: an interrupt, as outside of a dashboard.
    Interrupt,
    /// Redraw the whole screen.
    Redraw,
}

impl View {
    /// Updates the number of lines of the log, and of those that fit (`page`). If the log is scrolled back, the visible
    /// lines stay.
    pub(crate) fn follow(&mut self, lines: usize, page: usize) {
        if self.scroll > 0 {
            self.scroll = (self.scroll + lines.saturating_sub(self.lines)).min(lines.saturating_sub(page));
        }
        (self.lines, self.page) = (lines, page);
    }

    /// Handles a key pressed at time `now`.
    pub(crate) fn press(&mut self, key: KeyEvent, now: f64) -> Meaning {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Meaning::Interrupt,
                KeyCode::Char('l') => Meaning::Redraw,
                _ => Meaning::None,
            };
        }
        let command = match key.code {
            KeyCode::Char('s') => Command::Save,
            KeyCode::Char('v') => Command::Validate,
            KeyCode::Char('e') => Command::StopAfterEpoch,
            KeyCode::Char('q') => Command::StopNow,
            code => {
                self.turn(code);
                return Meaning::None;
            }
        };
        self.asked = Some((command, now));
        self.stopping |= matches!(command, Command::StopAfterEpoch | Command::StopNow);
        Meaning::Command(command)
    }

    fn turn(&mut self, code: KeyCode) {
        let (page, top) = (self.page.max(1), self.lines.saturating_sub(self.page));
        match code {
            KeyCode::Tab => self.focus = self.focus.moved(1),
            KeyCode::BackTab => self.focus = self.focus.moved(Focus::ALL.len() - 1),
            KeyCode::Up => self.scroll = (self.scroll + 1).min(top),
            KeyCode::Down => self.scroll = self.scroll.saturating_sub(1),
            KeyCode::PageUp => self.scroll = (self.scroll + page).min(top),
            KeyCode::PageDown => self.scroll = self.scroll.saturating_sub(page),
            KeyCode::Home => self.scroll = top,
            KeyCode::End => self.scroll = 0,
            KeyCode::Char('?') => self.help = !self.help,
            KeyCode::Esc => self.help = false,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn press(view: &mut View, code: KeyCode) -> Meaning {
        view.press(KeyEvent::new(code, KeyModifiers::NONE), 1.0)
    }

    #[test]
    fn letters_are_commands() {
        let mut view = View::default();
        assert_eq!(press(&mut view, KeyCode::Char('s')), Meaning::Command(Command::Save));
        assert_eq!(press(&mut view, KeyCode::Char('v')), Meaning::Command(Command::Validate));
        assert!(!view.stopping);
        assert_eq!(press(&mut view, KeyCode::Char('e')), Meaning::Command(Command::StopAfterEpoch));
        assert_eq!(press(&mut view, KeyCode::Char('x')), Meaning::None);
        assert_eq!((view.stopping, view.asked), (true, Some((Command::StopAfterEpoch, 1.0))));
        assert_eq!(press(&mut view, KeyCode::Char('q')), Meaning::Command(Command::StopNow));
    }

    #[test]
    fn control_changes_what_a_letter_means() {
        let mut view = View::default();
        let mut control = |letter| view.press(KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL), 0.0);
        assert_eq!(['c', 'l', 's'].map(&mut control), [Meaning::Interrupt, Meaning::Redraw, Meaning::None]);
        assert_eq!(view, View::default());
    }

    #[test]
    fn the_log_scrolls_between_its_ends() {
        let mut view = View::default();
        view.follow(20, 5);
        let mut scroll = |code| {
            press(&mut view, code);
            view.scroll
        };
        let keys = [KeyCode::Up, KeyCode::PageUp, KeyCode::Home, KeyCode::Up, KeyCode::PageDown, KeyCode::Down];
        assert_eq!(keys.map(&mut scroll), [1, 6, 15, 15, 10, 9]);
        assert_eq!([KeyCode::End, KeyCode::Down, KeyCode::PageDown].map(&mut scroll), [0, 0, 0]);
    }

    #[test]
    fn what_is_seen_of_the_log_stays_when_it_grows() {
        let mut view = View::default();
        view.follow(20, 5);
        view.follow(25, 5);
        assert_eq!(view.scroll, 0);
        press(&mut view, KeyCode::Up);
        view.follow(28, 5);
        assert_eq!(view.scroll, 4);
        view.follow(28, 26);
        assert_eq!(view.scroll, 2);
    }

    #[test]
    fn tab_goes_round_in_both_directions() {
        let mut view = View::default();
        press(&mut view, KeyCode::BackTab);
        assert_eq!(view.focus, Focus::Classes);
        for _ in 0..7 {
            press(&mut view, KeyCode::Tab);
        }
        assert_eq!(view.focus, Focus::Overview);
        press(&mut view, KeyCode::Char('?'));
        assert!(view.help);
        press(&mut view, KeyCode::Esc);
        assert!(!view.help);
    }
}
