//! Capabilities of the terminal, from the environment.

use ratatui::style::{Color, Modifier, Style};
use std::env;

/// Colours in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// None; bold and dim only.
    None,
    /// The 256-colour palette.
    Palette,
    /// 24-bit colours.
    Full,
}

/// Capabilities of the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Colours in use.
    pub paint: Paint,
    /// Enables characters outside ASCII.
    pub unicode: bool,
    /// True if the cursor can be moved. If not, nothing is ever redrawn.
    pub moves: bool,
}

impl Look {
    /// Reads the environment variables of this process.
    pub fn of_environment() -> Self {
        Self::from(|name| env::var(name).ok())
    }

    /// Reads the variables with `variable`: `NO_COLOR` (<https://no-color.org>: any non-empty value), `TERM`,
    /// `COLORTERM`, and the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set.
    pub fn from(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).filter(|value| !value.is_empty());
        let term = set("TERM").unwrap_or_default();
        let paint = if set("NO_COLOR").is_some() {
            Paint::None
        } else if set("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit") {
            Paint::Full
        } else {
            Paint::Palette
        };
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).unwrap_or_default().to_lowercase();
        let unicode = cfg!(windows) || locale.contains("utf-8") || locale.contains("utf8");
        Self { paint, unicode, moves: term != "dumb" }
    }

    /// Returns the mark of the best epoch.
    pub fn star(self) -> char {
        if self.unicode { '★' } else { '*' }
    }

    /// Returns the style of text in one of the terminal's colours.
    pub(crate) fn ink(self, color: Color) -> Style {
        if self.paint == Paint::None { Style::new() } else { Style::new().fg(color) }
    }

    /// Returns the style of secondary text.
    pub(crate) fn faint(self) -> Style {
        if self.paint == Paint::None { Style::new().add_modifier(Modifier::DIM) } else { self.ink(Color::DarkGray) }
    }

    /// Returns the style of text in an RGB colour.
    pub(crate) fn rgb(self, color: [u8; 3]) -> Style {
        // Brighten dark colours: black is common for the background class, and its bar would be invisible.
        let seen = if color.iter().all(|part| *part < 70) { color.map(|part| part + 80) } else { color };
        let [r, g, b] = seen;
        match self.paint {
            Paint::None => Style::new(),
            Paint::Full => Style::new().fg(Color::Rgb(r, g, b)),
            Paint::Palette => {
                // The levels of xterm's cube of 216 colours are 0, 95, 135, 175, 215 and 255.
                let level = |part: u8| {
                    if part < 48 {
                        0
                    } else if part < 115 {
                        1
                    } else {
                        (part - 35) / 40
                    }
                };
                Style::new().fg(Color::Indexed(16 + 36 * level(r) + 6 * level(g) + level(b)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(variables: &[(&str, &str)]) -> Look {
        Look::from(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.to_string()))
    }

    #[test]
    fn no_color_counts_when_it_has_a_value() {
        assert_eq!(look(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]).paint, Paint::None);
        assert_eq!(look(&[("NO_COLOR", "0")]).paint, Paint::None);
        assert_eq!(look(&[("NO_COLOR", ""), ("COLORTERM", "truecolor")]).paint, Paint::Full);
        assert_eq!(look(&[]).paint, Paint::Palette);
    }

    #[test]
    fn the_first_locale_that_is_set_decides() {
        assert!(look(&[("LANG", "en_US.UTF-8")]).unicode);
        assert!(look(&[("LC_ALL", ""), ("LC_CTYPE", "C.utf8"), ("LANG", "C")]).unicode);
        assert!(!look(&[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")]).unicode);
        assert!(!look(&[]).unicode);
    }

    #[test]
    fn a_dumb_terminal_cannot_be_drawn_on() {
        assert!(!look(&[("TERM", "dumb")]).moves && look(&[("TERM", "xterm")]).moves);
    }

    #[test]
    fn colours_are_the_nearest_of_the_palette_and_never_black() {
        let palette = look(&[]);
        assert_eq!(palette.rgb([255, 255, 255]).fg, Some(Color::Indexed(231)));
        assert_eq!(palette.rgb([255, 0, 0]).fg, Some(Color::Indexed(196)));
        assert_eq!(palette.rgb([95, 135, 175]).fg, Some(Color::Indexed(67)));
        assert_eq!(look(&[("COLORTERM", "24bit")]).rgb([0, 0, 0]).fg, Some(Color::Rgb(80, 80, 80)));
        assert_eq!(look(&[("NO_COLOR", "1")]).rgb([255, 0, 0]), Style::new());
    }
}
