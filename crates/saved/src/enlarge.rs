//! Enlarges predictions from the size at which the network sees an image to the image's own size, row by row.

use data::Rectangle;
use tch::{Kind, TchError, Tensor};

/// Maximum number of values enlarged at once.
const AT_ONCE: u64 = 1 << 24;

/// Resizes rows of probabilities to the size of the image by bilinear interpolation, pixels being squares with their
/// value in the middle. Keeps only the rows that are still needed.
#[derive(Debug)]
pub struct Enlarger {
    /// Part of the network's input that shows the image.
    part: Rectangle,
    /// Height and width of the image.
    size: [i64; 2],
    /// Number of rows received so far, of the whole input.
    come: i64,
    /// `[K, rows, part.width]`: rows of the part that are still needed, and the number of the first one in the part.
    kept: Option<Tensor>,
    first: i64,
    /// Number of rows of the image that are done.
    done: i64,
}

impl Enlarger {
    /// Creates an enlarger for an image of this height and width, which is seen in `part`.
    pub fn new(part: Rectangle, size: [u32; 2]) -> Self {
        Self { part, size: size.map(i64::from), come: 0, kept: None, first: 0, done: 0 }
    }

    /// Takes the next rows of the whole input, `[K, rows, width]`, and passes the rows of the image that are known by
    /// now, `[K, rows, image's width]`, to `write`, in order.
    ///
    /// # Errors
    ///
    /// Those of `write` and of libtorch.
    pub fn add<E: From<TchError>>(
        &mut self,
        probabilities: &Tensor,
        mut write: impl FnMut(&Tensor) -> Result<(), E>,
    ) -> Result<(), E> {
        self.put(probabilities)?;
        while let Some(rows) = self.take()? {
            write(&rows)?;
        }
        Ok(())
    }

    /// Returns the next rows of the image that are known by now, `[K, rows, image's width]`, in order. `None` if they
    /// wait for rows to be [put](Self::put) in.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn take(&mut self) -> Result<Option<Tensor>, TchError> {
        let Some(kept) = &self.kept else { return Ok(None) };
        let (height, known) = (i64::from(self.part.height), self.first + kept.size()[1]);
        let (part, size) = (self.part, self.size);
        let is_known = |row: i64| known == height || (place(row, part, size) as i64) + 1 < known;
        let most = (AT_ONCE / (kept.size()[0] as u64 * self.size[1] as u64).max(1)).max(1) as i64;
        if self.done < self.size[0] && is_known(self.done) {
            let last = (self.done + most).min(self.size[0]);
            let count = (self.done..last).take_while(|row| is_known(*row)).count() as i64;
            let rows = self.rows(kept, self.done, count)?;
            self.done += count;
            return Ok(Some(rows));
        }
        // The next row of the image lies between this one and the one below it.
        let needed = if self.done < self.size[0] { place(self.done, part, size) as i64 } else { height };
        let passed = (needed - self.first).clamp(0, kept.size()[1]);
        self.kept = Some(kept.f_narrow(1, passed, kept.size()[1] - passed)?.f_contiguous()?);
        self.first += passed;
        Ok(None)
    }

    /// Takes the next rows of the whole input, `[K, rows, width]`, and keeps the part that shows the image.
    ///
    /// # Errors
    ///
    /// Fails if libtorch does.
    pub fn put(&mut self, probabilities: &Tensor) -> Result<(), TchError> {
        let Rectangle { top, left, height, width } = self.part;
        let (top, rows) = (i64::from(top), probabilities.size()[1]);
        let begin = (top - self.come).clamp(0, rows);
        let end = (top + i64::from(height) - self.come).clamp(begin, rows);
        self.come += rows;
        if begin == end {
            return Ok(());
        }
        let shown = probabilities.f_narrow(1, begin, end - begin)?.f_narrow(2, left.into(), width.into())?;
        self.kept = Some(match self.kept.take() {
            Some(kept) if kept.size()[1] > 0 => Tensor::f_cat(&[&kept, &shown], 1)?,
            _ => shown,
        });
        Ok(())
    }

    /// Returns `count` rows of the image from `first` on.
    fn rows(&self, kept: &Tensor, first: i64, count: i64) -> Result<Tensor, TchError> {
        // Computed on the device, so that nothing is copied there.
        let places = places(first, count, self.part, self.size, kept)?;
        let row = places.f_to_kind(Kind::Int64)?;
        let last = kept.size()[1] - 1;
        let of = |rows: &Tensor| kept.f_index_select(1, &rows.f_sub_scalar(self.first)?.f_clamp(0, last)?);
        let (above, below) = (of(&row)?, of(&row.f_add_scalar(1)?)?);
        let shares = places.f_sub(&row)?.f_to_kind(Kind::Float)?.f_view([1, -1, 1])?;
        let rows = above.f_lerp_tensor(&below, &shares)?.f_unsqueeze(0)?;
        rows.f_upsample_bilinear2d([count, self.size[1]], false, None, None)?.f_squeeze_dim(0)
    }
}

/// Returns the most likely class of each pixel of `[K, rows, W]` probabilities: `[rows, W]` u8, on their device.
///
/// # Errors
///
/// Fails if libtorch does.
pub fn most_likely(probabilities: &Tensor) -> Result<Tensor, TchError> {
    probabilities.f_argmax(0, false)?.f_to_kind(Kind::Uint8)
}

/// Maps a row of an image of this `size` to a row of `part`: fractions lie between this row and the next.
fn place(row: i64, part: Rectangle, size: [i64; 2]) -> f64 {
    let height = f64::from(part.height);
    ((row as f64 + 0.5) * height / size[0] as f64 - 0.5).clamp(0.0, height - 1.0)
}

/// Returns the [`place`] of `count` rows from `first` on: `[count]` f64, on the device of `other`.
fn places(first: i64, count: i64, part: Rectangle, size: [i64; 2], other: &Tensor) -> Result<Tensor, TchError> {
    let height = f64::from(part.height);
    let rows = Tensor::f_arange_start(first, first + count, (Kind::Double, other.device()))?;
    // By a tensor: a GPU divides by a number of the host with its reciprocal, which rounds twice.
    let of_image = Tensor::f_full([1], size[0], (Kind::Double, other.device()))?;
    let places = rows.f_add_scalar(0.5)?.f_mul_scalar(height)?.f_div(&of_image)?;
    places.f_sub_scalar(0.5)?.f_clamp(0.0, height - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Device;

    #[test]
    fn places_are_those_of_each_row_to_the_bit() {
        for (height, of_image) in [(64, 500), (64, 33), (7, 7), (255, 3001), (1, 9)] {
            let part = Rectangle { top: 3, left: 0, height, width: 5 };
            let one_by_one: Vec<f64> = (2..of_image).map(|row| place(row, part, [of_image, 8])).collect();
            let other = Tensor::zeros([1], (Kind::Float, Device::Cpu));
            let found = places(2, of_image - 2, part, [of_image, 8], &other).unwrap();
            assert_eq!(Vec::<f64>::try_from(found).unwrap(), one_by_one, "{height} of {of_image}");
        }
    }

    /// Enlarges `all`, adding `portion` rows at a time.
    fn enlarged(all: &Tensor, part: Rectangle, size: [u32; 2], portion: i64) -> Tensor {
        let mut enlarger = Enlarger::new(part, size);
        let mut found = Vec::new();
        for first in (0..all.size()[1]).step_by(portion as usize) {
            let rows = all.narrow(1, first, portion.min(all.size()[1] - first));
            let write = |rows: &Tensor| {
                found.push(rows.copy());
                Ok::<_, TchError>(())
            };
            enlarger.add(&rows, write).unwrap();
            let kept = enlarger.kept.as_ref().map_or(0, |kept| kept.size()[1]);
            assert!(kept <= portion + 2, "{kept} rows are kept");
        }
        Tensor::cat(&found, 1)
    }

    #[test]
    fn rows_are_those_of_the_whole_resized_however_they_come() {
        let values = Tensor::arange(2 * 9 * 8, (Kind::Float, Device::Cpu)).sin().view([2, 9, 8]);
        for part in [[0, 0, 9, 8], [1, 2, 7, 5], [8, 7, 1, 1]] {
            let [top, left, height, width] = part;
            let shown = values.narrow(1, top.into(), height.into()).narrow(2, left.into(), width.into());
            let part = Rectangle { top, left, height, width };
            for size in [[7, 5], [20, 31], [3, 2], [1, 1], [100, 5], [9, 8]] {
                let wanted = size.map(i64::from);
                let whole = shown.unsqueeze(0).upsample_bilinear2d(wanted, false, None, None).squeeze_dim(0);
                for portion in [1, 2, 4, 9] {
                    let found = enlarged(&values, part, size, portion);
                    assert_eq!(found.size(), whole.size());
                    let worst = (found - &whole).abs().max().double_value(&[]);
                    assert!(worst < 1e-6, "{part:?} to {size:?} by {portion}: {worst}");
                }
            }
        }
    }

    #[test]
    fn what_lies_around_an_image_does_not_leak_into_its_classes() {
        // 4 of 8 rows show the image: its left half is class 0, its right half 1; around it all is class 2.
        let part = Rectangle { top: 2, left: 0, height: 4, width: 8 };
        let probabilities = Tensor::zeros([3, 8, 8], (Kind::Float, Device::Cpu));
        let fill = |class: i64, top: i64, left: i64, height: i64, width: i64| {
            let _ = probabilities.get(class).narrow(0, top, height).narrow(1, left, width).fill_(1.0);
        };
        fill(2, 0, 0, 2, 8);
        fill(2, 6, 0, 2, 8);
        fill(0, 2, 0, 4, 4);
        fill(1, 2, 4, 4, 4);
        let classes = enlarged(&probabilities, part, [20, 40], 8).argmax(0, false);
        let expected = Tensor::from_slice(&[0i64, 1]).repeat_interleave_self_int(20, 0, None).expand([20, 40], false);
        assert_eq!(classes, expected);
    }
}
