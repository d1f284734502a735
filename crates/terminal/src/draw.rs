//! Rendering of a dashboard: its layout and panels.

mod ascii;
mod charts;
mod classes;
mod head;
mod side;

use crate::{lines::Line as Logged, look::Look, state::State, view::Focus, view::View, words};
use log::Level;
use ratatui::{
    buffer::Buffer,
    layout::{Alignment, Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Borders, Paragraph, Widget, Wrap},
};

/// Minimum columns and rows; below them a message is shown instead.
pub(crate) const SMALLEST: [u16; 2] = [60, 16];
/// Width from which classes and system have a column of their own.
const WIDE: u16 = 96;

/// All inputs of a frame. Rendering it into a buffer does no input or output.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// State of the run.
    pub state: &'a State,
    /// View settings.
    pub view: &'a View,
    /// Visible lines of the log.
    pub log: &'a [Logged],
    /// Capabilities of the terminal.
    pub look: Look,
    /// Seconds since the dashboard opened.
    pub now: f64,
}

/// Layout of the screen.
struct Rooms {
    title: Rect,
    progress: Rect,
    body: Rect,
    log: Rect,
    help: Rect,
}

fn rooms(area: Rect) -> Rooms {
    let log = (area.height / 5).clamp(4, 12);
    let heights = [1, 2, 1].map(Constraint::Length);
    let [title, progress, _, body, log, help] = Layout::vertical([
        heights[0],
        heights[1],
        heights[2],
        Constraint::Min(0),
        Constraint::Length(log),
        Constraint::Length(1),
    ])
    .areas(area);
    Rooms { title, progress, body, log, help }
}

/// Returns the number of visible lines of the log on a terminal of this size.
pub(crate) fn log_rows(width: u16, height: u16) -> usize {
    usize::from(rooms(Rect::new(0, 0, width, height)).log.height.saturating_sub(1))
}

impl Widget for &Scene<'_> {
    fn render(self, area: Rect, buffer: &mut Buffer) {
        if area.width < SMALLEST[0] || area.height < SMALLEST[1] {
            self.too_small(area, buffer);
        } else {
            let rooms = rooms(area);
            self.title(rooms.title, buffer);
            self.progress(rooms.progress, buffer);
            self.body(rooms.body, buffer);
            self.log(rooms.log, buffer);
            self.keys(rooms.help, buffer);
            if self.view.help {
                self.help(area, buffer);
            }
        }
        if !self.look.unicode {
            ascii::translate(buffer, area);
        }
    }
}

impl Scene<'_> {
    fn too_small(&self, area: Rect, buffer: &mut Buffer) {
        let [width, height] = SMALLEST;
        let said = format!(
            "Training goes on. The dashboard needs {width} × {height} cells; here are {} × {}.",
            area.width, area.height
        );
        Paragraph::new(said).wrap(Wrap { trim: true }).alignment(Alignment::Center).render(area, buffer);
    }

    fn body(&self, area: Rect, buffer: &mut Buffer) {
        match self.view.focus {
            Focus::Overview if area.width >= WIDE => {
                let [charts, _, side] = Layout::horizontal([
                    Constraint::Min(0),
                    Constraint::Length(2),
                    Constraint::Length(side_width(area)),
                ])
                .areas(area);
                self.grid(charts, buffer);
                let system = self.system_rows().min(side.height / 2);
                let [classes, system] = Layout::vertical([Constraint::Min(0), Constraint::Length(system)]).areas(side);
                self.classes(classes, buffer);
                self.system(system, buffer);
            }
            Focus::Overview => {
                let below = if area.height < 12 { 0 } else { area.height * 2 / 5 };
                let [charts, below] = Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(area);
                self.pair([Focus::Loss, Focus::Score], charts, buffer);
                let [classes, system] = halves(below);
                self.classes(classes, buffer);
                self.system(system, buffer);
            }
            Focus::Classes => self.classes(area, buffer),
            chart => self.chart(chart, area, buffer),
        }
    }

    /// Draws two charts in a column, or four in a grid if there is room.
    fn grid(&self, area: Rect, buffer: &mut Buffer) {
        let rows: [Rect; 2] = Layout::vertical([Constraint::Fill(1); 2]).areas(area);
        if area.width >= 90 {
            self.pair([Focus::Loss, Focus::Score], rows[0], buffer);
            self.pair([Focus::LearningRate, Focus::Rate], rows[1], buffer);
        } else {
            self.chart(Focus::Loss, rows[0], buffer);
            self.chart(Focus::Score, rows[1], buffer);
        }
    }

    fn pair(&self, [left, right]: [Focus; 2], area: Rect, buffer: &mut Buffer) {
        let areas = halves(area);
        self.chart(left, areas[0], buffer);
        self.chart(right, areas[1], buffer);
    }

    fn log(&self, area: Rect, buffer: &mut Buffer) {
        let below = self.view.scroll;
        let note = if below > 0 { format!("UTC, {below} lines below") } else { "UTC".to_string() };
        let inner = self.panel("Log", vec![Span::styled(note, self.look.faint())], area, buffer);
        // New lines appear at the bottom.
        let lines: Vec<Line> = self.log.iter().map(|logged| self.log_line(logged)).collect();
        let empty = inner.height.saturating_sub(lines.len().try_into().unwrap_or(u16::MAX));
        let area = Rect { y: inner.y + empty, height: inner.height - empty, ..inner };
        Paragraph::new(lines).render(area, buffer);
    }

    fn log_line<'l>(&self, logged: &'l Logged) -> Line<'l> {
        let style = match logged.level {
            Level::Error => self.look.ink(Color::Red).add_modifier(Modifier::BOLD),
            Level::Warn => self.look.ink(Color::Yellow),
            Level::Info => Style::new(),
            Level::Debug | Level::Trace => self.look.faint(),
        };
        let time = words::stamp(logged.at).get(11..19).unwrap_or_default().to_string();
        let level = if logged.level <= Level::Warn { format!("{} ", logged.level) } else { String::new() };
        Line::from(vec![
            Span::styled(time + " ", self.look.faint()),
            Span::styled(level, style),
            Span::styled(logged.text.as_str(), style),
        ])
    }

    /// Draws a line with a title and notes, and returns the area below it.
    fn panel(&self, title: &str, notes: Vec<Span<'_>>, area: Rect, buffer: &mut Buffer) -> Rect {
        // Reset the style: the title would inherit that of the border.
        let bold = Style::reset().add_modifier(Modifier::BOLD);
        let mut line = vec![Span::styled(format!("{title} "), bold)];
        for note in notes.into_iter().filter(|note| !note.content.is_empty()) {
            line.push(note);
            line.push(Span::raw(" "));
        }
        let block = Block::new().borders(Borders::TOP).border_style(self.look.faint()).title(Line::from(line));
        let inner = block.inner(area);
        block.render(area, buffer);
        inner
    }

    /// Returns a bar of `width` cells, `part` of it filled.
    fn bar(&self, width: usize, part: f64, style: Style) -> [Span<'static>; 2] {
        let part = if part.is_nan() { 0.0 } else { part.clamp(0.0, 1.0) };
        let filled = (part * width as f64).round() as usize;
        [Span::styled("━".repeat(filled), style), Span::styled("─".repeat(width - filled), self.look.faint())]
    }
}

fn side_width(area: Rect) -> u16 {
    (area.width / 3).clamp(32, 44)
}

/// Splits an area into two columns with a gap.
fn halves(area: Rect) -> [Rect; 2] {
    let [left, _, right] =
        Layout::horizontal([Constraint::Fill(1), Constraint::Length(2), Constraint::Fill(1)]).areas(area);
    [left, right]
}

/// Pads or truncates `text` to exactly `width` columns.
fn fit(text: &str, width: usize) -> String {
    let whole = Span::raw(text).width();
    if whole <= width {
        return format!("{text}{}", " ".repeat(width - whole));
    }
    let mut cut = String::new();
    for sign in text.chars() {
        let longer = format!("{cut}{sign}");
        if Span::raw(longer.as_str()).width() + 1 > width {
            break;
        }
        cut = longer;
    }
    if width > 0 {
        cut.push('…');
    }
    let rest = width.saturating_sub(Span::raw(cut.as_str()).width());
    cut + &" ".repeat(rest)
}

#[cfg(test)]
mod tests;
