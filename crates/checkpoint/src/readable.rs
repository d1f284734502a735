//! Sizes in words.

/// Formats a number of bytes in powers of 1000: `370.2 MB`.
pub fn readable(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut size = bytes as f64;
    let mut unit = "";
    for next in ["kB", "MB", "GB", "TB", "PB", "EB"] {
        // A size that would round to 1000.0 becomes 1.0 of the next unit.
        if !unit.is_empty() && size < 999.95 {
            break;
        }
        (size, unit) = (size / 1e3, next);
    }
    format!("{size:.1} {unit}")
}
