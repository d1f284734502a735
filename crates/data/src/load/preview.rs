//! Images of any layout as pictures for people.

use crate::load::layout::Layout;
use raster::{Element, Pixels, on_pixels};

impl Layout {
    /// Returns an image of this layout, `H×W×C`, as a picture, `H×W×3` bytes: its first three channels as red, green
    /// and blue, or the first as grey where there are fewer. The range of the numbers becomes 0 to 255.
    ///
    /// ```
    /// use data::{Channels, Depth, Layout, Range};
    ///
    /// let range = Some(Range::Common([0.0, 1000.0]));
    /// let layout = Layout { channels: Channels::Count(4), depth: Depth::U16, range, ..Layout::from(4) };
    /// assert_eq!(layout.picture(&vec![1000u16, 500, 0, 7].into()), [255, 128, 0]);
    /// ```
    pub fn picture(&self, image: &Pixels) -> Vec<u8> {
        let channels = self.channels().max(1) as usize;
        match image {
            Pixels::U8(bytes) if channels == 3 => bytes.clone(),
            image => on_pixels!(image, image => shown(image, channels, self.range())),
        }
    }
}

fn shown<T: Element>(image: &[T], channels: usize, [black, white]: [f32; 2]) -> Vec<u8> {
    let by = 255.0 / (white - black);
    let byte = |value: &T| u8::from_f32((value.to_f32() - black) * by);
    let bands: [usize; 3] = if channels < 3 { [0; 3] } else { [0, 1, 2] };
    image.chunks_exact(channels).flat_map(|pixel| bands.map(|band| byte(&pixel[band]))).collect()
}
