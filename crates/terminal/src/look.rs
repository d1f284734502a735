//! What the terminal can show, as its environment says.

use ratatui::style::{Color, Modifier, Style};
use std::env;

/// Which colours are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Paint {
    /// None at all: bold and dim only.
    None,
    /// Those of a palette of 256.
    Palette,
    /// Any.
    Full,
}

/// What the terminal can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// Which colours are used.
    pub paint: Paint,
    /// Whether signs outside ASCII are used.
    pub unicode: bool,
    /// Whether the cursor can be moved at all. Where not, nothing is ever drawn over.
    pub moves: bool,
}

impl Look {
    /// As the variables of this process say.
    pub fn of_environment() -> Self {
        Self::from(|name| env::var(name).ok())
    }

    /// As the variables say that `variable` looks up: `NO_COLOR` (<https://no-color.org>: any value but the empty one),
    /// `TERM`, `COLORTERM`, and the first of `LC_ALL`, `LC_CTYPE` and `LANG` that is set.
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

    /// The mark of what is best.
    pub fn star(self) -> char {
        if self.unicode { '★' } else { '*' }
    }

    /// Text in a colour of the terminal's own.
    pub(crate) fn ink(self, color: Color) -> Style {
        if self.paint == Paint::None { Style::new() } else { Style::new().fg(color) }
    }

    /// Text that stands back.
    pub(crate) fn faint(self) -> Style {
        if self.paint == Paint::None { Style::new().add_modifier(Modifier::DIM) } else { self.ink(Color::DarkGray) }
    }

    /// Text in a colour of the data's own.
    pub(crate) fn rgb(self, color: [u8; 3]) -> Style {
        // Black is a common colour of the background class, and no bar could be seen in it.
        let seen = if color.iter().all(|part| *part < 70) { color.map(|part| part + 80) } else { color };
        let [r, g, b] = seen;
        match self.paint {
            Paint::None => Style::new(),
            Paint::Full => Style::new().fg(Color::Rgb(r, g, b)),
            Paint::Palette => {
                // The 216 colours of xterm's cube lie at 0, 95, 135, 175, 215 and 255.
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
