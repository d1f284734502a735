//! Top and bottom of the screen: title, progress, and keys.

use super::Scene;
use crate::{state::Phase, words};
use ratatui::{
    buffer::Buffer,
    layout::Rect,
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Widget},
};

/// Keys, each with a word and a sentence on its effect.
const KEYS: [(&str, &str, &str); 7] = [
    ("s", "save", "save a checkpoint after this step"),
    ("v", "validate", "validate after this step"),
    ("e", "stop after epoch", "stop when this epoch is over"),
    ("q", "stop", "stop after this step; the run can be resumed"),
    ("?", "help", "show or hide this"),
    ("Tab", "view", "the next view: losses, scores, learning rate, speed, classes"),
    ("↑↓", "log", "scroll the log; Page Up, Page Down, Home and End too"),
];
/// Seconds for which the response to a key is shown.
const HEARD: f64 = 4.0;

impl Scene<'_> {
    /// Draws the title, the description and the elapsed time.
    pub(super) fn title(&self, area: Rect, buffer: &mut Buffer) {
        let setup = &self.state.setup;
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let about = if setup.about.is_empty() { String::new() } else { format!("  {}", setup.about) };
        let elapsed = format!(" {}", words::time(self.now));
        let [title, about] = [Span::styled(&setup.title, bold), Span::styled(about, self.look.faint())];
        Line::from(vec![title, about]).render(area, buffer);
        Line::styled(elapsed, self.look.faint())
            .right_aligned()
            .render(right(area, words::time(self.now).len()), buffer);
    }

    /// Draws the progress of the epoch and of the run.
    pub(super) fn progress(&self, area: Rect, buffer: &mut Buffer) {
        let state = self.state;
        let setup = &state.setup;
        let validating = state.phase == Phase::Validating;
        let (done, all, pace) = match validating {
            true => (state.validated, setup.validation_samples, &state.validation_pace),
            false => (state.trained, setup.samples, &state.training_pace),
        };
        let (done, epoch) = (done.min(all), state.epoch.min(setup.epochs));
        let name = if validating { "Validation".to_string() } else { format!("Epoch {epoch}/{}", setup.epochs) };
        let mut beside = format!("{} images/s", words::rate(pace.recent_rate()));
        if !pace.waiting().is_nan() {
            beside += &format!("   data {}", words::share(pace.waiting()));
        }
        let color = if validating { Color::Yellow } else { Color::Cyan };
        let samples = Row {
            name,
            part: ratio(done as f64, all as f64),
            count: format!("{done}/{all}"),
            beside,
            left: state.phase_left(),
        };
        let title = state.setup.columns.title_of_best();
        let best = |(score, epoch)| format!("best {title} {} in epoch {epoch}", words::number(score));
        let position = state.position().min(setup.epochs as f64);
        let run = Row {
            name: "Run".into(),
            part: ratio(position, setup.epochs as f64),
            count: format!("{position:.1}/{}", setup.epochs),
            beside: state.best.map(best).unwrap_or_default(),
            left: state.run_left(),
        };
        for (row, (gauge, color)) in area.rows().zip([(samples, color), (run, Color::Green)]) {
            self.gauge(&gauge, self.look.ink(color), row, buffer);
        }
    }

    fn gauge(&self, row: &Row, style: Style, area: Rect, buffer: &mut Buffer) {
        let width = usize::from(area.width);
        let left = format!("{} left", words::time(row.left));
        // A narrow terminal omits the words in the middle, and keeps the numbers.
        let beside = if width >= 96 { format!("{:<32}", row.beside) } else { String::new() };
        let (name, after) = (format!("{:<14}", row.name), format!("  {:<13} {beside}{left:>18}", row.count));
        let room = width.saturating_sub(name.chars().count() + Span::raw(after.as_str()).width());
        let [filled, rest] = self.bar(room, row.part, style);
        Line::from(vec![Span::raw(name), filled, rest, Span::raw(after)]).render(area, buffer);
    }

    /// Draws the keys on one line, or the last command.
    pub(super) fn keys(&self, area: Rect, buffer: &mut Buffer) {
        let key = self.look.ink(Color::Cyan).add_modifier(Modifier::BOLD);
        let heard = self.view.asked.filter(|(_, at)| self.view.stopping || self.now - at < HEARD);
        if let Some((command, _)) = heard {
            let style = self.look.ink(Color::Yellow).add_modifier(Modifier::BOLD);
            Line::styled(format!("{} …", command.notice()), style).render(area, buffer);
            return;
        }
        let parts =
            KEYS.iter().flat_map(|(name, word, _)| [Span::styled(*name, key), Span::raw(format!(" {word}   "))]);
        Line::from(parts.collect::<Vec<_>>()).render(area, buffer);
    }

    /// Draws the help on the keys, over the middle of the screen.
    pub(super) fn help(&self, area: Rect, buffer: &mut Buffer) {
        let line = |(key, _, sentence): &(&'static str, &str, &'static str)| {
            let style = self.look.ink(Color::Cyan).add_modifier(Modifier::BOLD);
            Line::from(vec![Span::styled(format!(" {key:<8}"), style), Span::raw(*sentence)])
        };
        let mut lines: Vec<Line> = KEYS.iter().map(line).collect();
        lines.push(Line::from(" Ctrl-C  close this and stop; again: end at once"));
        lines.push(Line::from(" Ctrl-L  redraw the screen"));
        let (width, height) = (area.width.min(72), area.height.min(lines.len() as u16 + 2));
        let (x, y) = (area.x + (area.width - width) / 2, area.y + (area.height - height) / 2);
        let area = Rect { x, y, width, height };
        Clear.render(area, buffer);
        Paragraph::new(lines).block(Block::bordered().title(" Keys ")).render(area, buffer);
    }
}

/// Line of the progress.
struct Row {
    name: String,
    part: f64,
    count: String,
    beside: String,
    left: f64,
}

fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Returns the last `width + 1` columns of an area.
fn right(area: Rect, width: usize) -> Rect {
    let width = area.width.min(width as u16 + 1);
    Rect { x: area.right() - width, width, ..area }
}
