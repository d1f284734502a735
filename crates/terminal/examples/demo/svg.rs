//! Draws the dashboard as an SVG image, for documentation.

use crate::story::{Story, noise};
use log::Level;
use ratatui::{
    buffer::{Buffer, Cell},
    layout::Rect,
    style::{Color, Modifier},
    widgets::Widget,
};
use std::fmt::Write;
use std::time::{Duration, UNIX_EPOCH};
use std::{fs, io};
use terminal::{Line, Load, Look, Paint, Scene, State, View};

const SIZE: [u16; 2] = [140, 40];
/// Width and height of a cell in pixels.
const CELL: [f64; 2] = [8.4, 17.0];

/// Draws the story in the middle of its 26th epoch.
pub fn write(path: &str) -> io::Result<()> {
    let story = Story::of(4000.0);
    let mut state = State::new(story.setup.clone());
    let (mut now, mut log) = (0.0, Vec::new());
    for epoch in 1..=26 {
        state.train(epoch, 0, now);
        for (at, step) in story.steps(epoch).enumerate() {
            if epoch == 26 && at == 13 {
                break;
            }
            now += story.pause * (1.0 + 0.1 * noise(now));
            state.step(&step, now);
        }
        if epoch == 26 {
            break;
        }
        state.validate(now);
        for step in story.validation() {
            now += story.pause / 3.0;
            state.step(&step, now);
        }
        let (row, ious) = story.epoch(epoch);
        state.epoch(&row, &ious, now);
        let text =
            format!("Epoch {epoch}/40 | validation: loss {:.4}, mean_iou {:.4}", row.validation[0], row.validation[2]);
        log.push(Line { at: UNIX_EPOCH + Duration::from_secs_f64(32_400.0 + now), level: Level::Info, text });
    }
    state.load = Load { cpu: 0.83, memory_used: 11 << 30, memory: 32 << 30, process: 5 << 30 };
    let look = Look { paint: Paint::Full, unicode: true, moves: true };
    let (view, rows) = (View::default(), log.len().saturating_sub(7));
    let area = Rect::new(0, 0, SIZE[0], SIZE[1]);
    let mut buffer = Buffer::empty(area);
    Scene { state: &state, view: &view, log: &log[rows..], look, now }.render(area, &mut buffer);
    fs::write(path, draw(&buffer))
}

fn draw(buffer: &Buffer) -> String {
    let [width, height] = [f64::from(SIZE[0]) * CELL[0] + 24.0, f64::from(SIZE[1]) * CELL[1] + 24.0];
    let mut svg = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width:.0} {height:.0}' font-size='14' \
         font-family='DejaVu Sans Mono, Menlo, Consolas, monospace'>\n<title>The dashboard of a training</title>\n\
         <rect width='100%' height='100%' rx='8' fill='#16181d'/>\n"
    );
    for y in 0..SIZE[1] {
        let mut x = 0;
        while x < SIZE[0] {
            // Merge adjacent cells of the same style to one text.
            let style = |x: u16| look(&buffer[(x, y)]);
            let end = (x..SIZE[0]).find(|next| style(*next) != style(x)).unwrap_or(SIZE[0]);
            let text: String = (x..end).map(|x| buffer[(x, y)].symbol()).collect();
            let (left, top) = (12.0 + f64::from(x) * CELL[0], 12.0 + f64::from(y) * CELL[1]);
            let (fill, bold) = style(x);
            let words = text.replace(|sign| !dots(sign).is_empty(), " ");
            // Writing to a String cannot fail.
            if !words.trim().is_empty() {
                let weight = if bold { " font-weight='bold'" } else { "" };
                let (base, length) = (top + 13.0, f64::from(end - x) * CELL[0]);
                let words = words.replace('&', "&amp;").replace('<', "&lt;");
                let _ = writeln!(
                    svg,
                    "<text x='{left:.1}' y='{base:.1}' fill='{fill}'{weight} textLength='{length:.1}' \
                     lengthAdjust='spacingAndGlyphs' xml:space='preserve'>{words}</text>"
                );
            }
            let mut path = String::new();
            for (at, sign) in text.chars().enumerate() {
                for [across, down] in dots(sign) {
                    let (x, y) = (left + (at as f64 + across) * CELL[0], top + down * CELL[1]);
                    let _ = write!(path, "M{x:.1} {y:.1}h0");
                }
            }
            if !path.is_empty() {
                let _ = writeln!(svg, "<path d='{path}' stroke='{fill}' stroke-width='2.6' stroke-linecap='round'/>");
            }
            x = end;
        }
    }
    svg + "</svg>\n"
}

/// Returns the positions of the dots of a braille character in its cell. (Many fonts draw them too small.)
fn dots(sign: char) -> Vec<[f64; 2]> {
    // The bits of a code point from U+2800 on go down the left column, then the right one, then along the last row.
    const PLACES: [[u8; 2]; 8] = [[0, 0], [0, 1], [0, 2], [1, 0], [1, 1], [1, 2], [0, 3], [1, 3]];
    let bits = u32::from(sign).checked_sub(0x2800).filter(|bits| *bits < 256).unwrap_or(0);
    let set = (0..8).filter(|bit| bits >> bit & 1 == 1).map(|bit| PLACES[bit]);
    set.map(|[x, y]| [0.25 + 0.5 * f64::from(x), 0.125 + 0.25 * f64::from(y)]).collect()
}

fn look(cell: &Cell) -> (String, bool) {
    let color = match cell.fg {
        Color::Rgb(r, g, b) => format!("#{r:02x}{g:02x}{b:02x}"),
        Color::Cyan => "#56c8d8".into(),
        Color::Yellow => "#e5c07b".into(),
        Color::Green => "#8bc34a".into(),
        Color::Magenta => "#c792ea".into(),
        Color::Blue => "#61afef".into(),
        Color::Red => "#f07178".into(),
        Color::DarkGray => "#6b7280".into(),
        _ => "#d7dae0".into(),
    };
    (color, cell.modifier.contains(Modifier::BOLD))
}
