//! Numbers and colours as the page shows them.

use crate::text;

/// Placeholder for a missing number.
pub const NONE: &str = "–";

/// Formats a share as percent, or as a dash.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| NONE.into(), text::percent)
}

/// Formats a number, or a dash.
pub fn number(value: Option<f64>) -> String {
    value.map_or_else(|| NONE.into(), text::number)
}

/// Returns the style of the page's colour number `index`.
pub fn color(index: usize) -> String {
    format!("--color: var(--s{})", index % COLORS)
}

/// Number of colours in `page.css`.
const COLORS: usize = 7;
