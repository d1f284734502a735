//! Conversion of colours to grey.

/// Luma of a colour: 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), in the integers and with the rounding of Pillow's
/// `convert("L")`.
pub(super) fn of([red, green, blue]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}

/// Converts pixels of `N` bytes that begin with red, green and blue to grey.
pub(super) fn convert<const N: usize>(colors: &[u8], grey: &mut Vec<u8>) {
    grey.clear();
    grey.extend(colors.as_chunks::<N>().0.iter().map(|pixel| match pixel[..] {
        [red, green, blue, ..] => of([red, green, blue]),
        _ => 0,
    }));
}
