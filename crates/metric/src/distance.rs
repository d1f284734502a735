//! Exact Euclidean distance transform (Felzenszwalb and Huttenlocher, "Distance Transforms of Sampled Functions",
//! 2012).

/// Calls `each` with the number of every row, from the top, and the squared distance of each of its pixels to the
/// nearest marked pixel. `marked` holds whole rows of `width` pixels. Infinite without any marked pixel.
pub fn squared(width: usize, marked: &[bool], mut each: impl FnMut(usize, &[f64])) {
    if width == 0 {
        return;
    }
    let along_columns = along_columns(width, marked);
    let mut row = Row { at: vec![0; width], from: vec![0.0; width], squared: vec![0.0; width] };
    for (number, distances) in along_columns.chunks_exact(width).enumerate() {
        row.transform(distances);
        each(number, &row.squared);
    }
}

/// Distance where a column has no marked pixel.
const NONE: u32 = u32::MAX;

/// Returns the distance of each pixel to the nearest marked pixel of its column.
fn along_columns(width: usize, marked: &[bool]) -> Vec<u32> {
    let mut found: Vec<u32> = marked.iter().map(|marked| if *marked { 0 } else { NONE }).collect();
    // Downwards, then upwards: each row from the one that was done before.
    let nearer = |row: &mut [u32], before: &[u32]| {
        row.iter_mut().zip(before).for_each(|(found, before)| *found = (*found).min(before.saturating_add(1)));
    };
    for start in (width..found.len()).step_by(width) {
        let (above, row) = found.split_at_mut(start);
        nearer(&mut row[..width], &above[start - width..]);
    }
    for start in (width..found.len()).step_by(width).rev() {
        let (row, below) = found.split_at_mut(start);
        nearer(&mut row[start - width..], &below[..width]);
    }
    found
}

/// Work buffers of a row: the lower envelope of the parabolas `(x - q)^2 + distance(q)^2`.
struct Row {
    /// Columns of the envelope's parabolas, from left to right.
    at: Vec<usize>,
    /// Place from which on each is the lowest.
    from: Vec<f64>,
    squared: Vec<f64>,
}

impl Row {
    fn transform(&mut self, distances: &[u32]) {
        let square = |column: usize| f64::from(distances[column]) * f64::from(distances[column]);
        let mut count = 0;
        for column in (0..distances.len()).filter(|column| distances[*column] != NONE) {
            let height = square(column) + (column * column) as f64;
            let mut from = f64::NEG_INFINITY;
            while count > 0 {
                let last = self.at[count - 1];
                // All numbers are integers below 2^53, so places are exact to about 1e-11, and distances altogether.
                from = (height - square(last) - (last * last) as f64) / (2 * (column - last)) as f64;
                if from > self.from[count - 1] {
                    break;
                }
                count -= 1;
                from = f64::NEG_INFINITY;
            }
            (self.at[count], self.from[count]) = (column, from);
            count += 1;
        }
        if count == 0 {
            return self.squared.fill(f64::INFINITY);
        }
        let mut lowest = 0;
        for (column, found) in self.squared.iter_mut().enumerate() {
            while lowest + 1 < count && self.from[lowest + 1] < column as f64 {
                lowest += 1;
            }
            let aside = column.abs_diff(self.at[lowest]) as f64;
            *found = aside * aside + square(self.at[lowest]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(width: usize, marked: &[bool]) -> Vec<f64> {
        let mut all = Vec::new();
        squared(width, marked, |number, row| {
            assert_eq!(number * width, all.len());
            all.extend_from_slice(row);
        });
        all
    }

    /// Searches all marked pixels.
    fn searched(width: usize, marked: &[bool]) -> Vec<f64> {
        let nearest = |place: usize| {
            let distance = |other: usize| {
                let [dy, dx] = [(place / width).abs_diff(other / width), (place % width).abs_diff(other % width)];
                (dy * dy + dx * dx) as f64
            };
            (0..marked.len()).filter(|other| marked[*other]).map(distance).fold(f64::INFINITY, f64::min)
        };
        (0..marked.len()).map(nearest).collect()
    }

    proptest! {
        #[test]
        fn distances_are_those_of_a_search(
            (width, marked) in (1usize..24, 1usize..24, 0.0f64..0.6).prop_flat_map(|(width, height, share)| {
                (Just(width), prop::collection::vec(prop::bool::weighted(share), width * height))
            })
        ) {
            prop_assert_eq!(found(width, &marked), searched(width, &marked));
        }
    }

    #[test]
    fn nothing_marked_is_infinitely_far_and_nothing_has_no_row() {
        assert_eq!(found(3, &[false; 6]), [f64::INFINITY; 6]);
        assert_eq!(found(0, &[]), [0.0; 0]);
        assert_eq!(found(4, &[true, false, false, false]), [0.0, 1.0, 4.0, 9.0]);
    }

    #[test]
    fn far_away_is_exact() {
        let mut marked = vec![false; 3000 * 2];
        marked[0] = true;
        let last = found(3000, &marked)[5999];
        assert_eq!(last, 2999.0 * 2999.0 + 1.0);
    }
}
