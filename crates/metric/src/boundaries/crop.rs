//! The part of an image in which a class lies: what is compared need not be larger.

/// Masks of one class in target and prediction, cut to the smallest rectangle that holds both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crop {
    /// Width of the rectangle in pixels.
    pub width: usize,
    /// Pixels of the class in the target, row by row.
    pub target: Vec<bool>,
    /// Pixels of the class in the prediction, row by row.
    pub predicted: Vec<bool>,
}

/// Rows and columns of a rectangle; ends are excluded.
#[derive(Clone, Copy)]
struct Rectangle {
    rows: [usize; 2],
    columns: [usize; 2],
}

impl Rectangle {
    const EMPTY: Self = Self { rows: [usize::MAX, 0], columns: [usize::MAX, 0] };

    fn include(&mut self, row: usize, column: usize) {
        self.rows = [self.rows[0].min(row), self.rows[1].max(row + 1)];
        self.columns = [self.columns[0].min(column), self.columns[1].max(column + 1)];
    }
}

/// Returns the crop of each class; `None` for a class in neither. Target ids that are no class are ignored pixels.
pub fn crops(width: usize, target: &[u8], predicted: &[u8], classes: usize) -> Vec<Option<Crop>> {
    let is_valid = |id: u8| usize::from(id) < classes;
    let mut rectangles = vec![Rectangle::EMPTY; classes];
    let rows = target.chunks_exact(width.max(1)).zip(predicted.chunks_exact(width.max(1)));
    for (row, (target, predicted)) in rows.enumerate() {
        let mut last = [u8::MAX; 2];
        for (column, pixel) in target.iter().zip(predicted).enumerate() {
            // Within a run only its ends matter.
            let ids = [*pixel.0, *pixel.1];
            let ends = column + 1 == width || [target[column + 1], predicted[column + 1]] != ids;
            if (ids != last || ends) && is_valid(ids[0]) {
                for id in ids.into_iter().filter(|id| is_valid(*id)) {
                    rectangles[usize::from(id)].include(row, column);
                }
            }
            last = ids;
        }
    }
    let crop = |(class, Rectangle { rows, columns }): (usize, Rectangle)| {
        (rows[0] < rows[1]).then(|| {
            let (mut masks, width_of_crop) = ([Vec::new(), Vec::new()], columns[1] - columns[0]);
            for row in rows[0]..rows[1] {
                let at = row * width + columns[0]..row * width + columns[1];
                let (target, predicted) = (&target[at.clone()], &predicted[at]);
                masks[0].extend(target.iter().map(|id| usize::from(*id) == class));
                let is_predicted = |(target, id): (&u8, &u8)| is_valid(*target) && usize::from(*id) == class;
                masks[1].extend(target.iter().zip(predicted).map(is_predicted));
            }
            let [target, predicted] = masks;
            Crop { width: width_of_crop, target, predicted }
        })
    };
    rectangles.into_iter().enumerate().map(crop).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crop_holds_both_masks_and_no_ignored_pixel() {
        let target = [0, 0, 0, 0, 0, 1, 255, 0, 0, 1, 0, 0];
        let predicted = [0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 1];
        let found = crops(4, &target, &predicted, 3);
        let [none, one] = [false, true];
        let expected = Crop {
            width: 3,
            target: vec![one, none, none, one, none, none],
            predicted: vec![one, none, none, none, none, one],
        };
        assert_eq!(found[1], Some(expected));
        assert_eq!((found[0].as_ref().unwrap().width, found[2].is_none()), (4, true));
    }
}
