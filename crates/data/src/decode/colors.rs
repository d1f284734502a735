//! Masks that hold colours, from pixels of several bytes to class ids.

use crate::error::Error;
use crate::label::classes::Color;
use crate::label::pixel::Label;
use crate::label::table::{LabelTable, Place};

/// The reason to refuse a mask of 16-bit colours.
pub(super) const WIDE_COLORS: &str = "has colours of 16 bits a channel, which labels do not have: store it with 8";

/// Turns pixels of 2 to 4 bytes (grey and alpha, RGB, RGBA) into class ids; alpha is ignored.
pub(super) fn of_bytes(
    channels: u8,
    raw: &[u8],
    labels: &LabelTable,
    ids: &mut Vec<u8>,
    place: Place,
) -> Result<(), Error> {
    let color = |rgb| Label::Color(Color(rgb));
    match channels {
        2 => labels.look_up(raw.as_chunks().0.iter().map(|&[grey, _]| color([grey; 3])), ids, place),
        3 => labels.look_up(raw.as_chunks().0.iter().map(|&rgb| color(rgb)), ids, place),
        _ => {
            labels.look_up(raw.as_chunks().0.iter().map(|&[red, green, blue, _]| color([red, green, blue])), ids, place)
        }
    }
}
