//! Fallback for terminals that support ASCII only.

use ratatui::{buffer::Buffer, layout::Rect};

/// Replaces all characters outside ASCII.
pub(super) fn translate(buffer: &mut Buffer, area: Rect) {
    for position in area.intersection(buffer.area).positions() {
        let cell = &mut buffer[position];
        if let Some(sign) = cell.symbol().chars().next().filter(|_| !cell.symbol().is_ascii()) {
            cell.set_char(plain(sign));
        }
    }
}

fn plain(sign: char) -> char {
    match sign {
        '─' => '-',
        '│' => '|',
        '━' | '█' => '#',
        '×' => 'x',
        '•' => '*',
        '…' => '~',
        '┌' | '┐' | '└' | '┘' => '+',
        // Braille is blank without dots, and part of a curve otherwise.
        '\u{2800}' => ' ',
        '\u{2801}'..='\u{28ff}' => '.',
        '↑' => '^',
        '↓' => 'v',
        _ => '?',
    }
}
