//! Pictures for terminals that know ASCII only.

use ratatui::{buffer::Buffer, layout::Rect};

/// Puts ASCII in the place of all other signs.
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
        // Braille without dots is nothing, and a curve otherwise.
        '\u{2800}' => ' ',
        '\u{2801}'..='\u{28ff}' => '.',
        '↑' => '^',
        '↓' => 'v',
        _ => '?',
    }
}
