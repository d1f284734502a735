//! The mask of one shape, held over its bounding box.

/// Most pixels that a class map may have: enough for 20,000 × 20,000, and a bound for files that lie.
pub const MAX_PIXELS: u64 = 1 << 29;

/// An image without pixels, or with more than a class map may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the image has the size {width} × {height}: a class map has 1 to {MAX_PIXELS} pixels")]
pub struct SizeError {
    /// Width in pixels.
    pub width: u64,
    /// Height in pixels.
    pub height: u64,
}

/// Width and height of an image in pixels; their product is 1 to [`MAX_PIXELS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: u32,
    height: u32,
}

impl Size {
    /// Checks a size that a file claims.
    ///
    /// # Errors
    ///
    /// [`SizeError`] if there are no pixels, or more than [`MAX_PIXELS`].
    pub fn new(width: u64, height: u64) -> Result<Size, SizeError> {
        let pixels = width.checked_mul(height).filter(|pixels| (1..=MAX_PIXELS).contains(pixels));
        match (pixels, u32::try_from(width), u32::try_from(height)) {
            (Some(_), Ok(width), Ok(height)) => Ok(Size { width, height }),
            _ => Err(SizeError { width, height }),
        }
    }

    /// Returns the width in pixels.
    pub fn width(self) -> u32 {
        self.width
    }

    /// Returns the height in pixels.
    pub fn height(self) -> u32 {
        self.height
    }

    /// Returns the number of pixels.
    pub fn pixels(self) -> usize {
        self.width as usize * self.height as usize
    }
}

/// Mask of one shape: a bitmap over a box inside the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    left: u32,
    top: u32,
    width: u32,
    height: u32,
    /// `height × width` values, 0 or 1.
    bits: Vec<u8>,
}

impl Patch {
    /// Makes an empty mask over a box with inclusive corners, cut at the image's edges.
    pub(crate) fn over(size: Size, [left, top]: [i64; 2], [right, bottom]: [i64; 2]) -> Patch {
        let cut = |from: i64, to: i64, end: u32| {
            let from = from.clamp(0, i64::from(end));
            let to = to.saturating_add(1).clamp(from, i64::from(end));
            (from as u32, (to - from) as u32)
        };
        let (left, width) = cut(left, right, size.width);
        let (top, height) = cut(top, bottom, size.height);
        Patch { left, top, width, height, bits: vec![0; width as usize * height as usize] }
    }

    /// Makes an empty mask over the whole image.
    pub(crate) fn whole(size: Size) -> Patch {
        Patch::over(size, [0, 0], [i64::from(size.width), i64::from(size.height)])
    }

    /// Sets a pixel of the image; one outside the box is ignored.
    pub(crate) fn set(&mut self, x: i64, y: i64) {
        self.row(y, x, x);
    }

    /// Sets the pixels `from..=to` of a row of the image, as far as they are in the box.
    pub(crate) fn row(&mut self, y: i64, from: i64, to: i64) {
        let y = y - i64::from(self.top);
        if !(0..i64::from(self.height)).contains(&y) {
            return;
        }
        let (width, left) = (i64::from(self.width), i64::from(self.left));
        let from = (from - left).max(0);
        let to = (to - left + 1).min(width);
        if from < to {
            self.bits[(y * width + from) as usize..(y * width + to) as usize].fill(1);
        }
    }

    /// Sets the pixels `from..to` of a column of the image, as far as they are in the box.
    pub(crate) fn column(&mut self, x: i64, from: i64, to: i64) {
        for y in from..to {
            self.set(x, y);
        }
    }

    /// Sets the pixels of another mask of the same image, as far as they are in the box.
    pub(crate) fn add(&mut self, other: &Patch) {
        for (y, bits) in other.bits.chunks_exact(other.width.max(1) as usize).enumerate() {
            for (x, _) in bits.iter().enumerate().filter(|(_, bit)| **bit == 1) {
                self.set(i64::from(other.left) + x as i64, i64::from(other.top) + y as i64);
            }
        }
    }

    /// Returns the number of set pixels.
    pub fn area(&self) -> u64 {
        self.bits.iter().map(|&bit| u64::from(bit)).sum()
    }

    /// Writes `value` to the set pixels of a map of `width` columns.
    pub(crate) fn paint(&self, map: &mut [u8], width: u32, value: u8) {
        if self.width == 0 {
            return;
        }
        let rows = map.chunks_exact_mut(width as usize).skip(self.top as usize);
        for (row, bits) in rows.zip(self.bits.chunks_exact(self.width as usize)) {
            for (pixel, bit) in row[self.left as usize..].iter_mut().zip(bits) {
                if *bit == 1 {
                    *pixel = value;
                }
            }
        }
    }

    /// Returns the mask over the whole image: `height × width` values, 0 or 1.
    pub fn to_map(&self, size: Size) -> Vec<u8> {
        let mut map = vec![0; size.pixels()];
        self.paint(&mut map, size.width, 1);
        map
    }
}
