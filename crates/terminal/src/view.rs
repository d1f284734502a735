//! What the person at the keys asked to see, and asked the training to do.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a person asks of the training.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// Save a checkpoint now.
    Save,
    /// Validate now.
    Validate,
    /// Stop when this epoch is over.
    StopAfterEpoch,
    /// Stop after this step, with a checkpoint.
    StopNow,
}

impl Command {
    /// What is said until it is done.
    pub(crate) fn notice(self) -> &'static str {
        match self {
            Self::Save => "Saving after this step",
            Self::Validate => "Validating after this step",
            Self::StopAfterEpoch => "Stopping when this epoch is over",
            Self::StopNow => "Stopping after this step",
        }
    }
}

/// Which part has the room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Focus {
    /// All share it.
    #[default]
    Overview,
    /// The losses.
    Loss,
    /// The mean IoU.
    Score,
    /// The learning rate.
    LearningRate,
    /// Images a second.
    Rate,
    /// The classes.
    Classes,
}

impl Focus {
    const ALL: [Self; 6] = [Self::Overview, Self::Loss, Self::Score, Self::LearningRate, Self::Rate, Self::Classes];

    fn moved(self, by: usize) -> Self {
        let at = Self::ALL.iter().position(|focus| *focus == self).unwrap_or(0);
        Self::ALL[(at + by) % Self::ALL.len()]
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct View {
    /// Which part has the room.
    pub focus: Focus,
    /// How many of the log's last lines lie below what is seen of it.
    pub scroll: usize,
    /// How many lines the log has.
    pub lines: usize,
    /// How many of them can be seen at once.
    pub page: usize,
    /// Whether the keys are explained.
    pub help: bool,
    /// What was asked for last, and when, in seconds since the dashboard opened.
    pub asked: Option<(Command, f64)>,
    /// Whether the run was asked to stop, now or later.
    pub stopping: bool,
}

/// What a key means beyond the view.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// Nothing.
    None,
    /// Something for the training.
    Command(Command),
    /// What Ctrl-C is outside of a dashboard.
    Interrupt,
    /// Draw all of it again.
    Redraw,
}

impl View {
    /// The log has `lines` lines by now, and there is room for `page`. Where it was scrolled back, what is seen stays.
    pub(crate) fn follow(&mut self, lines: usize, page: usize) {
        if self.scroll > 0 {
            self.scroll = (self.scroll + lines.saturating_sub(self.lines)).min(lines.saturating_sub(page));
        }
        (self.lines, self.page) = (lines, page);
    }

    /// A key was pressed at `now`.
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
